//! A decoded row group, checked once so that gathering needs no checks, in as few bytes as fit.

use std::ops::Range;

use jepa3d_grouping::{CellEdge, VoxelGrid};
use jepa3d_schemas::{Error as DataError, ListColumn, RowGroup, ShapeLetters, ShardReader};

use super::LoaderConfig;
use super::view_rows::ViewRows;
use crate::augment::PatchesFrom;
use crate::dataset::{PreparedDataset, RowGroupAt};
use crate::error::Result;

/// The columns that `config` needs, and no others; the grid of voxel blocks follows from the points of a grouping.
pub(super) fn columns(config: &LoaderConfig, has_blocks: bool) -> Vec<&'static str> {
    let mut columns = vec!["sample_id", "label", "points"];
    if config.patches_from == PatchesFrom::Shard {
        columns.extend(["center_indices", "patch_indices", "patch_counts", "centers"]);
        if config.augment.normalize || has_blocks {
            columns.push("subset");
        }
    }
    columns
}

/// Indices into clouds; 16 bits wherever every cloud has at most 65,536 points.
pub(super) enum Indices {
    Short(Vec<u16>),
    Long(Vec<u32>),
}

impl Indices {
    pub(super) fn at(&self, at: usize) -> usize {
        match self {
            Self::Short(all) => usize::from(all[at]),
            Self::Long(all) => all[at] as usize,
        }
    }
}

/// The groupings of the rows: `R` of them, each with `G` patches of `K` points.
pub(super) struct Groupings {
    /// `[rows,R,G]`.
    pub centers: Vec<u32>,
    /// `[rows,R,G,K]`.
    pub patches: Indices,
    /// `[rows,R,N]`, where it was read and a grouping is a part of the cloud.
    pub subset: Option<ListColumn<u32>>,
    /// `[rows,R,G]`, voxel blocks only.
    pub counts: Option<Vec<u16>>,
    /// `[rows,R,G,3]`, voxel blocks only.
    pub centroids: Option<Vec<[f32; 3]>>,
    /// Voxel blocks only.
    pub grids: Option<Grids>,
}

/// Where voxel blocks lie in their grids.
pub(super) struct Grids {
    /// `[rows,R,G]`: the cell of a block.
    cells: Vec<[i32; 3]>,
    /// `[rows,R]`: edge of the cells.
    edges: Vec<f32>,
}

/// One grouping of one row, all `G` centers and `K` points a patch of it.
pub(super) struct Grouping<'a> {
    /// `[G]`.
    pub centers: &'a [u32],
    /// `[G,3]`, empty unless the centers are centroids.
    pub centroids: &'a [[f32; 3]],
    /// `[N]`, empty if all points belong to it, or if it was not read.
    pub subset: &'a [u32],
    /// `[G]`, voxel blocks only.
    pub counts: Option<&'a [u16]>,
    /// Cells `[G]` and their edge, voxel blocks only.
    pub grid: Option<(&'a [[i32; 3]], f32)>,
    /// Where its patches lie in [`Groupings::patches`], `[G,K]`.
    pub patches: Range<usize>,
}

impl Groupings {
    /// Grouping `number` of `row`.
    pub fn of(&self, row: usize, number: usize, shape: ShapeLetters) -> Grouping<'_> {
        let at = row * shape.R + number;
        let blocks = at * shape.G..(at + 1) * shape.G;
        let subset = self.subset.as_ref().and_then(|subset| subset.row(row));
        Grouping {
            patches: blocks.start * shape.K..blocks.end * shape.K,
            centroids: self.centroids.as_ref().map_or(&[], |all| &all[blocks.clone()]),
            counts: self.counts.as_ref().map(|all| &all[blocks.clone()]),
            grid: self.grids.as_ref().map(|grids| (&grids.cells[blocks.clone()], grids.edges[at])),
            subset: subset.map_or(&[], |all| &all[number * shape.N..][..shape.N]),
            centers: &self.centers[blocks],
        }
    }
}

/// What a row group holds of the columns that were asked for.
pub(super) struct Decoded {
    pub rows: usize,
    pub sample_ids: Vec<String>,
    pub labels: Vec<Option<i32>>,
    /// Coordinates of all rows, and where each row ends among them.
    points: Vec<f32>,
    ends: Vec<usize>,
    /// Absent when patches are made online.
    pub groupings: Option<Groupings>,
    /// Where views are asked for.
    pub views: Option<ViewRows>,
}

impl Decoded {
    /// The cloud of a row, `[S,3]`.
    pub fn points(&self, row: usize) -> &[[f32; 3]] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        self.points[start..self.ends[row]].as_chunks::<3>().0
    }

    /// Reads and checks a row group of `dataset`, the bytes of its shard before.
    ///
    /// # Errors
    /// Fails if the shard is not the one that was prepared, does not decode, or a row does not have
    /// the dataset's shape; the error names the shard.
    pub fn read(
        dataset: &PreparedDataset,
        at: RowGroupAt,
        (columns, has_views): (&[&str], bool),
    ) -> Result<Self> {
        let path = dataset.shard_path(at.shard);
        let mut group = ShardReader::open(&path)?.read_row_group(at.index, columns)?;
        let wrong = |(what, expected, found): Wrong| DataError::contract(&path, what, expected, found);
        let points = group.points.take().ok_or_else(|| wrong(absent("points")))?;
        let mut groupings = match columns.contains(&"patch_indices") {
            true => Some(groupings(&mut group, &points, dataset.shape()).map_err(wrong)?),
            false => None,
        };
        if let Some(&end) = points.ends.iter().find(|&&end| end % 3 != 0) {
            return Err(wrong(("points".into(), "three coordinates a point".into(), end.to_string())).into());
        }
        if let (Some(groupings), Some(edge)) = (&mut groupings, dataset.cell_edge()) {
            let grids = Grids::of(groupings, &points, dataset.shape(), edge);
            groupings.grids = Some(grids.map_err(wrong)?);
        }
        let sample_ids = group.sample_id.ok_or_else(|| wrong(absent("sample_id")))?;
        let mut views = None;
        if has_views {
            views = Some(ViewRows::read(dataset, (at.shard, at.index), &sample_ids)?);
        }
        Ok(Self {
            rows: group.rows,
            sample_ids,
            views,
            labels: group.label.ok_or_else(|| wrong(absent("label")))?,
            points: points.values,
            ends: points.ends,
            groupings,
        })
    }
}

