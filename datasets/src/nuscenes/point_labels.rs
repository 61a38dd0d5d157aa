//! Labels of the points of a keyframe: those of `lidarseg` files, or of the annotated boxes that points lie in.
//!
//! Labels are of the points that the keyframe itself measured; points of sweeps that join it moved since, and have none.

use jepa3d_schemas::PointClasses;

use glam::DAffine3;

use super::boxes::{BoxRow, points_in_box};
use super::classes::class_names;
use super::config::{NuScenesClasses, NuScenesConfig, NuScenesPointLabels};
use super::lidar_cloud::LidarCloud;
use super::lidarseg::{Lidarseg, lidarseg_classes};
use super::recording::Recording;
use super::rows::NuScenesTable;
use super::tables::TableFolder;
use crate::budget::Budget;
use crate::error::Result;

/// Label of points in no box.
const BACKGROUND: i16 = 0;

/// Label of points that nobody labelled.
const UNLABELLED: i16 = -1;

/// Where the labels of points come from.
pub(super) enum PointLabels {
    /// There are none.
    Absent,
    /// Files of one label a point.
    Lidarseg(Lidarseg),
    /// The boxes that points lie in.
    Boxes,
}

impl PointLabels {
    /// Finds the source that the config asks for; `auto` takes `lidarseg` where its table is.
    ///
    /// # Errors
    /// Fails if a table of it is missing or malformed.
    pub(super) fn read(folder: &TableFolder, recording: &Recording) -> Result<Self> {
        let asked = recording.config.point_labels;
        let has_table = || folder.has(NuScenesTable::Lidarseg);
        Ok(match asked {
            NuScenesPointLabels::None => Self::Absent,
            NuScenesPointLabels::Boxes => Self::Boxes,
            NuScenesPointLabels::Auto if !has_table()? => Self::Boxes,
            NuScenesPointLabels::Auto | NuScenesPointLabels::Lidarseg => {
                Self::Lidarseg(Lidarseg::read(folder, recording)?)
            }
        })
    }

    /// Nothing is known where no keyframe has a box, as in the test version: all would be background.
    pub(super) fn without_empty_boxes(self, boxes: usize) -> Self {
        if matches!(self, Self::Boxes) && boxes == 0 { Self::Absent } else { self }
    }

    /// What the labels mean.
    pub(super) fn classes(&self, scheme: NuScenesClasses) -> Option<PointClasses> {
        match self {
            Self::Absent => None,
            Self::Lidarseg(_) => Some(lidarseg_classes()),
            Self::Boxes => {
                let mut names = vec!["background".to_owned()];
                names.extend(class_names(scheme));
                Some(PointClasses { names, ..PointClasses::default() })
            }
        }
    }

    /// One sentence about them.
    pub(super) fn note(&self, config: &NuScenesConfig) -> Option<String> {
        match self {
            Self::Absent if config.point_labels == NuScenesPointLabels::None => None,
            Self::Absent => Some("points have no labels: no lidarseg.json, and no annotated box".to_owned()),
            Self::Lidarseg(_) => {
                Some("labels of points: lidarseg, the 16 classes of its challenge".to_owned())
            }
            Self::Boxes => {
                let text = "labels of points: the class of the annotated box around them, background in none";
                Some(text.to_owned())
            }
        }
    }

    /// Labels the cloud of a keyframe, whose boxes in its table's order are `boxes`.
    ///
    /// # Errors
    /// Fails if a file of labels is missing, or not of the points that there are.
    pub(super) fn label<'a>(
        &self,
        recording: &Recording,
        keyframe: u32,
        boxes: impl Iterator<Item = &'a BoxRow>,
        cloud: &mut LidarCloud,
        budget: &Budget,
    ) -> Result<()> {
        let mut labels = match self {
            Self::Absent => return Ok(()),
            Self::Lidarseg(files) => files.label(recording, keyframe, cloud, budget)?,
            Self::Boxes => {
                let lidar = recording.chain.frame(recording.keyframe(keyframe).lidar);
                let global_from_lidar = recording.chain.global_from_sensor(lidar);
                let own = &cloud.points.positions[..cloud.rows.len()];
                label_by_boxes(own, boxes, &global_from_lidar)
            }
        };
        labels.resize(cloud.points.len(), UNLABELLED);
        cloud.parts.push(labels.iter().flat_map(|label| label.to_le_bytes()).collect());
        cloud.points.point_labels = Some(labels);
        Ok(())
    }
}

