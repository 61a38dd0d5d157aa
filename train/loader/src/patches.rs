//! Patches of a cloud: the one place that makes them, for training, evaluation and pictures.
//!
//! Patches come from a grouping that is stored with the cloud, or from a fresh one of the changed cloud. Either way they
//! are relative to their centers; voxel blocks are in units of the cells that they were cut with.

mod crop;
mod fresh_grouping;
mod members;
mod online;
mod stored_grouping;

use jepa3d_grouping::CellEdge;
use jepa3d_schemas::{Draws, Manifest, Sample, ShapeLetters, UpAxis, View};

pub(crate) use members::PatchMembers;
pub(crate) use stored_grouping::{BlockGrid, PatchIndices, StoredGrouping};

use crate::augment::{CloudChange, turn_upright};
use crate::batch::PatchSlot;
use crate::config::LoaderConfig;
use crate::dataset::cell_edge;
use crate::error::{Error, Result};
use crate::patch_source::PatchesFrom;
use crate::sample_key::SampleKey;
pub use fresh_grouping::{CloudGrouper, FreshGrouping, GroupingSize, GroupingStart};

/// Makes the patches of clouds of one dataset as a [`LoaderConfig`] asks for.
#[derive(Clone, Debug)]
pub struct PatchMaker {
    config: LoaderConfig,
    shape: ShapeLetters,
    /// The axis that points up in the stored clouds.
    up: UpAxis,
    /// Stands clouds on the floor that the config asks for.
    turn: Option<[[f32; 3]; 3]>,
    /// Of voxel blocks.
    cell_edge: Option<CellEdge>,
}

/// A stored cloud on its way into patches, and what was drawn for it.
pub(crate) struct SourceCloud<'a> {
    /// The sample, for errors.
    pub id: &'a str,
    /// Of all further draws.
    pub key: SampleKey<'a>,
    /// `[S,3]`.
    pub points: &'a [[f32; 3]],
    /// Points that the sample's view of this epoch shows; empty without views.
    pub visible: &'a [u32],
    /// How it is changed.
    pub change: &'a CloudChange,
}

/// Memory that a thread keeps from cloud to cloud.
#[derive(Default)]
pub(crate) struct PatchScratch {
    changed: Vec<[f32; 3]>,
    /// What is left of the cloud where a fresh grouping is of a part.
    part: Vec<[f32; 3]>,
    grouper: CloudGrouper,
    /// For what a sensor sees.
    seen_grouper: CloudGrouper,
    /// Which points the patches made last have; not kept where nobody asks.
    pub members: Option<PatchMembers>,
}

impl PatchScratch {
    /// Keeps which points the patches made last have, if `keeps_members`.
    pub(crate) fn new(keeps_members: bool) -> Self {
        Self { members: keeps_members.then(PatchMembers::default), ..Self::default() }
    }
}

/// The patches of one cloud, with the points that they are of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SamplePatches {
    /// `[S,3]`, of a fresh grouping `[N,3]`; changed as the patches are.
    pub points: Vec<[f32; 3]>,
    /// `[G,3]`.
    pub centers: Vec<[f32; 3]>,
    /// `[G,K,3]`, minus the centers; voxel blocks in units of their cells' edge.
    pub patches: Vec<[f32; 3]>,
    /// `[G,K]` indices into `points`.
    pub members: Vec<u32>,
    /// `[G]` distinct points of each voxel block; empty where groups are patches.
    pub counts: Vec<u16>,
    /// `[G]` grid cells of voxel blocks; empty where groups are patches.
    pub cells: Vec<[i32; 3]>,
}

impl PatchMaker {
    /// For the clouds of a dataset; `config` must serve it ([`LoaderConfig::check`]).
    pub fn new(manifest: &Manifest, config: &LoaderConfig) -> Self {
        Self {
            config: config.clone(),
            shape: manifest.shape,
            up: manifest.up_axis,
            turn: config.up_axis.and_then(|up| turn_upright(manifest.up_axis, up)),
            cell_edge: cell_edge(manifest),
        }
    }

