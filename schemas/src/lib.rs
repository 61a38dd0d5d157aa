//! The contract of jepa3d: plain types, their Arrow columns, Parquet shards, manifest and seeds.
//!
//! Everything that crosses a crate boundary is defined here: readers produce [`Object`]s, the
//! pipeline turns them into samples and shards, the trainer reads shards. No other crate
//! names a Parquet type.

mod camera;
mod geometry;
mod object;
mod seed;

pub use camera::Camera;
pub use geometry::{Material, Mesh, NO_INDEX, PointCloud, Texture};
pub use object::{Object, Photo, Shape, UpAxis};
pub use seed::{Draws, derive_seed, source_hash};
