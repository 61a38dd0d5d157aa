//! The `[dataset]` table: which reader, and its settings.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::Result;
use crate::folder::{Folder, FolderConfig};
use crate::modelnet::{ModelNet, ModelNetConfig};
use crate::nuscenes::{NuScenesConfig, open_nuscenes};
use crate::scanobjectnn::{ScanObjectNn, ScanObjectNnConfig};
use crate::shapenet::{ShapeNet, ShapeNetConfig};
use crate::shapenetpart::{ShapeNetPart, ShapeNetPartConfig};
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
    /// ShapeNetCore meshes or ShapeNet55 clouds.
    ShapeNet(ShapeNetConfig),
    /// ModelNet10 or ModelNet40 in any of their forms.
    ModelNet(ModelNetConfig),
    /// ShapeNetPart clouds with part labels.
    ShapeNetPart(ShapeNetPartConfig),
    /// A variant of ScanObjectNN.
    ScanObjectNn(ScanObjectNnConfig),
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
            Self::NuScenes(config) => open_nuscenes(root, config)?,
            Self::ShapeNet(config) => Box::new(ShapeNet::open(root, config)?),
            Self::ModelNet(config) => Box::new(ModelNet::open(root, config)?),
            Self::ShapeNetPart(config) => Box::new(ShapeNetPart::open(root, config)?),
            Self::ScanObjectNn(config) => Box::new(ScanObjectNn::open(root, config)?),
        })
    }

    /// Whether the dataset is generated and needs no folder of raw data.
    pub fn is_generated(&self) -> bool {
        matches!(self, Self::Synthetic(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_the_names_of_the_readers() {
        let read = |text: &str| serde_json::from_str::<DatasetConfig>(text);
        for kind in
            ["synthetic", "folder", "nuscenes", "shapenet", "modelnet", "shapenetpart", "scanobjectnn"]
        {
            let config = read(&format!(r#"{{"kind": "{kind}"}}"#)).unwrap();
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(read(&text).unwrap(), config, "{text}");
            assert!(read(&format!(r#"{{"kind": "{kind}", "no_such_key": 1}}"#)).is_err(), "{kind}");
        }
    }
}
