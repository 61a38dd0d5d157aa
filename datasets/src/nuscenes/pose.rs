//! Defines the rigid poses of the tables: `ego_pose`, `calibrated_sensor` and boxes.
//!
//! A row's rotation and translation place a child frame in its parent frame (ego in global, sensor
//! in ego, box in global). Quaternions are stored w, x, y, z; translations in metres.

use glam::{DAffine3, DMat3, DQuat, DVec3};

use crate::error::{FilePlace, ParseError};

/// How far the length of a stored quaternion may be from 1. What is left is divided out, as the
/// official devkit does; anything larger is no rotation but a damaged row.
const UNIT_TOLERANCE: f64 = 1e-3;

/// A child frame placed in its parent frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    rotation: DQuat,
    translation: DVec3,
}

impl Pose {
    /// The child frame is the parent frame.
    pub(super) const IDENTITY: Self = Self { rotation: DQuat::IDENTITY, translation: DVec3::ZERO };

    /// The pose of a table row.
    ///
    /// # Errors
    /// Fails if a number is not finite or the quaternion's length is off 1 by more than 1e-3.
    pub(super) fn new(wxyz: [f64; 4], translation: [f64; 3], row: usize) -> Result<Self, ParseError> {
        let [w, x, y, z] = wxyz;
        let (rotation, translation) = (DQuat::from_xyzw(x, y, z, w), DVec3::from_array(translation));
        let length = rotation.length();
        if length.is_nan() || (length - 1.0).abs() > UNIT_TOLERANCE {
            let found = format!("{wxyz:?} of length {length}");
            return Err(ParseError::new(
                FilePlace::Row(row),
                "a column rotation that is a unit quaternion w, x, y, z",
                found,
            ));
        }
        if !translation.is_finite() {
            let found = format!("{translation}");
            return Err(ParseError::new(FilePlace::Row(row), "a finite column translation", found));
        }
        Ok(Self { rotation: rotation.normalize(), translation })
    }

    /// Maps child coordinates to parent coordinates.
    pub(super) fn parent_from_child(&self) -> DAffine3 {
        DAffine3 { matrix3: DMat3::from_quat(self.rotation), translation: self.translation }
    }

    /// Maps parent coordinates to child coordinates; exact in structure (transpose, no solve).
    pub(super) fn child_from_parent(&self) -> DAffine3 {
        let matrix3 = DMat3::from_quat(self.rotation).transpose();
        DAffine3 { matrix3, translation: -(matrix3 * self.translation) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_directions_undo_each_other() {
        let pose =
            Pose::new([0.5720320374, -0.0016977769, 0.0117980020, -0.8201446658], [411.3, 1180.9, 0.1], 0)
                .unwrap();
        for point in [DVec3::ZERO, DVec3::new(1.0, -2.0, 3.0), DVec3::new(411.0, 1181.0, 0.0)] {
            let there = pose.parent_from_child().transform_point3(point);
            let back = pose.child_from_parent().transform_point3(there);
            assert!((back - point).length() < 1e-12, "{point}");
        }
        assert_eq!(pose.parent_from_child().transform_point3(DVec3::ZERO), DVec3::new(411.3, 1180.9, 0.1));
    }

    #[test]
    fn quaternions_are_w_first() {
        let half = 0.5_f64.sqrt();
        let quarter_turn_about_z = Pose::new([half, 0.0, 0.0, half], [0.0; 3], 0).unwrap();
        let x = quarter_turn_about_z.parent_from_child().transform_vector3(DVec3::X);
        assert!((x - DVec3::Y).length() < 1e-15);
    }

    #[test]
    fn refuses_what_is_no_rotation() {
        assert_eq!(
            Pose::new([1.0, 1.0, 0.0, 0.0], [0.0; 3], 3).unwrap_err().to_string(),
            "expected a column rotation that is a unit quaternion w, x, y, z, found [1.0, 1.0, 0.0, 0.0] of length 1.4142135623730951, row 3"
        );
        assert!(Pose::new([0.0; 4], [0.0; 3], 0).is_err());
        assert!(Pose::new([f64::NAN, 0.0, 0.0, 1.0], [0.0; 3], 0).is_err());
        assert!(Pose::new([1.0, 0.0, 0.0, 0.0], [0.0, f64::INFINITY, 0.0], 0).is_err());
    }
}
