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

use jepa3d_schemas::{Shape, UpAxis};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::listed::{Facts, Geometry, Listed};
use crate::listing::check_root;

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
    layout: ShapeNetPartLayout,
    categories: index::Categories,
    facts: Facts,
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
        let (classes, up_axis) = (categories.names.clone(), config.up_axis);
        let facts = Facts { name: "shapenetpart", listing: index.listing, folder, classes, up_axis, notes };
        Ok(Self { base, layout, categories, facts })
    }

    /// The layout that was found or asked for; never [`ShapeNetPartLayout::Auto`].
    pub fn layout(&self) -> ShapeNetPartLayout {
        self.layout
    }
}

impl Listed for ShapeNetPart {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn read(&self, index: usize) -> Result<Geometry> {
        let listing = &self.facts.listing;
        let entry = listing.entry(index);
        let path = listing.file(&self.base, index)?;
        let parts = self.categories.parts[entry.label].clone();
        let read = match self.layout {
            ShapeNetPartLayout::PtsSeg => {
                let labels = self.base.join(index::label_file(&entry.file));
                if !labels.is_file() {
                    return Err(listing.missing(labels, index));
                }
                clouds::read_pts_seg(&path, &labels, parts)?
            }
            _ => clouds::read_txt(&path, parts)?,
        };
        Ok(Geometry {
            shape: Shape::Points(read.cloud),
            label: entry.label,
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
