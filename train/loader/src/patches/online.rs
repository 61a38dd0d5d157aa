//! Patches of fresh groupings, made at every step: of a changed cloud or a part of it, and of what a sensor sees of it.

use jepa3d_schemas::Draws;

use super::crop::{CropSize, crop_cloud};
use super::fresh_grouping::{CloudGrouper, GroupingSize, GroupingStart};
use super::{PatchMaker, PatchScratch, SourceCloud, copy_points, gather, refuse};
use crate::augment::CloudSphere;
use crate::batch::{PatchSlot, SeenSlot};
use crate::corruption::{CloudUpright, keep_some};
use crate::error::Result;
use crate::patch_source::PointSubset;
use crate::sensor::SeenSize;

/// What a sensor sees of a cloud.
struct ObservedCloud {
    /// `[S',3]`, to be changed as the cloud is; `None` if the cloud is seen as it is.
    points: Option<Vec<[f32; 3]>>,
    /// What becomes the unit sphere, if what is seen decides.
    sphere: Option<CloudSphere>,
}

impl PatchMaker {
    /// Writes the patches of a fresh grouping of the changed cloud, or of a part of it, to `out`, and those that a sensor
    /// sees where there is a place for them; gives the points that the former are of.
    ///
    /// # Errors
    /// Fails if the cloud cannot be grouped; the error names the sample.
    pub(crate) fn cut_fresh<'a>(
        &self,
        cloud: &SourceCloud<'a>,
        scratch: &'a mut PatchScratch,
        out: &mut PatchSlot<'_>,
    ) -> Result<&'a [[f32; 3]]> {
        let PatchScratch { part, grouper, seen_grouper, members, .. } = scratch;
        let kept = self.choose_part(cloud, part);
        let points = if kept.is_empty() { cloud.points } else { part };
        let seen = self.observe(cloud);
        // The frame is that of the first that has one: what is seen, or the subset.
        let mut sphere = seen.as_ref().and_then(|seen| seen.sphere);
        let fit = |points: &[[f32; 3]]| {
            let own = || cloud.change.normalizes().then(|| CloudSphere::fit(points, &[]));
            sphere = sphere.or_else(own);
            sphere
        };
        let change = |points: &mut [[f32; 3]]| {
            cloud.change.apply_in(fit, points, || cloud.key.draws("jitter"));
        };
        let start = GroupingStart { draws: Some(cloud.key.draws("regroup")) };
        let found = grouper.group(points, self.fresh_size(), start, change);
        let found = found.map_err(|e| refuse(cloud.id, &e))?;
        copy_points(found.points, &found.centers, out.centers);
        gather(found.points, &found.patches, self.config.group_size, out.centers, out.patches);
        if let Some(slot) = &mut out.seen {
            match seen.and_then(|seen| seen.points) {
                Some(points) => self.cut_seen(cloud, points, sphere, seen_grouper, slot)?,
                None => slot.copy(out.centers, out.patches),
            }
        }
        if let Some(members) = members {
            members.set_fresh(found.patches, kept, &found.subset);
        }
        Ok(found.points)
    }

    fn fresh_size(&self) -> GroupingSize {
        let config = &self.config;
        GroupingSize { points: config.points, groups: config.groups, group_size: config.group_size }
    }

    /// The part of a cloud that is changed and grouped, in `part`, as indices; none if it is the whole, or grouping thins
    /// it out.
    fn choose_part(&self, cloud: &SourceCloud<'_>, part: &mut Vec<[f32; 3]>) -> Vec<u32> {
        let (points, count) = (cloud.points, self.config.points);
        match self.config.subset {
            PointSubset::Crop => {
                crop_cloud(points, draw_middle(cloud), CropSize { count, up: self.up }, part)
            }
            PointSubset::Random if points.len() > count => {
                let chosen = cloud.key.draws("subset").distinct_sorted(points.len(), count);
                part.clear();
                part.extend(chosen.iter().map(|&index| points[index as usize]));
                chosen
            }
            PointSubset::Random | PointSubset::Farthest => Vec::new(),
        }
    }

    /// What the sensor sees of a stored cloud, if there is one.
    fn observe(&self, cloud: &SourceCloud<'_>) -> Option<ObservedCloud> {
        let sensor = self.config.sensor.as_ref()?;
        let GroupingSize { points: full, groups, group_size } = self.fresh_size();
        let upright = CloudUpright { points: cloud.points, up: self.up };
        let size = SeenSize { full, fewest: groups.max(group_size) };
        let points = sensor.observe(&upright, cloud.key, size);
        let sphere = sensor.normalize_seen.then(|| {
            let mut scaled = points.as_deref().unwrap_or(cloud.points).to_vec();
            cloud.change.scale_axes(&mut scaled);
            CloudSphere::fit(&scaled, &[])
        });
        Some(ObservedCloud { points, sphere })
    }

    /// Writes the patches of what a sensor sees to `out`: changed as the cloud is, in the frame of `sphere`.
    fn cut_seen(
        &self,
        cloud: &SourceCloud<'_>,
        mut points: Vec<[f32; 3]>,
        sphere: Option<CloudSphere>,
        grouper: &mut CloudGrouper,
        out: &mut SeenSlot<'_>,
    ) -> Result<()> {
        let size = self.fresh_size();
        let draws = |purpose: &str| -> Draws { cloud.key.draws(purpose) };
        if self.config.subset == PointSubset::Random && points.len() > size.points {
            points = keep_some(&points, size.points, &mut draws("seen subset"));
        }
        let change = |points: &mut [[f32; 3]]| {
            cloud.change.apply_in(|_| sphere, points, || draws("seen jitter"));
        };
        let start = GroupingStart { draws: Some(draws("seen regroup")) };
        let found = grouper.group(&points, size, start, change).map_err(|e| refuse(cloud.id, &e))?;
        copy_points(found.points, &found.centers, out.centers);
        gather(found.points, &found.patches, size.group_size, out.centers, out.patches);
        Ok(())
    }
}

/// Around what a scene is cropped: a random point of those that the sample's view shows, without any of all.
fn draw_middle(cloud: &SourceCloud<'_>) -> [f32; 3] {
    let mut draws = cloud.key.draws("crop");
    let index = match cloud.visible {
        [] => draws.index(cloud.points.len()),
        visible => visible[draws.index(visible.len())] as usize,
    };
    cloud.points[index]
}
