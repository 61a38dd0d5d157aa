//! How a thread of the loader makes a batch, and what all of them share.

use std::borrow::Cow;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};

use jepa3d_schemas::Draws;

use super::epoch_plan::{EpochPlan, EpochPlans, list_groups};
use super::held_groups::{DecodingCell, HeldGroups, HeldRows};
use super::lock::lock;
use super::row_group::{DecodedRowGroup, ReadColumns};
use super::sample_maker::{EpochSample, GroupingChoice, SampleMaker};
use super::view_maker::ViewMaker;
use crate::augment::{CloudChange, Per};
use crate::batch::{Batch, BatchViews};
use crate::batch_points::BatchPoints;
use crate::batch_positions::BatchPositions;
use crate::config::{EvalConfig, LoaderConfig};
use crate::dataset::{PreparedDataset, RowGroupAt};
use crate::epoch_order::{EpochOrder, RowAt};
use crate::error::{Error, Result};
use crate::patches::{PatchMaker, PatchScratch};
use crate::picture::background;
use crate::sample_key::SampleKey;

/// In which order rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowOrder {
    /// Shuffled, epoch after epoch, from this batch on.
    Shuffled { first: u64 },
    /// As stored, once, the last batch as short as it has to be.
    Stored,
}

/// Makes batches; shared by all threads.
pub(super) struct BatchMaker {
    dataset: Arc<PreparedDataset>,
    pub config: LoaderConfig,
    columns: ReadColumns,
    row_groups: Vec<RowGroupAt>,
    rows: EpochOrder,
    pub positions: BatchPositions,
    order: RowOrder,
    samples: SampleMaker,
    /// Of the whole run, if everything is kept.
    kept: Option<Arc<HeldGroups>>,
    plans: EpochPlans,
    pub held_rows: Arc<HeldRows>,
    /// Batches given back.
    pub pool: Mutex<Vec<Batch>>,
}

impl BatchMaker {
    pub fn new(
        dataset: &Arc<PreparedDataset>,
        config: LoaderConfig,
        row_groups: Vec<RowGroupAt>,
        positions: BatchPositions,
        order: RowOrder,
    ) -> Self {
        let is_shuffled = order != RowOrder::Stored;
        let held_rows = Arc::<HeldRows>::default();
        let rows: usize = row_groups.iter().map(|group| group.rows).sum();
        let is_kept = is_shuffled && config.shuffle_buffer >= rows;
        let views = config.views.clone();
        Self {
            columns: ReadColumns::choose(&config, dataset.cell_edge().is_some()),
            rows: EpochOrder {
                fingerprint: dataset.fingerprint().to_owned(),
                seed: config.seed,
                buffer: config.shuffle_buffer,
                group_rows: row_groups.iter().map(|group| group.rows).collect(),
            },
            samples: SampleMaker {
                patches: PatchMaker::new(dataset.manifest(), &config),
                grouping: match is_shuffled {
                    true => GroupingChoice::Drawn(match config.groupings {
                        0 => dataset.shape().R,
                        first => first,
                    }),
                    false => GroupingChoice::Canonical,
                },
                views: views.map(|config| ViewMaker { config, background: background(dataset.manifest()) }),
                points: config.label_points,
                corruption: None,
            },
            kept: is_kept.then(|| Arc::new(HeldGroups::new(row_groups.len(), true, Arc::clone(&held_rows)))),
            dataset: Arc::clone(dataset),
            config,
            row_groups,
            positions,
            order,
            plans: EpochPlans::default(),
            held_rows,
            pool: Mutex::default(),
        }
    }

    /// For evaluation: clouds are corrupted, or grouped from random starts, as `config` says.
    pub fn evaluate(mut self, config: &EvalConfig) -> Self {
        self.samples.corruption = config.corruption;
        if config.regroup.is_some_and(|fresh| fresh.seed.is_some()) {
            self.samples.grouping = GroupingChoice::Drawn(1);
        }
        self
    }

    /// Makes the batches `first`, `first + stride`, .. until the other end of `out` is gone, there
    /// are no more, or one fails.
    pub fn run(&self, first: u64, stride: u64, out: &SyncSender<Result<Batch, Arc<Error>>>) {
        let mut scratch = self.samples.scratch();
        let mut number = first;
        while self.end().is_none_or(|end| number < end) {
            let made = self.make_batch(number, &mut scratch);
            let has_failed = made.is_err();
            if out.send(made).is_err() || has_failed {
                return;
            }
            number += stride;
        }
    }

    /// Number of batches, if there is an end.
    pub fn end(&self) -> Option<u64> {
        matches!(self.order, RowOrder::Stored).then(|| self.positions.steps_per_epoch())
    }

