//! Runs tasks on any number of threads with the same bytes and bounded memory.
//!
//! Work is cut into pieces of a few objects, taken in plan order; whoever finishes the last
//! piece of a row group encodes it; the calling thread appends row groups in order. A window
//! keeps workers from running more than a few row groups ahead of the disk, so memory depends
//! on threads and row group size, not on the dataset.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use jepa3d_schemas::{CatalogRow, EncodedRowGroup, RowGroupEncoder, Sample, View, WriteOptions};

use crate::error::Result;
use crate::outcome::{Outcome, Points, Scratch, added, prepared};
use crate::plan::{Job, Plan};
use crate::queue::{Queue, StopOnDrop, lock};
use crate::record::{QuarantineRow, ViewsRow};
use crate::stored::{StoredSamples, read_stored};
use crate::views::SampleViews;
use crate::writer::{OpenShards, Writer};

/// Objects a worker takes at a time: small enough to balance uneven meshes.
const PIECE: usize = 8;

/// How far a run is, reported as pieces finish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Objects of this invocation.
    pub total: usize,
    /// Objects tried so far.
    pub done: usize,
    /// Objects that became samples, where points were made.
    pub written: usize,
    /// Objects without sample, or with fewer views than wanted.
    pub quarantined: usize,
    /// Views made so far.
    pub views: usize,
}

impl Progress {
    pub(crate) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.written += other.written;
        self.quarantined += other.quarantined;
        self.views += other.views;
    }
}

/// A row group of a task: of its points, of its views, or of both.
pub(crate) struct Group<'a> {
    pub(crate) job: Job<'a>,
    objects: Range<usize>,
    pub(crate) is_last: bool,
    pieces_left: AtomicUsize,
    /// Empty until its first object is done: the groups of a large dataset wait for long.
    outcomes: Mutex<Vec<Option<Outcome>>>,
    /// The samples as they are stored, where views are added to them; read when first needed.
    stored: Mutex<Option<Arc<StoredSamples>>>,
}

/// A row group ready to be appended.
pub(crate) struct Finished {
    pub(crate) number: usize,
    pub(crate) points: Option<FinishedPoints>,
    pub(crate) views: Option<FinishedViews>,
}

/// A row group of points.
pub(crate) struct FinishedPoints {
    pub(crate) encoded: EncodedRowGroup<Sample>,
    pub(crate) catalog: Vec<CatalogRow>,
    pub(crate) quarantine: Vec<QuarantineRow>,
}

/// A row group of views.
pub(crate) struct FinishedViews {
    pub(crate) encoded: EncodedRowGroup<View>,
    /// Whether the points have such a row group: then the views have one too, even an empty one.
    pub(crate) has_samples: bool,
    pub(crate) rows: Vec<ViewsRow>,
    pub(crate) quarantine: Vec<QuarantineRow>,
}

pub(crate) enum Message {
    Piece(Progress),
    Group(Result<Finished>),
}

/// Encoders of both tables; shared by all workers.
struct Encoders {
    points: RowGroupEncoder<Sample>,
    views: RowGroupEncoder<View>,
}

/// Does `jobs` (in that order): writes shards below `out` and a record of each in `state`.
///
/// # Errors
/// Fails if the disk does; shards finished before stay, with their records.
pub(crate) fn execute(
    plan: &Plan,
    jobs: &[Job<'_>],
    (out, state): (&Path, &Path),
    threads: usize,
    report: &mut dyn FnMut(Progress),
) -> Result<()> {
    let groups = groups(jobs, plan.config.shards.row_group);
    let row_group_pieces = plan.config.shards.row_group.div_ceil(PIECE);
    let queue = Queue::new(pieces(&groups), 2 + threads.div_ceil(row_group_pieces));
    let encoders =
        Encoders { points: RowGroupEncoder::new(options(plan)), views: RowGroupEncoder::new(options(plan)) };
    let total = jobs.iter().map(|job| job.task.objects.len()).sum();
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(4 * threads);
        for _ in 0..threads {
            let worker = Worker { plan, out, queue: &queue, groups: &groups, encoders: &encoders };
            let sender = sender.clone();
            scope.spawn(move || worker.work(&sender));
        }
        drop(sender);
        // Syncing a shard to disk takes as long as making the next one: another thread waits for it.
        let (closing, to_close) = sync_channel(1);
        let closer =
            scope.spawn(move || to_close.iter().try_for_each(|shards: OpenShards| shards.close(plan, state)));
        // Dropped before the receiver, so that no worker waits for a writer that has left.
        let _stop = StopOnDrop(&queue);
        let mut writer = Writer { plan, out, queue: &queue, groups: &groups, open: None, closing };
        let written = writer.drain(&receiver, Progress { total, ..Progress::default() }, report);
        drop(writer);
        let closed = closer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A closer that failed has made the writer stop early: its error is the reason.
        closed.and(written)
    })
}

pub(crate) fn options(plan: &Plan) -> WriteOptions {
    WriteOptions { zstd_level: plan.config.shards.zstd_level }
}

fn groups<'a>(jobs: &[Job<'a>], row_group: usize) -> Vec<Group<'a>> {
    let mut groups = Vec::new();
    for &job in jobs {
        let count = job.task.objects.len();
        for start in (0..count).step_by(row_group) {
            let end = (start + row_group).min(count);
            groups.push(Group {
                job,
                objects: start..end,
                is_last: end == count,
                pieces_left: AtomicUsize::new((end - start).div_ceil(PIECE)),
                outcomes: Mutex::default(),
                stored: Mutex::default(),
            });
        }
    }
    groups
}

