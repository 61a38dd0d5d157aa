//! Settings of the ShapeNet reader.

use std::path::PathBuf;

use jepa3d_schemas::UpAxis;
use serde::{Deserialize, Serialize};

/// How ShapeNet lies on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShapeNetLayout {
    /// Whichever of the others the root holds.
    #[default]
    Auto,
    /// ShapeNetCore v1 meshes: `<synset>/<model>/model.obj`.
    CoreV1,
    /// ShapeNetCore v2 meshes: `<synset>/<model>/models/model_normalized.obj`.
    CoreV2,
    /// The ShapeNet55 clouds of Point-BERT: `shapenet_pc/<synset>-<model>.npy`, 8192 points each.
    Points,
}

/// What happens to models on disk that the split lists do not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unlisted {
    /// They are left out and counted, so that what the official split leaves out stays out.
    #[default]
    Skip,
    /// They join the train split.
    Train,
}

/// `[dataset]` of `kind = "shapenet"`. Paths are relative to the root.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShapeNetConfig {
    /// Layout on disk; `auto` (the default) looks.
    pub layout: ShapeNetLayout,
    /// The split file of the meshes (`id,synsetId,subSynsetId,modelId,split`); default `all.csv` if it is there.
    pub split_csv: Option<PathBuf>,
    /// The list of training clouds, one file name a line; default `train.txt`.
    pub train_list: Option<PathBuf>,
    /// The list of test clouds; default `test.txt`.
    pub test_list: Option<PathBuf>,
    /// Synsets (or class names) to keep; empty (the default) keeps all. Labels do not change.
    pub synsets: Vec<String>,
    /// What to do with models that no list names: `skip` (default) or `train`.
    pub unlisted: Unlisted,
    /// Whether to decode the textures of meshes; default true.
    pub textures: bool,
    /// The axis that points up; default `y`.
    pub up_axis: UpAxis,
}

impl Default for ShapeNetConfig {
    fn default() -> Self {
        Self {
            layout: ShapeNetLayout::Auto,
            split_csv: None,
            train_list: None,
            test_list: None,
            synsets: Vec::new(),
            unlisted: Unlisted::Skip,
            textures: true,
            up_axis: UpAxis::Y,
        }
    }
}
