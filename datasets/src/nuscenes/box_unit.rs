//! Unit `box`: one object an annotated box, the lidar points of its keyframe that lie in it.

use jepa3d_schemas::{Object, PointCloud, Warning, WarningKind};

use super::boxes::{AnnotatedBoxes, points_in_box};
use super::classes::class_names;
use super::dataset::{ListedObject, ObjectUnit};
use super::lidar_cloud::{LidarCloud, LidarFile, affine_bytes};
use super::recording::Recording;
use super::tables::TableFolder;
use crate::error::Result;

/// Annotated boxes; ids are `<scene name>/<timestamp of the keyframe>/<annotation token>`.
pub(super) struct BoxUnit {
    pub(super) boxes: AnnotatedBoxes,
    classes: Vec<String>,
}

impl ObjectUnit for BoxUnit {
    fn read(folder: &TableFolder, recording: &Recording) -> Result<Self> {
        let config = &recording.config;
        let rows = &recording.keyframe_rows;
        let boxes = AnnotatedBoxes::read(folder, config.classes, config.min_box_points, rows)?;
        Ok(Self { boxes, classes: class_names(config.classes) })
    }

    fn ids(&self, recording: &Recording) -> Vec<String> {
        let ids = self.boxes.rows.iter().map(|annotated| {
            let keyframe = recording.keyframe(annotated.keyframe);
            format!("{}/{}", recording.id_at(keyframe, keyframe.timestamp), annotated.token)
        });
        ids.collect()
    }

    fn lidar_file(&self, recording: &Recording, row: u32) -> LidarFile {
        let keyframe = self.boxes.rows[row as usize].keyframe;
        LidarFile { keyframe, frame: recording.keyframe(keyframe).lidar }
    }

    /// The points in the frame of the box; the photos are those that see its centre.
    fn object(&self, recording: &Recording, listed: &ListedObject, mut cloud: LidarCloud) -> Object {
        let row = &self.boxes.rows[listed.row as usize];
        let config = &recording.config;
        let lidar = recording.chain.frame(recording.keyframe(row.keyframe).lidar);
        let global_from_lidar = recording.chain.global_from_sensor(lidar);
        let box_from_lidar = row.global_from_box.child_from_parent() * global_from_lidar;
        let global_from_box = row.global_from_box.parent_from_child();
        let photos = recording.photos(row.keyframe, &global_from_box, Some([0.0; 3]));
        let inside = points_in_box(&cloud.points.positions, &box_from_lidar, row.wlh, config.box_margin);
        cloud.points = PointCloud { positions: inside.positions, ..cloud.points.select(&inside.indices) };
        if cloud.points.len() < config.min_box_points as usize {
            let (found, told) = (cloud.points.len(), row.lidar_points.unwrap_or(0));
            let text = format!("{found} points lie in the box, though num_lidar_pts is {told}");
            cloud.warnings.push(Warning::new(WarningKind::PointCountDiffers, text));
        }
        cloud.warnings.extend(recording.missing_photos(row.keyframe));
        cloud.parts.push(affine_bytes(&box_from_lidar));
        cloud.parts.push(row.wlh.iter().flat_map(|v| v.to_le_bytes()).collect());
        cloud.parts.push(u32::from(row.label).to_le_bytes().to_vec());
        Object {
            category: self.classes.get(usize::from(row.label)).cloned(),
            label: Some(i32::from(row.label)),
            ..cloud.into_object(&listed.id, photos)
        }
    }

    fn check(&self, row: u32) -> Result<()> {
        self.boxes.check(row)
    }

    fn note(&self, recording: &Recording) -> Option<String> {
        let AnnotatedBoxes { rows, without_class, too_few_points, unknown_points, .. } = &self.boxes;
        let mut note = format!(
            "{} boxes; not listed: {without_class} without a class of the scheme, {too_few_points} with \
             fewer than {} lidar points",
            rows.len(),
            recording.config.min_box_points
        );
        if *unknown_points > 0 {
            note += &format!(", {unknown_points} whose lidar points nobody has counted (num_lidar_pts -1)");
        }
        Some(note)
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }
}
