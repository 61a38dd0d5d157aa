//! Makes the shards of tasks on any number of threads, with the same bytes and bounded memory.
//!
//! Every object is a job of a rayon pool, and so is the encoding of every row group. The calling
//! thread hands them out in plan order, a few row groups ahead of the one it waits for, so that no
//! worker idles while the last objects of a row group are made; it appends what is encoded in
//! order. Memory depends on threads and row group size, not on the dataset.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

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
                    line.advance(ahead, 1, &mut tally, &mut writer)
                })
                .and_then(|()| line.advance(0, 0, &mut tally, &mut writer))
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

/// A row group whose objects are being made; each arrives with its place among them.
struct PendingObjects<'scope> {
    group: RowGroupJob<'scope>,
    outcomes: Receiver<(usize, Result<ObjectOutcome>)>,
}

/// A row group that is being encoded.
struct PendingEncoding<'scope> {
    group: RowGroupJob<'scope>,
    finished: Receiver<Result<FinishedRowGroup>>,
}

/// The row groups in the making, the oldest first.
struct AssemblyLine<'run, 'scope> {
    workshop: &'scope Workshop<'scope>,
    workers: &'run ScopeFifo<'scope>,
    preparing: VecDeque<PendingObjects<'scope>>,
    encoding: VecDeque<PendingEncoding<'scope>>,
}

impl<'run, 'scope> AssemblyLine<'run, 'scope> {
    fn new(workshop: &'scope Workshop<'scope>, workers: &'run ScopeFifo<'scope>) -> Self {
        Self { workshop, workers, preparing: VecDeque::new(), encoding: VecDeque::new() }
    }

    /// Hands out the objects of a row group.
    fn start(&mut self, group: RowGroupJob<'scope>) -> Result<()> {
        let workshop = self.workshop;
        let stored = workshop.read_stored(group)?;
        let (sender, outcomes) = channel();
        for (place, &index) in group.objects.iter().enumerate() {
            let (sender, stored) = (sender.clone(), stored.clone());
            self.workers.spawn_fifo(move |_| {
                if !workshop.is_stopped.load(Ordering::Relaxed) {
                    let outcome = workshop.make_object(group.job, index, stored.as_deref());
                    // Nobody listens after an error elsewhere.
                    let _ = sender.send((place, outcome));
                }
            });
        }
        self.preparing.push_back(PendingObjects { group, outcomes });
        Ok(())
    }

    /// Waits until at most so many row groups are being prepared, and at most so many encoded.
    fn advance(
        &mut self,
        preparing: usize,
        encoding: usize,
        tally: &mut Tally<'_>,
        writer: &mut TaskWriter<'_, '_>,
    ) -> Result<()> {
        while self.preparing.len() > preparing {
            let Some(oldest) = self.preparing.pop_front() else { break };
            if let Err(error) = self.encode(oldest, tally) {
                // What was made before is kept.
                self.append(0, writer)?;
                return Err(error);
            }
        }
        self.append(encoding, writer)
    }

    /// Appends what is encoded, until at most so many row groups are being encoded.
    fn append(&mut self, encoding: usize, writer: &mut TaskWriter<'_, '_>) -> Result<()> {
        while self.encoding.len() > encoding {
            let Some(PendingEncoding { group, finished }) = self.encoding.pop_front() else { break };
            writer.append(group, finished.recv().expect("encoded, or the scope ends with a panic")?)?;
        }
        Ok(())
    }

    /// Waits for the objects of a row group, and has it encoded.
    fn encode(
        &mut self,
        PendingObjects { group, outcomes }: PendingObjects<'scope>,
        tally: &mut Tally<'_>,
    ) -> Result<()> {
        let mut made: Vec<Option<ObjectOutcome>> = group.objects.iter().map(|_| None).collect();
        for (place, outcome) in outcomes {
            let outcome = outcome?;
            tally.add(&outcome);
            made[place] = Some(outcome);
        }
        let made: Option<Vec<ObjectOutcome>> = made.into_iter().collect();
        let made = made.expect("all made, or the scope ends with a panic");
        let workshop = self.workshop;
        let (sender, finished) = channel();
        self.workers.spawn_fifo(move |_| {
            let _ = sender.send(workshop.encoders.encode(group.job, made));
        });
        self.encoding.push_back(PendingEncoding { group, finished });
        Ok(())
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

    fn add(&mut self, outcome: &ObjectOutcome) {
        let progress = &mut self.progress;
        progress.done += 1;
        progress.written += usize::from(matches!(outcome.points, Some(PointsOutcome::Written(_))));
        progress.quarantined += usize::from(outcome.has_failed());
        progress.views += outcome.views.as_ref().map_or(0, |made| made.views.len());
        (self.report)(*progress);
    }
}
