//! Voxel blocks: the occupied cells of a grid as groups, each with at most `K` of its points.
//!
//! Everything is deterministic, and a cloud that is moved (without rounding) keeps its blocks.

use crate::cloud::IndexedCloud;
use crate::error::{Error, Result};
use crate::voxel_grid::{CellEdge, FilledGrid};

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
    let FilledGrid { grid, relative, cells } = FilledGrid::fit(points, groups, edge)?;
    let cells: Vec<VoxelCell> = cells.into_values().map(|points| VoxelCell::new(points, &relative)).collect();
    let kept = choose_cells(&cells, &relative, groups)?;
    let mut blocks = VoxelBlocks {
        center_indices: Vec::with_capacity(kept.len()),
        centers: Vec::with_capacity(kept.len()),
        patch_indices: Vec::with_capacity(kept.len() * size),
        counts: Vec::with_capacity(kept.len()),
        edge: grid.edge,
    };
    for i in kept {
        let cell = &cells[i as usize];
        let nearest = cell.nearest_to_mean(&relative);
        let chosen = cell.choose_points(&relative, nearest, size)?;
        blocks.counts.push(chosen.len() as u16);
        blocks.center_indices.push(cell.points[nearest]);
        blocks.centers.push(grid.absolute(cell.mean));
        blocks.patch_indices.extend(chosen.iter().copied().cycle().take(size));
    }
    Ok(blocks)
}

/// A cell: its points in index order and their mean relative to the lowest corner.
struct VoxelCell {
    points: Vec<u32>,
    mean: [f64; 3],
}

impl VoxelCell {
    fn new(points: Vec<u32>, relative: &[[f64; 3]]) -> Self {
        let mut mean = [0.0; 3];
        for &i in &points {
            for a in 0..3 {
                mean[a] += relative[i as usize][a];
            }
        }
        let mean = mean.map(|s| s / points.len() as f64);
        Self { points, mean }
    }

    /// Place of the point nearest to the mean among the cell's points.
    fn nearest_to_mean(&self, relative: &[[f64; 3]]) -> usize {
        let distance = |at: usize| squared_distance(relative[self.points[at] as usize], self.mean);
        (1..self.points.len()).fold(0, |best, at| if distance(at) < distance(best) { at } else { best })
    }

    /// At most `size` points: all, or a farthest point sample from the one at place `start`.
    fn choose_points(&self, relative: &[[f64; 3]], start: usize, size: usize) -> Result<Vec<u32>> {
        if self.points.len() <= size {
            return Ok(self.points.clone());
        }
        let inside: Vec<[f32; 3]> =
            self.points.iter().map(|&i| relative[i as usize].map(|x| x as f32)).collect();
        let chosen = IndexedCloud::new(&inside)?.farthest_points(size, start as u32)?;
        Ok(chosen.into_iter().map(|at| self.points[at as usize]).collect())
    }
}

/// The cells to keep, in farthest-point order.
fn choose_cells(cells: &[VoxelCell], relative: &[[f64; 3]], groups: usize) -> Result<Vec<u32>> {
    let whole = VoxelCell::new((0..relative.len() as u32).collect(), relative).mean;
    let means: Vec<[f32; 3]> = cells.iter().map(|c| c.mean.map(|x| x as f32)).collect();
    let distance = |i: usize| squared_distance(cells[i].mean, whole);
    let start = (1..cells.len()).fold(0, |best, i| if distance(i) > distance(best) { i } else { best });
    IndexedCloud::new(&means)?.farthest_points(groups.min(cells.len()), start as u32)
}

fn squared_distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (x * x + y * y) + z * z
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::{Noise, voxel_twin};
    use crate::voxel_grid::VoxelGrid;

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
            let twin = voxel_twin(&points, groups, size, blocks.edge);
            assert_eq!((blocks.center_indices, blocks.patch_indices), twin, "seed {seed}");
        }
    }

    #[test]
    fn the_grid_is_that_of_the_blocks() {
        for (seed, edge) in [(1, CellEdge::Auto), (2, CellEdge::Fixed(0.21)), (3, CellEdge::Auto)] {
            let points = cloud(500, seed);
            let blocks = voxel_blocks(&points, 30, 8, edge).unwrap();
            let grid = VoxelGrid::fit(&points, 30, edge).unwrap();
            assert_eq!(grid.edge, blocks.edge);
            let mut cells = Vec::new();
            for (patch, &count) in blocks.patch_indices.chunks_exact(8).zip(&blocks.counts) {
                let cell = |i: &u32| grid.cell(points[*i as usize]);
                assert!(patch.iter().all(|i| cell(i) == cell(&patch[0])), "a block is a cell");
                let members = points.iter().filter(|&&p| grid.cell(p) == cell(&patch[0])).count();
                assert_eq!(members.min(8), usize::from(count));
                cells.push(cell(&patch[0]));
            }
            cells.sort_unstable();
            cells.dedup();
            assert_eq!(cells.len(), blocks.counts.len());
        }
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
