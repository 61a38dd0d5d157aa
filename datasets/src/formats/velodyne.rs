//! Lidar scans as bare rows of little-endian f32 (`.bin`): KITTI's velodyne files, and others whose columns are named.
//!
//! There is no header, so all that can be checked is checked: the length, and whether the numbers can be a scan.

use std::path::Path;

use jepa3d_schemas::PointCloud;

use super::colors::ColorType;
use super::column_names::{ColumnRole, ColumnSpec};
use super::columns::Columns;
use super::parsed::Parsed;
use super::scalars::ScalarType;
use crate::budget::Budget;
use crate::error::ParseError;

/// Columns of KITTI's files: metres, and a reflectance from 0 to 1.
const KITTI: [&str; 4] = ["x", "y", "z", "intensity"];

/// Columns of files called `.pcd.bin`, as nuScenes has them: intensity is from 0 to 255, the last is the ring.
const NUSCENES: [&str; 5] = ["x", "y", "z", "intensity", "_"];

/// Bytes of a number.
const NUMBER: usize = 4;

/// Metres that no scan reaches.
const FARTHEST: f64 = 1e8;

/// Reads rows of floats, their columns named by `spec`; else five if the file is called `.pcd.bin`, and four if not.
///
/// # Errors
/// Fails if the length is no multiple of a row, no finite row is left, or the budget does not suffice; where no
/// columns are named also if the numbers cannot be a scan, or could as well be five a row.
pub(crate) fn parse_within(
    bytes: &[u8],
    path: &Path,
    spec: &ColumnSpec,
    budget: &Budget,
) -> Result<Parsed<PointCloud>, ParseError> {
    let columns = if spec.is_default() { &usual_columns(path)? } else { spec };
    let width = columns.width();
    let row = NUMBER * width;
    if bytes.is_empty() || !bytes.len().is_multiple_of(row) {
        let expected = format!(
            "rows of {width} little-endian f32, a multiple of {row} bytes (dataset.columns names them)"
        );
        return Err(ParseError::file(expected, format!("{} bytes", bytes.len())));
    }
    let roles = columns.roles(width)?;
    Columns::charge(budget, roles.iter().flatten().count(), bytes.len() / row)?;
    if spec.is_default() && width == KITTI.len() {
        check_rings(bytes)?;
    }
    let mut read = Columns::default();
    for (at, role) in roles.iter().enumerate() {
        let Some(role) = *role else { continue };
        let values = read_column(bytes, at, width);
        if spec.is_default() {
            check_scan(role, &values)?;
        }
        read.push(role, values);
    }
    read.into_cloud(ColorType::Float)
}

fn usual_columns(path: &Path) -> Result<ColumnSpec, ParseError> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let names: &[&str] = if name.ends_with(".pcd.bin") { &NUSCENES } else { &KITTI };
    ColumnSpec::new(names).map_err(|problem| ParseError::file("columns of a scan", problem))
}

fn read_column(bytes: &[u8], at: usize, width: usize) -> Vec<f64> {
    ScalarType::F32.read_strided(bytes.get(NUMBER * at..).unwrap_or_default(), NUMBER * width, usize::MAX)
}

/// Fails if the numbers fit five a row better than four: every fifth is a small whole one, as the ring of nuScenes.
fn check_rings(bytes: &[u8]) -> Result<(), ParseError> {
    let width = NUSCENES.len();
    if !bytes.len().is_multiple_of(NUMBER * width) || bytes.len() < NUMBER * width * width {
        return Ok(());
    }
    let fifth = read_column(bytes, width - 1, width);
    let is_ring = |v: &f64| (0.0..=255.0).contains(v) && v.fract() == 0.0;
    if fifth.iter().all(is_ring) && fifth.iter().any(|v| *v != fifth[0]) {
        let found = "numbers that fit five a row (x, y, z, intensity, ring)";
        return Err(ParseError::file("four numbers a row, or dataset.columns to name five", found));
    }
    Ok(())
}

/// Fails if the numbers cannot be of a scan, as when rows have another width.
///
/// # Errors
/// Fails if a position is farther than 1e8 away or an intensity is negative.
fn check_scan(role: ColumnRole, values: &[f64]) -> Result<(), ParseError> {
    let (expected, odd): (_, fn(&&f64) -> bool) = match role {
        ColumnRole::X | ColumnRole::Y | ColumnRole::Z => {
            ("coordinates up to 1e8", |v| v.is_finite() && v.abs() > FARTHEST)
        }
        ColumnRole::Intensity => ("intensities from 0 up", |v| **v < 0.0),
        _ => return Ok(()),
    };
    match values.iter().find(odd) {
        Some(odd) => {
            let expected = format!("{expected} (if rows have other columns, name them in dataset.columns)");
            Err(ParseError::file(expected, odd.to_string()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn read(name: &str, values: &[f32], names: &[&str]) -> Result<Parsed<PointCloud>, String> {
        let spec = ColumnSpec::new(names).unwrap();
        parse_within(&bytes(values), Path::new(name), &spec, &Budget::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn four_numbers_a_point_five_of_nuscenes_or_as_named() {
        let Parsed { geometry, warnings } =
            read("a/000000.bin", &[1.0, 2.0, 3.0, 0.5, f32::NAN, 0.0, 0.0, 0.0, 4.0, -5.0, 6.0, 0.25], &[])
                .unwrap();
        assert_eq!(geometry.positions, [[1.0, 2.0, 3.0], [4.0, -5.0, 6.0]]);
        assert_eq!(geometry.intensity, Some(vec![0.5, 0.25]));
        assert_eq!(warnings, ["1 of 3 points are not finite and were dropped"]);
        let five = [1.0, 2.0, 3.0, 17.0, 9.0, 4.0, 5.0, 6.0, 18.0, 10.0];
        let nuscenes = read("b.PCD.bin", &five, &[]).unwrap().geometry;
        assert_eq!((nuscenes.positions[1], nuscenes.intensity), ([4.0, 5.0, 6.0], Some(vec![17.0, 18.0])));
        let named = read("c.bin", &five, &["z", "y", "x", "_", "label"]).unwrap().geometry;
        assert_eq!((named.positions[0], named.point_labels), ([3.0, 2.0, 1.0], Some(vec![9, 10])));
    }

    #[test]
    fn what_cannot_be_a_scan_is_refused() {
        let error = |values: &[f32]| read("a.bin", values, &[]).unwrap_err();
        assert_eq!(
            error(&[0.0; 5]),
            "expected rows of 4 little-endian f32, a multiple of 16 bytes (dataset.columns names them), found 20 bytes"
        );
        assert!(error(&[]).ends_with("found 0 bytes"));
        assert!(error(&[1.0, 2.0, 3.0, -0.5]).starts_with("expected intensities from 0 up"));
        assert!(error(&[1e30, 2.0, 3.0, 0.5]).starts_with("expected coordinates up to 1e8"));
        let five: Vec<f32> = (0..8u8).flat_map(|i| [1.5, 2.5, 3.5, 0.5, f32::from(i % 3)]).collect();
        assert!(error(&five).ends_with("found numbers that fit five a row (x, y, z, intensity, ring)"));
    }
}
