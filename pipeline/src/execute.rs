//! Makes the shards of tasks on any number of threads, with the same bytes and bounded memory.
//!
//! Every object is a job of a rayon pool; whoever makes the last one of a row group encodes it at
//! once: behind the jobs that wait, its objects would stay in memory until the next row group is
//! made. The calling thread hands objects out in plan order, a few row groups ahead of the one it
//! waits for, so that no worker idles while the last of these are made, and appends what is
//! encoded in order. Memory depends on threads and row group size, not on the dataset.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::ScopeFifo;

use crate::error::Result;
use crate::outcome::{ObjectOutcome, ObjectScratch, PointsOutcome, add_views, prepare_object};
use crate::output_folder::OutputFolder;
use crate::plan::{PreparePlan, ShardJob};
use crate::pool::build_pool;
use crate::request::Progress;
use crate::row_group::{FinishedRowGroup, RowGroupJob, TableEncoders, cut_row_groups};
use crate::stored::{StoredSamples, read_stored};
use crate::writer::TaskWriter;

/// Objects a thread has before it, besides those of the row group that is waited for: enough to
/// balance uneven meshes.
const AHEAD: usize = 8;

thread_local! {
    /// Kept from object to object: fresh memory costs as much as what is done in it. An object is
    /// made without leaving its thread, so nobody borrows it twice.
    static SCRATCH: RefCell<ObjectScratch> = RefCell::default();
}

/// Does `jobs` (in that order): writes shards below `folder` and a record of each in its state.
///
/// # Errors
/// Fails if the disk does, be it at a raw file; shards finished before stay, with their records.
pub(crate) fn execute(
    plan: &PreparePlan,
    folder: &OutputFolder,
    jobs: &[ShardJob<'_>],
    threads: usize,
    report: &mut dyn FnMut(Progress),
) -> Result<()> {
    let shards = &plan.config.shards;
    let groups = cut_row_groups(jobs, shards.row_group);
    let ahead = 1 + AHEAD * threads / shards.row_group;
    let encoders = TableEncoders::new(shards.write_options());
    let workshop = Workshop { plan, folder, encoders, is_stopped: AtomicBool::new(false) };
    let mut tally = Tally::new(&groups, report);
    let pool = build_pool(threads)?;
    std::thread::scope(|closers| {
        pool.in_place_scope_fifo(|workers| {
            let mut writer = TaskWriter::new(plan, folder, closers);
            let mut line = AssemblyLine::new(&workshop, workers);
            let written = groups
                .iter()
                .try_for_each(|&group| {
                    line.start(group)?;
                    line.advance(ahead, &mut tally, &mut writer)
                })
                .and_then(|()| line.advance(0, &mut tally, &mut writer))
                .and_then(|()| writer.finish());
            workshop.is_stopped.store(written.is_err(), Ordering::Relaxed);
            written
        })
    })
}

/// What workers make objects and row groups with.
struct Workshop<'a> {
    plan: &'a PreparePlan,
    folder: &'a OutputFolder,
    encoders: TableEncoders,
    /// Whether the run has failed, so that what waits to be made is of no use.
    is_stopped: AtomicBool,
}

impl Workshop<'_> {
    /// Makes the object `index` of a job; one without stored sample has no views to be added to.
    fn make_object(
        &self,
        job: ShardJob<'_>,
        index: usize,
        stored: Option<&StoredSamples>,
    ) -> Result<ObjectOutcome> {
        SCRATCH.with_borrow_mut(|scratch| match stored {
            None => prepare_object(self.plan, job, index, scratch),
            Some(stored) => match stored.get(self.plan.dataset.id(index)) {
                Some(sample) => add_views(self.plan, job, index, sample, scratch),
                None => Ok(ObjectOutcome { points: None, views: None }),
            },
        })
    }

    /// The samples as they are stored, where views are added to them.
    fn read_stored(&self, group: RowGroupJob<'_>) -> Result<Option<Arc<StoredSamples>>> {
        let (false, [first, ..], [.., last]) = (group.job.points, group.objects, group.objects) else {
            return Ok(None);
        };
        let path = self.folder.out.join(&group.job.task.file);
        let dataset = &self.plan.dataset;
        Ok(Some(Arc::new(read_stored(&path, dataset.id(*first), dataset.id(*last))?)))
    }
}

/// What the making of a row group tells the calling thread.
enum MakingMessage {
    /// An object was made; it counts as this.
    Object(Progress),
    /// All were made and are encoded, or one of them or the encoding has failed.
    End(Result<FinishedRowGroup>),
}

