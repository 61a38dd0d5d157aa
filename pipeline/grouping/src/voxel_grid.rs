//! The grid of voxel blocks: cells of one edge from a cloud's lowest corner.
//!
//! Coordinates are taken relative to that corner, so a cloud that is moved (without rounding) keeps its cells.

use std::collections::BTreeMap;

use crate::cloud::IndexedCloud;
use crate::error::{Error, Result};

/// Edge length of the cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CellEdge {
    /// The first of `E * 2^(-j/4)`, `j = 0..=40`, `E` the longest side of the bounding box, that
    /// gives at least `G` occupied cells.
    Auto,
    /// A fixed length in the units of the cloud; fewer than `G` cells may then be occupied.
    Fixed(f64),
}

/// The grid that blocks are cut with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoxelGrid {
    low: [f64; 3],
    /// Edge of the cells.
    pub edge: f64,
}

impl VoxelGrid {
    /// The grid that [`crate::voxel_blocks()`] cuts `points [N,3]` with, for the same arguments.
    ///
    /// # Errors
    /// Fails if the cloud is empty or not finite, a fixed edge is not positive, or `Auto` finds too few distinct points.
    pub fn fit(points: &[[f32; 3]], groups: usize, edge: CellEdge) -> Result<Self> {
        let filled = FilledGrid::fit(points, groups, edge)?;
        Ok(filled.grid)
    }

    /// The cell that a point lies in.
    pub fn cell(&self, point: [f32; 3]) -> [i32; 3] {
        self.relative(point).map(|x| (x / self.edge) as i32)
    }

    /// A point relative to the cloud's lowest corner.
    fn relative(&self, point: [f32; 3]) -> [f64; 3] {
        std::array::from_fn(|axis| f64::from(point[axis]) - self.low[axis])
    }

    /// Adds the lowest corner to what is relative to it.
    pub(crate) fn absolute(&self, relative: [f64; 3]) -> [f32; 3] {
        std::array::from_fn(|axis| (self.low[axis] + relative[axis]) as f32)
    }
}

/// Points of every occupied cell, in index order, by cell coordinates.
pub(crate) type OccupiedCells = BTreeMap<[u64; 3], Vec<u32>>;

/// A grid with the points of its cloud in it.
pub(crate) struct FilledGrid {
    pub(crate) grid: VoxelGrid,
    /// `[N]` the points, relative to the lowest corner.
    pub(crate) relative: Vec<[f64; 3]>,
    pub(crate) cells: OccupiedCells,
}

impl FilledGrid {
    pub(crate) fn fit(points: &[[f32; 3]], groups: usize, edge: CellEdge) -> Result<Self> {
        if let CellEdge::Fixed(found) = edge
            && !(found > 0.0 && found.is_finite())
        {
            return Err(Error::Edge { found });
        }
        let mut grid =
            IndexedCloud::new(points).map(|_| VoxelGrid { low: lowest_corner(points), edge: 0.0 })?;
        let relative: Vec<[f64; 3]> = points.iter().map(|&p| grid.relative(p)).collect();
        let cells = match edge {
            CellEdge::Fixed(edge) => {
                grid.edge = edge;
                sort_into_cells(&relative, edge)
            }
            CellEdge::Auto => {
                let (edge, cells) = find_edge(&relative, groups)?;
                grid.edge = edge;
                cells
            }
        };
        Ok(Self { grid, relative, cells })
    }
}

fn lowest_corner(points: &[[f32; 3]]) -> [f64; 3] {
    let fold = |a: usize| points.iter().map(|p| f64::from(p[a])).fold(f64::INFINITY, f64::min);
    std::array::from_fn(fold)
}

fn sort_into_cells(relative: &[[f64; 3]], edge: f64) -> OccupiedCells {
    let mut cells = OccupiedCells::new();
    for (p, i) in relative.iter().zip(0..) {
        let key = p.map(|x| (x / edge) as u64);
        cells.entry(key).or_default().push(i);
    }
    cells
}

/// The first edge of the series that gives at least `groups` occupied cells, and these.
fn find_edge(relative: &[[f64; 3]], groups: usize) -> Result<(f64, OccupiedCells)> {
    let longest = relative.iter().flatten().copied().fold(0.0, f64::max);
    let mut most = 1;
    for j in 0..=40 {
        let edge = longest * 2.0f64.powi(-(j / 4)) * QUARTERS[j as usize % 4];
        if edge > 0.0 {
            let cells = sort_into_cells(relative, edge);
            if cells.len() >= groups {
                return Ok((edge, cells));
            }
            most = most.max(cells.len());
        }
    }
    Err(Error::TooFew { what: "occupied cells", expected: groups, found: most })
}

/// `2^(-q/4)`: constants, so that no math library decides a cell.
const QUARTERS: [f64; 4] =
    [1.0, 0.840_896_415_253_714_5, std::f64::consts::FRAC_1_SQRT_2, 0.594_603_557_501_360_5];
