//! Settings of hybrid CrossJEPA: views as the model reads them, what is asked of them, and the weight of the local term.

use serde::{Deserialize, Serialize};

/// One view of every sample and step, and the two terms of the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HybridConfig {
    /// Pixels of each side that a view is resized to.
    pub image_size: usize,
    /// Pixels of each side of an image token; must divide `image_size`.
    pub image_patch: usize,
    /// The most patches that are asked of a view; more visible ones are drawn from.
    pub queries: usize,
    /// Share of a patch's points that a view must show for the patch to be asked for.
    pub visible: f64,
    /// Weight of the masked term on points alone; positive, because the point tokenizer learns from nothing else.
    pub local: f64,
}

impl Default for HybridConfig {
    fn default() -> Self {
        Self { image_size: 224, image_patch: 16, queries: 32, visible: 0.25, local: 1.0 }
    }
}

impl HybridConfig {
    /// Image tokens along a side.
    pub(crate) fn side(&self) -> usize {
        self.image_size / self.image_patch
    }

    /// Numbers of an image token before it is embedded: three channels of its pixels.
    pub(crate) fn pixels(&self) -> usize {
        3 * self.image_patch * self.image_patch
    }
}