/// A row group in the making.
struct PendingRowGroup<'scope> {
    group: RowGroupJob<'scope>,
    messages: Receiver<MakingMessage>,
}

/// The objects of a row group, collected from the workers.
struct CollectedObjects {
    outcomes: Mutex<Vec<Option<ObjectOutcome>>>,
    left: AtomicUsize,
}

impl CollectedObjects {
    fn new(count: usize) -> Self {
        Self { outcomes: Mutex::new((0..count).map(|_| None).collect()), left: AtomicUsize::new(count) }
    }

    /// Takes an object in its place; the last one gets all of them.
    fn put(&self, place: usize, outcome: ObjectOutcome) -> Option<Vec<ObjectOutcome>> {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes[place] = Some(outcome);
        match self.left.fetch_sub(1, Ordering::AcqRel) {
            1 => std::mem::take(&mut *outcomes).into_iter().collect(),
            _ => None,
        }
    }
}

/// The row groups in the making, the oldest first.
struct AssemblyLine<'run, 'scope> {
    workshop: &'scope Workshop<'scope>,
    workers: &'run ScopeFifo<'scope>,
    making: VecDeque<PendingRowGroup<'scope>>,
}

impl<'run, 'scope> AssemblyLine<'run, 'scope> {
    fn new(workshop: &'scope Workshop<'scope>, workers: &'run ScopeFifo<'scope>) -> Self {
        Self { workshop, workers, making: VecDeque::new() }
    }

    /// Hands out the objects of a row group.
    fn start(&mut self, group: RowGroupJob<'scope>) -> Result<()> {
        let workshop = self.workshop;
        let stored = workshop.read_stored(group)?;
        let collected = Arc::new(CollectedObjects::new(group.objects.len()));
        let (sender, messages) = channel();
        for (place, &index) in group.objects.iter().enumerate() {
            let (sender, stored, collected) = (sender.clone(), stored.clone(), Arc::clone(&collected));
            self.workers.spawn_fifo(move |_| {
                if workshop.is_stopped.load(Ordering::Relaxed) {
                    return;
                }
                // Nobody listens after an error elsewhere.
                let tell = |message| drop(sender.send(message));
                let outcome = match workshop.make_object(group.job, index, stored.as_deref()) {
                    Ok(outcome) => outcome,
                    Err(error) => return tell(MakingMessage::End(Err(error))),
                };
                tell(MakingMessage::Object(count_object(&outcome)));
                if let Some(made) = collected.put(place, outcome) {
                    tell(MakingMessage::End(workshop.encoders.encode(group.job, made)));
                }
            });
        }
        self.making.push_back(PendingRowGroup { group, messages });
        Ok(())
    }

    /// Appends the oldest row groups, until at most so many are in the making.
    fn advance(
        &mut self,
        making: usize,
        tally: &mut Tally<'_>,
        writer: &mut TaskWriter<'_, '_>,
    ) -> Result<()> {
        while self.making.len() > making {
            let Some(PendingRowGroup { group, messages }) = self.making.pop_front() else { break };
            let finished = messages.iter().find_map(|message| match message {
                MakingMessage::Object(one) => {
                    tally.add(one);
                    None
                }
                MakingMessage::End(finished) => Some(finished),
            });
            writer.append(group, finished.expect("ended, or the scope ends with a panic")?)?;
        }
        Ok(())
    }
}

/// What one object adds to the progress.
fn count_object(outcome: &ObjectOutcome) -> Progress {
    Progress {
        total: 0,
        done: 1,
        written: usize::from(matches!(outcome.points, Some(PointsOutcome::Written(_)))),
        quarantined: usize::from(outcome.has_failed()),
        views: outcome.views.as_ref().map_or(0, |made| made.views.len()),
    }
}

/// Counts objects as they are made.
struct Tally<'a> {
    progress: Progress,
    report: &'a mut dyn FnMut(Progress),
}

impl<'a> Tally<'a> {
    fn new(groups: &[RowGroupJob<'_>], report: &'a mut dyn FnMut(Progress)) -> Self {
        let total = groups.iter().map(|group| group.objects.len()).sum();
        let progress = Progress { total, ..Progress::default() };
        report(progress);
        Self { progress, report }
    }

    fn add(&mut self, one: Progress) {
        let progress = &mut self.progress;
        progress.done += one.done;
        progress.written += one.written;
        progress.quarantined += one.quarantined;
        progress.views += one.views;
        (self.report)(*progress);
    }
}
