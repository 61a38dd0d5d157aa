//! ScanObjectNN: scans of 15 classes of indoor objects, as the HDF5 files of the release.
//!
//! The papers' names of the variants stand for a folder and a file name each; mixing them up is the
//! usual mistake with this dataset, so the variant and its counts are always among the notes.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jepa3d_schemas::{Shape, UpAxis};
use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::error::{Error, FilePlace, ParseError, Result};
use crate::files::{is_file, is_folder};
use crate::h5_clouds::{H5Cloud, H5Clouds};
use crate::listed::{Facts, Geometry, Listed};
use crate::listing::{ListOrigin, Listing, ListingEntry, check_root};
use crate::split::Split;

/// The classes, in the order of the labels.
const CLASSES: [&str; 15] = [
    "bag", "bin", "box", "cabinet", "chair", "desk", "display", "door", "shelf", "table", "bed", "pillow",
    "sink", "sofa", "toilet",
];
/// The mask value of points that are not of the object.
const BACKGROUND: i16 = -1;

/// A variant under the papers' name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScanObjectNnVariant {
    /// Objects with background.
    #[serde(rename = "OBJ_BG")]
    ObjBg,
    /// Objects alone.
    #[serde(rename = "OBJ_ONLY")]
    ObjOnly,
    /// Boxes shifted by up to 25 %.
    #[serde(rename = "PB_T25")]
    PbT25,
    /// Boxes shifted by up to 25 % and rotated.
    #[serde(rename = "PB_T25_R")]
    PbT25R,
    /// Boxes shifted by up to 50 % and rotated.
    #[serde(rename = "PB_T50_R")]
    PbT50R,
    /// Boxes shifted by up to 50 %, rotated and scaled: the hardest variant.
    #[default]
    #[serde(rename = "PB_T50_RS")]
    PbT50Rs,
}

impl ScanObjectNnVariant {
    /// Where the variant lies, and what was published about it.
    fn facts(self) -> VariantFacts {
        let (name, folder, suffix, published) = match self {
            Self::ObjBg => ("OBJ_BG", "main_split", "", Some([2309, 581])),
            Self::ObjOnly => ("OBJ_ONLY", "main_split_nobg", "", Some([2309, 581])),
            Self::PbT25 => ("PB_T25", "main_split", "_augmented25_norot", None),
            Self::PbT25R => ("PB_T25_R", "main_split", "_augmented25rot", None),
            Self::PbT50R => ("PB_T50_R", "main_split", "_augmentedrot", None),
            Self::PbT50Rs => ("PB_T50_RS", "main_split", "_augmentedrot_scale75", Some([11416, 2882])),
        };
        VariantFacts { name, folder, suffix, published }
    }
}

/// What is known of a variant before its files are opened.
struct VariantFacts {
    /// Name in the papers.
    name: &'static str,
    folder: &'static str,
    /// End of the file names.
    suffix: &'static str,
    /// Published numbers of train and test objects.
    published: Option<[usize; 2]>,
}

/// `[dataset]` of `kind = "scanobjectnn"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScanObjectNnConfig {
    /// `OBJ_BG`, `OBJ_ONLY`, `PB_T25`, `PB_T25_R`, `PB_T50_R` or `PB_T50_RS` (default).
    pub variant: ScanObjectNnVariant,
    /// Whether to drop the points that the mask calls background; default false.
    pub remove_background: bool,
    /// Whether to keep the mask as a label of each point (-1 is background); default false.
    pub point_labels: bool,
    /// The axis that points up; default `y`.
    pub up_axis: UpAxis,
}

impl Default for ScanObjectNnConfig {
    fn default() -> Self {
        Self {
            variant: ScanObjectNnVariant::default(),
            remove_background: false,
            point_labels: false,
            up_axis: UpAxis::Y,
        }
    }
}

/// One variant of ScanObjectNN on disk.
pub(crate) struct ScanObjectNn {
    config: ScanObjectNnConfig,
    files: Vec<H5Clouds>,
    facts: Facts,
}

