//! What the loader's threads share, and how one of them makes a batch.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use jepa3d_schemas::Draws;

use super::LoaderConfig;
use super::plan::{Cell, Plan, Plans, Resident, Slots, groups_of};
use super::regroup::Regrouper;
use super::row_group::{Decoded, Indices};
use crate::augment::{Change, PatchesFrom, Per};
use crate::batch::{Batch, gather};
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
    pub rows: EpochOrder,
    pub schedule: Schedule,
    pub order: Order,
    pub kept: Option<Arc<Slots>>,
    pub plans: Plans,
    pub resident: Arc<Resident>,
    /// Batches given back.
    pub pool: Mutex<Vec<Batch>>,
}

/// What a thread keeps from sample to sample.
#[derive(Default)]
struct Scratch {
    cloud: Vec<[f32; 3]>,
    members: Vec<u32>,
    centers: Vec<[f32; 3]>,
    regrouper: Regrouper,
}

/// One sample on its way into a batch.
struct Place<'a> {
    patches: &'a mut [f32],
    centers: &'a mut [f32],
    counts: Option<&'a mut Vec<u16>>,
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
                Order::Shuffled { first } => (self.rows.rows(epoch), first),
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
        self.fill(&mut batch, rows.iter().map(find), scratch).map_err(Arc::new)?;
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
            let decoded = Decoded::read(&self.dataset, at, &self.columns)?;
            self.resident.add(decoded.rows);
            Ok(decoded)
        });
        decoded.as_ref().map_err(Arc::clone)
    }

    fn fill<'a>(
        &self,
        batch: &mut Batch,
        rows: impl Iterator<Item = (&'a Decoded, usize)>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let shared = (self.config.augment.per == Per::Batch).then(|| {
            let draws = Draws::new(self.config.seed, &format!("batch {}", batch.number), "augment");
            self.config.augment.draw(self.dataset.up_axis(), draws)
        });
        let [groups, size] = [self.config.groups, self.config.group_size];
        let (mut patches, mut centers) =
            (std::mem::take(&mut batch.patches), std::mem::take(&mut batch.centers));
        let places = patches.chunks_exact_mut(groups * size * 3).zip(centers.chunks_exact_mut(groups * 3));
        let mut counts = Vec::new();
        for ((decoded, row), (patches, centers)) in rows.zip(places) {
            let id = &decoded.sample_ids[row];
            batch.sample_ids.push(id.clone());
            batch.labels.push(decoded.labels[row]);
            let change = match &shared {
                Some(change) => change.clone(),
                None => {
                    self.config.augment.draw(self.dataset.up_axis(), self.draws(id, batch.epoch, "augment"))
                }
            };
            let place = Place { patches, centers, counts: Some(&mut counts) };
            match self.config.patches_from {
                PatchesFrom::Shard => self.from_shard((decoded, row), batch.epoch, &change, scratch, place),
                PatchesFrom::Online => self.online((decoded, row), batch.epoch, &change, scratch, place)?,
            }
        }
        (batch.patches, batch.centers) = (patches, centers);
        batch.counts = (!counts.is_empty()).then_some(counts);
        Ok(())
    }

    /// The stream of a purpose of a sample in an epoch.
    fn draws(&self, id: &str, epoch: u64, purpose: &str) -> Draws {
        Draws::new(self.config.seed, id, &format!("epoch {epoch} {purpose}"))
    }
}

impl Feed {
    /// A stored grouping: drawn for the epoch, or the canonical one in stored order.
    fn from_shard(
        &self,
        (decoded, row): (&Decoded, usize),
        epoch: u64,
        change: &Change,
        scratch: &mut Scratch,
        place: Place<'_>,
    ) {
        let shape = self.dataset.shape();
        let id = &decoded.sample_ids[row];
        let grouping = match self.order {
            Order::Shuffled { .. } => self.draws(id, epoch, "grouping").index(shape.R),
            Order::Stored => 0,
        };
        let stored = decoded.groupings.as_ref().expect("their columns were read");
        let at = row * shape.R + grouping;
        let [groups, size] = [self.config.groups, self.config.group_size];
        let mut points = decoded.points(row);
        scratch.centers.clear();
        match &stored.centroids {
            None => {
                let centers = &stored.centers[at * shape.G..][..groups];
                scratch.centers.extend(centers.iter().map(|&center| points[center as usize]));
            }
            Some(centroids) => scratch.centers.extend_from_slice(&centroids[at * shape.G..][..groups]),
        }
        if !self.config.augment.is_identity() {
            scratch.members.clear();
            let subset = stored.subset.as_ref().and_then(|subset| subset.row(row));
            scratch.members.extend(subset.map_or(&[][..], |all| &all[grouping * shape.N..][..shape.N]));
            // Centroids are no points of the cloud: changed with it, as its last points.
            scratch.cloud.clear();
            scratch.cloud.extend_from_slice(points);
            scratch.cloud.extend_from_slice(&scratch.centers);
            if scratch.members.is_empty() {
                scratch.members.extend(0..points.len() as u32);
            }
            change.apply(&mut scratch.cloud, &scratch.members, || self.draws(id, epoch, "jitter"));
            let count = points.len();
            points = &scratch.cloud[..count];
            match &stored.centroids {
                None => {
                    let centers = &stored.centers[at * shape.G..][..groups];
                    for (center, &index) in scratch.centers.iter_mut().zip(centers) {
                        *center = points[index as usize];
                    }
                }
                Some(_) => scratch.centers.copy_from_slice(&scratch.cloud[count..]),
            }
        }
        place.centers.copy_from_slice(scratch.centers.as_flattened());
        let values = at * shape.G * shape.K..(at + 1) * shape.G * shape.K;
        match &stored.patches {
            Indices::Short(all) => gather(points, &all[values], shape.K, &scratch.centers, place.patches),
            Indices::Long(all) => gather(points, &all[values], shape.K, &scratch.centers, place.patches),
        }
        if let (Some(counts), Some(out)) = (&stored.counts, place.counts) {
            let most = size as u16;
            out.extend(counts[at * shape.G..][..groups].iter().map(|&count| count.min(most)));
        }
    }

    /// A fresh grouping of the changed cloud.
    fn online(
        &self,
        (decoded, row): (&Decoded, usize),
        epoch: u64,
        change: &Change,
        scratch: &mut Scratch,
        place: Place<'_>,
    ) -> Result<()> {
        let id = &decoded.sample_ids[row];
        let sizes = [self.config.points, self.config.groups, self.config.group_size];
        let change = |points: &mut [[f32; 3]]| change.apply(points, &[], || self.draws(id, epoch, "jitter"));
        let starts = self.draws(id, epoch, "regroup");
        let regrouped = scratch.regrouper.regroup(decoded.points(row), sizes, starts, change);
        let found =
            regrouped.map_err(|source| Error::Regroup { id: id.clone(), found: source.to_string() })?;
        scratch.centers.clear();
        scratch.centers.extend(found.centers.iter().map(|&center| found.points[center as usize]));
        place.centers.copy_from_slice(scratch.centers.as_flattened());
        gather(found.points, &found.patches, self.config.group_size, &scratch.centers, place.patches);
        Ok(())
    }
}
