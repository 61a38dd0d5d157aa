//! Reads the annotated boxes and picks the points inside one.
//!
//! A box is placed in the global frame by its centre and rotation; `size` is width, length,
//! height. The box frame has its origin in the centre, x forward along the length, y to the left
//! along the width, z up along the height.

use std::path::PathBuf;

use glam::{DAffine3, DQuat, DVec3};
use jepa3d_schemas::BoxLabel;

use super::broken_row::BrokenRow;
use super::classes::find_label;
use super::config::NuScenesClasses;
use super::pose::Pose;
use super::rows::{AnnotationTokens, CategoryRow, InstanceRow, NuScenesTable, SampleAnnotationRow};
use super::tables::TableFolder;
use super::token::{Token, TokenIndex};
use crate::error::{FilePlace, ParseError, Result};

/// An annotated object in one keyframe.
#[derive(Clone, Debug)]
pub(super) struct BoxRow {
    pub(super) token: Token,
    /// Row of its keyframe.
    pub(super) keyframe: u32,
    /// Index into the class names.
    pub(super) label: u16,
    /// Lidar points of the keyframe in the box, as the table says; `None` where it does not know.
    pub(super) lidar_points: Option<u32>,
    /// Places the box in the global frame.
    pub(super) global_from_box: Pose,
    /// Width, length, height in metres.
    pub(super) wlh: [f64; 3],
    /// Why there is no such box, if so: then place and size mean nothing.
    pub(super) fault: Option<Box<ParseError>>,
}

/// The boxes listed, and why others are not.
#[derive(Default)]
pub(super) struct AnnotatedBoxes {
    /// The table, for errors.
    pub(super) path: PathBuf,
    pub(super) rows: Vec<BoxRow>,
    /// Boxes of categories that the class scheme leaves out.
    pub(super) without_class: usize,
    /// Boxes with fewer lidar points than asked for.
    pub(super) too_few_points: usize,
    /// Boxes whose number of lidar points is not known, where some are asked for.
    pub(super) unknown_points: usize,
}

impl AnnotatedBoxes {
    /// Reads `category`, `instance` and `sample_annotation`; boxes that `scheme` has no class for
    /// and boxes with fewer than `min_points` lidar points are counted only. A row without a legal size or pose is kept
    /// with its fault.
    ///
    /// # Errors
    /// Fails if a table is missing or malformed, or a token leads nowhere.
    pub(super) fn read(
        folder: &TableFolder,
        scheme: NuScenesClasses,
        min_points: u32,
        keyframe_rows: &TokenIndex,
    ) -> Result<Self> {
        let (labels, instance_rows) = read_instance_labels(folder, scheme)?;
        let table = NuScenesTable::SampleAnnotation;
        let (mut boxes, mut tokens) =
            (Self { path: folder.path(table), ..Self::default() }, TokenIndex::default());
        folder.read_all(table, |row, r: Result<SampleAnnotationRow, BrokenRow>| {
            let named = match &r {
                Ok(r) => AnnotationTokens {
                    token: r.token,
                    sample_token: r.sample_token,
                    instance_token: r.instance_token,
                },
                Err(broken) => broken.read()?,
            };
            let instance = instance_rows.resolve(named.instance_token, "instance", row)?;
            let keyframe = keyframe_rows.resolve(named.sample_token, "sample", row)?;
            let Some(label) = labels[instance as usize] else {
                boxes.without_class += 1;
                return Ok(());
            };
            if boxes.leaves_out(&r, min_points) {
                return Ok(());
            }
            tokens.insert(named.token, boxes.rows.len() as u32, row)?;
            let read = r.map_err(|broken| broken.problem).and_then(|r| BoxRow::new(&r, row, keyframe, label));
            boxes.rows.push(read.unwrap_or_else(|fault| BoxRow::broken(named.token, keyframe, label, fault)));
            Ok(())
        })?;
        boxes.rows.shrink_to_fit();
        Ok(boxes)
    }

    /// Whether a row has too few points, which is counted.
    fn leaves_out(&mut self, row: &Result<SampleAnnotationRow, BrokenRow>, min_points: u32) -> bool {
        match row {
            Ok(SampleAnnotationRow { num_lidar_pts: Some(points), .. }) if *points < min_points => {
                self.too_few_points += 1;
                true
            }
            Ok(SampleAnnotationRow { num_lidar_pts: None, .. }) if min_points > 0 => {
                self.unknown_points += 1;
                true
            }
            _ => false,
        }
    }

    /// Checks that the row of a box tells where it is.
    ///
    /// # Errors
    /// Fails if it does not, naming table and row.
    pub(super) fn check(&self, row: u32) -> Result<()> {
        match &self.rows[row as usize].fault {
            None => Ok(()),
            Some(fault) => Err(ParseError::clone(fault).in_file(&self.path)),
        }
    }
}

