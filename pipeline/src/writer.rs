//! Appends row groups in order, and finishes the shards of a task when its last one is in.

use std::collections::VecDeque;
use std::thread::{Scope, ScopedJoinHandle};

use jepa3d_schemas::{CatalogRow, Sample, ShardEntry, ShardWriter, View, WrittenShard};

use crate::error::Result;
use crate::output_folder::OutputFolder;
use crate::plan::{PreparePlan, ShardJob, ShardTask};
use crate::quarantine::QuarantineRow;
use crate::record::{PointsRecord, SampleViewsRow, ShardRecord, ViewsRecord};
use crate::row_group::{FinishedPoints, FinishedRowGroup, FinishedViews, RowGroupJob};
use crate::shard_footer::{points_footer, views_footer};

/// Tasks whose shards are synced to disk while further ones are written.
const CLOSING: usize = 2;

/// Writes the shards of one task after the other.
///
/// Syncing a shard to disk takes as long as making the next one, so threads of their own wait for it.
pub(crate) struct TaskWriter<'scope, 'env> {
    plan: &'env PreparePlan,
    folder: &'env OutputFolder,
    threads: &'scope Scope<'scope, 'env>,
    open: Option<OpenShards>,
    closing: VecDeque<ScopedJoinHandle<'scope, Result<()>>>,
}

impl<'scope, 'env> TaskWriter<'scope, 'env> {
    pub(crate) fn new(
        plan: &'env PreparePlan,
        folder: &'env OutputFolder,
        threads: &'scope Scope<'scope, 'env>,
    ) -> Self {
        Self { plan, folder, threads, open: None, closing: VecDeque::new() }
    }

    /// Appends a row group; with the last of a task its shards get their names, and a record.
    ///
    /// # Errors
    /// Fails if the disk does, be it at an earlier task.
    pub(crate) fn append(&mut self, group: RowGroupJob<'_>, finished: FinishedRowGroup) -> Result<()> {
        let mut shards = match self.open.take() {
            Some(shards) => shards,
            None => OpenShards::create(self.plan, self.folder, group.job)?,
        };
        shards.append(finished)?;
        if !group.is_last {
            self.open = Some(shards);
            return Ok(());
        }
        self.wait_until_closing(CLOSING - 1)?;
        let (plan, folder) = (self.plan, self.folder);
        self.closing.push_back(self.threads.spawn(move || shards.close(plan, folder)));
        Ok(())
    }

    /// Waits until every shard is on disk.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.wait_until_closing(0)
    }

    /// Waits until at most `most` tasks are being closed.
    fn wait_until_closing(&mut self, most: usize) -> Result<()> {
        while self.closing.len() > most {
            let Some(closer) = self.closing.pop_front() else { break };
            closer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    }
}

/// The shards of one task that are being written.
struct OpenShards {
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
    rows: Vec<SampleViewsRow>,
    quarantine: Vec<QuarantineRow>,
}

impl OpenShards {
    fn create(plan: &PreparePlan, folder: &OutputFolder, job: ShardJob<'_>) -> Result<Self> {
        let points = job.points.then(|| OpenPoints::create(plan, folder, job.task)).transpose()?;
        let views = job.views.then(|| OpenViews::create(plan, folder, job.task)).transpose()?;
        Ok(Self { number: job.task.number, points, views })
    }

    fn append(&mut self, finished: FinishedRowGroup) -> Result<()> {
        if let (Some(shard), Some(points)) = (&mut self.points, finished.points) {
            shard.append(points)?;
        }
        if let (Some(shard), Some(views)) = (&mut self.views, finished.views) {
            shard.append(views)?;
        }
        Ok(())
    }

    /// Syncs the shards, gives them their names, then records the task as done.
    fn close(self, plan: &PreparePlan, folder: &OutputFolder) -> Result<()> {
        if let Some(OpenPoints { file, split, writer, catalog, quarantine }) = self.points {
            let (plan, shard) = (plan.hash.clone(), shard_entry(file, split, writer.finish()?));
            folder.mark_whole(&shard);
            PointsRecord { plan, shard, catalog, quarantine }.write(folder, self.number)?;
        }
        if let (Some(OpenViews { file, split, writer, rows, quarantine }), Some(hash)) =
            (self.views, &plan.views_hash)
        {
            let written = WrittenShard { row_groups: Vec::new(), ..writer.finish()? };
            let (plan, shard) = (hash.clone(), shard_entry(file, split, written));
            folder.mark_whole(&shard);
            ViewsRecord { plan, shard, rows, quarantine }.write(folder, self.number)?;
        }
        Ok(())
    }
}

fn shard_entry(file: String, split: String, written: WrittenShard) -> ShardEntry {
    let WrittenShard { rows, bytes, hash, row_groups } = written;
    ShardEntry { file, split, rows, bytes, hash, row_groups }
}

impl OpenPoints {
    fn create(plan: &PreparePlan, folder: &OutputFolder, task: &ShardTask) -> Result<Self> {
        let (file, split) = (task.file.clone(), task.split.clone());
        let options = plan.config.shards.write_options();
        let writer = ShardWriter::create(&folder.out.join(&file), options, points_footer(plan))?;
        Ok(Self { file, split, writer, catalog: Vec::new(), quarantine: Vec::new() })
    }

    fn append(&mut self, finished: FinishedPoints) -> Result<()> {
        self.writer.append(finished.encoded)?;
        self.catalog.extend(finished.catalog);
        self.quarantine.extend(finished.quarantine);
        Ok(())
    }
}

impl OpenViews {
    fn create(plan: &PreparePlan, folder: &OutputFolder, task: &ShardTask) -> Result<Self> {
        let (file, split) = (task.views_file(), task.split.clone());
        let options = plan.config.shards.write_options();
        let writer = ShardWriter::create(&folder.out.join(&file), options, views_footer(plan))?;
        Ok(Self { file, split, writer, rows: Vec::new(), quarantine: Vec::new() })
    }

    fn append(&mut self, finished: FinishedViews) -> Result<()> {
        if finished.has_samples {
            self.writer.append_even_empty(finished.encoded)?;
        }
        self.rows.extend(finished.rows);
        self.quarantine.extend(finished.quarantine);
        Ok(())
    }
}
