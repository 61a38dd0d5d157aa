//! One stored grouping of one cloud, borrowed from wherever it was read to: a decoded row group or a sample.

use jepa3d_grouping::{CellEdge, VoxelGrid};
use jepa3d_schemas::{Sample, ShapeLetters};

use crate::error::{Error, Result};

/// All `G` centers of a grouping and all `K` points of each patch, as indices into the cloud.
pub(crate) struct StoredGrouping<'a> {
    /// `[G]`.
    pub centers: &'a [u32],
    /// `[G,3]`, empty unless the centers are centroids of voxel blocks, which are no points of the cloud.
    pub centroids: &'a [[f32; 3]],
    /// `[N]`, empty if all points belong to it, or if it was not read.
    pub subset: &'a [u32],
    /// `[G]` distinct points of each block, empty unless groups are voxel blocks.
    pub counts: &'a [u16],
    /// Where the blocks lie, if groups are voxel blocks.
    pub grid: Option<BlockGrid<'a>>,
    /// `[G,K]`.
    pub patches: PatchIndices<'a>,
}

/// Where voxel blocks lie in the grid that they were cut with.
#[derive(Clone, Copy)]
pub(crate) struct BlockGrid<'a> {
    /// `[G]`.
    pub cells: &'a [[i32; 3]],
    /// Edge of a cell.
    pub edge: f32,
}

/// Indices into a cloud in as few bytes as were enough.
#[derive(Clone, Copy)]
pub(crate) enum PatchIndices<'a> {
    /// The cloud has at most 65,536 points.
    Short(&'a [u16]),
    /// It has more, or nobody looked.
    Long(&'a [u32]),
}

impl PatchIndices<'_> {
    /// The index at place `at` of `[G * K]`.
    pub fn get(self, at: usize) -> usize {
        match self {
            Self::Short(all) => usize::from(all[at]),
            Self::Long(all) => all[at] as usize,
        }
    }
}

impl<'a> StoredGrouping<'a> {
    /// Grouping `number` of a sample, without its grid.
    ///
    /// # Errors
    /// Fails if a list of the sample does not have the lengths that `shape` states, or an index is none of a point.
    pub fn from_sample(sample: &'a Sample, number: usize, shape: ShapeLetters) -> Result<Self> {
        let wrong = |found: &str| Error::Regroup { id: sample.sample_id.clone(), found: found.to_owned() };
        let short = || wrong("its stored groupings do not have the dataset's shape");
        let optional =
            |list: &'a Option<Vec<u32>>, width| part(list.as_deref().unwrap_or_default(), number, width);
        let grouping = Self {
            centers: required(&sample.center_indices, number, shape.G).ok_or_else(short)?,
            centroids: part(sample.centers.as_deref().unwrap_or_default().as_chunks().0, number, shape.G)
                .ok_or_else(short)?,
            subset: optional(&sample.subset, shape.N).ok_or_else(short)?,
            counts: part(sample.patch_counts.as_deref().unwrap_or_default(), number, shape.G)
                .ok_or_else(short)?,
            grid: None,
            patches: PatchIndices::Long(
                required(&sample.patch_indices, number, shape.G * shape.K).ok_or_else(short)?,
            ),
        };
        let indices = grouping.centers.iter().chain(grouping.subset);
        let points = (sample.points.len() / 3) as u32;
        match indices.chain(&sample.patch_indices).all(|&index| index < points) {
            true => Ok(grouping),
            false => Err(wrong("its stored groupings hold points that it does not have")),
        }
    }

    /// The edge of the grid that blocks were cut with and the cell of each, found again from the grouping's `points`.
    ///
    /// # Errors
    /// Fails if no grid fits the points.
    pub fn find_cells(
        &self,
        points: &[[f32; 3]],
        shape: ShapeLetters,
        edge: CellEdge,
    ) -> Result<(f32, Vec<[i32; 3]>), jepa3d_grouping::Error> {
        let grid = match self.subset {
            [] => VoxelGrid::fit(points, shape.G, edge)?,
            subset => {
                let part: Vec<[f32; 3]> = subset.iter().map(|&i| points[i as usize]).collect();
                VoxelGrid::fit(&part, shape.G, edge)?
            }
        };
        // Any point of a block tells its cell.
        let first = (0..shape.G).map(|g| points[self.patches.get(g * shape.K)]);
        Ok((grid.edge as f32, first.map(|point| grid.cell(point)).collect()))
    }
}

/// What grouping `number` has of a list of `width` values a grouping; `None` if it is too short.
fn required<T>(list: &[T], number: usize, width: usize) -> Option<&[T]> {
    list.get(number * width..(number + 1) * width)
}

/// As `required`, but nothing of an empty list.
fn part<T>(list: &[T], number: usize, width: usize) -> Option<&[T]> {
    if list.is_empty() { Some(list) } else { required(list, number, width) }
}
