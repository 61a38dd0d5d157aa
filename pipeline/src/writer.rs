//! The calling thread's part of a run: appends row groups in order, finishes shards, writes records.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender};

use jepa3d_schemas::{CatalogRow, Sample, ShardEntry, ShardWriter, View, WrittenShard};

use crate::error::Result;
use crate::execute::{Finished, FinishedPoints, FinishedViews, Group, Message, Progress, options};
use crate::plan::{Job, Plan, Task};
use crate::queue::Queue;
use crate::record::{QuarantineRow, Record, TaskRecord, ViewsRecord, ViewsRow};

/// Appends what workers encode.
pub(crate) struct Writer<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) out: &'a Path,
    pub(crate) queue: &'a Queue,
    pub(crate) groups: &'a [Group<'a>],
    pub(crate) open: Option<OpenShards>,
    pub(crate) closing: SyncSender<OpenShards>,
}

/// The shards of one task that are being written.
pub(crate) struct OpenShards {
    number: usize,
    points: Option<OpenPoints>,
    views: Option<OpenViews>,
}

struct OpenPoints {
    file: String,
    split: String,
    writer: ShardWriter<Sample>,
    catalog: Vec<CatalogRow>,
    quarantine: Vec<QuarantineRow>,
}

struct OpenViews {
    file: String,
    split: String,
    writer: ShardWriter<View>,
    rows: Vec<ViewsRow>,
    quarantine: Vec<QuarantineRow>,
}

impl Writer<'_> {
    /// Takes messages until the last row group is appended.
    pub(crate) fn drain(
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
                Message::Piece(piece) => {
                    progress.add(piece);
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
                self.queue.written(next);
            }
        }
        Ok(())
    }

    /// Appends a row group, and hands shards that are whole to the closer; false if that has left.
    fn append(&mut self, finished: Finished) -> Result<bool> {
        let group = &self.groups[finished.number];
        let mut shards = match self.open.take() {
            Some(shards) => shards,
            None => self.start(group.job)?,
        };
        if let (Some(shard), Some(finished)) = (&mut shards.points, finished.points) {
            shard.append(finished)?;
        }
        if let (Some(shard), Some(finished)) = (&mut shards.views, finished.views) {
            shard.append(finished)?;
        }
        if group.is_last {
            return Ok(self.closing.send(shards).is_ok());
        }
        self.open = Some(shards);
        Ok(true)
    }

    fn start(&self, job: Job<'_>) -> Result<OpenShards> {
        let points = job.points.then(|| self.start_points(job.task)).transpose()?;
        let views = job.views.then(|| self.start_views(job.task)).transpose()?;
        Ok(OpenShards { number: job.task.number, points, views })
    }

    fn start_points(&self, task: &Task) -> Result<OpenPoints> {
        let (file, split) = (task.file.clone(), task.split.clone());
        let metadata = self.plan.shard_metadata();
        let writer = ShardWriter::create(&self.out.join(&file), options(self.plan), metadata)?;
        Ok(OpenPoints { file, split, writer, catalog: Vec::new(), quarantine: Vec::new() })
    }

    fn start_views(&self, task: &Task) -> Result<OpenViews> {
        let (file, split) = (task.views_file(), task.split.clone());
        let metadata = self.plan.views_metadata();
        let writer = ShardWriter::create(&self.out.join(&file), options(self.plan), metadata)?;
        Ok(OpenViews { file, split, writer, rows: Vec::new(), quarantine: Vec::new() })
    }
}

impl OpenShards {
    /// Syncs the shards, gives them their names, then records the task as done.
    pub(crate) fn close(self, plan: &Plan, state: &Path) -> Result<()> {
        if let Some(shard) = self.points {
            let entry = entry(shard.file, shard.split, shard.writer.finish()?);
            let plan = plan.hash.clone();
            let (catalog, quarantine) = (shard.catalog, shard.quarantine);
            TaskRecord { plan, shard: entry, catalog, quarantine }.write(state, self.number)?;
        }
        if let (Some(shard), Some(views)) = (self.views, &plan.views_hash) {
            let entry = entry(shard.file, shard.split, shard.writer.finish()?);
            let (rows, quarantine) = (shard.rows, shard.quarantine);
            ViewsRecord { plan: views.clone(), shard: entry, rows, quarantine }.write(state, self.number)?;
        }
        Ok(())
    }
}

fn entry(file: String, split: String, written: WrittenShard) -> ShardEntry {
    ShardEntry { file, split, rows: written.rows, bytes: written.bytes, hash: written.hash }
}

impl OpenPoints {
    fn append(&mut self, finished: FinishedPoints) -> Result<()> {
        self.writer.append(finished.encoded)?;
        self.catalog.extend(finished.catalog);
        self.quarantine.extend(finished.quarantine);
        Ok(())
    }
}

impl OpenViews {
    fn append(&mut self, finished: FinishedViews) -> Result<()> {
        if finished.has_samples {
            self.writer.append_even_empty(finished.encoded)?;
        }
        self.rows.extend(finished.rows);
        self.quarantine.extend(finished.quarantine);
        Ok(())
    }
}