impl ScanObjectNn {
    /// Lists the rows of the variant's two files below `root` or `root/h5_files`; ids are `train/00017`.
    ///
    /// # Errors
    /// Fails if a file is missing, naming it and the variant, or if its arrays are not as released.
    pub(crate) fn open(root: &Path, config: &ScanObjectNnConfig) -> Result<Self> {
        check_root(root, "ScanObjectNN")?;
        let variant = config.variant.facts();
        let with_mask = config.remove_background || config.point_labels;
        let folder = if is_folder(&root.join("h5_files"))? {
            format!("h5_files/{}", variant.folder)
        } else {
            variant.folder.to_owned()
        };
        let (mut files, mut entries, mut paths) = (Vec::new(), Vec::new(), Vec::new());
        for (split, word) in [(Split::Train, "training"), (Split::Test, "test")] {
            let file = format!("{folder}/{word}_objectdataset{}.h5", variant.suffix);
            let path = require_file(root.join(&file), variant.name)?;
            let clouds = H5Clouds::open(&path, with_mask)?;
            entries.extend((0..clouds.len()).map(|row| ListingEntry {
                id: format!("{}/{row:05}", split.name()),
                split,
                label: 0,
                file: format!("{file}#{row}"),
                origin: Some(ListOrigin { list: files.len(), line: row }),
            }));
            files.push(clouds);
            paths.push(path);
        }
        let listing = Listing::new(entries, paths)?;
        let notes = write_notes(config, &listing, &variant, &folder);
        let classes = CLASSES.map(str::to_owned).to_vec();
        let (name, up_axis) = ("scanobjectnn", config.up_axis);
        let facts = Facts { name, listing, folder: "", classes, up_axis, notes };
        Ok(Self { config: config.clone(), files, facts })
    }
}

impl Listed for ScanObjectNn {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn read(&self, index: usize, budget: &Budget) -> Result<Geometry> {
        let Facts { listing, classes, .. } = &self.facts;
        let entry = listing.entry(index);
        let file = Path::new(&entry.file);
        let place = entry.origin.ok_or_else(|| listing.missing(file.to_owned(), index))?;
        let mut row = self.files[place.list].read(place.line, classes.len(), budget)?;
        if self.config.remove_background {
            remove_background(&mut row);
            if row.cloud.is_empty() {
                let place = FilePlace::Row(place.line);
                return Err(ParseError::new(place, "points of the object", "background alone").in_file(file));
            }
        }
        if !self.config.point_labels {
            row.cloud.point_labels = None;
        }
        Ok(Geometry {
            shape: Shape::Points(row.cloud),
            label: row.label,
            source_hash: row.source_hash,
            warnings: row.warnings,
        })
    }
}

/// Keeps the points whose mask is not background.
fn remove_background(row: &mut H5Cloud) {
    let mask = row.cloud.point_labels.as_deref().unwrap_or_default();
    let kept: Vec<u32> =
        mask.iter().enumerate().filter(|(_, m)| **m != BACKGROUND).map(|(i, _)| i as u32).collect();
    row.cloud = row.cloud.select(&kept);
}

/// The path, if there is a file.
fn require_file(path: PathBuf, variant: &str) -> Result<PathBuf> {
    if is_file(&path)? {
        return Ok(path);
    }
    let expected =
        format!("the file of {variant} in h5_files.zip, which the authors of ScanObjectNN give on request");
    Err(Error::Missing { path, expected })
}

/// The variant and its counts, beside the published ones.
fn write_notes(
    config: &ScanObjectNnConfig,
    listing: &Listing,
    variant: &VariantFacts,
    folder: &str,
) -> Vec<String> {
    let name = variant.name;
    let background = if config.remove_background { ", background removed by the mask" } else { "" };
    let mut notes = vec![format!("variant: {name} ({folder}){background}")];
    notes.extend(listing.notes());
    if let Some([train, test]) = variant.published
        && [train, test] != [Split::Train, Split::Test].map(|s| listing.count(s))
    {
        notes.push(format!("{name} as published has train {train}, test {test}: this is something else"));
    }
    notes
}
