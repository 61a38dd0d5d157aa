//! One sample on its way from a decoded row group into a batch.

use jepa3d_schemas::Draws;

use super::feed::{Feed, Order};
use super::regroup::Regrouper;
use super::row_group::{Decoded, Indices};
use crate::augment::Change;
use crate::batch::gather;
use crate::error::{Error, Result};

/// What a thread keeps from sample to sample.
#[derive(Default)]
pub(super) struct Scratch {
    cloud: Vec<[f32; 3]>,
    members: Vec<u32>,
    centers: Vec<[f32; 3]>,
    regrouper: Regrouper,
}

/// Where the sample goes: its part of the batch.
pub(super) struct Place<'a> {
    /// `[G,K,3]`.
    pub patches: &'a mut [f32],
    /// `[G,3]`.
    pub centers: &'a mut [f32],
    /// Voxel blocks append `G` to it.
    pub counts: &'a mut Vec<u16>,
    /// As counts.
    pub cells: &'a mut Vec<[i32; 3]>,
}

/// A row of a decoded row group, in an epoch.
pub(super) struct Row<'a> {
    pub feed: &'a Feed,
    pub decoded: &'a Decoded,
    pub row: usize,
    pub epoch: u64,
}

impl Row<'_> {
    /// The sample.
    pub fn id(&self) -> &str {
        &self.decoded.sample_ids[self.row]
    }

    /// The stream of a purpose of this sample in this epoch.
    pub fn draws(&self, purpose: &str) -> Draws {
        Draws::new(self.feed.config.seed, self.id(), &format!("epoch {} {purpose}", self.epoch))
    }

    /// Patches of a stored grouping: of one drawn for the epoch, or of the canonical one in stored order.
    pub fn stored_patches(&self, change: &Change, scratch: &mut Scratch, place: &mut Place<'_>) {
        let (config, shape) = (&self.feed.config, self.feed.dataset.shape());
        let number = match self.feed.order {
            Order::Shuffled { .. } => self.draws("grouping").index(shape.R),
            Order::Stored => 0,
        };
        let stored = self.decoded.groupings.as_ref().expect("their columns were read");
        let grouping = stored.of(self.row, number, shape);
        let Scratch { cloud, members, centers, .. } = scratch;
        let (mut points, mut centroids) = (self.decoded.points(self.row), grouping.centroids);
        if !config.augment.is_identity() || self.feed.turn().is_some() {
            cloud.clear();
            cloud.extend_from_slice(points);
            // Centroids are no points of the cloud: they move with it, as its last ones, and count for nothing.
            cloud.extend_from_slice(centroids);
            members.clear();
            match grouping.subset {
                [] => members.extend(0..points.len() as u32),
                subset => members.extend_from_slice(subset),
            }
            change.apply(cloud, members, || self.draws("jitter"));
            (points, centroids) = cloud.split_at(points.len());
        }
        centers.clear();
        match centroids {
            [] => centers.extend(grouping.centers[..config.groups].iter().map(|&i| points[i as usize])),
            centroids => centers.extend_from_slice(&centroids[..config.groups]),
        }
        place.centers.copy_from_slice(centers.as_flattened());
        match &stored.patches {
            Indices::Short(all) => gather(points, &all[grouping.patches], shape.K, centers, place.patches),
            Indices::Long(all) => gather(points, &all[grouping.patches], shape.K, centers, place.patches),
        }
        if let Some((cells, edge)) = grouping.grid {
            // Blocks are in units of their cells.
            place.patches.iter_mut().for_each(|x| *x /= edge);
            place.cells.extend_from_slice(&cells[..config.groups]);
        }
        let counts = grouping.counts.iter().flat_map(|counts| &counts[..config.groups]);
        place.counts.extend(counts.map(|&count| count.min(config.group_size as u16)));
    }

    /// Patches of a fresh grouping of the changed cloud.
    ///
    /// # Errors
    /// Fails if the cloud cannot be grouped; the error names the sample.
    pub fn online_patches(
        &self,
        change: &Change,
        scratch: &mut Scratch,
        place: &mut Place<'_>,
    ) -> Result<()> {
        let config = &self.feed.config;
        let sizes = [config.points, config.groups, config.group_size];
        let change = |points: &mut [[f32; 3]]| change.apply(points, &[], || self.draws("jitter"));
        let Scratch { regrouper, centers, .. } = scratch;
        let regrouped =
            regrouper.regroup(self.decoded.points(self.row), sizes, self.draws("regroup"), change);
        let found =
            regrouped.map_err(|e| Error::Regroup { id: self.id().to_owned(), found: e.to_string() })?;
        centers.clear();
        centers.extend(found.centers.iter().map(|&center| found.points[center as usize]));
        place.centers.copy_from_slice(centers.as_flattened());
        gather(found.points, &found.patches, config.group_size, centers, place.patches);
        Ok(())
    }
}
