//! Exact farthest point sampling, kNN patches and voxel blocks: slices in, indices out.
//!
//! A leaf crate: the pipeline groups stored clouds with it, the trainer regroups augmented ones.
//! Everything is exact in f32 arithmetic and breaks ties by the lowest index, on any machine:
//! squared distances are `(dx*dx + dy*dy) + dz*dz`, never fused, so the vector width that the
//! processor offers changes the speed and not a bit of the result.
//!
//! ```
//! use jepa3d_grouping::{CellEdge, IndexedCloud, farthest_from_centroid, voxel_blocks};
//!
//! let points: Vec<[f32; 3]> = (0..100).map(|i| [i as f32, 0.0, 0.0]).collect();
//! let mut cloud = IndexedCloud::new(&points)?;
//! let centers = cloud.farthest_points(3, farthest_from_centroid(&points))?;
//! assert_eq!(centers, [0, 99, 49]);
//! assert_eq!(cloud.nearest(&centers[..1], 3)?, [0, 1, 2]);
//!
//! // Cells 30 long: points 0..30, 30..60, 60..90 and 90..100; at most 8 points of each are kept.
//! let blocks = voxel_blocks(&points, 4, 8, CellEdge::Fixed(30.0))?;
//! assert_eq!(blocks.counts, [8, 8, 8, 8]);
//! # Ok::<(), jepa3d_grouping::Error>(())
//! ```

mod candidates;
mod cloud;
mod error;
mod fps;
mod index;
mod isolated;
mod kernels;
mod lanes;
mod limit;
mod nearest;
mod neighbors;
#[cfg(test)]
mod oracle;
mod scan;
mod voxel_blocks;
mod voxel_grid;

pub use cloud::{IndexedCloud, farthest_from_centroid};
pub use error::{Error, Result};
pub use isolated::keep_neighborly;
pub use neighbors::{NeighborRows, NeighborSearch};
pub use voxel_blocks::{VoxelBlocks, voxel_blocks};
pub use voxel_grid::{CellEdge, VoxelGrid};
