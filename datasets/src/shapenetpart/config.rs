//! Settings of the ShapeNetPart reader.

use jepa3d_schemas::UpAxis;
use serde::{Deserialize, Serialize};

/// How ShapeNetPart lies on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShapeNetPartLayout {
    /// Whichever of the others the root holds.
    #[default]
    Auto,
    /// `<synset>/<id>.txt`, seven columns, global part labels.
    Txt,
    /// `<synset>/points/<id>.pts` and `<synset>/points_label/<id>.seg`, labels from 1 in each category.
    PtsSeg,
}

/// `[dataset]` of `kind = "shapenetpart"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShapeNetPartConfig {
    /// Layout on disk; `auto` (the default) looks.
    pub layout: ShapeNetPartLayout,
    /// The axis that points up; default `y`.
    pub up_axis: UpAxis,
}

impl Default for ShapeNetPartConfig {
    fn default() -> Self {
        Self { layout: ShapeNetPartLayout::Auto, up_axis: UpAxis::Y }
    }
}
