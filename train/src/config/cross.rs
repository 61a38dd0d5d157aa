//! Settings of the methods that learn from images.

use serde::{Deserialize, Serialize};

/// Which model is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Latents of hidden patches from visible ones: Point-JEPA and 3D-JEPA.
    Masked,
    /// Embeddings of views from points: CrossJEPA (arXiv 2511.18424).
    Cross,
    /// Latents of patches from a view that shows them, and the masked term on points beside it: hybrid CrossJEPA.
    Hybrid,
}

/// The cached embeddings of a frozen image encoder (`jepa3d teacher`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TeacherConfig {
    /// Name of the cache below the dataset's `teachers/`.
    pub name: String,
    /// `D_t`: numbers of an embedding.
    pub width: usize,
}

impl Default for TeacherConfig {
    fn default() -> Self {
        Self { name: "hog".into(), width: 384 }
    }
}

/// What the predictor is told about a view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossConfig {
    /// Views of a sample and step, drawn without replacement.
    pub views: usize,
    /// The query carries where the camera stands.
    pub pose: bool,
    /// The query carries the histogram of the view's colours.
    pub histogram: bool,
    /// `method = "masked"`: weight of the view term, which answers from the context for a teacher's embeddings of views
    /// beside the masked term; 0: none.
    #[serde(skip_serializing_if = "super::range::is_nothing")]
    pub weight: f64,
}

impl Default for CrossConfig {
    fn default() -> Self {
        Self { views: 2, pose: true, histogram: true, weight: 0.0 }
    }
}
