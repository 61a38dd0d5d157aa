//! The stored groupings of a row group, checked once so that gathering needs no checks, in as few bytes as fit.

use std::path::Path;

use jepa3d_grouping::CellEdge;
use jepa3d_schemas::{ListColumn, RowGroup, ShapeLetters};

use crate::error::{Result, breach, require_column};
use crate::patches::{BlockGrid, PatchIndices, StoredGrouping};

/// The groupings of the rows: `R` of them, each with `G` patches of `K` points.
pub(super) struct StoredGroupings {
    shape: ShapeLetters,
    /// `[rows,R,G]`.
    centers: Vec<u32>,
    /// `[rows,R,G,K]`.
    patches: IndexColumn,
    /// `[rows,R,N]`, where it was read and a grouping is a part of the cloud.
    subset: Option<ListColumn<u32>>,
    /// `[rows,R,G]`, voxel blocks only.
    counts: Option<Vec<u16>>,
    /// `[rows,R,G,3]`, voxel blocks only.
    centroids: Option<Vec<[f32; 3]>>,
    /// Voxel blocks only.
    grids: Option<BlockGrids>,
}

/// Indices into clouds; 16 bits wherever every cloud has at most 65,536 points.
enum IndexColumn {
    Short(Vec<u16>),
    Long(Vec<u32>),
}

/// Where voxel blocks lie in their grids.
#[derive(Default)]
struct BlockGrids {
    /// `[rows,R,G]`: the cell of a block.
    cells: Vec<[i32; 3]>,
    /// `[rows,R]`: edge of the cells.
    edges: Vec<f32>,
}

impl StoredGroupings {
    /// Takes the columns of groupings out of a row group of the shard `path` whose clouds are `points`.
    ///
    /// # Errors
    /// Fails if a row does not have the dataset's shape, an index is none of a point, or no grid fits blocks; the error
    /// names shard, column and row.
    pub fn take(
        group: &mut RowGroup,
        points: &ListColumn<f32>,
        shape: ShapeLetters,
        path: &Path,
    ) -> Result<Self> {
        let (blocks, neighbors) = (shape.R * shape.G, shape.R * shape.G * shape.K);
        let check = ColumnCheck { path, points };
        let centers = require_column(path, "center_indices", group.center_indices.take())?;
        let patches = require_column(path, "patch_indices", group.patch_indices.take())?;
        check.widths("center_indices", &centers, blocks)?;
        check.widths("patch_indices", &patches, neighbors)?;
        check.indices("center_indices", &centers)?;
        check.indices("patch_indices", &patches)?;
        let subset = drop_null(group.subset.take());
        subset.as_ref().map_or(Ok(()), |subset| check.subset(subset, shape))?;
        let (counts, centroids) = (drop_null(group.patch_counts.take()), drop_null(group.centers.take()));
        counts.as_ref().map_or(Ok(()), |counts| check.widths("patch_counts", counts, blocks))?;
        centroids.as_ref().map_or(Ok(()), |centers| check.widths("centers", centers, blocks * 3))?;
        Ok(Self {
            shape,
            centers: centers.values,
            patches: IndexColumn::pack(patches.values, points),
            subset,
            counts: counts.map(|counts| counts.values),
            centroids: centroids.map(|centers| centers.values.as_chunks().0.to_vec()),
            grids: None,
        })
    }

