//! What the loader's threads share, and how one of them makes a batch.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use jepa3d_schemas::Draws;

use super::LoaderConfig;
use super::plan::{Cell, Plan, Plans, Resident, Slots, groups_of};
use super::row::{Place, Row, Scratch};
use super::row_group::Decoded;
use crate::augment::{PatchesFrom, Per, upright};
use crate::batch::{Batch, ViewPart};
use crate::dataset::{PreparedDataset, RowGroupAt};
use crate::epoch_order::{EpochOrder, RowAt, Schedule};
use crate::error::{Error, Result};

/// In which order rows come.
pub(super) enum Order {
    /// Shuffled, epoch after epoch, from this batch on.
    Shuffled { first: u64 },
    /// As stored, once, the last batch as short as it has to be.
    Stored,
}

/// Shared by all threads.
pub(super) struct Feed {
    pub dataset: Arc<PreparedDataset>,
    pub config: LoaderConfig,
    pub row_groups: Vec<RowGroupAt>,
    pub columns: Vec<&'static str>,
    /// Behind renders.
    pub background: [u8; 3],
    pub rows: EpochOrder,
    pub schedule: Schedule,
    pub order: Order,
    pub kept: Option<Arc<Slots>>,
    pub plans: Plans,
    pub resident: Arc<Resident>,
    /// Batches given back.
    pub pool: Mutex<Vec<Batch>>,
}

impl Feed {
    /// Makes the batches `first`, `first + stride`, .. until the other end of `out` is gone, there
    /// are no more, or one fails.
    pub fn run(&self, first: u64, stride: u64, out: &SyncSender<Result<Batch, Arc<Error>>>) {
        let mut scratch = Scratch::default();
        let mut number = first;
        while self.end().is_none_or(|end| number < end) {
            let made = self.make(number, &mut scratch);
            let has_failed = made.is_err();
            if out.send(made).is_err() || has_failed {
                return;
            }
            number += stride;
        }
    }

    /// Number of batches, if there is an end.
    pub fn end(&self) -> Option<u64> {
        matches!(self.order, Order::Stored).then(|| self.schedule.steps_per_epoch())
    }

    fn plan(&self, epoch: u64) -> Arc<Plan> {
        self.plans.of(epoch, || {
            let (order, start) = match self.order {
                Order::Shuffled { first } => {
                    let repeat = self.config.repeat as u64;
                    let times = epoch * repeat..(epoch + 1) * repeat;
                    (times.flat_map(|time| self.rows.rows(time)).collect(), first)
                }
                Order::Stored => (self.rows.stored(), 0),
            };
            let entered = start.saturating_sub(epoch * self.schedule.steps_per_epoch());
            let slots = self.kept.clone().unwrap_or_else(|| {
                Arc::new(Slots::new(self.row_groups.len(), false, Arc::clone(&self.resident)))
            });
            Plan::new(order, slots, &self.schedule, entered)
        })
    }

    fn make(&self, number: u64, scratch: &mut Scratch) -> Result<Batch, Arc<Error>> {
        let (epoch, places) = self.schedule.locate(number);
        self.decode_ahead(number)?;
        let plan = self.plan(epoch);
        let rows = &plan.order[places];
        let groups = groups_of(rows);
        let cells: Vec<Arc<Cell>> = groups.iter().map(|&group| plan.slots.cell(group)).collect();
        let decoded: Vec<&Decoded> = groups
            .iter()
            .zip(&cells)
            .map(|(&group, cell)| self.decoded(cell, group))
            .collect::<Result<_, _>>()?;
        let mut batch = self.pool.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        batch.reset(rows.len(), [self.config.groups, self.config.group_size]);
        (batch.number, batch.epoch) = (number, epoch);
        let find = |at: &RowAt| {
            let index = groups.binary_search(&at.group).expect("the groups are those of the rows");
            (decoded[index], at.row as usize)
        };
        let first = self.schedule.locate(number).1.start;
        self.fill(&mut batch, first, rows.iter().map(find), scratch).map_err(Arc::new)?;
        self.plans.finish(epoch, &plan, &groups);
        Ok(batch)
    }

