//! The `points` table: one prepared sample a row, a normalised cloud with its groupings.
//!
//! A new column is a field of [`Sample`], an entry of the table below, and a line where the compiler then asks for it.

use crate::column::{copy_list, copy_value};
use crate::column_type::{ArrayOf, ListOf, Utf8, Utf8Key, Utf8Repeated};
use crate::error::{Error, Result};
use crate::table_row::{TableRow, table};

/// Numbers that describe a box in the `boxes` column.
pub const BOX_NUMBERS: usize = 10;

/// A prepared sample, the row of a `points` shard.
///
/// # Shapes
/// `S` stored points, `R` groupings of `N` points each, `G` groups (centers), `K` points a patch.
/// Arrays are flat and row-major; see the README of this crate for units and frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Stable id, unique in the dataset.
    pub sample_id: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Class name.
    pub category: Option<String>,
    /// Class number, an index into the manifest's class list.
    pub label: Option<i32>,
    /// `[S,3]` normalised coordinates.
    pub points: Vec<f32>,
    /// `[S,3]` unit normals.
    pub normals: Option<Vec<f32>>,
    /// `[S,3]` sRGB.
    pub colors: Option<Vec<u8>>,
    /// `[S]` return intensity.
    pub intensity: Option<Vec<f32>>,
    /// `[S]` part or semantic labels.
    pub point_labels: Option<Vec<i16>>,
    /// `[R,N]` indices into the cloud; absent when every grouping uses all stored points.
    pub subset: Option<Vec<u32>>,
    /// `[R,G]` indices into the cloud (voxel blocks: the point nearest to the centroid).
    pub center_indices: Vec<u32>,
    /// `[R,G,K]` indices into the cloud, each patch by (distance, index).
    pub patch_indices: Vec<u32>,
    /// `[R,G]` valid points of each voxel block; absent for kNN patches, which are always full.
    pub patch_counts: Option<Vec<u16>>,
    /// `[R,G,3]` centroids of voxel blocks; absent for kNN patches.
    pub centers: Option<Vec<f32>>,
    /// `[B,10]` annotated boxes in the cloud's frame: centre, edge lengths, rotation as w, x, y, z.
    pub boxes: Option<Vec<f32>>,
    /// `[B]` classes of the boxes, indices into the manifest's list.
    pub box_labels: Option<Vec<i16>>,
    /// Raw coordinates of the normalised origin: `raw = p * norm_scale + norm_center`.
    pub norm_center: [f64; 3],
    /// Raw length of one normalised unit.
    pub norm_scale: f64,
    /// Path of the source relative to the dataset's root.
    pub source: String,
    /// Hash of the source bytes.
    pub source_hash: String,
}

impl Sample {
    /// Number of stored points, `S`.
    pub fn len(&self) -> usize {
        self.points.len() / 3
    }

    /// Whether no point is stored.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

table! {
    /// The columns of one row group of `points`; those not asked for stay `None`.
    RowGroup of Sample, checked by check_samples;

    /// stable, unique; rows of a split ascend by it
    sample_id: Utf8Key, "", |sample| &sample.sample_id;
    /// name of the reader
    dataset: Utf8Repeated, "", |sample| &sample.dataset;
    /// class name
    category: Option<Utf8Repeated>, "", |sample| sample.category.as_deref();
    /// class number, an index into the manifest's `classes`
    label: Option<i32>, "", |sample| sample.label;
    /// coordinates in the stored frame (below)
    points: ListOf<f32>, "S x 3", |sample| &sample.points;
    /// unit normals
    normals: Option<ListOf<f32>>, "S x 3", |sample| sample.normals.as_deref();
    /// sRGB
    colors: Option<ListOf<u8>>, "S x 3", |sample| sample.colors.as_deref();
    /// as the sensor gives it
    intensity: Option<ListOf<f32>>, "S", |sample| sample.intensity.as_deref();
    /// part or semantic labels
    point_labels: Option<ListOf<i16>>, "S", |sample| sample.point_labels.as_deref();
    /// points of each grouping, ascending indices into the cloud; null when every grouping uses all of it
    subset: Option<ListOf<u32>>, "R x N", |sample| sample.subset.as_deref();
    /// centers in farthest-point order, indices into the cloud
    center_indices: ListOf<u32>, "R x G", |sample| &sample.center_indices;
    /// patches, each sorted by (squared distance, index), indices into the cloud
    patch_indices: ListOf<u32>, "R x G x K", |sample| &sample.patch_indices;
    /// voxel blocks only: distinct points of each block (the rest repeats them; 0 = no block)
    patch_counts: Option<ListOf<u16>>, "R x G", |sample| sample.patch_counts.as_deref();
    /// voxel blocks only: centroids
    centers: Option<ListOf<f32>>, "R x G x 3", |sample| sample.centers.as_deref();
    /// annotated boxes in the stored frame: centre, edge lengths along the box's own x, y, z, rotation w, x, y, z
    boxes: Option<ListOf<f32>>, "B x 10", |sample| sample.boxes.as_deref();
    /// their classes, indices into the manifest's `box_classes`
    box_labels: Option<ListOf<i16>>, "B", |sample| sample.box_labels.as_deref();
    /// raw coordinates of the stored origin: `raw = p * norm_scale + norm_center`
    norm_center: ArrayOf<f64, 3>, "3", |sample| sample.norm_center;
    /// raw length of one stored unit
    norm_scale: f64, "", |sample| sample.norm_scale;
    /// path below the raw folder
    source: Utf8, "", |sample| &sample.source;
    /// BLAKE3 (128 bits) of the bytes read
    source_hash: Utf8, "", |sample| &sample.source_hash;
}

/// The columns that make a cloud ([`RowGroup::cloud`]).
pub const CLOUD_COLUMNS: [&str; 10] = [
    "sample_id",
    "points",
    "normals",
    "colors",
    "intensity",
    "point_labels",
    "norm_center",
    "norm_scale",
    "source",
    "source_hash",
];

impl RowGroup {
    /// The sample in a row, if every column was read and is well-formed.
    pub fn sample(&self, row: usize) -> Option<Sample> {
        let is_whole = Sample::COLUMNS.iter().all(|column| Sample::was_read(self, column.name));
        is_whole.then(|| self.copy_row(row)).flatten()
    }

