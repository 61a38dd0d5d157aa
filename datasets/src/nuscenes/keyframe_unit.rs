//! Unit `scene`: one object a keyframe, the whole lidar cloud with its photos and annotated boxes.

use jepa3d_schemas::{BoxLabel, Object, PointClasses, Warning, WarningKind};

use super::boxes::{AnnotatedBoxes, BoxRow};
use super::classes::class_names;
use super::dataset::{ListedObject, ObjectUnit};
use super::lidar_cloud::{LidarCloud, LidarFile};
use super::point_labels::PointLabels;
use super::recording::Recording;
use super::tables::TableFolder;
use crate::budget::Budget;
use crate::error::Result;

/// Keyframes; ids are `<scene name>/<timestamp>-<sample token>`.
pub(super) struct KeyframeUnit {
    boxes: Vec<BoxRow>,
    /// Rows of `boxes` of each keyframe, in the order of the table.
    boxes_of_keyframe: Vec<Vec<u32>>,
    box_classes: Vec<String>,
    labels: PointLabels,
    point_classes: Option<PointClasses>,
}

impl ObjectUnit for KeyframeUnit {
    fn read(folder: &TableFolder, recording: &Recording) -> Result<Self> {
        let config = &recording.config;
        let labels = PointLabels::read(folder, recording)?;
        let boxes = if config.boxes || matches!(labels, PointLabels::Boxes) {
            AnnotatedBoxes::read(folder, config.classes, 0, &recording.keyframe_rows)?.rows
        } else {
            Vec::new()
        };
        let mut boxes_of_keyframe = vec![Vec::new(); recording.keyframes.len()];
        for (row, annotated) in boxes.iter().enumerate() {
            boxes_of_keyframe[annotated.keyframe as usize].push(row as u32);
        }
        let labels = labels.without_empty_boxes(boxes.len());
        let point_classes = labels.classes(config.classes);
        let box_classes = class_names(config.classes);
        Ok(Self { boxes, boxes_of_keyframe, box_classes, labels, point_classes })
    }

    fn ids(&self, recording: &Recording) -> Vec<String> {
        let id = |k| format!("{}-{}", recording.id_at(k, k.timestamp), k.token);
        recording.keyframes.iter().map(id).collect()
    }

    fn lidar_file(&self, recording: &Recording, row: u32) -> LidarFile {
        LidarFile { keyframe: row, frame: recording.keyframe(row).lidar }
    }

    fn label_points(
        &self,
        recording: &Recording,
        row: u32,
        cloud: &mut LidarCloud,
        budget: &Budget,
    ) -> Result<()> {
        self.labels.label(recording, row, self.boxes_of(row), cloud, budget)
    }

    fn point_classes(&self) -> Option<PointClasses> {
        self.point_classes.clone()
    }

    fn note(&self, recording: &Recording) -> Option<String> {
        self.labels.note(&recording.config)
    }

    fn object(&self, recording: &Recording, listed: &ListedObject, mut cloud: LidarCloud) -> Object {
        let chain = &recording.chain;
        let lidar = chain.frame(recording.keyframe(listed.row).lidar);
        let photos = recording.photos(listed.row, &chain.global_from_sensor(lidar), None);
        let lidar_from_global = chain.sensor_from_global(lidar);
        let rows = self.boxes_of(listed.row).filter(|_| recording.config.boxes);
        let usable = rows.clone().filter(|annotated| annotated.fault.is_none());
        let boxes: Vec<BoxLabel> =
            usable.map(|annotated| annotated.in_lidar_frame(&lidar_from_global)).collect();
        cloud.warnings.extend(rows.filter_map(left_out));
        cloud.warnings.extend(recording.missing_photos(listed.row));
        cloud.parts.extend(boxes.iter().map(box_bytes));
        Object { boxes, ..cloud.into_object(&listed.id, photos) }
    }

    fn box_classes(&self) -> &[String] {
        &self.box_classes
    }
}

impl KeyframeUnit {
    /// The boxes of a keyframe, in the order of the table.
    fn boxes_of(&self, keyframe: u32) -> impl Iterator<Item = &BoxRow> + Clone {
        self.boxes_of_keyframe[keyframe as usize].iter().map(|&row| &self.boxes[row as usize])
    }
}

/// What to say of a box that cannot be used.
fn left_out(annotated: &BoxRow) -> Option<Warning> {
    let fault = annotated.fault.as_ref()?;
    let text = format!("annotation {} is left out: sample_annotation.json: {fault}", annotated.token);
    Some(Warning::new(WarningKind::BoxLeftOut, text))
}

/// The numbers of a box, for hashing.
fn box_bytes(label: &BoxLabel) -> Vec<u8> {
    let numbers = label.center.iter().chain(&label.size).chain(&label.rotation);
    numbers.flat_map(|v| v.to_le_bytes()).chain(label.label.to_le_bytes()).collect()
}
