//! One ShapeNetPart cloud: points with global part labels that belong to its category.

use std::ops::Range;
use std::path::Path;

use jepa3d_schemas::{PointCloud, Warning, source_hash};

use crate::budget::Budget;
use crate::error::{FilePlace, ParseError, Result};
use crate::files::read_file;
use crate::finite::keep_finite;
use crate::formats::normals::keep_unit_normals;
use crate::formats::text::{TextTable, parse_table};

/// A cloud as read.
pub(super) struct PartCloud {
    pub(super) cloud: PointCloud,
    pub(super) source_hash: String,
    pub(super) warnings: Vec<Warning>,
}

/// Reads `x y z nx ny nz part`; normals are kept if all are unit vectors.
///
/// # Errors
/// Fails if a file is no table of seven columns, or if a label is not in `parts`.
pub(super) fn read_txt(path: &Path, parts: Range<i16>, budget: &Budget) -> Result<PartCloud> {
    let bytes = read_file(path, budget)?;
    let table = read_table(path, &bytes, 7, "x y z nx ny nz part", budget)?;
    let labels = global_labels(path, &table.columns[6], &parts, 0)?;
    let normals = rows(&table, 3).map(|normal| normal.map(|v| v as f32)).collect();
    let cloud = PointCloud {
        positions: positions(&table),
        normals: Some(normals),
        point_labels: Some(labels),
        ..PointCloud::default()
    };
    finish_cloud(path, cloud, source_hash(&[&bytes]))
}

/// Reads `x y z` rows and their labels, which count from 1 within the category.
///
/// # Errors
/// Fails if the files are no such tables, if they differ in length, or if a label is not in `parts`.
pub(super) fn read_pts_seg(
    points: &Path,
    label_path: &Path,
    parts: Range<i16>,
    budget: &Budget,
) -> Result<PartCloud> {
    let (point_bytes, label_bytes) = (read_file(points, budget)?, read_file(label_path, budget)?);
    let point_table = read_table(points, &point_bytes, 3, "x y z", budget)?;
    let label_table = read_table(label_path, &label_bytes, 1, "one label a line", budget)?;
    if label_table.rows() != point_table.rows() {
        let expected = format!("one label for each of {} points", point_table.rows());
        let found = label_table.rows().to_string();
        return Err(ParseError::file(expected, found).in_file(label_path));
    }
    let labels = global_labels(label_path, &label_table.columns[0], &parts, parts.start - 1)?;
    let cloud = PointCloud {
        positions: positions(&point_table),
        point_labels: Some(labels),
        ..PointCloud::default()
    };
    finish_cloud(points, cloud, source_hash(&[&point_bytes, &label_bytes]))
}

/// A table of numbers without a header, `width` columns wide.
fn read_table(path: &Path, bytes: &[u8], width: usize, columns: &str, budget: &Budget) -> Result<TextTable> {
    let table = parse_table(bytes, budget).map_err(|e| e.in_file(path))?;
    if table.width() == width && table.header.is_none() {
        return Ok(table);
    }
    let expected = format!("{width} columns: {columns}");
    let header = if table.header.is_some() { " under a header" } else { "" };
    let found = format!("{}{header}", table.width());
    Err(ParseError::file(expected, found).in_file(path))
}

fn positions(table: &TextTable) -> Vec<[f64; 3]> {
    rows(table, 0).collect()
}

/// Three columns from `first` on, row by row.
fn rows(table: &TextTable, first: usize) -> impl Iterator<Item = [f64; 3]> {
    let columns = &table.columns[first..first + 3];
    (0..table.rows()).map(move |row| [columns[0][row], columns[1][row], columns[2][row]])
}

/// Global labels of stored ones: `stored + shift`, all within `parts`.
fn global_labels(path: &Path, stored: &[f64], parts: &Range<i16>, shift: i16) -> Result<Vec<i16>> {
    let first = f64::from(parts.start - shift);
    let last = f64::from(parts.end - 1 - shift);
    let label = |(row, &value): (usize, &f64)| {
        if value.fract() == 0.0 && (first..=last).contains(&value) {
            return Ok(value as i16 + shift);
        }
        let expected = format!("a part label from {first} to {last}");
        Err(ParseError::new(FilePlace::Row(row), expected, value.to_string()).in_file(path))
    };
    stored.iter().enumerate().map(label).collect()
}

/// Drops points that are not finite, and normals that are no unit vectors.
fn finish_cloud(path: &Path, mut cloud: PointCloud, source_hash: String) -> Result<PartCloud> {
    let mut warnings = keep_finite(&mut cloud, FilePlace::File).map_err(|e| e.in_file(path))?;
    warnings.extend(keep_unit_normals(&mut cloud));
    Ok(PartCloud { cloud, source_hash, warnings })
}