/// What, expected, found.
pub(super) type Wrong = (String, String, String);

pub(super) fn absent(column: &str) -> Wrong {
    (format!("column {column}"), "values".into(), "none".into())
}

fn groupings(
    group: &mut RowGroup,
    points: &ListColumn<f32>,
    shape: ShapeLetters,
) -> Result<Groupings, Wrong> {
    let centers = group.center_indices.take().ok_or_else(|| absent("center_indices"))?;
    let patches = group.patch_indices.take().ok_or_else(|| absent("patch_indices"))?;
    let (blocks, neighbors) = (shape.R * shape.G, shape.R * shape.G * shape.K);
    check_widths("center_indices", &centers, blocks)?;
    check_widths("patch_indices", &patches, neighbors)?;
    check_indices("center_indices", &centers, points)?;
    check_indices("patch_indices", &patches, points)?;
    let subset = group.subset.take().filter(|subset| subset.valid.iter().any(|&valid| valid));
    if let Some(subset) = &subset {
        let is_short = |row: usize| subset.row(row).is_some_and(|all| all.len() != shape.R * shape.N);
        if let Some(row) = (0..subset.ends.len()).find(|&row| is_short(row)) {
            let expected = format!("{} values or none", shape.R * shape.N);
            return Err((format!("column subset, row {row}"), expected, "another number".into()));
        }
        check_indices("subset", subset, points)?;
    }
    let counts = group.patch_counts.take().filter(|counts| counts.valid.iter().any(|&valid| valid));
    let centroids = group.centers.take().filter(|centers| centers.valid.iter().any(|&valid| valid));
    counts.as_ref().map_or(Ok(()), |counts| check_widths("patch_counts", counts, blocks))?;
    centroids.as_ref().map_or(Ok(()), |centers| check_widths("centers", centers, blocks * 3))?;
    let most = points.ends.iter().scan(0, |start, &end| Some(end - std::mem::replace(start, end))).max();
    let patches = if most.unwrap_or(0) <= 3 << 16 {
        Indices::Short(patches.values.into_iter().map(|index| index as u16).collect())
    } else {
        Indices::Long(patches.values)
    };
    Ok(Groupings {
        centers: centers.values,
        patches,
        subset,
        counts: counts.map(|counts| counts.values),
        centroids: centroids.map(|centers| centers.values.as_chunks::<3>().0.to_vec()),
        grids: None,
    })
}

impl Grids {
    /// The grids that the blocks were cut with: found again from the points of each grouping.
    fn of(
        groupings: &Groupings,
        points: &ListColumn<f32>,
        shape: ShapeLetters,
        edge: CellEdge,
    ) -> Result<Self, Wrong> {
        let (mut found, rows) = (Self { cells: Vec::new(), edges: Vec::new() }, points.ends.len());
        let mut part = Vec::new();
        for (row, number) in (0..rows).flat_map(|row| (0..shape.R).map(move |number| (row, number))) {
            let all = points.row(row).unwrap_or_default().as_chunks::<3>().0;
            let grouping = groupings.of(row, number, shape);
            part.clear();
            match grouping.subset {
                [] => part.extend_from_slice(all),
                subset => part.extend(subset.iter().map(|&i| all[i as usize])),
            }
            let grid = VoxelGrid::fit(&part, shape.G, edge).map_err(|e| {
                (format!("voxel blocks of row {row}"), "points that a grid fits".to_owned(), e.to_string())
            })?;
            found.edges.push(grid.edge as f32);
            let first = grouping.patches.step_by(shape.K);
            found.cells.extend(first.map(|at| grid.cell(all[groupings.patches.at(at)])));
        }
        Ok(found)
    }
}

/// Every row must be there with `width` values.
fn check_widths<T>(column: &str, list: &ListColumn<T>, width: usize) -> Result<(), Wrong> {
    match list.ends.iter().enumerate().find(|&(row, &end)| end != (row + 1) * width) {
        None => Ok(()),
        Some((row, &end)) => {
            let found = end.saturating_sub(row * width);
            Err((format!("column {column}, row {row}"), format!("{width} values"), found.to_string()))
        }
    }
}

/// Every index must be one of a point of its row.
fn check_indices(column: &str, list: &ListColumn<u32>, points: &ListColumn<f32>) -> Result<(), Wrong> {
    let (mut first, mut start) = (0, 0);
    for (row, (&end, &last)) in list.ends.iter().zip(&points.ends).enumerate() {
        let count = (last - start) / 3;
        let most = list.values[first..end].iter().fold(0, |most, &index| most.max(index));
        if end > first && most as usize >= count {
            let expected = format!("indices below its {count} points");
            return Err((format!("column {column}, row {row}"), expected, most.to_string()));
        }
        (first, start) = (end, last);
    }
    Ok(())
}
