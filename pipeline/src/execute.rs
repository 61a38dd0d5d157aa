//! Runs tasks on any number of threads with the same bytes and bounded memory.
//!
//! Work is cut into pieces of a few objects, taken in plan order; whoever finishes the last
//! piece of a row group encodes it; the calling thread appends row groups in order. A window
//! keeps workers from running more than a few row groups ahead of the disk, so memory depends
//! on threads and row group size, not on the dataset.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jepa3d_schemas::{
    CatalogRow, EncodedRowGroup, RowGroupEncoder, ShardEntry, ShardWriter, Table, WriteOptions,
};

use crate::error::{Rejected, Result};
use crate::group::Scratch;
use crate::plan::{Plan, Task};
use crate::prepare::{Prepared, prepare};
use crate::record::{QuarantineRow, TaskRecord};

/// Objects a worker takes at a time: small enough to balance uneven meshes.
const PIECE: usize = 8;

/// How far a run is, reported as pieces finish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Objects of this invocation.
    pub total: usize,
    /// Objects tried so far.
    pub done: usize,
    /// Of these, quarantined.
    pub quarantined: usize,
}

/// A row group of a task.
struct Group<'a> {
    task: &'a Task,
    objects: Range<usize>,
    is_last: bool,
    pieces_left: AtomicUsize,
    /// Empty until its first object is done: the groups of a large dataset wait for long.
    outcomes: Mutex<Vec<Option<Outcome>>>,
}

/// What became of an object.
enum Outcome {
    Written(Box<Prepared>),
    Quarantined(Box<(QuarantineRow, CatalogRow)>),
}

/// A row group ready to be appended.
struct Finished {
    number: usize,
    encoded: EncodedRowGroup,
    catalog: Vec<CatalogRow>,
    quarantine: Vec<QuarantineRow>,
}

enum Message {
    Piece { done: usize, quarantined: usize },
    Group(Result<Finished>),
}

/// Hands out pieces in order, no further ahead than the window allows.
struct Queue {
    pieces: Vec<(usize, Range<usize>)>,
    window: usize,
    state: Mutex<QueueState>,
    moved: Condvar,
}

#[derive(Default)]
struct QueueState {
    next: usize,
    written: usize,
    stopped: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A worker that panicked outside an object has poisoned nothing that is read again.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn take(&self) -> Option<(usize, Range<usize>)> {
        let mut state = lock(&self.state);
        loop {
            let (group, objects) = self.pieces.get(state.next).filter(|_| !state.stopped)?;
            if *group < state.written + self.window {
                state.next += 1;
                return Some((*group, objects.clone()));
            }
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn update(&self, change: impl FnOnce(&mut QueueState)) {
        change(&mut lock(&self.state));
        self.moved.notify_all();
    }
}

/// Stops the queue when the writer leaves, by success, error or panic.
struct StopOnDrop<'a>(&'a Queue);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.update(|state| state.stopped = true);
    }
}