    /// The patches of one sample in `epoch` as a batch would have them: of its stored grouping `number`, or of the epoch's
    /// fresh one; with a change of its own.
    ///
    /// # Errors
    /// Fails if the sample does not have the dataset's shape, or its cloud cannot be grouped; the error names it.
    pub fn make(&self, sample: &Sample, views: &[View], number: usize, epoch: u64) -> Result<SamplePatches> {
        let key = SampleKey { seed: self.config.seed, id: &sample.sample_id, epoch };
        let view = self.config.views.as_ref().and_then(|_| key.choose_view(views.len()));
        let change = self.draw_change(key.draws("augment"));
        let cloud = SourceCloud {
            id: key.id,
            key,
            points: sample.points.as_chunks().0,
            visible: view.map_or(&[], |at| &views[at].correspondences.point),
            change: &change,
        };
        let mut made = SamplePatches {
            centers: vec![[0.0; 3]; self.config.groups],
            patches: vec![[0.0; 3]; self.config.groups * self.config.group_size],
            ..SamplePatches::default()
        };
        let mut scratch = PatchScratch::new(true);
        let mut edges = Vec::new();
        let mut slot = PatchSlot {
            patches: &mut made.patches,
            centers: &mut made.centers,
            counts: &mut made.counts,
            cells: &mut made.cells,
            edges: &mut edges,
            seen: None,
        };
        made.points = match self.config.patches_from {
            PatchesFrom::Shard => self.cut_sample(sample, number, &cloud, &mut scratch, &mut slot)?,
            PatchesFrom::Online => self.cut_fresh(&cloud, &mut scratch, &mut slot)?.to_vec(),
        };
        made.members = scratch.members.unwrap_or_default().indices;
        Ok(made)
    }

    /// Patches of a stored grouping of a sample whose voxel blocks were not located yet; gives the changed points.
    fn cut_sample(
        &self,
        sample: &Sample,
        number: usize,
        cloud: &SourceCloud<'_>,
        scratch: &mut PatchScratch,
        out: &mut PatchSlot<'_>,
    ) -> Result<Vec<[f32; 3]>> {
        let mut grouping = StoredGrouping::from_sample(sample, number, self.shape)?;
        let located = self.cell_edge.map(|edge| grouping.find_cells(cloud.points, self.shape, edge));
        let located = located.transpose().map_err(|e| refuse(cloud.id, &e))?;
        grouping.grid = located.as_ref().map(|(edge, cells)| BlockGrid { cells, edge: *edge });
        Ok(self.cut_stored(cloud, &grouping, scratch, out).to_vec())
    }

    /// Draws a change of a cloud, with the turn that stands it upright.
    pub(crate) fn draw_change(&self, draws: Draws) -> CloudChange {
        self.config.augment.draw(self.up, draws).then(self.turn)
    }

