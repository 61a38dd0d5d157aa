//! How a thread of the loader makes a batch, and what all of them share.

use std::borrow::Cow;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};

use jepa3d_schemas::{Draws, FetchAhead, fetch_ahead};

use super::epoch_plan::{EpochPlan, EpochPlans, list_groups};
use super::held_groups::{DecodingCell, HeldGroups, HeldRows};
use super::lock::lock;
use super::mix_rows::{MixRows, SourceGroup};
use super::row_group::{DecodedRowGroup, ReadColumns};
use super::sample_maker::{EpochSample, GroupingChoice, SampleMaker};
use super::view_maker::ViewMaker;
use crate::augment::{CloudChange, Per};
use crate::batch::{Batch, BatchViews};
use crate::batch_points::BatchPoints;
use crate::batch_positions::BatchPositions;
use crate::config::{EvalConfig, LoaderConfig};
use crate::error::{Error, Result};
use crate::mix::DatasetMix;
use crate::mixed_order::{MixedOrder, ShownRow};
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
    mix: DatasetMix,
    pub config: LoaderConfig,
    columns: ReadColumns,
    row_groups: Vec<SourceGroup>,
    rows: MixedOrder,
    /// Whether an epoch may show a sample again, or one of the same name: then its draws have a key of their own.
    has_keys: bool,
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
        mix: &DatasetMix,
        config: LoaderConfig,
        rows: MixRows,
        positions: BatchPositions,
        order: RowOrder,
    ) -> Self {
        let is_shuffled = order != RowOrder::Stored;
        let held_rows = Arc::<HeldRows>::default();
        let is_kept = is_shuffled && config.shuffle_buffer >= rows.stored();
        let dataset = mix.first();
        let views = config.views.clone();
        Self {
            columns: ReadColumns::choose(&config, dataset.cell_edge().is_some()),
            has_keys: config.repeat > 1 || mix.is_mixed() || mix.parts()[0].weight != 1.0,
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
                has_labels: !mix.is_mixed(),
                repeats: false,
                outliers: 0.0,
                corruption: None,
            },
            kept: is_kept.then(|| Arc::new(HeldGroups::new(rows.groups.len(), true, Arc::clone(&held_rows)))),
            mix: mix.clone(),
            config,
            row_groups: rows.groups,
            rows: rows.order,
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
        self.samples.repeats = config.regroup.is_some_and(|fresh| fresh.repeats);
        self.samples.outliers = config.regroup.map_or(0.0, |fresh| fresh.outliers);
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
            let (order, start) = match self.order {
                RowOrder::Shuffled { first } => (self.rows.rows(epoch), first),
                RowOrder::Stored => (self.rows.stored_rows(), 0),
            };
            let entered = start.saturating_sub(epoch * self.positions.steps_per_epoch());
            let groups = self.kept.clone().unwrap_or_else(|| {
                Arc::new(HeldGroups::new(self.row_groups.len(), false, Arc::clone(&self.held_rows)))
            });
            let mut plan = EpochPlan::new(order, groups, &self.positions, entered);
            plan._ahead = self.fetch_ahead(&plan);
            plan
        })
    }

    /// Has what a plan still has to decode fetched in its order, as far as it is in object stores.
    fn fetch_ahead(&self, plan: &EpochPlan) -> FetchAhead {
        let mut paths = Vec::new();
        for group in plan.list_needs() {
            let SourceGroup { part, at } = self.row_groups[group as usize];
            let dataset = &self.mix.parts()[part].dataset;
            if dataset.is_remote() && plan.groups.cell(group).get().is_none() {
                paths.extend(dataset.list_files(at.shard, self.config.views.is_some()));
            }
        }
        fetch_ahead(&paths)
    }

    fn make_batch(&self, number: u64, scratch: &mut PatchScratch) -> Result<Batch, Arc<Error>> {
        let (epoch, places) = self.positions.locate(number);
        self.decode_ahead(number)?;
        let plan = self.plan(epoch);
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
        let find = |shown: &ShownRow| {
            let index = groups.binary_search(&shown.at.group).expect("the groups are those of the rows");
            (decoded[index], *shown)
        };
        self.fill(&mut batch, rows.iter().map(find), scratch).map_err(Arc::new)?;
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
            let SourceGroup { part, at } = self.row_groups[group as usize];
            let dataset = &self.mix.parts()[part].dataset;
            dataset.check_shard(at.shard)?;
            let decoded = DecodedRowGroup::read(dataset, at, &self.columns)?;
            self.held_rows.add(decoded.rows);
            Ok(decoded)
        });
        decoded.as_ref().map_err(Arc::clone)
    }

    /// Writes the samples of a batch.
    fn fill<'a>(
        &self,
        batch: &mut Batch,
        rows: impl Iterator<Item = (&'a DecodedRowGroup, ShownRow)>,
        scratch: &mut PatchScratch,
    ) -> Result<()> {
        let shared = self.draw_shared_change(batch.number);
        batch.views = self.config.views.as_ref().map(|_| BatchViews::default());
        batch.points = self.config.label_points.map(|_| BatchPoints::default());
        for (group, shown) in rows {
            let (row, part) = (shown.at.row as usize, self.row_groups[shown.at.group as usize].part);
            let id = name_time(&group.sample_ids[row], self.mix.is_mixed().then_some(part), shown.time);
            let key = SampleKey { seed: self.config.seed, id: &id, epoch: batch.epoch };
            let change = shared.unwrap_or_else(|| self.samples.patches.draw_change(key.draws("augment")));
            self.samples.add(&EpochSample { group, row, key }, &change, scratch, batch)?;
            batch.sets.push(part as u32);
            batch.turns.push(change.turn());
            if self.has_keys {
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

/// What tells the draws of a sample from those of others of its name in other sets, and from those of the other times that an
/// epoch shows it.
fn name_time(id: &str, set: Option<usize>, time: u32) -> Cow<'_, str> {
    match (set, time) {
        (None, 0) => Cow::Borrowed(id),
        (None, time) => Cow::Owned(format!("{id} time {time}")),
        (Some(set), 0) => Cow::Owned(format!("{id} of set {set}")),
        (Some(set), time) => Cow::Owned(format!("{id} of set {set} time {time}")),
    }
}
