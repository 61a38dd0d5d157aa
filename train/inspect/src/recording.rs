//! Recordings for the rerun viewer: into a file, behind a web page, or straight into a viewer.
//!
//! Nothing is sent anywhere but to the file, a browser of this machine or its viewer.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use jepa3d_schemas::TemporaryFile;
use rerun::{RecordingStream, RecordingStreamBuilder};

use super::blueprint::blueprint;
use super::entities::Scribe;
use super::run::Shown;
use super::run_entities::log_run;
use super::select::Selection;
use super::viewer_server;
use crate::error::{Error, Result};
use crate::rerun;

/// What the last bytes of a whole recording contain.
const FOOTER: &[u8] = b"RRF2FOOT";

/// Writes a recording for the viewer, whole or not at all; returns its bytes.
///
/// # Errors
/// Fails if a shard cannot be read or the disk refuses; nothing new stands at `path` then.
pub fn save_recording<'a>(shown: impl Into<Shown<'a>>, path: &Path) -> Result<u64> {
    let shown = shown.into();
    let file = TemporaryFile::create(path)?;
    let stream = builder(shown)?.save(file.path()).map_err(|e| failed(format!("{}: {e}", path.display())))?;
    log_all(shown, &stream)?;
    // Writes all that is left. To flush before would wait for ever for a writer that has failed.
    drop(stream);
    let bytes = check_whole(&file).map_err(|e| Error::io(path, e))?;
    file.rename(path)?;
    Ok(bytes)
}

/// A recording served to browsers of this machine until the process ends.
pub struct Served {
    url: String,
}

impl Served {
    /// What to open in a browser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves until the process ends.
    pub fn wait(self) -> ! {
        loop {
            std::thread::park();
        }
    }
}

/// Serves a recording, and the web viewer that shows it, on the loopback interface.
///
/// # Errors
/// Fails if a shard cannot be read or no port is free.
pub fn serve_recording<'a>(shown: impl Into<Shown<'a>>) -> Result<Served> {
    let shown = shown.into();
    let (stream, memory) = builder(shown)?.memory().map_err(failed)?;
    log_all(shown, &stream)?;
    let recording = memory.drain_as_bytes().map_err(failed)?;
    let recording = viewer_server::GrowingRecording::whole(recording);
    let port = viewer_server::serve(recording).map_err(failed)?;
    Ok(Served { url: viewer_server::url(port) })
}

/// Opens the viewer, which must be installed as `rerun`, and shows a recording in it.
///
/// # Errors
/// Fails if a shard cannot be read or there is no viewer.
pub fn spawn_viewer<'a>(shown: impl Into<Shown<'a>>) -> Result<()> {
    let shown = shown.into();
    let stream = builder(shown)?.spawn().map_err(failed)?;
    log_all(shown, &stream)?;
    stream.flush_blocking().map_err(failed)
}

fn builder(shown: Shown<'_>) -> Result<RecordingStreamBuilder> {
    // rerun would record nothing, and panic at the blueprint.
    if !rerun::decide_logging_enabled(true) {
        let found = std::env::var("RERUN").unwrap_or_default();
        return Err(failed(format!("environment variable RERUN: expected on or none, found {found:?}")));
    }
    let name = match shown {
        Shown::Dataset(selection) => selection.manifest().dataset.clone(),
        Shown::Run(run) => run.name().to_owned(),
    };
    Ok(RecordingStreamBuilder::new("jepa3d").recording_name(name))
}

fn log_all(shown: Shown<'_>, stream: &RecordingStream) -> Result<()> {
    stream.set_log_tick_enabled(false);
    stream.set_log_time_enabled(false);
    match shown {
        Shown::Dataset(selection) => log_samples(selection, stream)?,
        Shown::Run(run) => log_run(run, stream).map_err(failed)?,
    }
    Ok(())
}

/// Logs all samples, then the blueprint, which names the cameras that were found.
fn log_samples(selection: &Selection, stream: &RecordingStream) -> Result<()> {
    let (manifest, grouping) = (selection.manifest(), selection.grouping());
    let mut scribe = Scribe { stream, manifest, grouping, cameras: BTreeSet::new() };
    scribe.log_dataset().map_err(failed)?;
    selection.visit(&mut |specimen| scribe.log(specimen).map_err(failed))?;
    let names: Vec<&str> = scribe.cameras.iter().map(|(_, name)| name.as_str()).collect();
    blueprint(&names).send(stream, Default::default()).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Recording(error.to_string())
}

/// The bytes of a recording. The writer's thread reports a full disk only to a log, so the end of the file is looked at; of one
/// that was cut short, another byte tells why.
fn check_whole(recording: &TemporaryFile) -> std::io::Result<u64> {
    let mut file = std::fs::File::open(recording.path())?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(64)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    if tail.windows(FOOTER.len()).any(|window| window == FOOTER) {
        return Ok(length);
    }
    let mut end = recording.file();
    end.seek(SeekFrom::End(0))?;
    end.write_all(&[0]).and_then(|()| end.sync_all())?;
    Err(std::io::Error::other("the recording was cut short, is the disk full?"))
}
