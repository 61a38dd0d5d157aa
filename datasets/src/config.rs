//! The `[dataset]` table: which reader, and its settings.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::Result;
use crate::folder::{Folder, FolderConfig};
use crate::nuscenes::{NuScenes, NuScenesConfig};
use crate::synthetic::{Synthetic, SyntheticConfig};

/// A reader and its settings; `kind` names the reader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum DatasetConfig {
    /// The built-in procedural set.
    Synthetic(SyntheticConfig),
    /// Any folder of supported files, by class or flat.
    Folder(FolderConfig),
    /// nuScenes keyframes or annotated boxes.
    NuScenes(NuScenesConfig),
}

impl Default for DatasetConfig {
    fn default() -> Self {
        Self::Synthetic(SyntheticConfig::default())
    }
}

impl DatasetConfig {
    /// Opens the dataset below `root` (the synthetic set needs none).
    ///
    /// # Errors
    /// Fails if the folder does not look like the dataset, or a setting has no meaning for it.
    pub fn open(&self, root: &Path) -> Result<Box<dyn Dataset>> {
        Ok(match self {
            Self::Synthetic(config) => Box::new(Synthetic::new(config)?),
            Self::Folder(config) => Box::new(Folder::open(root, config)?),
            Self::NuScenes(config) => Box::new(NuScenes::open(root, config)?),
        })
    }

    /// Whether the dataset is generated and needs no folder of raw data.
    pub fn is_generated(&self) -> bool {
        matches!(self, Self::Synthetic(_))
    }
}