    /// The cloud in a row with its frame and source, without names, groupings and boxes, if the columns of
    /// [`CLOUD_COLUMNS`] were read and are well-formed.
    pub fn cloud(&self, row: usize) -> Option<Sample> {
        let is_cloud = CLOUD_COLUMNS.iter().all(|column| Sample::was_read(self, column));
        is_cloud.then(|| self.copy_row(row)).flatten()
    }

    /// What was read of a row; the rest is as in a default sample.
    fn copy_row(&self, row: usize) -> Option<Sample> {
        Some(Sample {
            sample_id: copy_value(&self.sample_id, row).unwrap_or_default(),
            dataset: copy_value(&self.dataset, row).unwrap_or_default(),
            category: copy_value(&self.category, row).flatten(),
            label: copy_value(&self.label, row).flatten(),
            points: copy_list(&self.points, row).unwrap_or_default(),
            normals: copy_list(&self.normals, row),
            colors: copy_list(&self.colors, row),
            intensity: copy_list(&self.intensity, row),
            point_labels: copy_list(&self.point_labels, row),
            subset: copy_list(&self.subset, row),
            center_indices: copy_list(&self.center_indices, row).unwrap_or_default(),
            patch_indices: copy_list(&self.patch_indices, row).unwrap_or_default(),
            patch_counts: copy_list(&self.patch_counts, row),
            centers: copy_list(&self.centers, row),
            boxes: copy_list(&self.boxes, row),
            box_labels: copy_list(&self.box_labels, row),
            norm_center: self.norm_center.as_ref()?.row(row)?.try_into().ok()?,
            norm_scale: copy_value(&self.norm_scale, row).unwrap_or_default(),
            source: copy_value(&self.source, row).unwrap_or_default(),
            source_hash: copy_value(&self.source_hash, row).unwrap_or_default(),
        })
    }
}

fn check_samples(samples: &[Sample]) -> Result<()> {
    samples.iter().try_for_each(check_shapes)
}

/// Checks that the arrays of a sample agree: every per-point array has `S` entries, indices are
/// below `S`, and the grouping arrays divide into whole groups.
///
/// # Errors
/// Fails if one does not; the error names the sample and the column.
pub fn check_shapes(sample: &Sample) -> Result<()> {
    let s = sample.len();
    let fail = |column, expected: String, found: String| {
        Err(Error::Column { id: sample.sample_id.clone(), column, expected, found })
    };
    let boxes = sample.box_labels.as_ref().map_or(0, Vec::len);
    let lengths = [
        ("points", Some(sample.points.len()), 3 * s),
        ("normals", sample.normals.as_ref().map(Vec::len), 3 * s),
        ("colors", sample.colors.as_ref().map(Vec::len), 3 * s),
        ("intensity", sample.intensity.as_ref().map(Vec::len), s),
        ("point_labels", sample.point_labels.as_ref().map(Vec::len), s),
        ("patch_counts", sample.patch_counts.as_ref().map(Vec::len), sample.center_indices.len()),
        ("centers", sample.centers.as_ref().map(Vec::len), 3 * sample.center_indices.len()),
        ("boxes", sample.boxes.as_ref().map(Vec::len), BOX_NUMBERS * boxes),
    ];
    for (column, found, expected) in lengths {
        if let Some(found) = found.filter(|&found| found != expected) {
            return fail(column, format!("{expected} values"), format!("{found}"));
        }
    }
    let groups = sample.center_indices.len();
    if groups > 0 && !sample.patch_indices.len().is_multiple_of(groups) {
        let found = sample.patch_indices.len().to_string();
        return fail("patch_indices", format!("a multiple of {groups} centers"), found);
    }
    let indices = [
        ("subset", sample.subset.as_deref().unwrap_or_default()),
        ("center_indices", sample.center_indices.as_slice()),
        ("patch_indices", sample.patch_indices.as_slice()),
    ];
    for (column, values) in indices {
        let largest = values.iter().copied().max().unwrap_or(0) as usize;
        if !values.is_empty() && largest >= s {
            return fail(column, format!("indices below {s}"), largest.to_string());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_disagrees_with_itself_is_refused_by_name() {
        let sample = Sample {
            sample_id: "a".into(),
            points: vec![0.0; 9],
            center_indices: vec![0, 3],
            patch_indices: vec![0, 1],
            ..Sample::default()
        };
        let error = check_samples(&[sample]).unwrap_err();
        assert_eq!(error.to_string(), "sample a: column center_indices: expected indices below 3, found 3");
    }
}
