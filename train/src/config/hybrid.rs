//! Settings of hybrid CrossJEPA: views as the model reads them, what is asked of them, and the weight of the local term.

use jepa3d_loader::ViewConfig;
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
    /// What of a view the loader hands out.
    pub(crate) fn view(&self) -> ViewConfig {
        let &Self { image_size, image_patch, queries, visible, .. } = self;
        ViewConfig { image_size, image_patch, queries, visible }
    }
}
