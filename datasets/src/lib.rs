//! Readers of 3D datasets and file formats: one trait, one module a dataset, one module a format.
//!
//! Nothing here samples, normalises or renders: readers hand on raw geometry in the units of
//! the source, with labels, and errors that name the file, what was expected and what was found.

mod config;
mod dataset;
mod error;
mod finite;
mod folder;
pub mod formats;
mod h5_clouds;
mod listed;
mod listing;
mod modelnet;
mod nuscenes;
mod scanobjectnn;
mod shapenet;
mod shapenetpart;
mod synthetic;
#[cfg(test)]
mod test_data;

pub use config::DatasetConfig;
pub use dataset::Dataset;
pub use error::{Error, ParseError, Place, Result};
pub use folder::{Folder, FolderConfig};
pub use modelnet::{ModelNet, ModelNetConfig, ModelNetLayout, ModelNetSet};
pub use nuscenes::{
    LidarSweep, NUSCENES_CAMERAS, NuScenes, NuScenesClasses, NuScenesConfig, NuScenesTable, NuScenesUnit,
    parse_lidar, parse_nuscenes_table,
};
pub use scanobjectnn::{ScanObjectNn, ScanObjectNnConfig, Variant};
pub use shapenet::{ShapeNet, ShapeNetConfig, ShapeNetLayout, Unlisted};
pub use shapenetpart::{ShapeNetPart, ShapeNetPartConfig, ShapeNetPartLayout};
pub use synthetic::{PartName, Synthetic, SyntheticConfig, part_names as synthetic_part_names};
