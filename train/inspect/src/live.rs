//! A recording that grows while a run trains: scalars of every record, and clouds of some steps.
//!
//! Training hands over what it has and goes on. A thread of its own makes the recording: between them is a queue of bounded
//! length, and what does not fit is left out and counted. A viewer that goes away or a disk that is full ends the recording
//! with a warning, never the run.

mod message;
#[cfg(feature = "rerun")]
mod panes;
#[cfg(feature = "rerun")]
mod scribe;
#[cfg(feature = "rerun")]
mod sink;
mod target;
#[cfg(feature = "rerun")]
mod writer;
#[cfg(not(feature = "rerun"))]
#[path = "live/writer_off.rs"]
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use jepa3d_train::{Scalars, TrainedSamples};

use crate::error::{Error, Result};
pub use message::LiveFacts;
use message::LiveMessage;
pub use target::LiveTarget;
use writer::LiveWriter;

/// Records that may wait.
const QUEUE: usize = 1024;
/// Steps with clouds that may wait: each is some hundred kilobytes.
const SAMPLES: u64 = 2;
/// How long scalars wait for others, so that a recording is not made of single numbers.
const GATHER: Duration = Duration::from_secs(2);
/// How long the end of a run waits for a viewer that does not read on.
const PATIENCE: Duration = Duration::from_secs(10);

/// The training side of a recording that grows.
pub struct LiveRecording {
    sender: SyncSender<LiveMessage>,
    ended: Receiver<Option<String>>,
    place: String,
    counts: Arc<LiveCounts>,
    opened: Instant,
    /// Clouds may take this share of the time; none: they are asked for at all cost.
    share: Option<f64>,
    left_out: LeftOut,
}

/// What both sides count.
#[derive(Default)]
struct LiveCounts {
    /// Steps with clouds in the queue.
    waiting: AtomicU64,
    /// Microseconds that clouds have taken.
    busy: AtomicU64,
    /// Steps whose clouds have taken them.
    shown: AtomicU64,
}

impl LiveCounts {
    /// What clouds will have taken once those of another step have, going by those before.
    fn expect_busy(&self) -> Duration {
        let (busy, shown) = (self.busy.load(Ordering::Relaxed), self.shown.load(Ordering::Relaxed));
        Duration::from_micros(busy + busy / shown.max(1))
    }
}

/// What a recording lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Records that found the queue full, or the recording ended.
    pub records: u64,
    /// Steps with clouds that did.
    pub samples: u64,
    /// Steps with clouds that would have taken too much of the run's time.
    pub costly: u64,
}

/// How a recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveEnd {
    /// What it lacks.
    pub left_out: LeftOut,
    /// Why it ended before the run did.
    pub failure: Option<String>,
}

impl LiveRecording {
    /// Begins a recording. An earlier file is left as it is: the recording then stands beside it, under a name with a number.
    ///
    /// `share`: of the time that clouds may take; what would take more is left out, but for the first.
    ///
    /// # Errors
    /// Fails if the file cannot be made, no port is free, no viewer listens, or the build has no feature `rerun`.
    pub fn open(target: &LiveTarget, facts: LiveFacts, share: Option<f64>) -> Result<Self> {
        Self::start(LiveWriter::open(target, facts)?, share)
    }

    fn start(writer: LiveWriter, share: Option<f64>) -> Result<Self> {
        let place = writer.place().to_owned();
        let (sender, receiver) = sync_channel(QUEUE);
        let (end, ended) = sync_channel(1);
        let counts = Arc::new(LiveCounts::default());
        let theirs = Arc::clone(&counts);
        let thread = std::thread::Builder::new().name("recording".to_owned());
        let run = move || {
            // Nobody waits for it where the run has lost patience.
            let _ = end.send(record(writer, &receiver, &theirs));
        };
        thread.spawn(run).map_err(|e| Error::Recording(e.to_string()))?;
        let (opened, left_out) = (Instant::now(), LeftOut::default());
        Ok(Self { sender, ended, place, counts, opened, share, left_out })
    }

    /// The file, or what to open in a browser, or the viewer.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Hands over a record; never waits.
    pub fn scalars(&mut self, scalars: Scalars) {
        if self.sender.try_send(LiveMessage::Scalars(scalars)).is_err() {
            self.left_out.records += 1;
        }
    }

    /// Hands over clouds of a step; never waits.
    pub fn samples(&mut self, samples: TrainedSamples) {
        let allowed = |share: f64| self.opened.elapsed().mul_f64(share);
        if self.share.is_some_and(|share| self.counts.expect_busy() > allowed(share)) {
            self.left_out.costly += 1;
        } else if self.counts.waiting.load(Ordering::Relaxed) >= SAMPLES {
            self.left_out.samples += 1;
        } else {
            self.counts.waiting.fetch_add(1, Ordering::Relaxed);
            if self.sender.try_send(LiveMessage::Samples(Box::new(samples))).is_err() {
                self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
                self.left_out.samples += 1;
            }
        }
    }

    /// Ends the recording; waits for what is in the queue, but not for ever.
    pub fn finish(self) -> LiveEnd {
        let Self { sender, ended, left_out, .. } = self;
        drop(sender);
        let failure = ended
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| Some(format!("what is left was not taken within {} s", PATIENCE.as_secs())));
        LiveEnd { left_out, failure }
    }
}

/// Makes the recording until the run ends; gives the reason if it had to end before.
fn record(mut writer: LiveWriter, queue: &Receiver<LiveMessage>, counts: &LiveCounts) -> Option<String> {
    loop {
        let written = match queue.recv_timeout(GATHER) {
            Ok(LiveMessage::Scalars(scalars)) => writer.gather(scalars),
            Ok(LiveMessage::Samples(samples)) => {
                counts.waiting.fetch_sub(1, Ordering::Relaxed);
                let start = Instant::now();
                let written = writer.samples(&samples);
                counts.busy.fetch_add(start.elapsed().as_micros() as u64, Ordering::Relaxed);
                counts.shown.fetch_add(1, Ordering::Relaxed);
                written
            }
            Err(RecvTimeoutError::Timeout) => writer.flush(),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if let Err(failure) = written {
            tracing::warn!("recording ended, the run goes on: {failure}");
            return Some(failure);
        }
    }
    writer.finish().err()
}

#[cfg(all(test, feature = "rerun"))]
mod tests;
