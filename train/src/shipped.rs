//! Encoders that the build carries: their names stand in place of a run.

use std::path::Path;

/// An encoder that the build carries.
#[derive(Debug)]
pub(crate) struct ShippedModel {
    /// What it is called.
    name: &'static str,
    /// The checkpoint of the encoder alone.
    pub file: &'static [u8],
}

/// All of them. `make weights` makes the files again.
const MODELS: [ShippedModel; 1] =
    [ShippedModel { name: "jepa3d-s", file: include_bytes!("../weights/jepa3d-s.safetensors") }];

/// The encoder of this name.
pub(crate) fn find(name: &Path) -> Option<&'static ShippedModel> {
    MODELS.iter().find(|model| Path::new(model.name) == name)
}

/// The names of all.
pub fn shipped_names() -> Vec<&'static str> {
    MODELS.iter().map(|model| model.name).collect()
}

/// Whether a path is no path but the name of an encoder that the build carries.
pub fn is_shipped(path: &Path) -> bool {
    find(path).is_some() && !path.exists()
}