    /// Decodes what the batches up to a few after `number` need, as far as no other thread does.
    fn decode_ahead(&self, number: u64) -> Result<(), Arc<Error>> {
        let steps = self.schedule.steps_per_epoch();
        let horizon = number + self.config.threads as u64;
        let last = self.end().map_or(horizon, |end| horizon.min(end - 1));
        for epoch in number / steps..=last / steps {
            let plan = self.plan(epoch);
            while let Some(group) = plan.claim(last - epoch * steps) {
                self.decoded(&plan.slots.cell(group), group)?;
            }
        }
        Ok(())
    }

    fn decoded<'a>(&self, cell: &'a Cell, group: u32) -> Result<&'a Decoded, Arc<Error>> {
        let decoded = cell.get_or_init(|| {
            let at = self.row_groups[group as usize];
            self.dataset.check_shard(at.shard)?;
            let wanted = (self.columns.as_slice(), self.config.views.is_some());
            let decoded = Decoded::read(&self.dataset, at, wanted)?;
            self.resident.add(decoded.rows);
            Ok(decoded)
        });
        decoded.as_ref().map_err(Arc::clone)
    }

    /// The turn that stands clouds on the floor that the config asks for.
    pub(super) fn turn(&self) -> Option<[[f32; 3]; 3]> {
        upright(self.dataset.up_axis(), self.config.up_axis?)
    }

    fn fill<'a>(
        &self,
        batch: &mut Batch,
        first: usize,
        rows: impl Iterator<Item = (&'a Decoded, usize)>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let augment = &self.config.augment;
        let shared = (augment.per == Per::Batch).then(|| {
            let draws = Draws::new(self.config.seed, &format!("batch {}", batch.number), "augment");
            augment.draw(self.dataset.up_axis(), draws).then(self.turn())
        });
        let [groups, size] = [self.config.groups, self.config.group_size];
        let patches = batch.patches.chunks_exact_mut(groups * size * 3);
        let places = patches.zip(batch.centers.chunks_exact_mut(groups * 3));
        let (mut counts, mut cells) = (Vec::new(), Vec::new());
        let mut views = self.config.views.as_ref().map(|_| ViewPart::default());
        let once = self.schedule.samples / self.config.repeat;
        for (i, ((decoded, row), (patches, centers))) in rows.zip(places).enumerate() {
            let time = (first + i) / once;
            let sample = Row { feed: self, decoded, row, time, epoch: batch.epoch };
            if self.config.repeat > 1 {
                batch.keys.push(sample.key().into_owned());
            }
            batch.sample_ids.push(sample.id().to_owned());
            batch.labels.push(decoded.labels[row]);
            let own = || augment.draw(self.dataset.up_axis(), sample.draws("augment")).then(self.turn());
            let change = shared.clone().unwrap_or_else(own);
            let mut place = Place { patches, centers, counts: &mut counts, cells: &mut cells };
            match self.config.patches_from {
                PatchesFrom::Shard => sample.stored_patches(&change, scratch, &mut place),
                PatchesFrom::Online => sample.online_patches(&change, scratch, &mut place)?,
            }
            if let Some(views) = &mut views {
                sample.view(scratch, views)?;
            }
        }
        batch.views = views;
        batch.cells = (!cells.is_empty()).then_some(cells);
        batch.counts = (!counts.is_empty()).then_some(counts);
        let purpose = format!("epoch {} blocks", batch.epoch);
        let is_drawn = matches!(self.order, Order::Shuffled { .. });
        batch.drop_absent([groups, size], |id, present, count| match is_drawn {
            true => Draws::new(self.config.seed, id, &purpose).distinct_sorted(present, count),
            false => (0..count as u32).collect(),
        });
        Ok(())
    }
}
