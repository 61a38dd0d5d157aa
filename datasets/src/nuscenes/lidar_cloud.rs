//! Reads the cloud of a lidar file, alone or with the sweeps before it, and makes an object of it.
//!
//! A sweep is moved from its own lidar frame to that of the file through the two ego poses, so
//! what stands still falls into place and becomes denser. What moves by itself is not corrected: a
//! car at 10 m/s leaves a trail of 0.5 m per sweep. Within one sweep (50 ms) nothing is corrected.

use std::path::Path;

use glam::{DAffine3, DVec3};
use jepa3d_schemas::{Object, Photo, PointCloud, Shape, Warning, WarningKind, source_hash};

use super::chain::Chain;
use super::config::NuScenesConfig;
use super::lidar::{LidarSweep, parse_lidar, read_lidar_file, sweep_bytes};
use super::tables::NO_ROW;
use super::token::Token;
use crate::budget::Budget;
use crate::error::{ParseError, Result};

/// A lidar file, by its row in the frames, and the row of the keyframe that it belongs to.
#[derive(Clone, Copy)]
pub(super) struct LidarFile {
    pub(super) frame: u32,
    pub(super) keyframe: u32,
}

/// The cloud of a lidar file in its lidar frame, and what it was made from.
#[derive(Default)]
pub(super) struct LidarCloud {
    pub(super) points: PointCloud,
    /// Rows of the lidar file that its own points are, which stand before those of joined sweeps.
    pub(super) rows: Vec<u32>,
    /// Rows of the lidar file.
    pub(super) file_rows: usize,
    /// Bytes that decide the cloud: each file, followed by its transform.
    pub(super) parts: Vec<Vec<u8>>,
    pub(super) warnings: Vec<Warning>,
}

impl LidarCloud {
    /// Reads a lidar file, by its row in the frames, and up to `config.sweeps` sweeps before it;
    /// `sample` is the token of its keyframe, for the error.
    ///
    /// # Errors
    /// Fails if a file is missing or malformed, or a sweep is not earlier than the one after it.
    pub(super) fn read(
        root: &Path,
        config: &NuScenesConfig,
        chain: &Chain,
        lidar: u32,
        sample: Token,
        budget: &Budget,
    ) -> Result<Self> {
        let mut cloud = Self { points: empty_cloud(), ..Self::default() };
        let lidar_from_global = chain.sensor_from_global(chain.frame(lidar));
        let expected =
            format!("the lidar file of sample {sample} (samples/ and sweeps/ of the data archives)");
        let mut close = 0;
        for (number, &row) in sweep_rows(config, chain, lidar)?.iter().enumerate() {
            let frame = chain.frame(row);
            chain.check(frame)?;
            let path = root.join(&*frame.filename);
            let bytes = read_lidar_file(&path, &expected, budget)?;
            budget.charge(sweep_bytes(bytes.len()), "the points").map_err(|e| e.in_file(&path))?;
            let mut sweep = parse_lidar(&bytes).map_err(|e| e.in_file(&path))?;
            cloud.parts.push(bytes);
            cloud.warnings.extend(dropped_rows(&frame.filename, &sweep));
            let file_rows = sweep.rows.len() + sweep.dropped;
            close += remove_close(&mut sweep, config.remove_close);
            if number == 0 {
                (cloud.rows, cloud.file_rows) = (std::mem::take(&mut sweep.rows), file_rows);
            } else {
                let lidar_from_sweep = lidar_from_global * chain.global_from_sensor(frame);
                cloud.parts.push(affine_bytes(&lidar_from_sweep));
                move_points(&mut sweep, &lidar_from_sweep);
            }
            cloud.add(sweep);
        }
        if cloud.points.is_empty() {
            let text =
                format!("no points are left: {close} lay within remove_close = {}", config.remove_close);
            cloud.warnings.push(Warning::new(WarningKind::NoPointsLeft, text));
        }
        Ok(cloud)
    }

    fn add(&mut self, sweep: LidarSweep) {
        self.points.positions.extend(sweep.positions);
        if let Some(intensity) = &mut self.points.intensity {
            intensity.extend(sweep.intensity);
        }
    }

