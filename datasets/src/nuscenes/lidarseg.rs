//! The lidarseg extension: a file of one category index a point for every lidar keyframe, as the 16 classes of its challenge.
//!
//! `lidarseg.json` names the files, `category.json` then has a column `index`. The mapping of the 32 categories is that of
//! the devkit (`nuscenes/eval/lidarseg/utils.py`); what it calls `ignore` counts for nothing.

use std::path::PathBuf;

use jepa3d_schemas::{PointClasses, Warning, WarningKind};

use super::classes::box_categories;
use super::lidar_cloud::LidarCloud;
use super::recording::Recording;
use super::rows::{CategoryRow, LidarsegRow, NuScenesTable};
use super::tables::TableFolder;
use super::token::TokenIndex;
use crate::budget::Budget;
use crate::error::{FilePlace, ParseError, Result};
use crate::files::read_file;

/// The 16 classes of the challenge, after what it ignores.
const CLASSES: [&str; 17] = [
    "ignore",
    "barrier",
    "bicycle",
    "bus",
    "car",
    "construction_vehicle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "trailer",
    "truck",
    "driveable_surface",
    "other_flat",
    "sidewalk",
    "terrain",
    "manmade",
    "vegetation",
];

/// The label of what the challenge ignores.
const IGNORED: i16 = 0;

/// The categories that no box has, with their class, or none where they are ignored; those of boxes have their detection class.
const BEYOND_BOXES: [(&str, Option<&str>); 9] = [
    ("noise", None),
    ("flat.driveable_surface", Some("driveable_surface")),
    ("flat.other", Some("other_flat")),
    ("flat.sidewalk", Some("sidewalk")),
    ("flat.terrain", Some("terrain")),
    ("static.manmade", Some("manmade")),
    ("static.other", None),
    ("static.vegetation", Some("vegetation")),
    ("vehicle.ego", None),
];

/// The 32 categories with their class, or none where they are ignored.
fn categories() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    box_categories().chain(BEYOND_BOXES)
}

/// What the labels of points mean.
pub(super) fn lidarseg_classes() -> PointClasses {
    let names = CLASSES.map(str::to_owned).to_vec();
    PointClasses { names, parts: Vec::new(), ignored: Some(IGNORED) }
}

/// The label of a category; `None` if it is none of the 32.
fn find_class(category: &str) -> Option<i16> {
    let (_, class) = categories().find(|(name, _)| *name == category)?;
    let place = class.and_then(|class| CLASSES.iter().position(|name| *name == class));
    Some(place.map_or(IGNORED, |place| place as i16))
}

/// The files of labels, and what the numbers in them mean.
pub(super) struct Lidarseg {
    /// Path below the root for each keyframe.
    files: Vec<Option<Box<str>>>,
    /// Label of each index of a category.
    labels: Vec<Option<i16>>,
}

impl Lidarseg {
    /// Reads `lidarseg` and the indices in `category`.
    ///
    /// # Errors
    /// Fails if a table is missing or malformed, a category has no index or is none of the 32, or a keyframe has two files.
    pub(super) fn read(folder: &TableFolder, recording: &Recording) -> Result<Self> {
        let mut labels = vec![None; 256];
        folder.read(NuScenesTable::Category, |row, r: CategoryRow| {
            let problem = |expected, found| Err(ParseError::new(FilePlace::Row(row), expected, found));
            let Some(index) = r.index else {
                return problem("a column index, which the lidarseg archive has", "none".to_owned());
            };
            let Some(label) = find_class(&r.name) else {
                return problem("one of the 32 categories of lidarseg", format!("{:?}", r.name));
            };
            match labels[usize::from(index)].replace(label) {
                None => Ok(()),
                Some(_) => problem("an index of its own", format!("{index} a second time")),
            }
        })?;
        let mut keyframe_rows = TokenIndex::default();
        for (row, keyframe) in recording.keyframes.iter().enumerate() {
            keyframe_rows
                .insert(keyframe.lidar_token, row as u32, row)
                .map_err(|e| e.in_file(&folder.path(NuScenesTable::SampleData)))?;
        }
        let mut files = vec![None; recording.keyframes.len()];
        folder.read(NuScenesTable::Lidarseg, |row, r: LidarsegRow| {
            let Some(keyframe) = keyframe_rows.get(r.sample_data_token) else { return Ok(()) };
            match files[keyframe as usize].replace(r.filename) {
                None => Ok(()),
                Some(_) => {
                    let found = format!("a second one of {}", r.sample_data_token);
                    Err(ParseError::new(FilePlace::Row(row), "one file a keyframe", found))
                }
            }
        })?;
        Ok(Self { files, labels })
    }

    /// The labels of the points that a keyframe itself measured; without a file none counts, which is a warning.
    ///
    /// # Errors
    /// Fails if the file is missing, has not one byte for every row of the lidar file, or names an unknown category.
    pub(super) fn label(
        &self,
        recording: &Recording,
        keyframe: u32,
        cloud: &mut LidarCloud,
        budget: &Budget,
    ) -> Result<Vec<i16>> {
        let Some(file) = &self.files[keyframe as usize] else {
            let text = "lidarseg.json has no file for this keyframe: its points have no labels";
            cloud.warnings.push(Warning::new(WarningKind::LabelsUnknown, text));
            return Ok(vec![IGNORED; cloud.rows.len()]);
        };
        let path: PathBuf = recording.root.join(&**file);
        let expected = || "the labels of a keyframe (lidarseg/ of the lidarseg archive)".to_owned();
        let bytes = read_file(&path, budget).map_err(|e| e.or_missing(expected))?;
        if bytes.len() != cloud.file_rows {
            let expected = format!("{} bytes, one a point of the lidar file", cloud.file_rows);
            return Err(ParseError::file(expected, format!("{} bytes", bytes.len())).in_file(&path));
        }
        let label = |&row: &u32| {
            let index = bytes[row as usize];
            self.labels[usize::from(index)].ok_or_else(|| {
                let found = format!("index {index} of point {row}");
                ParseError::file("indices of category.json", found).in_file(&path)
            })
        };
        cloud.rows.iter().map(label).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_the_challenge_is_reached() {
        let mut counts = [0; 17];
        for (name, _) in categories() {
            counts[find_class(name).unwrap() as usize] += 1;
        }
        // What is ignored first; then barrier bicycle bus car construction motorcycle pedestrian cone trailer truck, surfaces.
        assert_eq!(counts, [12, 1, 1, 2, 1, 1, 1, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(find_class("human"), None);
    }
}
