//! Reads the lidar cloud of a keyframe, alone or with the sweeps before it.
//!
//! A sweep is moved from its own lidar frame to that of the keyframe through the two ego poses, so
//! what stands still falls into place and becomes denser. What moves by itself is not corrected: a
//! car at 10 m/s leaves a trail of 0.5 m per sweep. Within one sweep (50 ms) nothing is corrected.

use std::path::Path;

use glam::{DAffine3, DVec3};
use jepa3d_schemas::PointCloud;

use super::chain::Chain;
use super::config::NuScenesConfig;
use super::lidar::{LidarSweep, parse_lidar, read_lidar_file};
use super::tables::NO_ROW;
use super::token::Token;
use crate::error::{ParseError, Place, Result};

/// The cloud of a keyframe in its lidar frame, and what it was made from.
#[derive(Default)]
pub(super) struct Keyframe {
    pub(super) cloud: PointCloud,
    /// Bytes that decide the cloud: each file, followed by its transform.
    pub(super) parts: Vec<Vec<u8>>,
    pub(super) warnings: Vec<String>,
}

/// A lidar file, by its row, and the sample that it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Lidar {
    pub(super) frame: u32,
    pub(super) sample: Token,
}

impl Keyframe {
    /// Reads a lidar file and up to `config.sweeps` sweeps before it.
    ///
    /// # Errors
    /// Fails if a file is missing or malformed, or a sweep is not earlier than the one after it.
    pub(super) fn read(root: &Path, config: &NuScenesConfig, chain: &Chain, of: Lidar) -> Result<Self> {
        let mut keyframe = Self { cloud: empty_cloud(), ..Self::default() };
        let lidar_from_global = chain.sensor_from_global(chain.frame(of.frame));
        let mut close = 0;
        for (number, &row) in sweep_rows(config, chain, of.frame)?.iter().enumerate() {
            let frame = chain.frame(row);
            let path = root.join(&*frame.filename);
            let expected =
                format!("the lidar file of sample {} (samples/ and sweeps/ of the data archives)", of.sample);
            let bytes = read_lidar_file(&path, &expected)?;
            let mut sweep = parse_lidar(&bytes).map_err(|e| e.in_file(&path))?;
            keyframe.parts.push(bytes);
            if sweep.dropped > 0 {
                let warning =
                    format!("{}: {} rows were not finite and dropped", frame.filename, sweep.dropped);
                keyframe.warnings.push(warning);
            }
            close += remove_close(&mut sweep, config.remove_close);
            if number > 0 {
                let lidar_from_sweep = lidar_from_global * chain.global_from_sensor(frame);
                keyframe.parts.push(affine_bytes(&lidar_from_sweep));
                transform(&mut sweep, &lidar_from_sweep);
            }
            keyframe.add(sweep);
        }
        if keyframe.cloud.is_empty() {
            let warning =
                format!("no points are left: {close} lay within remove_close = {}", config.remove_close);
            keyframe.warnings.push(warning);
        }
        Ok(keyframe)
    }

    fn add(&mut self, sweep: LidarSweep) {
        self.cloud.positions.extend(sweep.positions);
        if let Some(intensity) = &mut self.cloud.intensity {
            intensity.extend(sweep.intensity);
        }
    }
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
            return Err(ParseError::new(Place::File, expected, found).in_file(&table));
        }
        rows.push(last.prev);
        last = frame;
    }
    Ok(rows)
}

/// Drops points in the square column `|x| < radius`, `|y| < radius`; says how many.
fn remove_close(sweep: &mut LidarSweep, radius: f64) -> usize {
    let before = sweep.positions.len();
    let keeps = |[x, y, _]: &[f64; 3]| x.abs() >= radius || y.abs() >= radius;
    let kept: Vec<bool> = sweep.positions.iter().map(keeps).collect();
    let (mut by_position, mut by_intensity) = (kept.iter(), kept.iter());
    sweep.positions.retain(|_| by_position.next().copied().unwrap_or(true));
    sweep.intensity.retain(|_| by_intensity.next().copied().unwrap_or(true));
    before - sweep.positions.len()
}

fn transform(sweep: &mut LidarSweep, a_from_b: &DAffine3) {
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
            dropped: 0,
        };
        assert_eq!(remove_close(&mut sweep.clone(), 0.0), 0);
        assert_eq!(remove_close(&mut sweep, 1.0), 2);
        assert_eq!(sweep.intensity, [1.0, 2.0, 4.0]);
        assert_eq!(sweep.positions.len(), 3);
    }
}
