//! ModelNet10 and ModelNet40 in the four forms in which they circulate.
//!
//! Meshes (OFF) and clouds in the same tree (PCD), PointNet++'s clouds with normals, and PointNet's
//! HDF5 files. Class numbers follow the layout's own list of names, or the folder names in byte order;
//! for ModelNet40 all of them give the same alphabetical numbers. See this folder's README.

mod config;
mod folders;
mod rows;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jepa3d_schemas::{Shape, UpAxis};

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::formats::{ReadOptions, read_within};
use crate::h5_clouds::H5Clouds;
use crate::listed::{Facts, Geometry, Listed};
use crate::listing::check_root;
use crate::walk::list_readable_folder;

pub use self::config::ModelNetConfig;
use self::config::ModelNetLayout;

/// Folders below the root in which a release is looked for.
const FOLDERS: [&str; 5] =
    ["", "ModelNet40", "ModelNet10", "modelnet40_normal_resampled", "modelnet40_ply_hdf5_2048"];
const MODELNET10: [&str; 10] =
    ["bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet"];

/// ModelNet on disk.
pub(crate) struct ModelNet {
    base: PathBuf,
    /// Never `Auto`.
    layout: ModelNetLayout,
    files: Vec<H5Clouds>,
    facts: Facts,
}

impl ModelNet {
    /// Lists the objects below `root`, or below a folder of it that has the name of a release.
    ///
    /// # Errors
    /// Fails if the root holds none of the layouts, if a list of the release is missing or
    /// malformed (naming the line), or if an HDF5 file cannot be opened.
    pub(crate) fn open(root: &Path, config: &ModelNetConfig) -> Result<Self> {
        check_root(root, "ModelNet")?;
        let (folder, layout) = find_release(root, config)?;
        let base = root.join(folder);
        let (found, files) = match layout {
            ModelNetLayout::H5 => rows::list_rows(&base)?,
            ModelNetLayout::Pcd => (folders::list_tree(&base, "pcd")?, Vec::new()),
            ModelNetLayout::NormalResampled => {
                (folders::list_normal_resampled(&base, config.set)?, Vec::new())
            }
            _ => (folders::list_tree(&base, "off")?, Vec::new()),
        };
        let folders::ModelNetFiles { listing, classes, notes: more } = found;
        let up_axis = config.up_axis.unwrap_or(match layout {
            ModelNetLayout::Off | ModelNetLayout::Pcd => UpAxis::Z,
            _ => UpAxis::Y,
        });
        let mut notes = vec![format!("layout: {}", layout_name(layout))];
        notes.extend(listing.notes());
        notes.push(describe_classes(&classes));
        notes.extend(more);
        let facts = Facts { name: "modelnet", listing, folder, classes, up_axis, notes };
        Ok(Self { base, layout, files, facts })
    }

    fn read_row(&self, index: usize, budget: &Budget) -> Result<Geometry> {
        let Facts { listing, classes, .. } = &self.facts;
        let place = listing.entry(index).origin.ok_or_else(|| listing.missing(self.base.clone(), index))?;
        let row = self.files[place.list].read(place.line, classes.len(), budget)?;
        Ok(Geometry {
            shape: Shape::Points(row.cloud),
            label: row.label,
            source_hash: row.source_hash,
            warnings: row.warnings,
        })
    }
}

impl Listed for ModelNet {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn read(&self, index: usize, budget: &Budget) -> Result<Geometry> {
        if self.layout == ModelNetLayout::H5 {
            return self.read_row(index, budget);
        }
        let listing = &self.facts.listing;
        let path = listing.file(&self.base, index)?;
        let loaded = read_within(&path, &ReadOptions::default(), budget)?;
        Ok(Geometry {
            shape: loaded.shape,
            label: listing.entry(index).label,
            source_hash: loaded.source_hash,
            warnings: loaded.warnings,
        })
    }
}

/// The folder of the release and its layout.
fn find_release(root: &Path, config: &ModelNetConfig) -> Result<(&'static str, ModelNetLayout)> {
    for folder in FOLDERS {
        let base = root.join(folder);
        if let Some(layout) = find_layout(&base, config)? {
            return Ok((folder, layout));
        }
    }
    if config.layout != ModelNetLayout::Auto {
        return Ok(("", config.layout));
    }
    Err(Error::Missing {
        path: root.to_owned(),
        expected: "ModelNet as <class>/{train,test}/*.off or *.pcd, as modelnet40_normal_resampled with \
                   modelnet40_train.txt, or as modelnet40_ply_hdf5_2048 with ply_data_train0.h5"
            .into(),
    })
}

/// The layout that `base` itself holds, if it is the wanted one.
fn find_layout(base: &Path, config: &ModelNetConfig) -> Result<Option<ModelNetLayout>> {
    let wanted = |layout| [ModelNetLayout::Auto, layout].contains(&config.layout);
    let files = list_readable_folder(base)?.unwrap_or_default().files;
    if wanted(ModelNetLayout::H5) && files.iter().any(|f| rows::parse_name(f).is_some()) {
        return Ok(Some(ModelNetLayout::H5));
    }
    let list = format!("{}_train.txt", folders::list_prefix(config.set));
    if wanted(ModelNetLayout::NormalResampled) && files.contains(&list) {
        return Ok(Some(ModelNetLayout::NormalResampled));
    }
    Ok(folders::find_tree_layout(base)?.filter(|&layout| wanted(layout)))
}

fn layout_name(layout: ModelNetLayout) -> &'static str {
    match layout {
        ModelNetLayout::Auto => "auto",
        ModelNetLayout::Off => "off (meshes, z up)",
        ModelNetLayout::Pcd => "pcd (clouds, z up)",
        ModelNetLayout::NormalResampled => "normal-resampled (clouds with normals, y up)",
        ModelNetLayout::H5 => "h5 (clouds, y up)",
    }
}

fn describe_classes(classes: &[String]) -> String {
    match classes.len() {
        10 if classes.iter().eq(MODELNET10.iter()) => "classes: the 10 of ModelNet10".to_owned(),
        40 if MODELNET10.iter().all(|c| classes.iter().any(|k| k == c)) => {
            "classes: the 40 of ModelNet40".to_owned()
        }
        n => format!("classes: {n}, which are neither the 10 of ModelNet10 nor the 40 of ModelNet40"),
    }
}