    fn plan(&self, epoch: u64) -> Arc<EpochPlan> {
        self.plans.get_or_make(epoch, || {
            let (mut order, start): (Vec<RowAt>, u64) = match self.order {
                RowOrder::Shuffled { first } => {
                    let repeat = self.config.repeat as u64;
                    let times = epoch * repeat..(epoch + 1) * repeat;
                    (times.flat_map(|time| self.rows.rows(time)).collect(), first)
                }
                RowOrder::Stored => (self.rows.stored_rows(), 0),
            };
            if let Some(samples) = &self.config.samples {
                order.retain(|row| samples.contains(row));
            }
            let entered = start.saturating_sub(epoch * self.positions.steps_per_epoch());
            let groups = self.kept.clone().unwrap_or_else(|| {
                Arc::new(HeldGroups::new(self.row_groups.len(), false, Arc::clone(&self.held_rows)))
            });
            EpochPlan::new(order, groups, &self.positions, entered)
        })
    }

    fn make_batch(&self, number: u64, scratch: &mut PatchScratch) -> Result<Batch, Arc<Error>> {
        let (epoch, places) = self.positions.locate(number);
        self.decode_ahead(number)?;
        let plan = self.plan(epoch);
        let first = places.start;
        let rows = &plan.order[places];
        let groups = list_groups(rows);
        let cells: Vec<Arc<DecodingCell>> = groups.iter().map(|&group| plan.groups.cell(group)).collect();
        let decoded: Vec<&DecodedRowGroup> = groups
            .iter()
            .zip(&cells)
            .map(|(&group, cell)| self.decode(cell, group))
            .collect::<Result<_, _>>()?;
        let mut batch = lock(&self.pool).pop().unwrap_or_default();
        let seen = batch.seen.take();
        batch.reset(rows.len(), self.config.groups, self.config.group_size);
        if self.config.sensor.is_some() {
            batch.make_room_for_seen(seen);
        }
        (batch.number, batch.epoch) = (number, epoch);
        let find = |at: &RowAt| {
            let index = groups.binary_search(&at.group).expect("the groups are those of the rows");
            (decoded[index], at.row as usize)
        };
        self.fill(&mut batch, first, rows.iter().map(find), scratch).map_err(Arc::new)?;
        self.plans.finish_batch(epoch, &plan, &groups);
        Ok(batch)
    }

    /// Decodes what the batches up to a few after `number` need, as far as no other thread does.
    fn decode_ahead(&self, number: u64) -> Result<(), Arc<Error>> {
        let steps = self.positions.steps_per_epoch();
        let horizon = number + self.config.threads as u64;
        let last = self.end().map_or(horizon, |end| horizon.min(end - 1));
        for epoch in number / steps..=last / steps {
            let plan = self.plan(epoch);
            while let Some(group) = plan.claim(last - epoch * steps) {
                self.decode(&plan.groups.cell(group), group)?;
            }
        }
        Ok(())
    }

    /// A row group, decoded now if nobody did before.
    fn decode<'a>(&self, cell: &'a DecodingCell, group: u32) -> Result<&'a DecodedRowGroup, Arc<Error>> {
        let decoded = cell.get_or_init(|| {
            let at = self.row_groups[group as usize];
            self.dataset.check_shard(at.shard)?;
            let decoded = DecodedRowGroup::read(&self.dataset, at, &self.columns)?;
            self.held_rows.add(decoded.rows);
            Ok(decoded)
        });
        decoded.as_ref().map_err(Arc::clone)
    }

    /// Writes the samples of a batch, of which the first stands at position `first` of its epoch.
    fn fill<'a>(
        &self,
        batch: &mut Batch,
        first: usize,
        rows: impl Iterator<Item = (&'a DecodedRowGroup, usize)>,
        scratch: &mut PatchScratch,
    ) -> Result<()> {
        let shared = self.draw_shared_change(batch.number);
        batch.views = self.config.views.as_ref().map(|_| BatchViews::default());
        batch.points = self.config.label_points.map(|_| BatchPoints::default());
        let once = self.positions.samples / self.config.repeat;
        for (i, (group, row)) in rows.enumerate() {
            let id = name_time(&group.sample_ids[row], (first + i) / once);
            let key = SampleKey { seed: self.config.seed, id: &id, epoch: batch.epoch };
            let change = shared.unwrap_or_else(|| self.samples.patches.draw_change(key.draws("augment")));
            self.samples.add(&EpochSample { group, row, key }, &change, scratch, batch)?;
            if self.config.repeat > 1 {
                batch.keys.push(id.into_owned());
            }
        }
        batch.finish();
        let (seed, epoch) = (self.config.seed, batch.epoch);
        batch.cut_to_fewest_blocks(|id, present, count| match self.order {
            RowOrder::Shuffled { .. } => {
                SampleKey { seed, id, epoch }.draws("blocks").distinct_sorted(present, count)
            }
            RowOrder::Stored => (0..count as u32).collect(),
        });
        Ok(())
    }

    /// The change of all samples of a batch, if they share one.
    fn draw_shared_change(&self, number: u64) -> Option<CloudChange> {
        let draws = || Draws::new(self.config.seed, &format!("batch {number}"), "augment");
        (self.config.augment.per == Per::Batch).then(|| self.samples.patches.draw_change(draws()))
    }
}

/// What tells the draws of a sample that an epoch shows several times from those of its other times.
fn name_time(id: &str, time: usize) -> Cow<'_, str> {
    match time {
        0 => Cow::Borrowed(id),
        time => Cow::Owned(format!("{id} time {time}")),
    }
}
