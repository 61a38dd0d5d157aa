//! The nuScenes reader: keyframes of a lidar with six calibrated cameras, or the annotated objects in them.
//!
//! Opening streams the JSON tables and keeps what an object can need (trainval: 2.6 million rows of
//! files go by, about a tenth stays); an object then costs the reading of its lidar files. Axes: lidar
//! x right, y forward, z up; box x forward, y left, z up; camera x right, y down, z forward; metres.
//! The tree expected on disk, the splits and the licence are described in `README.md` beside this file.

mod box_unit;
mod boxes;
mod broken_row;
mod chain;
mod classes;
mod config;
mod dataset;
mod frames;
mod keyframe_unit;
mod lidar;
mod lidar_cloud;
mod lidarseg;
mod point_labels;
mod pose;
mod recording;
mod rows;
mod sector_unit;
mod splits;
mod stream;
mod sweep_unit;
mod tables;
#[cfg(test)]
mod tests;
mod token;

use std::path::Path;

use self::box_unit::BoxUnit;
use self::dataset::NuScenes;
use self::keyframe_unit::KeyframeUnit;
use self::sector_unit::SectorUnit;
use self::sweep_unit::SweepUnit;
use crate::dataset::Dataset;
use crate::error::Result;

pub use self::config::{NuScenesConfig, NuScenesPointLabels, NuScenesUnit};
pub use self::lidar::parse_lidar;
pub use self::rows::{NuScenesTable, parse_nuscenes_table};

/// Opens the tables of `root/<version>` as a list of keyframes, sectors of them, lidar files or annotated boxes, as
/// [`NuScenesConfig::unit`] says; no lidar file is opened.
///
/// # Errors
/// Fails if a setting has no meaning, a table is missing or malformed, or a token leads nowhere.
pub(crate) fn open_nuscenes(root: &Path, config: &NuScenesConfig) -> Result<Box<dyn Dataset>> {
    Ok(match config.unit {
        NuScenesUnit::Scene => Box::new(NuScenes::<KeyframeUnit>::open(root, config)?),
        NuScenesUnit::Sector => Box::new(NuScenes::<SectorUnit>::open(root, config)?),
        NuScenesUnit::Sweep => Box::new(NuScenes::<SweepUnit>::open(root, config)?),
        NuScenesUnit::Box => Box::new(NuScenes::<BoxUnit>::open(root, config)?),
    })
}