    /// An object without a class or boxes: the cloud and the photos, with the hash of what decides them.
    pub(super) fn into_object(self, id: &str, photos: Vec<Photo>) -> Object {
        Object {
            source_hash: hash_parts(self.parts, &photos),
            photos,
            warnings: self.warnings,
            ..Object::new(id, Shape::Points(self.points))
        }
    }
}

/// Hash of the lidar bytes, the transforms and the cameras. Photos count by their calibration; their
/// bytes are not read here.
fn hash_parts(mut parts: Vec<Vec<u8>>, photos: &[Photo]) -> String {
    for Photo { name, camera, .. } in photos {
        parts.push(name.as_bytes().to_vec());
        parts.push([camera.width, camera.height].iter().flat_map(|v| v.to_le_bytes()).collect());
        parts.push(
            [camera.fx, camera.fy, camera.cx, camera.cy].iter().flat_map(|v| v.to_le_bytes()).collect(),
        );
        parts.push(affine_bytes(&camera.camera_from_world));
    }
    source_hash(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// What to say of rows that are no points.
fn dropped_rows(file: &str, sweep: &LidarSweep) -> Option<Warning> {
    let text = format!("{file}: {} rows were not finite and dropped", sweep.dropped);
    (sweep.dropped > 0).then(|| Warning::new(WarningKind::PointsNotFinite, text))
}

fn empty_cloud() -> PointCloud {
    PointCloud { intensity: Some(Vec::new()), ..PointCloud::default() }
}

/// The lidar row and those of the sweeps before it, latest first.
fn sweep_rows(config: &NuScenesConfig, chain: &Chain, lidar: u32) -> Result<Vec<u32>> {
    let mut rows = vec![lidar];
    let mut last = chain.frame(lidar);
    for _ in 0..config.sweeps {
        if last.prev == NO_ROW {
            break;
        }
        let frame = chain.frame(last.prev);
        if frame.timestamp >= last.timestamp {
            let expected = format!("prev of {} to be earlier than {}", last.filename, last.timestamp);
            let found = format!("{} at {}", frame.filename, frame.timestamp);
            let table = Path::new(&config.version).join("sample_data.json");
            return Err(ParseError::file(expected, found).in_file(&table));
        }
        rows.push(last.prev);
        last = frame;
    }
    Ok(rows)
}

/// Drops points in the square column `|x| < radius`, `|y| < radius`; says how many.
fn remove_close(sweep: &mut LidarSweep, radius: f64) -> usize {
    let before = sweep.positions.len();
    let keeps = |p: &[f64; 3]| p[0].abs() >= radius || p[1].abs() >= radius;
    let kept: Vec<bool> = sweep.positions.iter().map(keeps).collect();
    keep_marked(&mut sweep.positions, &kept);
    keep_marked(&mut sweep.intensity, &kept);
    keep_marked(&mut sweep.rows, &kept);
    before - sweep.positions.len()
}

fn keep_marked<T>(values: &mut Vec<T>, is_kept: &[bool]) {
    let mut marks = is_kept.iter();
    values.retain(|_| marks.next().copied().unwrap_or(true));
}

fn move_points(sweep: &mut LidarSweep, a_from_b: &DAffine3) {
    for position in &mut sweep.positions {
        *position = a_from_b.transform_point3(DVec3::from_array(*position)).to_array();
    }
}

/// The twelve numbers of a transform as bytes, for hashing.
pub(super) fn affine_bytes(a_from_b: &DAffine3) -> Vec<u8> {
    a_from_b.to_cols_array().iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_points_are_those_in_the_square_column() {
        let mut sweep = LidarSweep {
            positions: vec![
                [0.9, 0.9, 5.0],
                [1.0, 0.0, 0.0],
                [0.0, -1.0, 0.0],
                [-0.99, 0.5, -2.0],
                [3.0, 0.1, 0.0],
            ],
            intensity: vec![0.0, 1.0, 2.0, 3.0, 4.0],
            rows: vec![0, 1, 2, 4, 9],
            dropped: 0,
        };
        assert_eq!(remove_close(&mut sweep.clone(), 0.0), 0);
        assert_eq!(remove_close(&mut sweep, 1.0), 2);
        assert_eq!(sweep.intensity, [1.0, 2.0, 4.0]);
        assert_eq!(sweep.rows, [1, 2, 9]);
        assert_eq!(sweep.positions.len(), 3);
    }
}
