//! Drops points that are not finite before anything else sees them, and says so.

use jepa3d_schemas::{PointCloud, Warning, WarningKind};

use crate::error::{FilePlace, ParseError};

/// Drops points with a NaN or infinite coordinate; the warning, if any, counts them.
///
/// # Errors
/// Fails if no point is left.
pub(crate) fn keep_finite(cloud: &mut PointCloud, place: FilePlace) -> Result<Vec<Warning>, ParseError> {
    let points = cloud.len();
    let dropped = cloud.drop_non_finite();
    if cloud.is_empty() {
        return Err(ParseError::new(
            place,
            "at least one finite point",
            format!("{points} points, none finite"),
        ));
    }
    Ok(Vec::from_iter(warn_of_dropped(dropped, points)))
}

/// The warning of points that were dropped, if any were.
pub(crate) fn warn_of_dropped(dropped: usize, points: usize) -> Option<Warning> {
    let text = format!("{dropped} of {points} points are not finite and were dropped");
    (dropped > 0).then(|| Warning::new(WarningKind::PointsNotFinite, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_counted() {
        let mut cloud = PointCloud::from_positions(vec![[0.0; 3], [f64::NAN, 0.0, 0.0]]);
        let warnings = keep_finite(&mut cloud, FilePlace::File).unwrap();
        assert_eq!(warnings, ["1 of 2 points are not finite and were dropped"]);
        assert_eq!(keep_finite(&mut cloud, FilePlace::File), Ok(Vec::new()));
        let mut cloud = PointCloud::from_positions(vec![[f64::INFINITY; 3]]);
        let error = keep_finite(&mut cloud, FilePlace::Row(3)).unwrap_err().to_string();
        assert_eq!(error, "expected at least one finite point, found 1 points, none finite, row 3");
    }
}