/// Labels points by the smallest of the boxes that they lie in, of equal ones the first, one above its class; 0 in none.
fn label_by_boxes<'a>(
    positions: &[[f64; 3]],
    boxes: impl Iterator<Item = &'a BoxRow>,
    global_from_lidar: &DAffine3,
) -> Vec<i16> {
    let mut labels = vec![BACKGROUND; positions.len()];
    let volume = |annotated: &BoxRow| annotated.wlh.iter().product::<f64>();
    let mut boxes: Vec<(usize, &BoxRow)> =
        boxes.filter(|annotated| annotated.fault.is_none()).enumerate().collect();
    // Whoever writes last stays.
    boxes.sort_by(|(i, a), (j, b)| volume(b).total_cmp(&volume(a)).then(j.cmp(i)));
    for (_, annotated) in boxes {
        let box_from_lidar = annotated.global_from_box.child_from_parent() * *global_from_lidar;
        for index in points_in_box(positions, &box_from_lidar, annotated.wlh, 0.0).indices {
            labels[index as usize] = annotated.label as i16 + 1;
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use glam::{DQuat, DVec3};
    use jepa3d_schemas::Draws;

    use super::super::pose::Pose;
    use super::super::token::Token;
    use super::*;

    fn drawn_box(draws: &mut Draws, label: u16) -> BoxRow {
        let turn =
            DQuat::from_rotation_z(draws.range(-3.0, 3.0)) * DQuat::from_rotation_x(draws.range(-0.2, 0.2));
        let at = [(); 3].map(|()| draws.range(-4.0, 4.0));
        let wlh = [(); 3].map(|()| draws.range(1.0, 5.0));
        BoxRow {
            token: Token::NONE,
            keyframe: 0,
            label,
            lidar_points: None,
            global_from_box: Pose::new([turn.w, turn.x, turn.y, turn.z], at, 0).unwrap(),
            wlh,
            fault: None,
        }
    }

    /// The devkit's test: projections of the offset from one corner onto the three edges that leave it.
    fn is_inside(annotated: &BoxRow, point: DVec3) -> bool {
        let [width, length, height] = annotated.wlh;
        let place = annotated.global_from_box.parent_from_child();
        let corner = |x: f64, y: f64, z: f64| {
            place.transform_point3(DVec3::new(x * length, y * width, z * height) / 2.0)
        };
        let origin = corner(-1.0, -1.0, -1.0);
        [corner(1.0, -1.0, -1.0), corner(-1.0, 1.0, -1.0), corner(-1.0, -1.0, 1.0)].iter().all(|end| {
            let edge = *end - origin;
            let along = (point - origin).dot(edge);
            (0.0..=edge.dot(edge)).contains(&along)
        })
    }

    #[test]
    fn the_smallest_box_around_a_point_labels_it() {
        let mut draws = Draws::new(3, "boxes", "test");
        let boxes: Vec<BoxRow> = (0..12).map(|i| drawn_box(&mut draws, i % 10)).collect();
        let global_from_lidar = Pose::new([0.8, 0.0, 0.0, -0.6], [1.0, -2.0, 0.5], 0).unwrap();
        let points: Vec<[f64; 3]> = (0..3000).map(|_| [(); 3].map(|()| draws.range(-7.0, 7.0))).collect();
        let labels = label_by_boxes(&points, boxes.iter(), &global_from_lidar.parent_from_child());
        let (mut inside, mut overlapping) = (0, 0);
        for (point, label) in points.iter().zip(labels) {
            let global = global_from_lidar.parent_from_child().transform_point3(DVec3::from_array(*point));
            let around: Vec<&BoxRow> = boxes.iter().filter(|b| is_inside(b, global)).collect();
            let volume = |b: &BoxRow| b.wlh[0] * b.wlh[1] * b.wlh[2];
            let smallest = around.iter().min_by(|a, b| volume(a).total_cmp(&volume(b)));
            assert_eq!(label, smallest.map_or(0, |b| b.label as i16 + 1));
            inside += usize::from(!around.is_empty());
            overlapping += usize::from(around.len() > 1);
        }
        assert!(inside > 150 && overlapping > 20, "{inside} {overlapping}");
    }
}
