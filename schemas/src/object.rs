//! What a dataset reader hands on: one labelled object with its raw geometry.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::camera::Camera;
use crate::geometry::{Mesh, PointCloud};
use crate::warning::Warning;

/// The direction that points up in a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpAxis {
    /// +x is up.
    X,
    /// +y is up (ShapeNet, ScanObjectNN h5).
    Y,
    /// +z is up (nuScenes, ModelNet meshes).
    Z,
}

impl UpAxis {
    /// The place of the axis among x, y, z.
    pub const fn index(self) -> usize {
        match self {
            Self::X => 0,
            Self::Y => 1,
            Self::Z => 2,
        }
    }
}

/// Raw geometry of an object, in the units and frame of its source.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A surface, to be sampled.
    Mesh(Mesh),
    /// Points as measured or sampled by others.
    Points(PointCloud),
}

/// A photograph of the object with the calibration that ties pixels to its frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Photo {
    /// Name of the view, for example `CAM_FRONT`.
    pub name: String,
    /// Image file.
    pub path: PathBuf,
    /// Calibration; the world of `camera_from_world` is the frame of the object's geometry.
    pub camera: Camera,
}

/// A labelled box in the frame of an object's geometry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxLabel {
    /// Centre.
    pub center: [f64; 3],
    /// Edge lengths along the box's own x (forward), y (left) and z (up).
    pub size: [f64; 3],
    /// Unit quaternion w, x, y, z that turns the box's axes into those of the geometry.
    pub rotation: [f64; 4],
    /// Index into the dataset's classes of boxes.
    pub label: i16,
}

/// One object of a dataset: geometry, labels, photos and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Stable, unique within the dataset.
    pub id: String,
    /// Class name.
    pub category: Option<String>,
    /// Class number, the index into the dataset's class list.
    pub label: Option<i32>,
    /// Mesh or points.
    pub shape: Shape,
    /// Calibrated images, empty for most datasets.
    pub photos: Vec<Photo>,
    /// Annotated boxes, empty for most datasets.
    pub boxes: Vec<BoxLabel>,
    /// Hash of the bytes the geometry was read from ([`crate::source_hash`]).
    pub source_hash: String,
    /// What was odd about the source but did not make it useless.
    pub warnings: Vec<Warning>,
}

impl Object {
    /// A shape by itself: of no class, without photos and boxes, read from nowhere.
    pub fn new(id: impl Into<String>, shape: Shape) -> Self {
        Self {
            id: id.into(),
            category: None,
            label: None,
            shape,
            photos: Vec::new(),
            boxes: Vec::new(),
            source_hash: String::new(),
            warnings: Vec::new(),
        }
    }
}
