//! What every parser of a format hands on.

use jepa3d_schemas::Warning;

/// The geometry of a file, and what was odd about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed<G> {
    /// The mesh, cloud or array.
    pub geometry: G,
    /// What was odd but usable.
    pub warnings: Vec<Warning>,
}
