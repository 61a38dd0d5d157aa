//! Readers of 3D datasets and file formats: one trait, one module a dataset, one module a format.
//!
//! Nothing here samples, normalises or renders: readers hand on raw geometry in the units of
//! the source, with labels, and errors that name the file, what was expected and what was found.
//!
//! A [`DatasetConfig`] names a reader and its settings, and opens it as a [`Dataset`]: a list of
//! objects, each of which is read when it is asked for.
//!
//! ```
//! use std::path::Path;
//!
//! use jepa3d_datasets::{Dataset, DatasetConfig, Error, SyntheticConfig};
//!
//! # fn main() -> Result<(), Error> {
//! let config = SyntheticConfig { count: 6, categories: vec!["mug".to_owned()], ..Default::default() };
//! // The synthetic set needs no folder of raw data; the others look below the one given here.
//! let dataset: Box<dyn Dataset> = DatasetConfig::Synthetic(config).open(Path::new(""))?;
//! assert_eq!(dataset.len(), 6);
//! let object = dataset.get(4)?;
//! assert_eq!((object.id.as_str(), dataset.split(4)), ("mug-000004", "train"));
//! assert_eq!(object.category.as_deref(), Some("mug"));
//! # Ok(())
//! # }
//! ```

mod budget;
mod config;
mod dataset;
mod error;
mod files;
mod finite;
mod folder;
pub mod formats;
mod h5_clouds;
mod listed;
mod listing;
mod modelnet;
mod names;
mod nuscenes;
mod scanobjectnn;
mod shapenet;
mod shapenetpart;
mod split;
mod synthetic;
#[cfg(test)]
mod test_data;
mod walk;

pub use budget::Budget;
pub use config::DatasetConfig;
pub use dataset::Dataset;
pub use error::Error;
pub use nuscenes::{
    NuScenesConfig, NuScenesPointLabels, NuScenesTable, NuScenesUnit, parse_lidar, parse_nuscenes_table,
};
pub use synthetic::SyntheticConfig;
