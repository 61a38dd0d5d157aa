//! Settings of the ModelNet reader.

use jepa3d_schemas::UpAxis;
use serde::{Deserialize, Serialize};

/// How ModelNet lies on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelNetLayout {
    /// Whichever of the others the root holds.
    #[default]
    Auto,
    /// The meshes: `<class>/{train,test}/<class>_0001.off`, z up.
    Off,
    /// Clouds in the tree of the meshes: `<class>/{train,test}/<class>_0001.pcd`, z up.
    Pcd,
    /// PointNet++'s clouds with normals: `<class>/<class>_0001.txt` and list files, y up.
    NormalResampled,
    /// PointNet's clouds: `ply_data_{train,test}*.h5` and `shape_names.txt`, y up.
    H5,
}

/// Which of the two sets the list files are read for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelNetSet {
    /// The ten aligned classes.
    #[serde(rename = "10")]
    Ten,
    /// All forty classes.
    #[default]
    #[serde(rename = "40")]
    Forty,
}

/// `[dataset]` of `kind = "modelnet"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelNetConfig {
    /// Layout on disk; `auto` (the default) looks.
    pub layout: ModelNetLayout,
    /// `"40"` (default) or `"10"`: which lists of `normal-resampled` are read; no other layout looks at it.
    pub set: ModelNetSet,
    /// The axis that points up; default is that of the layout's release (z for OFF and PCD, else y).
    pub up_axis: Option<UpAxis>,
}