/// The label of each instance, `None` where the scheme has no class for its category.
fn read_instance_labels(
    folder: &TableFolder,
    scheme: NuScenesClasses,
) -> Result<(Vec<Option<u16>>, TokenIndex)> {
    let (mut classes, mut category_rows) = (Vec::new(), TokenIndex::default());
    folder.read(NuScenesTable::Category, |row, r: CategoryRow| {
        category_rows.insert(r.token, classes.len() as u32, row)?;
        classes.push(find_label(&r.name, scheme));
        Ok(())
    })?;
    let (mut labels, mut instance_rows) = (Vec::new(), TokenIndex::default());
    folder.read(NuScenesTable::Instance, |row, r: InstanceRow| {
        instance_rows.insert(r.token, labels.len() as u32, row)?;
        labels.push(classes[category_rows.resolve(r.category_token, "category", row)? as usize]);
        Ok(())
    })?;
    Ok((labels, instance_rows))
}

impl BoxRow {
    /// The box of row `row` of the table.
    fn new(r: &SampleAnnotationRow, row: usize, keyframe: u32, label: u16) -> Result<Self, ParseError> {
        if !r.size.iter().all(|s| s.is_finite() && *s > 0.0) {
            let expected = "a column size of width, length, height above 0 metres";
            return Err(ParseError::new(FilePlace::Row(row), expected, format!("{:?}", r.size)));
        }
        let global_from_box = Pose::new(r.rotation, r.translation, row)?;
        let (token, lidar_points) = (r.token, r.num_lidar_pts);
        Ok(Self { token, keyframe, label, lidar_points, global_from_box, wlh: r.size, fault: None })
    }

    /// A box of which nobody knows where it is.
    fn broken(token: Token, keyframe: u32, label: u16, fault: ParseError) -> Self {
        let (lidar_points, global_from_box, wlh) = (None, Pose::IDENTITY, [0.0; 3]);
        Self { token, keyframe, label, lidar_points, global_from_box, wlh, fault: Some(Box::new(fault)) }
    }

    /// The box in the lidar frame of its keyframe.
    pub(super) fn in_lidar_frame(&self, lidar_from_global: &DAffine3) -> BoxLabel {
        let lidar_from_box = *lidar_from_global * self.global_from_box.parent_from_child();
        let turned = DQuat::from_mat3(&lidar_from_box.matrix3).normalize();
        let [width, length, height] = self.wlh;
        BoxLabel {
            center: lidar_from_box.translation.to_array(),
            size: [length, width, height],
            rotation: [turned.w, turned.x, turned.y, turned.z],
            label: self.label as i16,
        }
    }
}

/// The points inside a box.
#[derive(Debug, Default)]
pub(super) struct PointsInBox {
    /// Their indices in the cloud.
    pub(super) indices: Vec<u32>,
    /// Where they are in the frame of the box.
    pub(super) positions: Vec<[f64; 3]>,
}

/// Finds the points inside a box.
///
/// A point on a face is inside, as in `points_in_box` of the official devkit. `margin` (metres) is
/// added on each side.
pub(super) fn points_in_box(
    positions: &[[f64; 3]],
    box_from_lidar: &DAffine3,
    wlh: [f64; 3],
    margin: f64,
) -> PointsInBox {
    let [width, length, height] = wlh;
    let half = DVec3::new(length, width, height) / 2.0 + DVec3::splat(margin);
    let mut inside = PointsInBox::default();
    for (i, &position) in positions.iter().enumerate() {
        let point = box_from_lidar.transform_point3(DVec3::from_array(position));
        if point.abs().cmple(half).all() {
            inside.indices.push(i as u32);
            inside.positions.push(point.to_array());
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_is_length_y_is_width_z_is_height_and_faces_are_inside() {
        let wlh = [2.0, 4.0, 1.0];
        let points = [
            [2.0, 1.0, 0.5],
            [-2.0, -1.0, -0.5],
            [2.01, 0.0, 0.0],
            [0.0, 1.01, 0.0],
            [0.0, 0.0, 0.51],
            [0.0, 0.0, 0.0],
        ];
        let inside = points_in_box(&points, &DAffine3::IDENTITY, wlh, 0.0);
        assert_eq!(inside.indices, [0, 1, 5]);
        assert_eq!(inside.positions, [points[0], points[1], points[5]]);
        let wider = points_in_box(&points, &DAffine3::IDENTITY, wlh, 0.02);
        assert_eq!(wider.indices, [0, 1, 2, 3, 4, 5]);
    }
}