/// Writes the shards of `tasks` (in that order) below `out` and a record of each in `state`.
///
/// # Errors
/// Fails if the disk does; shards finished before stay, with their records.
pub(crate) fn execute(
    plan: &Plan,
    tasks: &[&Task],
    (out, state): (&Path, &Path),
    threads: usize,
    report: &mut dyn FnMut(Progress),
) -> Result<()> {
    let groups = groups(tasks, plan.config.shards.row_group);
    let pieces = pieces(&groups);
    let row_group_pieces = plan.config.shards.row_group.div_ceil(PIECE);
    let window = 2 + threads.div_ceil(row_group_pieces);
    let queue = Queue { pieces, window, state: Mutex::default(), moved: Condvar::new() };
    let encoder = RowGroupEncoder::new(Table::Points, options(plan));
    let total = tasks.iter().map(|t| t.objects.len()).sum();
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(4 * threads);
        for _ in 0..threads {
            let (sender, queue, groups, encoder) = (sender.clone(), &queue, &groups, &encoder);
            scope.spawn(move || work(plan, queue, groups, encoder, &sender));
        }
        drop(sender);
        // Syncing a shard to disk takes as long as making the next one: another thread waits for it.
        let (closing, to_close) = sync_channel(1);
        let closer =
            scope.spawn(move || to_close.iter().try_for_each(|shard: OpenShard| shard.close(plan, state)));
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

fn options(plan: &Plan) -> WriteOptions {
    WriteOptions { zstd_level: plan.config.shards.zstd_level }
}

fn groups<'a>(tasks: &[&'a Task], row_group: usize) -> Vec<Group<'a>> {
    let mut groups = Vec::new();
    for task in tasks {
        for start in (0..task.objects.len()).step_by(row_group) {
            let end = (start + row_group).min(task.objects.len());
            groups.push(Group {
                task,
                objects: start..end,
                is_last: end == task.objects.len(),
                pieces_left: AtomicUsize::new((end - start).div_ceil(PIECE)),
                outcomes: Mutex::default(),
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

fn work(
    plan: &Plan,
    queue: &Queue,
    groups: &[Group<'_>],
    encoder: &RowGroupEncoder,
    sender: &SyncSender<Message>,
) {
    let mut scratch = Scratch::default();
    while let Some((number, objects)) = queue.take() {
        let group = &groups[number];
        let (mut done, mut quarantined) = (0, 0);
        for at in objects {
            let outcome = object(plan, group.task, group.task.objects[at], &mut scratch);
            done += 1;
            quarantined += usize::from(matches!(outcome, Outcome::Quarantined(..)));
            let mut outcomes = lock(&group.outcomes);
            outcomes.resize_with(group.objects.len(), || None);
            outcomes[at - group.objects.start] = Some(outcome);
        }
        let mut messages = vec![Message::Piece { done, quarantined }];
        if group.pieces_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            messages.push(Message::Group(encode(number, group, encoder)));
        }
        for message in messages {
            if sender.send(message).is_err() {
                return; // the writer failed and has reported why
            }
        }
    }
}

/// Reads and prepares one object; whatever goes wrong, panics included, concerns it alone.
fn object(plan: &Plan, task: &Task, index: usize, scratch: &mut Scratch) -> Outcome {
    let (id, source) = (plan.dataset.id(index), plan.dataset.source(index));
    let start = Instant::now();
    let mut read_ms = 0.0;
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let object = plan.dataset.get(index).map_err(|e| Rejected::new("read", e.to_string()))?;
        read_ms = start.elapsed().as_secs_f64() * 1e3;
        prepare(&object, plan.dataset.name(), source.clone(), &plan.config, scratch)
    }));
    let rejected = match attempt {
        Ok(Ok(mut prepared)) => {
            for warning in &prepared.warnings {
                tracing::debug!(id, source, "{warning}");
            }
            prepared.catalog.split = task.split.clone();
            prepared.catalog.read_ms = read_ms;
            return Outcome::Written(Box::new(prepared));
        }
        Ok(Err(rejected)) => rejected,
        Err(panic) => {
            *scratch = Scratch::default();
            Rejected::new("panic", panic_message(panic.as_ref()))
        }
    };
    let catalog = CatalogRow {
        id: id.to_owned(),
        split: task.split.clone(),
        status: rejected.stage.to_owned(),
        read_ms,
        ..CatalogRow::default()
    };
    let row = QuarantineRow {
        id: id.to_owned(),
        split: task.split.clone(),
        source,
        stage: rejected.stage.to_owned(),
        error: rejected.reason,
    };
    Outcome::Quarantined(Box::new((row, catalog)))
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the reader gave up: {}", text.unwrap_or("no message"))
}

fn encode(number: usize, group: &Group<'_>, encoder: &RowGroupEncoder) -> Result<Finished> {
    let (mut samples, mut catalog, mut quarantine) = (Vec::new(), Vec::new(), Vec::new());
    for outcome in std::mem::take(&mut *lock(&group.outcomes)) {
        match outcome.expect("all pieces of the group are done") {
            Outcome::Written(prepared) => {
                samples.push(prepared.sample);
                catalog.push(prepared.catalog);
            }
            Outcome::Quarantined(rows) => {
                quarantine.push(rows.0);
                catalog.push(rows.1);
            }
        }
    }
    Ok(Finished { number, encoded: encoder.encode(&samples)?, catalog, quarantine })
}

/// The calling thread's part: appends row groups in order, finishes shards, writes records.
struct Writer<'a> {
    plan: &'a Plan,
    out: &'a Path,
    queue: &'a Queue,
    groups: &'a [Group<'a>],
    open: Option<OpenShard>,
    closing: SyncSender<OpenShard>,
}

struct OpenShard {
    number: usize,
    file: String,
    split: String,
    writer: ShardWriter,
    catalog: Vec<CatalogRow>,
    quarantine: Vec<QuarantineRow>,
}

impl Writer<'_> {
    fn drain(
        &mut self,
        receiver: &Receiver<Message>,
        mut progress: Progress,
        report: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let mut waiting: BTreeMap<usize, Finished> = BTreeMap::new();
        let mut next = 0;
        report(progress);
        while next < self.groups.len() {
            match receiver.recv().expect("workers send every group before they leave") {
                Message::Piece { done, quarantined } => {
                    progress.done += done;
                    progress.quarantined += quarantined;
                    report(progress);
                }
                Message::Group(finished) => {
                    let finished = finished?;
                    waiting.insert(finished.number, finished);
                }
            }
            while let Some(finished) = waiting.remove(&next) {
                if !self.append(finished)? {
                    return Ok(()); // the closer failed and will say why
                }
                next += 1;
                self.queue.update(|state| state.written = next);
            }
        }
        Ok(())
    }

    /// Appends a row group, and hands a shard that is whole to the closer; false if that has left.
    fn append(&mut self, finished: Finished) -> Result<bool> {
        let group = &self.groups[finished.number];
        let mut shard = match self.open.take() {
            Some(shard) => shard,
            None => self.start(group.task)?,
        };
        shard.writer.append(finished.encoded)?;
        shard.catalog.extend(finished.catalog);
        shard.quarantine.extend(finished.quarantine);
        if group.is_last {
            return Ok(self.closing.send(shard).is_ok());
        }
        self.open = Some(shard);
        Ok(true)
    }

    fn start(&self, task: &Task) -> Result<OpenShard> {
        let metadata = self.plan.shard_metadata();
        let writer =
            ShardWriter::create(&self.out.join(&task.file), Table::Points, options(self.plan), metadata)?;
        let (file, split) = (task.file.clone(), task.split.clone());
        Ok(OpenShard {
            number: task.number,
            file,
            split,
            writer,
            catalog: Vec::new(),
            quarantine: Vec::new(),
        })
    }
}

impl OpenShard {
    /// Syncs the shard, gives it its name, then records the task as done.
    fn close(self, plan: &Plan, state: &Path) -> Result<()> {
        let written = self.writer.finish()?;
        let shard = ShardEntry {
            file: self.file,
            split: self.split,
            rows: written.rows,
            bytes: written.bytes,
            hash: written.hash,
        };
        let plan = plan.hash.clone();
        TaskRecord { plan, shard, catalog: self.catalog, quarantine: self.quarantine }
            .write(state, self.number)
    }
}
