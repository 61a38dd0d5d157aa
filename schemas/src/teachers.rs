//! The `teachers` table: cached image embeddings, one row a view, in the order of the views.
//!
//! Beside the embedding stands what a predictor may be told of the view (its pose and colours), so that training
//! reads no image.

use crate::column::{copy_list, copy_value};
use crate::column_type::{ArrayOf, ListOf, Utf8Key};
use crate::error::{Error, Result};
use crate::table_row::table;

/// Numbers that describe where a camera stands: sine and cosine of azimuth, elevation and roll, distance, field of view.
pub const POSE_NUMBERS: usize = 8;

/// Numbers of a colour histogram: 16 bins of red, then of green, then of blue.
pub const HISTOGRAM_NUMBERS: usize = 48;

/// What a teacher says of one view.
#[derive(Clone, Debug, PartialEq)]
pub struct TeacherRow {
    /// The sample that the view shows.
    pub sample_id: String,
    /// Number of the view within the sample.
    pub view: u16,
    /// `[D_t]` the teacher's output, before any normalisation of the targets.
    pub embedding: Vec<f32>,
    /// Whether the teacher has anything to say; else the embedding is zero and no target.
    pub valid: bool,
    /// Sine and cosine of azimuth, elevation and roll, then distance and field of view.
    pub pose: [f32; POSE_NUMBERS],
    /// Shares of the foreground's pixels, each channel sums to 1; zeros without foreground.
    pub histogram: [f32; HISTOGRAM_NUMBERS],
}

table! {
    /// The columns of one row group of `teachers`; those not asked for stay `None`.
    TeacherGroup of TeacherRow, checked by check_embeddings;

    /// the sample that the view shows; rows ascend by it
    sample_id: Utf8Key, "", |row| &row.sample_id;
    /// number of the view within the sample, ascending
    view: u16, "", |row| row.view;
    /// the teacher's output before any normalisation, rounded to 11 significant bits
    embedding: ListOf<f32>, "D_t", |row| &row.embedding;
    /// false: nothing to predict (a flat image), the embedding is zero
    valid: bool, "", |row| row.valid;
    /// sine and cosine of azimuth, of elevation, of roll; distance from the origin; horizontal field of view in radians
    pose: ArrayOf<f32, POSE_NUMBERS>, "8", |row| row.pose;
    /// shares of the foreground's pixels by red, by green, by blue; each sums to 1, zeros without foreground
    histogram: ArrayOf<f32, HISTOGRAM_NUMBERS>, "3 x 16", |row| row.histogram;
}

impl TeacherGroup {
    /// The row, if every column was read and the lists have their lengths.
    pub fn row(&self, row: usize) -> Option<TeacherRow> {
        Some(TeacherRow {
            sample_id: copy_value(&self.sample_id, row)?,
            view: copy_value(&self.view, row)?,
            embedding: copy_list(&self.embedding, row)?,
            valid: copy_value(&self.valid, row)?,
            pose: self.pose.as_ref()?.row(row)?.try_into().ok()?,
            histogram: self.histogram.as_ref()?.row(row)?.try_into().ok()?,
        })
    }
}

/// Embeddings of a row group are of one length.
fn check_embeddings(rows: &[TeacherRow]) -> Result<()> {
    let width = rows.first().map_or(0, |row| row.embedding.len());
    match rows.iter().find(|row| row.embedding.len() != width) {
        Some(row) => Err(Error::Column {
            id: format!("{} view {}", row.sample_id, row.view),
            column: "embedding",
            expected: format!("{width} values"),
            found: row.embedding.len().to_string(),
        }),
        None => Ok(()),
    }
}
