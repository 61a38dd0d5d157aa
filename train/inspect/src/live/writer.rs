//! Makes a recording that grows: opens where it goes, gathers scalars, logs clouds.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jepa3d_schemas::Draws;
use jepa3d_train::{Scalars, TrainedSamples};

use super::message::LiveFacts;
use super::scribe::LiveScribe;
use super::sink::{EncodedSink, SinkFailure, ViewerSink};
use super::target::LiveTarget;
use crate::error::{Error, Result};
use crate::rerun::{
    CrateVersion, Encoder, EncodingOptions, GrpcSink, LogSink, ProxyUri, RecordingStream,
    RecordingStreamBuilder, decide_logging_enabled,
};
use crate::viewer_server::{self, GrowingRecording};

/// How long a viewer may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Records that are gathered at most before they are logged.
const MOST: usize = 256;
/// How long scalars are gathered.
const GATHER: Duration = Duration::from_secs(2);

/// A recording in the making.
pub(super) struct LiveWriter {
    stream: RecordingStream,
    scribe: LiveScribe,
    failure: SinkFailure,
    place: String,
    gathered: Vec<Scalars>,
    flushed: Instant,
}

impl LiveWriter {
    /// Begins a recording.
    ///
    /// # Errors
    /// Fails if the file cannot be made, no port is free, no viewer listens, or the environment turns recordings off.
    pub(super) fn open(target: &LiveTarget, facts: LiveFacts) -> Result<Self> {
        Self::begin(|failure| open_sink(target, failure), facts)
    }

    /// Begins a recording in a sink that `open` makes and names.
    pub(super) fn begin(
        open: impl FnOnce(&SinkFailure) -> Result<(Box<dyn LogSink>, String)>,
        facts: LiveFacts,
    ) -> Result<Self> {
        // rerun would record nothing, and panic at the blueprint.
        if !decide_logging_enabled(true) {
            let found = std::env::var("RERUN").unwrap_or_default();
            return Err(failed(format!("environment variable RERUN: expected on or none, found {found:?}")));
        }
        let failure = SinkFailure::default();
        let (sink, place) = open(&failure)?;
        let identity = format!("{:016x}", Draws::new(0, &facts.identity, "recording").bits());
        let builder = RecordingStreamBuilder::new("jepa3d").recording_name(facts.name.clone());
        let stream = builder.recording_id(identity).buffered().map_err(failed)?;
        stream.set_sink(sink);
        stream.set_log_tick_enabled(false);
        stream.set_log_time_enabled(false);
        let scribe = LiveScribe::begin(&stream, facts).map_err(failed)?;
        let (gathered, flushed) = (Vec::new(), Instant::now());
        Ok(Self { stream, scribe, failure, place, gathered, flushed })
    }

    /// The file, the page, or the viewer.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Keeps a record until there are several.
    ///
    /// # Errors
    /// Fails if the recording had to end.
    pub(super) fn gather(&mut self, scalars: Scalars) -> Result<(), String> {
        self.gathered.push(scalars);
        if self.gathered.len() >= MOST || self.flushed.elapsed() >= GATHER { self.flush() } else { Ok(()) }
    }

    /// Logs what was gathered.
    ///
    /// # Errors
    /// Fails if the recording had to end.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        let gathered = std::mem::take(&mut self.gathered);
        if !gathered.is_empty() {
            self.scribe.log_scalars(&self.stream, gathered).map_err(|e| e.to_string())?;
        }
        self.flushed = Instant::now();
        self.failure.check()
    }

    /// Logs clouds of a step, after the records before them.
    ///
    /// # Errors
    /// Fails if the recording had to end.
    pub(super) fn samples(&mut self, samples: &TrainedSamples) -> Result<(), String> {
        self.flush()?;
        self.scribe.log_samples(&self.stream, samples).map_err(|e| e.to_string())?;
        self.stream.flush_blocking().map_err(|e| self.failure.check().err().unwrap_or(e.to_string()))?;
        self.failure.check()
    }

    /// Logs what is left and ends the recording.
    ///
    /// # Errors
    /// Fails if the recording had to end before.
    pub(super) fn finish(mut self) -> Result<(), String> {
        self.flush()?;
        // Writes all that is left.
        drop(self.stream);
        self.failure.check()
    }
}

/// Opens where a recording goes, and names it.
fn open_sink(target: &LiveTarget, failure: &SinkFailure) -> Result<(Box<dyn LogSink>, String)> {
    match target {
        LiveTarget::Save(path) => {
            let (file, path) = create_beside(path)?;
            Ok((encode(Box::new(file), true, failure)?, path.display().to_string()))
        }
        LiveTarget::Serve => {
            let recording = GrowingRecording::default();
            let port = viewer_server::serve(recording.clone()).map_err(failed)?;
            Ok((encode(Box::new(recording), false, failure)?, viewer_server::url(port)))
        }
        LiveTarget::Connect(address) => {
            check_viewer(address)?;
            let uri: ProxyUri = format!("rerun+http://{address}/proxy").parse().map_err(failed)?;
            let (client, address, failure) = (GrpcSink::new(uri), address.clone(), failure.clone());
            let place = format!("the viewer at {address}");
            Ok((Box::new(ViewerSink { client, address, failure }), place))
        }
    }
}

/// A sink of bytes; with an index at its end where the end can be looked up.
pub(super) fn encode(
    out: Box<dyn Write + Send>,
    is_indexed: bool,
    failure: &SinkFailure,
) -> Result<Box<dyn LogSink>> {
    let options = EncodingOptions::PROTOBUF_COMPRESSED;
    let mut encoder = Encoder::new_eager(CrateVersion::LOCAL, options, out).map_err(failed)?;
    if !is_indexed {
        encoder.do_not_emit_footer();
    }
    Ok(Box::new(EncodedSink { encoder: Mutex::new(encoder), failure: failure.clone() }))
}

/// Makes a new file: `path`, or where that is taken the first free of `NAME-2.rrd`, `NAME-3.rrd` ..
fn create_beside(path: &Path) -> Result<(File, PathBuf)> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut name = path.to_owned();
    for number in 2.. {
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Ok(file) => return Ok((file, name)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                let extension =
                    path.extension().map_or(String::new(), |e| format!(".{}", e.to_string_lossy()));
                name = path.with_file_name(format!("{stem}-{number}{extension}"));
            }
            Err(e) => return Err(Error::io(&name, e)),
        }
    }
    unreachable!("there are more numbers than files")
}

/// Refuses an address at which nothing listens, before training starts.
fn check_viewer(address: &str) -> Result<()> {
    let refuse = |found: String| {
        failed(format!(
            "connect={address}: expected a viewer that listens there (start `rerun` first), found {found}"
        ))
    };
    let all = address.to_socket_addrs().map_err(|e| refuse(e.to_string()))?;
    let mut found = "no such address".to_owned();
    for at in all {
        match TcpStream::connect_timeout(&at, ANSWER) {
            Ok(_) => return Ok(()),
            Err(e) => found = e.to_string(),
        }
    }
    Err(refuse(found))
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Recording(error.to_string())
}