    /// Writes the patches of a stored grouping to `out`; gives the changed points.
    pub(crate) fn cut_stored<'a>(
        &self,
        cloud: &SourceCloud<'a>,
        grouping: &StoredGrouping<'a>,
        scratch: &'a mut PatchScratch,
        out: &mut PatchSlot<'_>,
    ) -> &'a [[f32; 3]] {
        let (groups, size) = (self.config.groups, self.config.group_size);
        if let Some(members) = &mut scratch.members {
            members.take_first(grouping.patches, self.shape.K, groups, size);
        }
        let is_unchanged = self.config.augment.is_identity() && self.turn.is_none();
        let (points, centroids) = match is_unchanged {
            true => (cloud.points, grouping.centroids),
            false => change_stored(cloud, grouping, &mut scratch.changed),
        };
        match centroids {
            [] => copy_points(points, grouping.centers, out.centers),
            centroids => out.centers.copy_from_slice(&centroids[..groups]),
        }
        match grouping.patches {
            PatchIndices::Short(all) => gather(points, all, self.shape.K, out.centers, out.patches),
            PatchIndices::Long(all) => gather(points, all, self.shape.K, out.centers, out.patches),
        }
        if let Some(BlockGrid { cells, edge }) = grouping.grid {
            out.patches.as_flattened_mut().iter_mut().for_each(|x| *x /= edge);
            out.cells.extend_from_slice(&cells[..groups]);
            out.edges.push(edge);
        }
        out.counts.extend(grouping.counts.iter().take(groups).map(|&count| count.min(size as u16)));
        points
    }

    /// The axis that points up in the stored clouds.
    pub(crate) fn up(&self) -> UpAxis {
        self.up
    }

    /// Writes the patches of the canonical grouping that preparation would store of a cloud to `out`; what is drawn to
    /// change the cloud follows the grouping, as it does a stored one.
    ///
    /// # Errors
    /// Fails if the cloud has fewer points than centers or than a patch; the error names the sample.
    pub(crate) fn cut_canonical(
        &self,
        cloud: &SourceCloud<'_>,
        scratch: &mut PatchScratch,
        out: &mut PatchSlot<'_>,
    ) -> Result<()> {
        let LoaderConfig { points, groups, group_size, .. } = self.config;
        let size = GroupingSize { points, groups, group_size };
        let found = scratch.grouper.group(cloud.points, size, GroupingStart { draws: None }, |_| ());
        let found = found.map_err(|e| refuse(cloud.id, &e))?;
        if self.turn.is_some() {
            cloud.change.apply(found.points, &[], || cloud.key.draws("jitter"));
        }
        copy_points(found.points, &found.centers, out.centers);
        gather(found.points, &found.patches, group_size, out.centers, out.patches);
        Ok(())
    }
}

pub(crate) fn refuse(id: &str, error: &jepa3d_grouping::Error) -> Error {
    Error::Regroup { id: id.to_owned(), found: error.to_string() }
}

/// Changes copies of a cloud's points and of the centroids of a grouping, which move along but count for nothing.
fn change_stored<'a>(
    cloud: &SourceCloud<'a>,
    grouping: &StoredGrouping<'a>,
    changed: &'a mut Vec<[f32; 3]>,
) -> (&'a [[f32; 3]], &'a [[f32; 3]]) {
    let count = cloud.points.len();
    changed.clear();
    changed.extend_from_slice(cloud.points);
    changed.extend_from_slice(grouping.centroids);
    let mut all = Vec::new();
    let counted = match grouping.subset {
        [] if grouping.centroids.is_empty() => &[],
        [] => {
            all.extend(0..count as u32);
            all.as_slice()
        }
        subset => subset,
    };
    cloud.change.apply(changed, counted, || cloud.key.draws("jitter"));
    changed.split_at(count)
}

fn copy_points(points: &[[f32; 3]], indices: &[u32], out: &mut [[f32; 3]]) {
    for (out, &index) in out.iter_mut().zip(indices) {
        *out = points[index as usize];
    }
}

/// An index into a cloud, stored in as few bits as fit.
trait PointIndex: Copy {
    fn widen(self) -> usize;
}

impl PointIndex for u16 {
    #[inline(always)]
    fn widen(self) -> usize {
        usize::from(self)
    }
}

impl PointIndex for u32 {
    #[inline(always)]
    fn widen(self) -> usize {
        self as usize
    }
}

/// Gathers the patches of one cloud: for each center the first points of its row in `stored [G,stored_size]`, minus the
/// center.
fn gather<I: PointIndex>(
    points: &[[f32; 3]],
    stored: &[I],
    stored_size: usize,
    centers: &[[f32; 3]],
    patches: &mut [[f32; 3]],
) {
    let size = patches.len() / centers.len();
    let rows = patches.chunks_exact_mut(size).zip(stored.chunks_exact(stored_size));
    for ((patch, indices), center) in rows.zip(centers) {
        for (out, index) in patch.iter_mut().zip(indices) {
            let p = points[index.widen()];
            *out = [p[0] - center[0], p[1] - center[1], p[2] - center[2]];
        }
    }
}
