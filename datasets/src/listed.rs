//! Datasets of which everything but the objects themselves is known once they are open.
//!
//! ShapeNet, ModelNet, ShapeNetPart and ScanObjectNN differ in how they list and read objects;
//! what they answer from the listing is the same, and stands here once.

use jepa3d_schemas::{Object, PointClasses, Shape, UpAxis, Warning};

use crate::budget::Budget;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::listing::Listing;

/// What is known of a dataset without reading an object.
pub(crate) struct Facts {
    /// Short name, as in the config.
    pub(crate) name: &'static str,
    /// The objects; files are relative to `folder`.
    pub(crate) listing: Listing,
    /// Folder of the release below the root, empty for the root itself.
    pub(crate) folder: &'static str,
    /// Class names.
    pub(crate) classes: Vec<String>,
    /// The axis that points up.
    pub(crate) up_axis: UpAxis,
    /// Notes for the person who prepares it.
    pub(crate) notes: Vec<String>,
}

/// The geometry of an object as a file gave it.
pub(crate) struct Geometry {
    /// Mesh or points.
    pub(crate) shape: Shape,
    /// Index into the class names.
    pub(crate) label: usize,
    /// Hash of the bytes it was read from.
    pub(crate) source_hash: String,
    /// What was odd about them.
    pub(crate) warnings: Vec<Warning>,
}

/// A dataset that a [`Listing`] describes.
pub(crate) trait Listed: Send + Sync {
    /// What was found when it was opened.
    fn facts(&self) -> &Facts;

    /// What the labels of points mean.
    fn parts(&self) -> Option<PointClasses> {
        None
    }

    /// Reads the geometry of one object, charging what it decodes to `budget`.
    ///
    /// # Errors
    /// Fails if a file is missing, cannot be read or is malformed, or exceeds the budget; the error names it.
    fn read(&self, index: usize, budget: &Budget) -> Result<Geometry>;
}

impl<T: Listed> Dataset for T {
    fn name(&self) -> &str {
        self.facts().name
    }

    fn len(&self) -> usize {
        self.facts().listing.len()
    }

    fn id(&self, index: usize) -> &str {
        &self.facts().listing.entry(index).id
    }

    fn split(&self, index: usize) -> &str {
        self.facts().listing.entry(index).split.name()
    }

    fn source(&self, index: usize) -> String {
        let Facts { listing, folder, .. } = self.facts();
        let file = &listing.entry(index).file;
        if folder.is_empty() { file.clone() } else { format!("{folder}/{file}") }
    }

    fn classes(&self) -> &[String] {
        &self.facts().classes
    }

    fn point_classes(&self) -> Option<PointClasses> {
        self.parts()
    }

    fn up_axis(&self) -> UpAxis {
        self.facts().up_axis
    }

    fn notes(&self) -> Vec<String> {
        self.facts().notes.clone()
    }

    fn get_within(&self, index: usize, budget: &Budget) -> Result<Object> {
        let Geometry { shape, label, source_hash, warnings } = self.read(index, budget)?;
        Ok(Object {
            id: self.id(index).to_owned(),
            category: Some(self.classes()[label].clone()),
            label: Some(label as i32),
            shape,
            photos: Vec::new(),
            boxes: Vec::new(),
            source_hash,
            warnings,
        })
    }
}
