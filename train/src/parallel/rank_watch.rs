//! Whether the other processes still run: all tell the first one every few seconds that they do, and it tells all, and what it
//! knows of those that do not.
//!
//! A launcher may end all processes when one dies, or not; one that hangs, or whose machine is gone, it may never see. What is told
//! here goes past the collectives, so that a process which waits for one hears why it waits in vain.

use std::time::{Duration, Instant};

use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Source};

/// Between two signs of life.
pub(super) const BEAT: Duration = Duration::from_secs(2);
/// A process that gave no sign for so long is lost.
const SILENCE: Duration = Duration::from_secs(20);
/// Between two looks for signs.
const LOOK: Duration = Duration::from_millis(50);
/// Mark of these messages.
const TAG: i32 = 4711;

/// What a message begins with: the sender runs, is done, or knows why the run is over, in words.
const RUNS: u8 = 0;
const DONE: u8 = 1;
const OVER: u8 = 2;

/// What one process knows of the others.
pub(super) struct RankWatch {
    way: SimpleCommunicator,
    rank: usize,
    world: usize,
    told: Instant,
    looked: Instant,
    /// When each was heard last; none: it is done.
    heard: Vec<Option<Instant>>,
    failure: Option<String>,
}

impl RankWatch {
    /// `way` is used for nothing else.
    pub(super) fn new(way: SimpleCommunicator) -> Self {
        let (rank, world, now) = (way.rank() as usize, way.size() as usize, Instant::now());
        Self { way, rank, world, told: now, looked: now, heard: vec![Some(now); world], failure: None }
    }

    pub(super) fn rank(&self) -> usize {
        self.rank
    }

    pub(super) fn world(&self) -> usize {
        self.world
    }

    /// Hears and tells what is due; why the run is over, if it is.
    pub(super) fn look(&mut self) -> Option<String> {
        if self.looked.elapsed() >= LOOK {
            self.drain();
            self.find_lost();
            if self.told.elapsed() >= BEAT {
                self.tell();
            }
            self.looked = Instant::now();
        }
        self.failure.clone()
    }

    /// The run is over for a reason that all are to know.
    pub(super) fn fail(&mut self, reason: String) {
        if self.failure.is_none() {
            self.failure = Some(reason);
            self.tell();
        }
    }

    /// Tells that this process is done.
    pub(super) fn finish(&mut self) {
        self.send(&[DONE]);
    }

    /// Hears what has been told.
    pub(super) fn drain(&mut self) {
        while let Some(status) = self.way.any_process().immediate_probe_with_tag(TAG) {
            let from = status.source_rank();
            let (bytes, _) = self.way.process_at_rank(from).receive_vec_with_tag::<u8>(TAG);
            let from = from as usize;
            match bytes.split_first() {
                Some((&OVER, reason)) => self.fail(String::from_utf8_lossy(reason).into_owned()),
                Some((&DONE, _)) => self.heard[from] = None,
                _ => self.heard[from] = self.heard[from].map(|_| Instant::now()),
            }
        }
    }

    /// Those that this process hears: the first one, and that one all.
    fn peers(&self) -> std::ops::Range<usize> {
        if self.rank == 0 { 1..self.world } else { 0..1 }
    }

    fn find_lost(&mut self) {
        let is_lost = |peer: &usize| self.heard[*peer].is_some_and(|heard| heard.elapsed() > SILENCE);
        if let Some(lost) = self.peers().find(is_lost) {
            let seconds = SILENCE.as_secs();
            self.fail(format!(
                "process {lost} of {} has given no sign of life for {seconds} s: it was killed, hangs, or its machine is \
                 gone",
                self.world
            ));
        }
    }

    fn tell(&mut self) {
        self.told = Instant::now();
        match &self.failure {
            None => self.send(&[RUNS]),
            Some(reason) => self.send(&[&[OVER], reason.as_bytes()].concat()),
        }
    }

    fn send(&self, message: &[u8]) {
        for peer in self.peers().filter(|&peer| self.heard[peer].is_some()) {
            self.way.process_at_rank(peer as i32).send_with_tag(message, TAG);
        }
    }
}
