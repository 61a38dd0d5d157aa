//! ShapeNetPart: 16,881 clouds of 16 categories with part labels, in the two forms of the benchmark.
//!
//! The text form (`<synset>/<id>.txt`: x y z nx ny nz part) and the older one (`points/<id>.pts`
//! with `points_label/<id>.seg`). Part labels are global, 0 to 49, in both.
//! Layouts, splits and settings are described in this folder's README.

mod clouds;
mod config;
mod index;
mod parts;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jepa3d_schemas::{PointClasses, Shape};

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::files::is_file;
use crate::listed::{Facts, Geometry, Listed};
use crate::listing::check_root;
use crate::names::path_below;

pub use self::config::ShapeNetPartConfig;
use self::config::ShapeNetPartLayout;

/// Folders below the root in which the benchmark is looked for.
const FOLDERS: [&str; 3] = [
    "",
    "shapenetcore_partanno_segmentation_benchmark_v0_normal",
    "shapenetcore_partanno_segmentation_benchmark_v0",
];
const CATEGORY_LIST: &str = "synsetoffset2category.txt";

/// ShapeNetPart on disk.
pub(crate) struct ShapeNetPart {
    base: PathBuf,
    /// Never `Auto`.
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
    pub(crate) fn open(root: &Path, config: &ShapeNetPartConfig) -> Result<Self> {
        check_root(root, "ShapeNetPart")?;
        let folder = find_release(root)?;
        let base = root.join(folder);
        let categories = index::Categories::read(&base.join(CATEGORY_LIST))?;
        let layout = match config.layout {
            ShapeNetPartLayout::Auto => index::find_layout(&base, &categories)?,
            layout => layout,
        };
        let listed = index::list_clouds(&base, layout, &categories)?;
        let mut notes = vec![format!("layout: {}", layout_name(layout))];
        notes.extend(listed.listing.notes());
        notes.extend(listed.notes);
        let (classes, up_axis) = (categories.names.clone(), config.up_axis);
        let facts = Facts { name: "shapenetpart", listing: listed.listing, folder, classes, up_axis, notes };
        Ok(Self { base, layout, categories, facts })
    }
}

impl Listed for ShapeNetPart {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn parts(&self) -> Option<PointClasses> {
        let parts = self.categories.parts.iter().map(|range| range.clone().into()).collect();
        Some(PointClasses { names: parts::part_names(), parts, ignored: None })
    }

    fn read(&self, index: usize, budget: &Budget) -> Result<Geometry> {
        let listing = &self.facts.listing;
        let entry = listing.entry(index);
        let path = listing.file(&self.base, index)?;
        let parts = self.categories.parts[entry.label].clone();
        let read = match self.layout {
            ShapeNetPartLayout::PtsSeg => {
                let labels = path_below(&self.base, &index::label_file(&entry.file));
                let labels = listing.require_file(labels, index)?;
                clouds::read_pts_seg(&path, &labels, parts, budget)?
            }
            _ => clouds::read_txt(&path, parts, budget)?,
        };
        Ok(Geometry {
            shape: Shape::Points(read.cloud),
            label: entry.label,
            source_hash: read.source_hash,
            warnings: read.warnings,
        })
    }
}

/// The folder of the release: the first with a category list.
fn find_release(root: &Path) -> Result<&'static str> {
    for folder in FOLDERS {
        if is_file(&root.join(folder).join(CATEGORY_LIST))? {
            return Ok(folder);
        }
    }
    let expected = "the category list of shapenetcore_partanno_segmentation_benchmark_v0(_normal)".into();
    Err(Error::Missing { path: root.join(CATEGORY_LIST), expected })
}

fn layout_name(layout: ShapeNetPartLayout) -> &'static str {
    match layout {
        ShapeNetPartLayout::Auto => "auto",
        ShapeNetPartLayout::Txt => "txt (x y z nx ny nz part)",
        ShapeNetPartLayout::PtsSeg => "pts-seg (points and labels apart, no normals)",
    }
}
