//! Voxel blocks: the occupied cells of a grid as groups, each with at most `K` of its points.
//!
//! The grid starts at the cloud's lowest corner and coordinates are taken relative to it, so a
//! cloud that is moved (without rounding) keeps its blocks. Everything is deterministic.

use std::collections::BTreeMap;

use crate::cloud::Cloud;
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

/// The blocks of a cloud, in farthest-point order of their centroids.
///
/// # Shapes
/// `B` blocks, `B = G` for [`CellEdge::Auto`], `B <= G` for a fixed edge.
#[derive(Clone, Debug, PartialEq)]
pub struct VoxelBlocks {
    /// `[B]` the point nearest to each centroid.
    pub center_indices: Vec<u32>,
    /// `[B,3]` mean of all points of each cell.
    pub centers: Vec<[f32; 3]>,
    /// `[B,K]` points of each block, the first `counts` of them distinct, then repeated cyclically.
    pub patch_indices: Vec<u32>,
    /// `[B]` distinct points of each block.
    pub counts: Vec<u16>,
    /// Edge of the cells.
    pub edge: f64,
}

/// The grid that blocks are cut with: cells of one edge from the cloud's lowest corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoxelGrid {
    low: [f64; 3],
    /// Edge of the cells.
    pub edge: f64,
}

impl VoxelGrid {
    /// The grid of [`voxel_blocks`] with the same arguments.
    ///
    /// # Errors
    /// As there.
    pub fn of(points: &[[f32; 3]], groups: usize, edge: CellEdge) -> Result<Self> {
        let (low, relative) = from_corner(points, edge)?;
        let edge = match edge {
            CellEdge::Fixed(edge) => edge,
            CellEdge::Auto => search(&relative, groups)?.0,
        };
        Ok(Self { low, edge })
    }

    /// The cell that a point lies in.
    pub fn cell(&self, point: [f32; 3]) -> [i32; 3] {
        std::array::from_fn(|a| ((f64::from(point[a]) - self.low[a]) / self.edge) as i32)
    }
}

/// A cell: its points in index order and their mean relative to the lowest corner.
struct Cell {
    points: Vec<u32>,
    mean: [f64; 3],
}

/// Groups `points [N,3]` into at most `groups` voxel blocks of `size` points each.
///
/// Of more occupied cells than `groups`, those are kept that farthest point sampling of the
/// centroids chooses, started at the one farthest from the cloud's mean. Of more points than
/// `size` in a cell, farthest point sampling keeps `size`, started at the one nearest to the
/// centroid. All ties go to the lowest index; cells are indexed by (x, y, z).
///
/// # Errors
/// Fails if the cloud is empty or not finite, a fixed edge is not positive, `size` exceeds 65,535, or `Auto` finds too
/// few distinct points.
pub fn voxel_blocks(points: &[[f32; 3]], groups: usize, size: usize, edge: CellEdge) -> Result<VoxelBlocks> {
    if size > usize::from(u16::MAX) {
        return Err(Error::BlockSize { found: size });
    }
    let (low, relative) = from_corner(points, edge)?;
    let (edge, cells) = match edge {
        CellEdge::Fixed(edge) => (edge, cells(&relative, edge)),
        CellEdge::Auto => search(&relative, groups)?,
    };
    let cells: Vec<Cell> = cells.into_values().map(|points| cell(points, &relative)).collect();
    let kept = keep(&cells, &relative, groups)?;
    let mut blocks = VoxelBlocks {
        center_indices: Vec::with_capacity(kept.len()),
        centers: Vec::with_capacity(kept.len()),
        patch_indices: Vec::with_capacity(kept.len() * size),
        counts: Vec::with_capacity(kept.len()),
        edge,
    };
    for i in kept {
        blocks.push(&cells[i as usize], &relative, (low, size))?;
    }
    Ok(blocks)
}