    /// Grouping `number` of `row`.
    pub fn get(&self, row: usize, number: usize) -> StoredGrouping<'_> {
        let shape = self.shape;
        let at = row * shape.R + number;
        let blocks = at * shape.G..(at + 1) * shape.G;
        let patches = blocks.start * shape.K..blocks.end * shape.K;
        let subset = self.subset.as_ref().and_then(|subset| subset.row(row));
        StoredGrouping {
            centroids: self.centroids.as_ref().map_or(&[], |all| &all[blocks.clone()]),
            counts: self.counts.as_ref().map_or(&[], |all| &all[blocks.clone()]),
            grid: self
                .grids
                .as_ref()
                .map(|grids| BlockGrid { cells: &grids.cells[blocks.clone()], edge: grids.edges[at] }),
            subset: subset.map_or(&[], |all| &all[number * shape.N..][..shape.N]),
            patches: match &self.patches {
                IndexColumn::Short(all) => PatchIndices::Short(&all[patches]),
                IndexColumn::Long(all) => PatchIndices::Long(&all[patches]),
            },
            centers: &self.centers[blocks],
        }
    }

    /// Finds the grids again that the blocks were cut with, from the points of each grouping.
    ///
    /// # Errors
    /// Fails if no grid fits the points of a grouping; the error names shard and row.
    pub fn locate_blocks(&mut self, points: &ListColumn<f32>, edge: CellEdge, path: &Path) -> Result<()> {
        let mut grids = BlockGrids::default();
        for row in 0..points.ends.len() {
            let cloud = points.row(row).unwrap_or_default().as_chunks().0;
            for number in 0..self.shape.R {
                let found = self.get(row, number).find_cells(cloud, self.shape, edge);
                let (edge, cells) = found.map_err(|e| {
                    breach(path, format!("voxel blocks of row {row}"), "points that a grid fits", e)
                })?;
                grids.edges.push(edge);
                grids.cells.extend(cells);
            }
        }
        self.grids = Some(grids);
        Ok(())
    }
}

impl IndexColumn {
    fn pack(indices: Vec<u32>, points: &ListColumn<f32>) -> Self {
        let most = points.ends.iter().scan(0, |start, &end| Some(end - std::mem::replace(start, end))).max();
        match most.unwrap_or(0) <= 3 << 16 {
            true => Self::Short(indices.into_iter().map(|index| index as u16).collect()),
            false => Self::Long(indices),
        }
    }
}

/// A column that is null in every row is none.
fn drop_null<T>(column: Option<ListColumn<T>>) -> Option<ListColumn<T>> {
    column.filter(|column| column.valid.iter().any(|&is_valid| is_valid))
}

/// Checks of columns against the contract.
struct ColumnCheck<'a> {
    path: &'a Path,
    points: &'a ListColumn<f32>,
}

impl ColumnCheck<'_> {
    /// Every row must be there with `width` values.
    fn widths<T>(&self, column: &str, list: &ListColumn<T>, width: usize) -> Result<()> {
        match list.ends.iter().enumerate().find(|&(row, &end)| end != (row + 1) * width) {
            None => Ok(()),
            Some((row, &end)) => {
                let found = end.saturating_sub(row * width);
                let what = format!("column {column}, row {row}");
                Err(breach(self.path, what, format!("{width} values"), found))
            }
        }
    }

    /// Every index must be one of a point of its row.
    fn indices(&self, column: &str, list: &ListColumn<u32>) -> Result<()> {
        let (mut first, mut start) = (0, 0);
        for (row, (&end, &last)) in list.ends.iter().zip(&self.points.ends).enumerate() {
            let count = (last - start) / 3;
            let most = list.values[first..end].iter().fold(0, |most, &index| most.max(index));
            if end > first && most as usize >= count {
                let what = format!("column {column}, row {row}");
                return Err(breach(self.path, what, format!("indices below its {count} points"), most));
            }
            (first, start) = (end, last);
        }
        Ok(())
    }

    /// A subset holds points of its cloud, `N` for each grouping; a row may lack it.
    fn subset(&self, subset: &ListColumn<u32>, shape: ShapeLetters) -> Result<()> {
        let is_short = |row: usize| subset.row(row).is_some_and(|all| all.len() != shape.R * shape.N);
        if let Some(row) = (0..subset.ends.len()).find(|&row| is_short(row)) {
            let expected = format!("{} values or none", shape.R * shape.N);
            return Err(breach(self.path, format!("column subset, row {row}"), expected, "another number"));
        }
        self.indices("subset", subset)
    }
}
