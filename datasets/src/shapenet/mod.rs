//! ShapeNet: the meshes of ShapeNetCore v1 and v2, and the ShapeNet55 clouds of Point-BERT.
//!
//! Ids are `<synset>/<model>`, taken as text: model ids have leading zeros, and some contain `-`.
//! The label is the place of the synset among the 55 of ShapeNetCore v2 in every layout.
//! Layouts, splits and settings are described in this folder's README.

mod config;
mod index;
mod lists;
mod synsets;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::files::{is_file, is_folder};
use crate::formats::{ReadOptions, read_within};
use crate::listed::{Facts, Geometry, Listed};
use crate::listing::check_root;
use crate::names::path_below;
use crate::walk::{list_folder, list_readable_folder};

pub use self::config::ShapeNetConfig;
use self::config::ShapeNetLayout;

/// ShapeNet on disk.
pub(crate) struct ShapeNet {
    root: PathBuf,
    textures: bool,
    facts: Facts,
}

impl ShapeNet {
    /// Lists the models below `root`; reads split lists and folder names only.
    ///
    /// # Errors
    /// Fails if the root holds none of the layouts, if a list that the config names is missing, if
    /// a list is malformed (naming the line), or if a model is listed in two splits.
    pub(crate) fn open(root: &Path, config: &ShapeNetConfig) -> Result<Self> {
        check_root(root, "ShapeNet")?;
        let layout = match config.layout {
            ShapeNetLayout::Auto => find_layout(root)?,
            layout => layout,
        };
        let listed = index::list_models(root, layout, config)?;
        let mut notes = vec![format!("layout: {}", layout_name(layout))];
        notes.extend(listed.listing.notes());
        notes.extend(listed.notes);
        let facts = Facts {
            name: "shapenet",
            listing: listed.listing,
            folder: "",
            classes: synsets::SYNSETS.iter().map(|(_, name)| (*name).to_owned()).collect(),
            up_axis: config.up_axis,
            notes,
        };
        Ok(Self { root: root.to_owned(), textures: config.textures, facts })
    }
}

impl Listed for ShapeNet {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn read(&self, index: usize, budget: &Budget) -> Result<Geometry> {
        let listing = &self.facts.listing;
        let path = listing.file(&self.root, index)?;
        let options = ReadOptions { textures: self.textures, root: Some(self.root.clone()) };
        let loaded = read_within(&path, &options, budget)?;
        Ok(Geometry {
            shape: loaded.shape,
            label: listing.entry(index).label,
            source_hash: loaded.source_hash,
            warnings: loaded.warnings,
        })
    }
}

fn layout_name(layout: ShapeNetLayout) -> &'static str {
    match layout {
        ShapeNetLayout::Auto => "auto",
        ShapeNetLayout::CoreV1 => "core-v1 (<synset>/<model>/model.obj)",
        ShapeNetLayout::CoreV2 => "core-v2 (<synset>/<model>/models/model_normalized.obj)",
        ShapeNetLayout::Points => "points (ShapeNet55 clouds)",
    }
}

/// The layout of the first model folder that has one, else that of the clouds.
fn find_layout(root: &Path) -> Result<ShapeNetLayout> {
    for synset in list_folder(root)?.folders.iter().filter(|name| lists::is_synset(name)) {
        let folder = root.join(synset);
        for model in list_readable_folder(&folder)?.unwrap_or_default().folders {
            let model = path_below(&folder, &model);
            if is_folder(&model.join("models"))? {
                return Ok(ShapeNetLayout::CoreV2);
            }
            if is_file(&model.join("model.obj"))? {
                return Ok(ShapeNetLayout::CoreV1);
            }
        }
    }
    if index::cloud_folder(root)?.is_some() {
        return Ok(ShapeNetLayout::Points);
    }
    Err(Error::Missing {
        path: root.to_owned(),
        expected: "ShapeNetCore models <synset>/<model>/model.obj (v1) or \
                   <synset>/<model>/models/model_normalized.obj (v2) from shapenet.org, or the ShapeNet55 clouds \
                   of Point-BERT in shapenet_pc"
            .into(),
    })
}
