//! A decoded row group: the clouds, labels, groupings and views of its samples.

use jepa3d_schemas::ShardReader;

use super::row_group_views::RowGroupViews;
use super::stored_groupings::StoredGroupings;
use crate::config::LoaderConfig;
use crate::dataset::{PreparedDataset, RowGroupAt};
use crate::error::{Result, breach, require_column};
use crate::patch_source::PatchesFrom;

/// What is read of each row group.
pub(super) struct ReadColumns {
    /// Of the points.
    points: Vec<&'static str>,
    has_groupings: bool,
    has_views: bool,
}

impl ReadColumns {
    /// What `config` needs, and nothing else; the grids of voxel blocks follow from the points of a grouping.
    pub fn choose(config: &LoaderConfig, has_blocks: bool) -> Self {
        let mut points = vec!["sample_id", "label", "points"];
        let has_groupings = config.patches_from == PatchesFrom::Shard;
        if has_groupings {
            points.extend(["center_indices", "patch_indices", "patch_counts", "centers"]);
        }
        if has_groupings && (config.augment.normalize || has_blocks) {
            points.push("subset");
        }
        Self { points, has_groupings, has_views: config.views.is_some() }
    }
}

/// What a row group holds of the columns that were asked for.
pub(super) struct DecodedRowGroup {
    pub rows: usize,
    pub sample_ids: Vec<String>,
    pub labels: Vec<Option<i32>>,
    /// Coordinates of all rows, and where each row ends among them.
    points: Vec<f32>,
    ends: Vec<usize>,
    /// Absent when patches are made online.
    pub groupings: Option<StoredGroupings>,
    /// Where views are asked for.
    pub views: Option<RowGroupViews>,
}

impl DecodedRowGroup {
    /// The cloud of a row, `[S,3]`.
    pub fn points(&self, row: usize) -> &[[f32; 3]] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        self.points[start..self.ends[row]].as_chunks().0
    }

    /// Reads and checks a row group of `dataset`, the bytes of its shard before.
    ///
    /// # Errors
    /// Fails if the shard is not the one that was prepared, does not decode, or a row does not have
    /// the dataset's shape; the error names the shard.
    pub fn read(dataset: &PreparedDataset, at: RowGroupAt, columns: &ReadColumns) -> Result<Self> {
        let path = dataset.shard_path(at.shard);
        let mut group = ShardReader::open(&path)?.read_row_group(at.index, &columns.points)?;
        let points = require_column(&path, "points", group.points.take())?;
        let mut groupings = match columns.has_groupings {
            true => Some(StoredGroupings::take(&mut group, &points, dataset.shape(), &path)?),
            false => None,
        };
        if let Some(&end) = points.ends.iter().find(|&&end| end % 3 != 0) {
            return Err(breach(&path, "points", "three coordinates a point", end));
        }
        if let (Some(groupings), Some(edge)) = (&mut groupings, dataset.cell_edge()) {
            groupings.locate_blocks(&points, edge, &path)?;
        }
        let sample_ids = require_column(&path, "sample_id", group.sample_id)?;
        let views = match columns.has_views {
            true => Some(RowGroupViews::read(dataset, at, &sample_ids)?),
            false => None,
        };
        Ok(Self {
            rows: group.rows,
            sample_ids,
            views,
            labels: require_column(&path, "label", group.label)?,
            points: points.values,
            ends: points.ends,
            groupings,
        })
    }
}