/// The lowest corner, and all points relative to it.
fn from_corner(points: &[[f32; 3]], edge: CellEdge) -> Result<([f64; 3], Vec<[f64; 3]>)> {
    if let CellEdge::Fixed(found) = edge
        && !(found > 0.0 && found.is_finite())
    {
        return Err(Error::Edge { found });
    }
    let low = Cloud::new(points).map(|_| lowest_corner(points))?;
    let relative = |p: &[f32; 3]| std::array::from_fn(|a| f64::from(p[a]) - low[a]);
    Ok((low, points.iter().map(relative).collect()))
}

fn lowest_corner(points: &[[f32; 3]]) -> [f64; 3] {
    let fold = |a: usize| points.iter().map(|p| f64::from(p[a])).fold(f64::INFINITY, f64::min);
    std::array::from_fn(fold)
}

/// Points of every occupied cell, in index order, by cell coordinates.
type Cells = BTreeMap<[u64; 3], Vec<u32>>;

fn cells(relative: &[[f64; 3]], edge: f64) -> Cells {
    let mut cells = Cells::new();
    for (p, i) in relative.iter().zip(0..) {
        let key = p.map(|x| (x / edge) as u64);
        cells.entry(key).or_default().push(i);
    }
    cells
}

fn search(relative: &[[f64; 3]], groups: usize) -> Result<(f64, Cells)> {
    let longest = relative.iter().flatten().copied().fold(0.0, f64::max);
    let mut most = 1;
    for j in 0..=40 {
        let edge = longest * 2.0f64.powi(-(j / 4)) * QUARTERS[j as usize % 4];
        if edge > 0.0 {
            let cells = cells(relative, edge);
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

fn cell(points: Vec<u32>, relative: &[[f64; 3]]) -> Cell {
    let mut mean = [0.0; 3];
    for &i in &points {
        for a in 0..3 {
            mean[a] += relative[i as usize][a];
        }
    }
    let mean = mean.map(|s| s / points.len() as f64);
    Cell { points, mean }
}

/// The cells to keep, in farthest-point order.
fn keep(cells: &[Cell], relative: &[[f64; 3]], groups: usize) -> Result<Vec<u32>> {
    let whole = cell((0..relative.len() as u32).collect(), relative).mean;
    let means: Vec<[f32; 3]> = cells.iter().map(|c| c.mean.map(|x| x as f32)).collect();
    let mut start = 0;
    for i in 0..cells.len() {
        if squared_distance(cells[i].mean, whole) > squared_distance(cells[start].mean, whole) {
            start = i;
        }
    }
    Cloud::new(&means)?.farthest_points(groups.min(cells.len()), start as u32)
}

fn squared_distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (x * x + y * y) + z * z
}

impl VoxelBlocks {
    fn push(&mut self, cell: &Cell, relative: &[[f64; 3]], (low, size): ([f64; 3], usize)) -> Result<()> {
        let distance = |at: usize| squared_distance(relative[cell.points[at] as usize], cell.mean);
        let mut nearest = 0;
        for at in 0..cell.points.len() {
            if distance(at) < distance(nearest) {
                nearest = at;
            }
        }
        let chosen: Vec<u32> = if cell.points.len() > size {
            let inside: Vec<[f32; 3]> =
                cell.points.iter().map(|&i| relative[i as usize].map(|x| x as f32)).collect();
            let picked = Cloud::new(&inside)?.farthest_points(size, nearest as u32)?;
            picked.into_iter().map(|at| cell.points[at as usize]).collect()
        } else {
            cell.points.clone()
        };
        self.counts.push(chosen.len() as u16);
        self.center_indices.push(cell.points[nearest]);
        self.centers.push(std::array::from_fn(|a| (low[a] + cell.mean[a]) as f32));
        self.patch_indices.extend(chosen.iter().copied().cycle().take(size));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Noise;

    fn cloud(n: usize, seed: u64) -> Vec<[f32; 3]> {
        let mut noise = Noise::new(seed);
        // Multiples of 2^-10: moving them by whole numbers is exact in f32.
        (0..n).map(|_| noise.point().map(|x| (x * 1024.0).round() / 1024.0)).collect()
    }

    #[test]
    fn blocks_are_the_points_of_their_cells() {
        for seed in 0..12 {
            let points = cloud(700, seed);
            let (groups, size) = (24, 16);
            let blocks = voxel_blocks(&points, groups, size, CellEdge::Auto).unwrap();
            assert_eq!((blocks.counts.len(), blocks.patch_indices.len()), (groups, groups * size));
            let low: [f32; 3] = std::array::from_fn(|a| points.iter().map(|p| p[a]).fold(f32::MAX, f32::min));
            let key = |i: u32| {
                (0..3)
                    .map(|a| (f64::from(points[i as usize][a] - low[a]) / blocks.edge) as u64)
                    .collect::<Vec<_>>()
            };
            let mut seen = Vec::new();
            for g in 0..groups {
                let patch = &blocks.patch_indices[g * size..(g + 1) * size];
                let count = blocks.counts[g] as usize;
                let cell = key(patch[0]);
                let members: Vec<u32> = (0..points.len() as u32).filter(|&i| key(i) == cell).collect();
                assert_eq!(count, members.len().min(size), "a block holds its whole cell or is full");
                assert!(patch.iter().all(|i| members.contains(i)));
                let mut distinct = patch[..count].to_vec();
                distinct.sort_unstable();
                distinct.dedup();
                assert_eq!(distinct.len(), count);
                assert!((count..size).all(|i| patch[i] == patch[i % count]), "repeats are cyclic");
                for a in 0..3 {
                    let mean = members.iter().map(|&i| f64::from(points[i as usize][a])).sum::<f64>()
                        / members.len() as f64;
                    assert!((mean - f64::from(blocks.centers[g][a])).abs() < 1e-6);
                }
                assert!(!seen.contains(&cell), "no cell twice");
                seen.push(cell);
            }
        }
    }

    #[test]
    fn order_and_choice_are_those_of_the_definition() {
        for seed in 0..6 {
            let (points, groups, size) = (cloud(900, seed), 20, 6);
            let blocks = voxel_blocks(&points, groups, size, CellEdge::Auto).unwrap();
            let twin = twin(&points, (groups, size), blocks.edge);
            assert_eq!((blocks.center_indices, blocks.patch_indices), twin, "seed {seed}");
        }
    }

    #[test]
    fn the_grid_is_that_of_the_blocks() {
        for (seed, edge) in [(1, CellEdge::Auto), (2, CellEdge::Fixed(0.21)), (3, CellEdge::Auto)] {
            let points = cloud(500, seed);
            let blocks = voxel_blocks(&points, 30, 8, edge).unwrap();
            let grid = VoxelGrid::of(&points, 30, edge).unwrap();
            assert_eq!(grid.edge, blocks.edge);
            let mut cells = Vec::new();
            for (patch, &count) in blocks.patch_indices.chunks_exact(8).zip(&blocks.counts) {
                let of = |i: &u32| grid.cell(points[*i as usize]);
                assert!(patch.iter().all(|i| of(i) == of(&patch[0])), "a block is a cell");
                let members = points.iter().filter(|&&p| grid.cell(p) == of(&patch[0])).count();
                assert_eq!(members.min(8), usize::from(count));
                cells.push(of(&patch[0]));
            }
            cells.sort_unstable();
            cells.dedup();
            assert_eq!(cells.len(), blocks.counts.len());
        }
    }

    /// Nearest points and patches by linear scans over a plain list of cells.
    fn twin(points: &[[f32; 3]], (groups, size): (usize, usize), edge: f64) -> (Vec<u32>, Vec<u32>) {
        let low: [f64; 3] =
            std::array::from_fn(|a| points.iter().map(|p| f64::from(p[a])).fold(f64::MAX, f64::min));
        let relative =
            |i: u32| -> [f64; 3] { std::array::from_fn(|a| f64::from(points[i as usize][a]) - low[a]) };
        let all: Vec<u32> = (0..points.len() as u32).collect();
        let mut keys: Vec<[u64; 3]> = all.iter().map(|&i| relative(i).map(|x| (x / edge) as u64)).collect();
        let key_of = keys.clone();
        keys.sort_unstable();
        keys.dedup();
        let members = |key: &[u64; 3]| -> Vec<u32> {
            all.iter().copied().filter(|&i| key_of[i as usize] == *key).collect()
        };
        let mean = |ids: &[u32]| -> [f64; 3] {
            std::array::from_fn(|a| ids.iter().map(|&i| relative(i)[a]).sum::<f64>() / ids.len() as f64)
        };
        let cells: Vec<Vec<u32>> = keys.iter().map(members).collect();
        let means: Vec<[f64; 3]> = cells.iter().map(|ids| mean(ids)).collect();
        let whole = mean(&all);
        let first_best = |n: usize, score: &dyn Fn(usize) -> f64| {
            (0..n).fold(0, |best, i| if score(i) > score(best) { i } else { best })
        };
        let start = first_best(cells.len(), &|i| squared_distance(means[i], whole));
        let rounded: Vec<[f32; 3]> = means.iter().map(|m| m.map(|x| x as f32)).collect();
        let (mut centers, mut patches) = (Vec::new(), Vec::new());
        for c in crate::oracle::farthest_points(&rounded, groups, start as u32) {
            let ids = &cells[c as usize];
            let near = first_best(ids.len(), &|i| -squared_distance(relative(ids[i]), means[c as usize]));
            centers.push(ids[near]);
            let inside: Vec<[f32; 3]> = ids.iter().map(|&i| relative(i).map(|x| x as f32)).collect();
            let chosen: Vec<u32> = if ids.len() > size {
                crate::oracle::farthest_points(&inside, size, near as u32)
                    .iter()
                    .map(|&i| ids[i as usize])
                    .collect()
            } else {
                ids.clone()
            };
            patches.extend((0..size).map(|i| chosen[i % chosen.len()]));
        }
        (centers, patches)
    }

    #[test]
    fn the_edge_is_the_first_of_the_series_with_enough_cells() {
        let points = cloud(500, 3);
        let edge = voxel_blocks(&points, 30, 8, CellEdge::Auto).unwrap().edge;
        let coarser = edge * 2.0f64.powf(0.25);
        let blocks = voxel_blocks(&points, 500, 8, CellEdge::Fixed(coarser)).unwrap();
        assert!(blocks.counts.len() < 30, "the next coarser grid has {} cells", blocks.counts.len());
    }

    #[test]
    fn a_moved_cloud_has_the_same_blocks() {
        let points = cloud(600, 5);
        let moved: Vec<[f32; 3]> = points.iter().map(|p| [p[0] + 64.0, p[1] - 32.0, p[2] + 7.0]).collect();
        for edge in [CellEdge::Auto, CellEdge::Fixed(0.3)] {
            let (a, b) =
                (voxel_blocks(&points, 40, 8, edge).unwrap(), voxel_blocks(&moved, 40, 8, edge).unwrap());
            assert_eq!((a.patch_indices, a.counts, a.edge), (b.patch_indices, b.counts, b.edge));
        }
    }

    #[test]
    fn too_few_distinct_points_are_an_error_and_a_fixed_edge_gives_fewer_blocks() {
        let error = voxel_blocks(&[[1.0; 3]; 50], 4, 8, CellEdge::Auto).unwrap_err().to_string();
        assert_eq!(error, "expected at least 4 occupied cells, found 1");
        let blocks = voxel_blocks(&[[1.0; 3]; 50], 4, 8, CellEdge::Fixed(0.5)).unwrap();
        assert_eq!((blocks.counts, blocks.center_indices), (vec![8], vec![0]));
        let error = voxel_blocks(&[[1.0; 3]], 1, 1, CellEdge::Fixed(-0.5)).unwrap_err().to_string();
        assert_eq!(error, "expected a positive cell edge, found -0.5");
        let error = voxel_blocks(&[[1.0; 3]], 1, 70_000, CellEdge::Auto).unwrap_err().to_string();
        assert_eq!(error, "expected at most 65535 points per block, found 70000");
    }
}
