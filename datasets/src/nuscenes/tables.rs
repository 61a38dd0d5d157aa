//! Defines the small tables in memory and how the folder of tables is read.
//!
//! Order matters: a large table is read when the small ones it points to are known, so that each of
//! its rows is kept or dropped at once. Rows refer to each other by number; tokens are dropped.
//! A token that leads nowhere is an error that names the table, its row and the token: it means that
//! the tables are damaged or of different versions, and then no object can be trusted.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::broken_row::BrokenRow;
use super::config::NuScenesConfig;
use super::pose::Pose;
use super::rows::{CalibratedSensorRow, NuScenesTable, SampleRow, SceneRow, SensorRow};
use super::stream::{stream_all_rows, stream_rows};
use super::token::{Token, TokenIndex};
use crate::error::{Error, FilePlace, ParseError, Result};
use crate::files::{is_file, is_folder, open_file};

/// A row number that means "none".
pub(super) const NO_ROW: u32 = u32::MAX;

/// The lidar on the roof.
pub(super) const LIDAR: &str = "LIDAR_TOP";

/// The folder `<root>/<version>` with its JSON files.
pub(super) struct TableFolder {
    folder: PathBuf,
    version: String,
}

impl TableFolder {
    /// The folder of tables of a version below `root`.
    ///
    /// # Errors
    /// Fails if there is no such folder.
    pub(super) fn open(root: &Path, version: &str) -> Result<Self> {
        let folder = root.join(version);
        if is_folder(&folder)? {
            return Ok(Self { folder, version: version.to_owned() });
        }
        let expected = format!(
            "the folder of tables that dataset.version = {version:?} names; it comes with the metadata archive \
             of that version from www.nuscenes.org, and samples/ and sweeps/ lie beside it"
        );
        Err(Error::Missing { path: folder, expected })
    }

    /// Path of a table.
    pub(super) fn path(&self, table: NuScenesTable) -> PathBuf {
        self.folder.join(table.name()).with_extension("json")
    }

    /// Whether a table is there.
    ///
    /// # Errors
    /// Fails if the machine does.
    pub(super) fn has(&self, table: NuScenesTable) -> Result<bool> {
        is_file(&self.path(table))
    }

    /// Hands each row of a table and its number to `each`; returns the number of rows.
    ///
    /// # Errors
    /// Fails if the file is missing or malformed, or `each` refuses a row.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        table: NuScenesTable,
        each: impl FnMut(usize, T) -> Result<(), ParseError>,
    ) -> Result<usize> {
        stream_rows(self.open_table(table)?, each).map_err(|e| e.in_file(&self.path(table)))
    }

    /// Hands each row of a table to `each` as [`TableFolder::read`] does, also those without the columns of `T`.
    ///
    /// # Errors
    /// Fails if the file is missing or no table, or `each` refuses a row.
    pub(super) fn read_all<T: DeserializeOwned>(
        &self,
        table: NuScenesTable,
        each: impl FnMut(usize, Result<T, BrokenRow>) -> Result<(), ParseError>,
    ) -> Result<usize> {
        stream_all_rows(self.open_table(table)?, each).map_err(|e| e.in_file(&self.path(table)))
    }

    fn open_table(&self, table: NuScenesTable) -> Result<File> {
        let expected = || {
            let (name, version) = (table.name(), &self.version);
            format!(
                "table {name} of nuScenes {version}, from the metadata archive of that version at www.nuscenes.org"
            )
        };
        let (file, _) = open_file(&self.path(table)).map_err(|e| e.or_missing(expected))?;
        Ok(file)
    }

    /// A problem of a table as a whole.
    pub(super) fn problem(&self, table: NuScenesTable, expected: String, found: &str) -> Error {
        ParseError::file(expected, found).in_file(&self.path(table))
    }
}

/// A keyframe: a row of `sample`.
pub(super) struct Keyframe {
    pub(super) token: Token,
    /// Microseconds since 1970.
    pub(super) timestamp: u64,
    /// Row of its scene.
    pub(super) scene: u32,
    /// Row of its lidar frame.
    pub(super) lidar: u32,
    /// Token of its lidar file.
    pub(super) lidar_token: Token,
}

/// What a row of `sample_data` was recorded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// `LIDAR_TOP`.
    Lidar,
    /// A camera that was asked for, by its place in that list.
    Camera(u32),
    /// Anything else.
    Other,
}

/// Focal lengths and principal point in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Intrinsics {
    pub(super) fx: f64,
    pub(super) fy: f64,
    pub(super) cx: f64,
    pub(super) cy: f64,
}

/// A sensor as mounted for one drive.
pub(super) struct Calibration {
    pub(super) channel: Channel,
    /// Places the sensor in the ego frame.
    pub(super) ego_from_sensor: Pose,
    /// For the cameras that were asked for.
    pub(super) intrinsics: Option<Intrinsics>,
}

/// The tables whose size is that of the number of scenes or keyframes.
pub(super) struct SmallTables {
    pub(super) scenes: Vec<String>,
    pub(super) keyframes: Vec<Keyframe>,
    pub(super) keyframe_rows: TokenIndex,
    pub(super) calibrations: Vec<Calibration>,
    pub(super) calibration_rows: TokenIndex,
}