fn pieces(groups: &[Group<'_>]) -> Vec<(usize, Range<usize>)> {
    let mut pieces = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let (start, end) = (group.objects.start, group.objects.end);
        pieces.extend((start..end).step_by(PIECE).map(|at| (number, at..(at + PIECE).min(end))));
    }
    pieces
}

/// What a worker thread works with.
struct Worker<'a> {
    plan: &'a Plan,
    out: &'a Path,
    queue: &'a Queue,
    groups: &'a [Group<'a>],
    encoders: &'a Encoders,
}

impl Worker<'_> {
    fn work(&self, sender: &SyncSender<Message>) {
        let mut scratch = Scratch::default();
        while let Some((number, objects)) = self.queue.take() {
            let group = &self.groups[number];
            let mut messages = match self.piece(group, objects, &mut scratch) {
                Ok(progress) => vec![Message::Piece(progress)],
                Err(error) => vec![Message::Group(Err(error))],
            };
            if group.pieces_left.fetch_sub(1, Ordering::AcqRel) == 1 {
                messages.push(Message::Group(self.encode(number)));
            }
            for message in messages {
                if sender.send(message).is_err() {
                    return; // the writer failed and has reported why
                }
            }
        }
    }

    /// Does some objects of a group.
    fn piece(&self, group: &Group<'_>, objects: Range<usize>, scratch: &mut Scratch) -> Result<Progress> {
        let stored = if group.job.points { None } else { Some(self.stored(group)?) };
        let mut progress = Progress::default();
        for at in objects {
            let index = group.job.task.objects[at];
            let outcome = match &stored {
                None => prepared(self.plan, group.job, index, scratch),
                Some(stored) => match stored.get(self.plan.dataset.id(index)) {
                    Some(sample) => added(self.plan, group.job, (index, sample), scratch),
                    None => Outcome { points: None, views: None },
                },
            };
            progress.add(Progress {
                total: 0,
                done: 1,
                written: usize::from(matches!(outcome.points, Some(Points::Written(_)))),
                quarantined: usize::from(outcome.has_failed()),
                views: outcome.views.as_ref().map_or(0, |made| made.views.len()),
            });
            let mut outcomes = lock(&group.outcomes);
            outcomes.resize_with(group.objects.len(), || None);
            outcomes[at - group.objects.start] = Some(outcome);
        }
        Ok(progress)
    }

    /// The stored samples of a group; the first worker that comes reads them.
    fn stored(&self, group: &Group<'_>) -> Result<Arc<StoredSamples>> {
        let mut stored = lock(&group.stored);
        if let Some(samples) = &*stored {
            return Ok(Arc::clone(samples));
        }
        let task = group.job.task;
        let id = |at: usize| self.plan.dataset.id(task.objects[at]);
        let (first, last) = (id(group.objects.start), id(group.objects.end - 1));
        let samples = Arc::new(read_stored(&self.out.join(&task.file), first, last)?);
        *stored = Some(Arc::clone(&samples));
        Ok(samples)
    }

    /// Encodes a group of which all pieces are done.
    fn encode(&self, number: usize) -> Result<Finished> {
        let group = &self.groups[number];
        let (mut points, mut views) = (PointRows::default(), ViewRows::default());
        for outcome in std::mem::take(&mut *lock(&group.outcomes)) {
            // A piece without outcomes has failed as a whole, and the writer has been told.
            let Some(Outcome { points: of_points, views: of_views }) = outcome else { continue };
            of_points.into_iter().for_each(|outcome| points.push(outcome));
            of_views.into_iter().for_each(|made| views.push(made));
        }
        *lock(&group.stored) = None;
        let has_samples = !points.samples.is_empty() || !views.rows.is_empty();
        let points = group.job.points.then(|| points.encode(&self.encoders.points)).transpose()?;
        let views = group.job.views.then(|| views.encode(&self.encoders.views, has_samples)).transpose()?;
        Ok(Finished { number, points, views })
    }
}

#[derive(Default)]
struct PointRows {
    samples: Vec<Sample>,
    catalog: Vec<CatalogRow>,
    quarantine: Vec<QuarantineRow>,
}

impl PointRows {
    fn push(&mut self, outcome: Points) {
        match outcome {
            Points::Written(prepared) => {
                self.samples.push(prepared.sample);
                self.catalog.push(prepared.catalog);
            }
            Points::Quarantined(rows) => {
                self.quarantine.push(rows.0);
                self.catalog.push(rows.1);
            }
        }
    }

    fn encode(self, encoder: &RowGroupEncoder<Sample>) -> Result<FinishedPoints> {
        let encoded = encoder.encode(&self.samples)?;
        Ok(FinishedPoints { encoded, catalog: self.catalog, quarantine: self.quarantine })
    }
}

#[derive(Default)]
struct ViewRows {
    views: Vec<View>,
    rows: Vec<ViewsRow>,
    quarantine: Vec<QuarantineRow>,
}

impl ViewRows {
    fn push(&mut self, made: SampleViews) {
        self.views.extend(made.views);
        self.rows.push(made.row);
        self.quarantine.extend(made.quarantine);
    }

    fn encode(self, encoder: &RowGroupEncoder<View>, has_samples: bool) -> Result<FinishedViews> {
        let encoded = encoder.encode(&self.views)?;
        Ok(FinishedViews { encoded, has_samples, rows: self.rows, quarantine: self.quarantine })
    }
}
