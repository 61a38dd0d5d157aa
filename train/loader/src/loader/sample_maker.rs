//! How a row of a decoded row group becomes a sample of a batch.

use std::borrow::Cow;

use jepa3d_grouping::keep_neighborly;

use super::row_group::DecodedRowGroup;
use super::row_group_views::EncodedView;
use super::view_maker::{AskedPatches, ViewMaker};
use crate::augment::CloudChange;
use crate::batch::{Batch, PatchSlot};
use crate::batch_points::PointScope;
use crate::corruption::{CloudUpright, Corruption};
use crate::error::Result;
use crate::patches::{PatchMaker, PatchScratch, SourceCloud, refuse};
use crate::sample_key::SampleKey;

/// A row of a decoded row group, as one epoch shows it.
pub(super) struct EpochSample<'a> {
    pub group: &'a DecodedRowGroup,
    pub row: usize,
    pub key: SampleKey<'a>,
}

/// Which stored grouping a sample shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupingChoice {
    /// One that is drawn anew for every epoch, of so many.
    Drawn(usize),
    /// Grouping 0.
    Canonical,
}

/// Makes samples of batches; all threads share it.
pub(super) struct SampleMaker {
    pub patches: PatchMaker,
    pub grouping: GroupingChoice,
    /// Where views are asked for.
    pub views: Option<ViewMaker>,
    /// Which points come with their labels.
    pub points: Option<PointScope>,
    /// Whether the labels of samples are those of one set of classes.
    pub has_labels: bool,
    /// Whether clouds of too few points that are grouped afresh for evaluation are filled up with them.
    pub repeats: bool,
    /// Which points of clouds that are grouped afresh for evaluation stand alone and are left out; 0: none.
    pub outliers: f64,
    /// Of clouds that are grouped afresh, before they are.
    pub corruption: Option<Corruption>,
}

impl SampleMaker {
    /// Memory for one thread.
    pub fn scratch(&self) -> PatchScratch {
        PatchScratch::new(self.views.is_some() || self.points.is_some())
    }

    /// Adds a sample to `batch`.
    ///
    /// # Errors
    /// Fails if the cloud cannot be grouped, or the image of its view does not decode; the error names the sample.
    pub fn add(
        &self,
        sample: &EpochSample<'_>,
        change: &CloudChange,
        scratch: &mut PatchScratch,
        batch: &mut Batch,
    ) -> Result<()> {
        let EpochSample { group, row, key } = *sample;
        let view = group.views.as_ref().and_then(|views| views.choose(row, key));
        let cloud = SourceCloud {
            id: &group.sample_ids[row],
            key,
            points: group.points(row),
            visible: view.as_ref().map_or(&[], |view| view.points),
            change,
        };
        batch.sample_ids.push(cloud.id.to_owned());
        batch.labels.push(group.labels[row].filter(|_| self.has_labels));
        self.add_patches(sample, &cloud, scratch, batch)?;
        self.add_view(view.as_ref(), key, scratch, batch)
    }

    /// Adds the patches of the sample that was named last, and its labelled points.
    fn add_patches(
        &self,
        sample: &EpochSample<'_>,
        cloud: &SourceCloud<'_>,
        scratch: &mut PatchScratch,
        batch: &mut Batch,
    ) -> Result<()> {
        let EpochSample { group, row, key } = *sample;
        let at = batch.sample_ids.len() - 1;
        match &group.groupings {
            Some(stored) => {
                let number = match self.grouping {
                    GroupingChoice::Drawn(count) => key.choose_grouping(count),
                    GroupingChoice::Canonical => 0,
                };
                let grouping = stored.get(row, number);
                let points = self.patches.cut_stored(cloud, &grouping, scratch, &mut batch.slot(at));
                let is_part = self.points == Some(PointScope::Grouping);
                let chosen = if is_part { grouping.subset } else { &[] };
                if let (Some(out), Some(labels)) = (&mut batch.points, group.point_labels(row)) {
                    out.add_chosen(points, chosen, labels);
                }
            }
            None => self.add_fresh(sample, cloud, scratch, batch)?,
        }
        Ok(())
    }

    /// Adds the patches of a fresh grouping, and the labelled points that it is of.
    fn add_fresh(
        &self,
        sample: &EpochSample<'_>,
        cloud: &SourceCloud<'_>,
        scratch: &mut PatchScratch,
        batch: &mut Batch,
    ) -> Result<()> {
        let at = batch.sample_ids.len() - 1;
        if self.grouping == GroupingChoice::Canonical {
            return self.cut_canonical(cloud, scratch, &mut batch.slot(at));
        }
        let points = self.patches.cut_fresh(cloud, scratch, &mut batch.slot(at))?;
        if let (Some(out), Some(labels)) = (&mut batch.points, sample.group.point_labels(sample.row)) {
            out.add_positions(points);
            let origins = scratch.members.as_ref().map_or(&[][..], |members| members.origins());
            out.add_labels(origins, labels);
        }
        Ok(())
    }

    /// Writes the patches of the canonical fresh grouping to `out`: of a cloud that is corrupted before, where that is asked for.
    fn cut_canonical(
        &self,
        cloud: &SourceCloud<'_>,
        scratch: &mut PatchScratch,
        out: &mut PatchSlot<'_>,
    ) -> Result<()> {
        let fewest = out.centers.len().max(out.patches.len() / out.centers.len());
        let mut points = Cow::Borrowed(cloud.points);
        if let Some(corruption) = self.corruption {
            let upright = CloudUpright { points: &points, up: self.patches.up() };
            points = corruption.apply(cloud.id, &upright, fewest).into();
        }
        if self.outliers > 0.0 {
            let kept = keep_neighborly(&points, self.outliers).map_err(|e| refuse(cloud.id, &e))?;
            points = kept.into_iter().map(|i| points[i as usize]).collect();
        }
        let may_repeat = self.repeats || self.corruption.is_some();
        if may_repeat && (1..fewest).contains(&points.len()) {
            points = points.iter().copied().cycle().take(fewest).collect();
        }
        let SourceCloud { id, key, visible, change, .. } = *cloud;
        let made = SourceCloud { id, key, points: &points, visible, change };
        self.patches.cut_canonical(&made, scratch, out)
    }

    /// Adds the view of the sample that was added last, and which of its patches the view shows.
    fn add_view(
        &self,
        view: Option<&EncodedView<'_>>,
        key: SampleKey<'_>,
        scratch: &PatchScratch,
        batch: &mut Batch,
    ) -> Result<()> {
        let (Some(maker), Some(mut out)) = (&self.views, batch.views.take()) else { return Ok(()) };
        let last = batch.sample_ids.len() - 1;
        match (view, &scratch.members) {
            (Some(view), Some(members)) => {
                maker.add_image(view, &batch.sample_ids[last], &mut out)?;
                let members = members.trace();
                let size = members.len() / batch.groups;
                let patches = AskedPatches { members: &members, size, counts: batch.counts_of_sample(last) };
                maker.add_queries(view, &patches, &mut key.draws("queries"), &mut out);
            }
            _ => maker.add_nothing(&mut out),
        }
        batch.views = Some(out);
        Ok(())
    }
}
