//! ShapeNetPart: 16,881 clouds of 16 categories with part labels, in the two forms of the benchmark.
//!
//! The text form (`<synset>/<id>.txt`: x y z nx ny nz part) and the older one (`points/<id>.pts`
//! with `points_label/<id>.seg`). Part labels are global, 0 to 49, in both.
//! Layouts, splits and settings are described in this folder's README.

mod clouds;
mod index;
mod parts;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jepa3d_schemas::{Object, Shape, UpAxis};
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::listing::{Listing, check_root};

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

/// Folders below the root in which the benchmark is looked for.
const FOLDERS: [&str; 3] = [
    "",
    "shapenetcore_partanno_segmentation_benchmark_v0_normal",
    "shapenetcore_partanno_segmentation_benchmark_v0",
];
const CATEGORY_LIST: &str = "synsetoffset2category.txt";

/// ShapeNetPart on disk.
pub struct ShapeNetPart {
    base: PathBuf,
    folder: &'static str,
    layout: ShapeNetPartLayout,
    config: ShapeNetPartConfig,
    categories: index::Categories,
    listing: Listing,
    notes: Vec<String>,
}

impl ShapeNetPart {
    /// Lists the clouds below `root`, or below a folder of it that has the name of a release.
    ///
    /// # Errors
    /// Fails if the category list is missing, if a list is malformed (naming it), if no layout is
    /// there, or if a cloud is in two splits.
    pub fn open(root: &Path, config: &ShapeNetPartConfig) -> Result<Self> {
        check_root(root, "ShapeNetPart")?;
        let Some(folder) = FOLDERS.into_iter().find(|f| root.join(f).join(CATEGORY_LIST).is_file()) else {
            return Err(Error::Missing {
                path: root.join(CATEGORY_LIST),
                expected: "the category list of shapenetcore_partanno_segmentation_benchmark_v0(_normal)"
                    .into(),
            });
        };
        let base = root.join(folder);
        let categories = index::Categories::read(&base.join(CATEGORY_LIST))?;
        let layout = match config.layout {
            ShapeNetPartLayout::Auto => index::find_layout(&base, &categories)?,
            layout => layout,
        };
        let index = index::build(&base, layout, &categories)?;
        let mut notes = vec![format!("layout: {}", layout_name(layout))];
        notes.extend(index.listing.notes());
        notes.extend(index.notes);
        let (config, listing) = (config.clone(), index.listing);
        Ok(Self { base, folder, layout, config, categories, listing, notes })
    }

    /// The layout that was found or asked for; never [`ShapeNetPartLayout::Auto`].
    pub fn layout(&self) -> ShapeNetPartLayout {
        self.layout
    }
}

impl Dataset for ShapeNetPart {
    fn name(&self) -> &str {
        "shapenetpart"
    }

    fn len(&self) -> usize {
        self.listing.len()
    }

    fn id(&self, index: usize) -> &str {
        &self.listing.entry(index).id
    }

    fn split(&self, index: usize) -> &str {
        self.listing.entry(index).split.name()
    }

    fn source(&self, index: usize) -> String {
        let file = &self.listing.entry(index).file;
        if self.folder.is_empty() { file.clone() } else { format!("{}/{file}", self.folder) }
    }

    fn classes(&self) -> &[String] {
        &self.categories.names
    }

    fn up_axis(&self) -> UpAxis {
        self.config.up_axis
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn get(&self, index: usize) -> Result<Object> {
        let entry = self.listing.entry(index);
        let path = self.listing.file(&self.base, index)?;
        let parts = self.categories.parts[entry.label].clone();
        let read = match self.layout {
            ShapeNetPartLayout::PtsSeg => {
                let labels = self.base.join(index::label_file(&entry.file));
                if !labels.is_file() {
                    return Err(self.listing.missing(labels, index));
                }
                clouds::read_pts_seg(&path, &labels, parts)?
            }
            _ => clouds::read_txt(&path, parts)?,
        };
        Ok(Object {
            id: entry.id.clone(),
            category: Some(self.categories.names[entry.label].clone()),
            label: Some(entry.label as i32),
            shape: Shape::Points(read.cloud),
            photos: Vec::new(),
            source_hash: read.source_hash,
            warnings: read.warnings,
        })
    }
}

fn layout_name(layout: ShapeNetPartLayout) -> &'static str {
    match layout {
        ShapeNetPartLayout::Auto => "auto",
        ShapeNetPartLayout::Txt => "txt (x y z nx ny nz part)",
        ShapeNetPartLayout::PtsSeg => "pts-seg (points and labels apart, no normals)",
    }
}
