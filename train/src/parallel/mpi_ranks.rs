//! Processes that MPI joins. One thread makes all calls to MPI: it carries out what others ask of it, and listens for processes
//! that are lost even while it waits.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mpi::environment::Universe;
use mpi::request::{Request, Scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use mpi::{Threading, initialize_with_threading};

use super::collectives::Collectives;
use super::rank_watch::{BEAT, RankWatch};
use crate::error::{Error, Result};

/// Between two looks at a collective that is under way.
const PAUSE: Duration = Duration::from_micros(50);

/// What carries the bytes that processes hand in.
#[derive(Clone, Copy)]
enum Collective {
    Gather,
    Exchange,
}

enum MpiTask {
    Run { collective: Collective, own: Vec<u8>, reply: Sender<Result<Vec<u8>, String>> },
    Leave { reason: Option<String>, reply: Sender<Result<Vec<u8>, String>> },
}

/// This process among those of MPI.
#[derive(Debug)]
pub(super) struct MpiRanks {
    rank: usize,
    world: usize,
    state: Mutex<RanksState>,
}

#[derive(Debug)]
struct RanksState {
    tasks: Sender<MpiTask>,
    /// Why nothing is exchanged any more.
    failure: Option<String>,
    has_left: bool,
}

impl MpiRanks {
    /// Starts MPI.
    ///
    /// # Errors
    /// Fails if it runs already.
    pub(super) fn start() -> Result<Self> {
        let (tasks, todo) = channel();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let Some((universe, _)) = initialize_with_threading(Threading::Funneled) else { return };
            let engine = MpiEngine::new(universe);
            // Whoever started this waits for it.
            let _ = tell.send((engine.watch.rank(), engine.watch.world()));
            engine.run(&todo);
        });
        let reason = "MPI: expected to start it, found it running".to_owned();
        let (rank, world) = told.recv().map_err(|_| Error::Together { reason })?;
        let state = RanksState { tasks, failure: None, has_left: false };
        Ok(Self { rank, world, state: Mutex::new(state) })
    }

    fn run(&self, collective: Collective, own: &[u8]) -> Result<Vec<u8>> {
        let own = own.to_vec();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let done = match &state.failure {
            Some(reason) => Err(reason.clone()),
            None => ask(&state.tasks, |reply| MpiTask::Run { collective, own, reply }),
        };
        done.map_err(|reason| {
            state.failure = Some(reason.clone());
            Error::Together { reason }
        })
    }
}

/// Has the thread do something, and waits until it is done.
fn ask(
    tasks: &Sender<MpiTask>,
    task: impl FnOnce(Sender<Result<Vec<u8>, String>>) -> MpiTask,
) -> Result<Vec<u8>, String> {
    let (reply, found) = channel();
    let gone = |_| "the thread that calls MPI is gone".to_owned();
    tasks.send(task(reply)).map_err(|_| "the thread that calls MPI is gone".to_owned())?;
    found.recv().map_err(gone)?
}

impl Collectives for MpiRanks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.world
    }

    fn gather(&self, own: &[u8]) -> Result<Vec<u8>> {
        self.run(Collective::Gather, own)
    }

    fn exchange(&self, own: &[u8]) -> Result<Vec<u8>> {
        self.run(Collective::Exchange, own)
    }

    fn leave(&self, reason: Option<&str>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut state.has_left, true) {
            return;
        }
        if state.failure.is_none() {
            let reason = reason.map(str::to_owned);
            // What another process fails with meanwhile is no longer this one's concern.
            let _ = ask(&state.tasks, |reply| MpiTask::Leave { reason, reply });
        }
    }
}

impl Drop for MpiRanks {
    fn drop(&mut self) {
        self.leave(Some("it ended before the run began"));
    }
}

/// The thread's side.
struct MpiEngine {
    universe: Universe,
    world: SimpleCommunicator,
    watch: RankWatch,
}

impl MpiEngine {
    fn new(universe: Universe) -> Self {
        let world = universe.world();
        let watch = RankWatch::new(world.duplicate());
        Self { universe, world, watch }
    }

    /// Carries out tasks until this process leaves.
    fn run(mut self, todo: &Receiver<MpiTask>) {
        loop {
            match todo.recv_timeout(BEAT / 2) {
                Ok(MpiTask::Run { collective, own, reply }) => {
                    let all = self.carry_out(collective, &own, &reply);
                    // Whoever asked waits for it.
                    let _ = reply.send(Ok(all));
                }
                Ok(MpiTask::Leave { reason: None, reply }) => return self.finish(&reply),
                Ok(MpiTask::Leave { reason: Some(reason), reply }) => {
                    self.watch.fail(format!("process {} ended: {reason}", self.watch.rank()));
                    let _ = reply.send(Ok(Vec::new()));
                    self.tell_for_ever();
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.watch.look();
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.watch.fail(format!("process {} ended without a word", self.watch.rank()));
                    self.tell_for_ever();
                }
            }
        }
    }

    fn carry_out(
        &mut self,
        collective: Collective,
        own: &[u8],
        reply: &Sender<Result<Vec<u8>, String>>,
    ) -> Vec<u8> {
        let (world, watch) = (&self.world, &mut self.watch);
        match collective {
            Collective::Gather => {
                let mut all = vec![0u8; own.len() * watch.world()];
                mpi::request::scope(|scope| {
                    wait(world.immediate_all_gather_into(scope, own, &mut all[..]), watch, reply);
                });
                all
            }
            Collective::Exchange => {
                let mut all = vec![0u8; own.len()];
                mpi::request::scope(|scope| {
                    wait(world.immediate_all_to_all_into(scope, own, &mut all[..]), watch, reply);
                });
                all
            }
        }
    }

    /// Leaves MPI together with all others.
    fn finish(mut self, reply: &Sender<Result<Vec<u8>, String>>) {
        self.watch.finish();
        wait(self.world.immediate_barrier(), &mut self.watch, reply);
        self.watch.drain();
        let Self { universe, world, watch } = self;
        drop((world, watch));
        drop(universe);
        let _ = reply.send(Ok(Vec::new()));
    }

    /// Until the process ends: MPI cannot be left without those that are lost.
    fn tell_for_ever(mut self) -> ! {
        loop {
            self.watch.look();
            std::thread::sleep(BEAT / 10);
        }
    }
}

/// Waits for a request. If a process is lost meanwhile, it says so and never returns: the buffers are MPI's until the process ends.
fn wait<'a, D: ?Sized, S: Scope<'a>>(
    mut request: Request<'a, D, S>,
    watch: &mut RankWatch,
    reply: &Sender<Result<Vec<u8>, String>>,
) {
    loop {
        match request.test() {
            Ok(_) => return,
            Err(pending) => request = pending,
        }
        if let Some(reason) = watch.look() {
            let _ = reply.send(Err(reason));
            loop {
                watch.look();
                std::thread::sleep(BEAT / 10);
            }
        }
        std::thread::sleep(PAUSE);
    }
}
