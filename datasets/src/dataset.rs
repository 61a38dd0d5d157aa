//! The one trait all readers implement: a lazy, random-access list of objects.

use jepa3d_schemas::{Object, PointClasses, UpAxis};

use crate::budget::Budget;
use crate::error::Result;

/// A dataset on disk (or a procedural one): stable sorted ids, objects read on demand.
///
/// Opening lists names only; [`Dataset::get`] reads one object. `get` is pure in the index:
/// the same files give the same object, from any thread, in any order. An object that a list
/// names but whose file is missing or broken is still listed: `get` fails for it.
pub trait Dataset: Send + Sync {
    /// Short name, as in the config: `modelnet`, `shapenet`, ...
    fn name(&self) -> &str;

    /// Number of objects.
    fn len(&self) -> usize;

    /// Whether there are no objects.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Id of an object: unique, ascending in the index (byte order).
    fn id(&self, index: usize) -> &str;

    /// Split of an object: `train`, `val` or `test`; `train` where the source has no splits.
    fn split(&self, index: usize) -> &str;

    /// Path of the object's main file relative to the root (`file.h5#17` for row 17 of an array).
    fn source(&self, index: usize) -> String;

    /// Class names; a label is an index into this list. Empty if there are no classes.
    fn classes(&self) -> &[String];

    /// Class names of annotated boxes; a box label is an index into this list.
    fn box_classes(&self) -> &[String] {
        &[]
    }

    /// What point labels mean, where points have labels of known meaning.
    fn point_classes(&self) -> Option<PointClasses> {
        None
    }

    /// The axis that points up.
    fn up_axis(&self) -> UpAxis;

    /// Notes about the dataset for the person who prepares it: variant, counts, oddities.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Reads one object within the default [`Budget`].
    ///
    /// # Errors
    /// Fails as [`Dataset::get_within`] does.
    fn get(&self, index: usize) -> Result<Object> {
        self.get_within(index, &Budget::default())
    }

    /// Reads one object, charging what it decodes to `budget`.
    ///
    /// # Errors
    /// Fails if a file is missing, cannot be read or is malformed, or if the budget does not suffice; the error names
    /// the file.
    fn get_within(&self, index: usize, budget: &Budget) -> Result<Object>;
}
