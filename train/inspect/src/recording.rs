//! Recordings for the rerun viewer: into a file, behind a web page, or straight into a viewer.
//!
//! Nothing is sent anywhere but to the file, a browser of this machine or its viewer.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use rerun::web_viewer::WebViewerConfig;
use rerun::{RecordingStream, RecordingStreamBuilder};

use super::blueprint::blueprint;
use super::entities::Scribe;
use super::run::Shown;
use super::run_entities::log_run;
use super::select::Selection;
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
    let file = unfinished(path).map_err(|e| Error::io(path, e))?.into_temp_path();
    let stream = builder(shown)?.save(&*file).map_err(failed)?;
    log_all(shown, &stream)?;
    drop(stream);
    let bytes = check_whole(&file).map_err(|e| Error::io(path, e))?;
    file.persist(path).map_err(|e| Error::io(path, e.error))?;
    Ok(bytes)
}

/// A recording served to browsers of this machine, as long as this lives.
pub struct Served {
    url: String,
    _stream: RecordingStream,
    _page: Box<dyn std::any::Any>,
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
    let ip = Ipv4Addr::LOCALHOST.to_string();
    let port = free_port()?;
    let options = rerun::ServerOptions { memory_limit: rerun::MemoryLimit::UNLIMITED, ..Default::default() };
    let stream = builder(shown)?.serve_grpc_opts(&ip, port, options).map_err(failed)?;
    let page = WebViewerConfig { bind_ip: ip, open_browser: false, ..WebViewerConfig::default() };
    let page = page.host_web_viewer().map_err(failed)?;
    let page_port =
        page.server_url().rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok());
    let page_port = page_port.ok_or_else(|| failed(format!("no port in {}", page.server_url())))?;
    let page_port = super::viewer_page::pass_on(page_port).map_err(failed)?;
    log_all(shown, &stream)?;
    let url = format!("http://127.0.0.1:{page_port}/?url=rerun%2Bhttp%3A%2F%2F127.0.0.1%3A{port}%2Fproxy");
    Ok(Served { url, _stream: stream, _page: Box::new(page) })
}

/// Opens the viewer, which must be installed as `rerun`, and shows a recording in it.
///
/// # Errors
/// Fails if a shard cannot be read or there is no viewer.
pub fn spawn_viewer<'a>(shown: impl Into<Shown<'a>>) -> Result<()> {
    let shown = shown.into();
    let stream = builder(shown)?.spawn().map_err(failed)?;
    log_all(shown, &stream)
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
    stream.flush_blocking().map_err(failed)
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

/// The port that viewers expect if it is free, else any.
fn free_port() -> Result<u16> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = bind(rerun::DEFAULT_SERVER_PORT).or_else(|_| bind(0)).map_err(failed)?;
    listener.local_addr().map(|address| address.port()).map_err(failed)
}

/// A file beside `path` that vanishes unless it is renamed.
fn unfinished(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default();
    // Made like any other file, not as a private one.
    tempfile::Builder::new()
        .prefix(name)
        .suffix(jepa3d_schemas::TEMPORARY_SUFFIX)
        .make_in(folder, |path| std::fs::File::create_new(path))
}

/// The bytes of a recording, synced. The writer's thread reports a full disk only to a log, so the
/// end of the file is looked at.
fn check_whole(path: &Path) -> std::io::Result<u64> {
    let mut file = std::fs::File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(64)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    if !tail.windows(FOOTER.len()).any(|window| window == FOOTER) {
        return Err(std::io::Error::other("the recording was cut short, is the disk full?"));
    }
    file.sync_all().map(|()| length)
}
