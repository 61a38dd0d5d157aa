//! A decoded row group: the clouds, labels, groupings and views of its samples.

use std::path::Path;

use jepa3d_schemas::{ListColumn, ShardReader};

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
    /// Labels of points.
    has_labels: bool,
}

impl ReadColumns {
    /// What `config` needs, and nothing else; the grids of voxel blocks follow from the points of a grouping.
    pub fn choose(config: &LoaderConfig, has_blocks: bool) -> Self {
        let mut points = vec!["sample_id", "label", "points"];
        let has_groupings = config.patches_from == PatchesFrom::Shard;
        if has_groupings {
            points.extend(["center_indices", "patch_indices", "patch_counts", "centers"]);
        }
        let has_labels = config.label_points.is_some();
        if has_labels {
            points.push("point_labels");
        }
        if has_groupings && (config.augment.normalize || has_blocks || has_labels) {
            points.push("subset");
        }
        Self { points, has_groupings, has_views: config.views.is_some(), has_labels }
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
    /// A label for every point, where they are asked for.
    point_labels: Option<ListColumn<i16>>,
}

impl DecodedRowGroup {
    /// The cloud of a row, `[S,3]`.
    pub fn points(&self, row: usize) -> &[[f32; 3]] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        self.points[start..self.ends[row]].as_chunks().0
    }

    /// The labels of the points of a row `[S]`, where they are asked for.
    pub fn point_labels(&self, row: usize) -> Option<&[i16]> {
        self.point_labels.as_ref()?.row(row)
    }

    /// Reads and checks a row group of `dataset`, the bytes of its shard before.
    ///
    /// # Errors
    /// Fails if the shard is not the one that was prepared, does not decode, or a row does not have
    /// the dataset's shape; the error names the shard.
    pub fn read(dataset: &PreparedDataset, at: RowGroupAt, columns: &ReadColumns) -> Result<Self> {
        let path = dataset.shard_path(at.shard);
        let mut group = ShardReader::open(&path)?.read_row_group(at.index, &columns.points)?;
        if group.rows != at.rows {
            return Err(breach(&path, format!("rows of row group {}", at.index), at.rows, group.rows));
        }
        let points = require_column(&path, "points", group.points.take())?;
        let mut groupings = match columns.has_groupings {
            true => Some(StoredGroupings::take(&mut group, &points, dataset.shape(), &path)?),
            false => None,
        };
        if let Some(&end) = points.ends.iter().find(|&&end| end % 3 != 0) {
            return Err(breach(&path, "points", "three coordinates a point", end));
        }
        let point_labels = match columns.has_labels {
            true => Some(take_point_labels(group.point_labels.take(), &points, &path)?),
            false => None,
        };
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
            point_labels,
        })
    }
}

/// The labels of points, of which every cloud must have as many as points.
fn take_point_labels(
    column: Option<ListColumn<i16>>,
    points: &ListColumn<f32>,
    path: &Path,
) -> Result<ListColumn<i16>> {
    let labels = require_column(path, "point_labels", column)?;
    let is_short = |row: &usize| {
        3 * labels.row(*row).map_or(0, <[i16]>::len) != points.row(*row).map_or(0, <[f32]>::len)
    };
    match (0..points.ends.len()).find(is_short) {
        None => Ok(labels),
        Some(row) => {
            let found = match labels.row(row) {
                None => "none (the dataset was prepared without labels of points)".to_owned(),
                Some(labels) => labels.len().to_string(),
            };
            Err(breach(path, format!("column point_labels, row {row}"), "a label for every point", found))
        }
    }
}
