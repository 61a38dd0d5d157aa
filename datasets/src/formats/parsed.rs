//! What every parser of a format hands on.

/// The geometry of a file, and what was odd about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed<G> {
    /// The mesh, cloud or array.
    pub geometry: G,
    /// What was odd but usable, one sentence each.
    pub warnings: Vec<String>,
}
