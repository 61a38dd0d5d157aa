//! One sample on its way from a decoded row group into a batch.

use std::borrow::Cow;

use jepa3d_schemas::Draws;

use super::crop::crop;
use super::feed::{Feed, Order};
use super::regroup::Regrouper;
use super::row_group::{Decoded, Indices};
use crate::augment::{Change, Subset};
use crate::batch::{ViewPart, gather};
use crate::error::{Error, Result};

/// What a thread keeps from sample to sample.
#[derive(Default)]
pub(super) struct Scratch {
    cloud: Vec<[f32; 3]>,
    members: Vec<u32>,
    centers: Vec<[f32; 3]>,
    regrouper: Regrouper,
    cropped: Vec<[f32; 3]>,
    /// `[G,K]`: points of the patches in the stored cloud, where views are asked about them.
    asked: Vec<u32>,
    /// `[G]`: how many of them are distinct.
    distinct: Vec<u16>,
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
    /// Which time the epoch shows this sample, from 0.
    pub time: usize,
    pub epoch: u64,
}

impl Row<'_> {
    /// The sample.
    pub fn id(&self) -> &str {
        &self.decoded.sample_ids[self.row]
    }

    /// What tells its draws from those of others: the id, and which time it is shown.
    pub fn key(&self) -> Cow<'_, str> {
        match self.time {
            0 => Cow::Borrowed(self.id()),
            time => Cow::Owned(format!("{} time {time}", self.id())),
        }
    }

    /// The stream of a purpose of this sample in this epoch.
    pub fn draws(&self, purpose: &str) -> Draws {
        Draws::new(self.feed.config.seed, &self.key(), &format!("epoch {} {purpose}", self.epoch))
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
            Indices::Short(all) => {
                gather(points, &all[grouping.patches.clone()], shape.K, centers, place.patches)
            }
            Indices::Long(all) => {
                gather(points, &all[grouping.patches.clone()], shape.K, centers, place.patches)
            }
        }
        if let Some((cells, edge)) = grouping.grid {
            // Blocks are in units of their cells.
            place.patches.iter_mut().for_each(|x| *x /= edge);
            place.cells.extend_from_slice(&cells[..config.groups]);
        }
        let counts = grouping.counts.iter().flat_map(|counts| &counts[..config.groups]);
        place.counts.extend(counts.map(|&count| count.min(config.group_size as u16)));
        if config.views.is_some() {
            scratch.asked.clear();
            let rows = grouping.patches.clone().step_by(shape.K).take(config.groups);
            let patch =
                |first: usize| (first..first + config.group_size).map(|at| stored.patches.at(at) as u32);
            scratch.asked.extend(rows.flat_map(patch));
            scratch.distinct.clear();
            match grouping.counts {
                None => scratch.distinct.resize(config.groups, config.group_size as u16),
                Some(_) => {
                    let own = place.counts.len() - config.groups;
                    scratch.distinct.extend_from_slice(&place.counts[own..]);
                }
            }
        }
    }

    /// The view of this epoch, if there are views.
    fn drawn_view(&self) -> Option<usize> {
        self.decoded.views.as_ref()?.draw(self.row, &mut self.draws("view"))
    }

    /// Adds the image of a drawn view to a batch, and which of the patches made last it shows.
    ///
    /// # Errors
    /// Fails if the image does not decode.
    pub fn view(&self, scratch: &Scratch, out: &mut ViewPart) -> Result<()> {
        let (Some(config), Some(views)) = (&self.feed.config.views, &self.decoded.views) else {
            return Ok(());
        };
        let Some(at) = self.drawn_view() else {
            out.add_nothing(config.side() * config.side() * config.token_numbers(), config.queries);
            return Ok(());
        };
        views.add_image((at, self.id()), (config, self.feed.background), out)?;
        let patches = (scratch.asked.as_slice(), scratch.distinct.as_slice());
        views.add_queries(at, patches, config, (&mut self.draws("queries"), out));
        Ok(())
    }

    /// Around what a scene is cropped: a random point, one that the drawn view shows if there is any.
    fn middle(&self) -> [f32; 3] {
        let (points, mut draws) = (self.decoded.points(self.row), self.draws("crop"));
        let shown = self.decoded.views.as_ref().zip(self.drawn_view()).map(|(views, at)| views.visible(at));
        let index = match shown {
            Some(shown) if !shown.is_empty() => shown[draws.index(shown.len())] as usize,
            _ => draws.index(points.len()),
        };
        points[index]
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
        let Scratch { regrouper, centers, cropped, asked, distinct, .. } = scratch;
        let (mut points, mut kept) = (self.decoded.points(self.row), Vec::new());
        if config.subset == Subset::Crop {
            let up = self.feed.dataset.up_axis();
            kept = crop(points, self.middle(), (config.points, up), cropped);
            points = cropped;
        }
        let regrouped = regrouper.regroup(points, sizes, self.draws("regroup"), change);
        let found =
            regrouped.map_err(|e| Error::Regroup { id: self.id().to_owned(), found: e.to_string() })?;
        centers.clear();
        centers.extend(found.centers.iter().map(|&center| found.points[center as usize]));
        place.centers.copy_from_slice(centers.as_flattened());
        gather(found.points, &found.patches, config.group_size, centers, place.patches);
        if config.views.is_some() {
            let of =
                |subset: &[u32], index: u32| if subset.is_empty() { index } else { subset[index as usize] };
            asked.clear();
            asked.extend(found.patches.iter().map(|&index| of(&kept, of(&found.subset, index))));
            distinct.clear();
            distinct.resize(config.groups, config.group_size as u16);
        }
        Ok(())
    }
}