impl SmallTables {
    /// Reads `scene`, `sample`, `sensor` and `calibrated_sensor`.
    ///
    /// # Errors
    /// Fails if a table is missing or malformed, a token leads nowhere, or a camera of the config
    /// is not in `sensor`.
    pub(super) fn read(folder: &TableFolder, config: &NuScenesConfig) -> Result<Self> {
        let (scenes, scene_rows) = read_scenes(folder)?;
        let (keyframes, keyframe_rows) = read_keyframes(folder, &scene_rows)?;
        let (channels, sensor_rows) = read_channels(folder, config)?;
        let (mut calibrations, mut calibration_rows) = (Vec::new(), TokenIndex::default());
        folder.read(NuScenesTable::CalibratedSensor, |row, r: CalibratedSensorRow| {
            calibration_rows.insert(r.token, calibrations.len() as u32, row)?;
            let channel = channels[sensor_rows.resolve(r.sensor_token, "sensor", row)? as usize];
            calibrations.push(read_calibration(channel, &r, row)?);
            Ok(())
        })?;
        Ok(Self { scenes, keyframes, keyframe_rows, calibrations, calibration_rows })
    }
}

fn read_scenes(folder: &TableFolder) -> Result<(Vec<String>, TokenIndex)> {
    let (mut scenes, mut rows) = (Vec::new(), TokenIndex::default());
    folder.read(NuScenesTable::Scene, |row, r: SceneRow| {
        rows.insert(r.token, scenes.len() as u32, row)?;
        scenes.push(r.name);
        Ok(())
    })?;
    Ok((scenes, rows))
}

fn read_keyframes(folder: &TableFolder, scene_rows: &TokenIndex) -> Result<(Vec<Keyframe>, TokenIndex)> {
    let (mut keyframes, mut rows) = (Vec::new(), TokenIndex::default());
    folder.read(NuScenesTable::Sample, |row, r: SampleRow| {
        rows.insert(r.token, keyframes.len() as u32, row)?;
        let scene = scene_rows.resolve(r.scene_token, "scene", row)?;
        let SampleRow { token, timestamp, .. } = r;
        keyframes.push(Keyframe { token, timestamp, scene, lidar: NO_ROW, lidar_token: Token::NONE });
        Ok(())
    })?;
    Ok((keyframes, rows))
}

fn read_channels(folder: &TableFolder, config: &NuScenesConfig) -> Result<(Vec<Channel>, TokenIndex)> {
    let (mut channels, mut rows, mut names) = (Vec::new(), TokenIndex::default(), Vec::new());
    folder.read(NuScenesTable::Sensor, |row, r: SensorRow| {
        rows.insert(r.token, channels.len() as u32, row)?;
        let camera = config.cameras.iter().position(|name| *name == r.channel);
        channels.push(match camera {
            Some(place) => Channel::Camera(place as u32),
            None if r.channel == LIDAR => Channel::Lidar,
            None => Channel::Other,
        });
        names.push(r.channel);
        Ok(())
    })?;
    match config.cameras.iter().find(|name| !names.contains(name) || *name == LIDAR) {
        None => Ok((channels, rows)),
        Some(name) => {
            let expected = format!("cameras of sensor.json, which has {}", names.join(", "));
            Err(Error::Config { key: "cameras", expected, found: format!("{name:?}") })
        }
    }
}

fn read_calibration(
    channel: Channel,
    r: &CalibratedSensorRow,
    row: usize,
) -> Result<Calibration, ParseError> {
    let ego_from_sensor = Pose::new(r.rotation, r.translation, row)?;
    let intrinsics = match channel {
        Channel::Camera(_) => Some(read_intrinsics(&r.camera_intrinsic, row)?),
        Channel::Lidar | Channel::Other => None,
    };
    Ok(Calibration { channel, ego_from_sensor, intrinsics })
}

/// Reads `[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`; a skewed or flipped camera is refused.
fn read_intrinsics(matrix: &[Vec<f64>], row: usize) -> Result<Intrinsics, ParseError> {
    if let [a, b, c] = matrix
        && let (&[fx, skew, cx], &[zero, fy, cy], [0.0, 0.0, 1.0]) = (&a[..], &b[..], &c[..])
        && skew == 0.0
        && zero == 0.0
        && fx > 0.0
        && fy > 0.0
        && [fx, fy, cx, cy].iter().all(|v| v.is_finite())
    {
        return Ok(Intrinsics { fx, fy, cx, cy });
    }
    let expected = "a camera_intrinsic [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with fx, fy > 0";
    Err(ParseError::new(FilePlace::Row(row), expected, format!("{matrix:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intrinsics_must_be_those_of_a_pinhole_camera() {
        let good = vec![vec![1266.4, 0.0, 816.2], vec![0.0, 1260.0, 491.5], vec![0.0, 0.0, 1.0]];
        assert_eq!(
            read_intrinsics(&good, 0),
            Ok(Intrinsics { fx: 1266.4, fy: 1260.0, cx: 816.2, cy: 491.5 })
        );
        let changed = |r: usize, c: usize, value: f64| {
            let mut matrix = good.clone();
            matrix[r][c] = value;
            read_intrinsics(&matrix, 5)
        };
        for (r, c, value) in
            [(0, 0, 0.0), (0, 1, 0.1), (1, 0, 0.1), (1, 1, -1.0), (2, 2, 2.0), (0, 2, f64::NAN)]
        {
            assert!(changed(r, c, value).is_err(), "{r} {c}");
        }
        assert_eq!(
            read_intrinsics(&[], 5).unwrap_err().to_string(),
            "expected a camera_intrinsic [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with fx, fy > 0, found [], row 5"
        );
    }
}
