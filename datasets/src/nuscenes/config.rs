//! Defines the settings of the nuScenes reader, the keys of `[dataset]` with `kind = "nuscenes"`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The six cameras of the car, in the order they look around it, clockwise from the front.
const CAMERAS: [&str; 6] =
    ["CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT"];

/// What one object of the dataset is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NuScenesUnit {
    /// One keyframe: the whole lidar cloud, in the lidar frame of the keyframe. No class.
    #[default]
    Scene,
    /// One sector of a keyframe, turned so that it looks along +x, without boxes and photos: those behind the car are
    /// `train`, those before it `test`.
    Sector,
    /// One lidar file, keyframes and the sweeps between them, in its own lidar frame. No class, no boxes, no photos.
    Sweep,
    /// One annotated box of a keyframe: the points in it, in the frame of the box. With a class.
    Box,
}

/// Which classes boxes have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NuScenesClasses {
    /// The 10 classes of the detection task; boxes of the other categories are not listed.
    #[default]
    Detection,
    /// The 23 annotated categories.
    Fine,
}

/// Where the labels of points come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NuScenesPointLabels {
    /// Points have no labels.
    #[default]
    None,
    /// `lidarseg` where `lidarseg.json` is, else `boxes`; none where units are no keyframes, or nothing is annotated.
    Auto,
    /// The files of the lidarseg extension: the 16 classes of its challenge, 0 where it ignores a point.
    Lidarseg,
    /// The class of the smallest annotated box around a point, counted from 1; 0 (background) in none.
    Boxes,
}

impl NuScenesPointLabels {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// Settings of the nuScenes reader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NuScenesConfig {
    /// Folder of tables below the root: `v1.0-mini`, `v1.0-trainval` or `v1.0-test`. Default `v1.0-mini`.
    pub version: String,
    /// What an object is: `scene` (a keyframe), `sweep` (a lidar file) or `box` (an annotated object). Default `scene`.
    pub unit: NuScenesUnit,
    /// Previous lidar sweeps (20 Hz) added to the keyframe, moved with the car into the keyframe's
    /// lidar frame; 0, the default, is the keyframe alone, 9 makes the "10 sweeps" of detectors.
    /// What stands still becomes denser; what moves by itself smears along its path.
    pub sweeps: usize,
    /// Drops points with `|x| < r` and `|y| < r` (metres, in the frame of the sweep that measured
    /// them, at any height): echoes of the car itself. Default 1.0, as in the official devkit; 0 keeps all.
    pub remove_close: f64,
    /// Cameras whose photos an object gets; default all six. An empty list means no photos.
    pub cameras: Vec<String>,
    /// Unit `scene`: whether a keyframe gets its annotated boxes; default true.
    pub boxes: bool,
    /// Units `scene` and `sector`: where the labels of points come from: `none` (the default), `auto`, `lidarseg` or
    /// `boxes`. Points of joined sweeps have none.
    #[serde(skip_serializing_if = "NuScenesPointLabels::is_none")]
    pub point_labels: NuScenesPointLabels,
    /// Unit `sector`: sectors of a keyframe, an even number; default 8.
    #[serde(skip_serializing_if = "is_default_sectors")]
    pub sectors: u32,
    /// Unit `box`: boxes with fewer lidar points in their keyframe (the table's `num_lidar_pts`)
    /// are not listed. Default 32.
    pub min_box_points: u32,
    /// Unit `box`: metres added to a box on each of its six sides before points are picked. Default 0.
    pub box_margin: f64,
    /// Classes of boxes: `detection` (10 classes, the default) or `fine` (23 categories).
    pub classes: NuScenesClasses,
    /// A JSON file `{"train": ["scene-0001", ..], "val": [..], "test": [..]}`, absolute or relative
    /// to the root; a scene it does not name is `train`. Without it the official lists hold:
    /// `v1.0-mini` and `v1.0-trainval` have `train` and `val`, all of `v1.0-test` is `test`.
    pub splits: Option<PathBuf>,
}

impl Default for NuScenesConfig {
    fn default() -> Self {
        Self {
            version: "v1.0-mini".to_owned(),
            unit: NuScenesUnit::Scene,
            sweeps: 0,
            remove_close: 1.0,
            cameras: CAMERAS.map(str::to_owned).to_vec(),
            boxes: true,
            point_labels: NuScenesPointLabels::None,
            sectors: DEFAULT_SECTORS,
            min_box_points: 32,
            box_margin: 0.0,
            classes: NuScenesClasses::Detection,
            splits: None,
        }
    }
}

/// Sectors of a keyframe unless told otherwise.
const DEFAULT_SECTORS: u32 = 8;

fn is_default_sectors(sectors: &u32) -> bool {
    *sectors == DEFAULT_SECTORS
}

/// More sweeps than a scene of 20 s holds are a slip of the pen, and would read the scene for each keyframe.
const MAX_SWEEPS: usize = 400;

impl NuScenesConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// Fails if a length is negative or not finite, `sweeps` exceeds 400, `sectors` is odd or out of
    /// range, points of no keyframes are to have labels, a camera is named twice or the version is no plain folder name.
    pub(super) fn check(&self) -> Result<()> {
        let problem = |key, expected: &str, found: String| {
            Err(Error::Config { key, expected: expected.to_owned(), found })
        };
        let plain = |name: &str| !name.is_empty() && name != ".." && !name.contains(['/', '\\']);
        if !plain(&self.version) {
            return problem(
                "version",
                "a folder name such as \"v1.0-trainval\"",
                format!("{:?}", self.version),
            );
        }
        for (key, length) in [("remove_close", self.remove_close), ("box_margin", self.box_margin)] {
            if !length.is_finite() || length < 0.0 {
                return problem(key, "a length in metres, 0 or more", length.to_string());
            }
        }
        if self.sweeps > MAX_SWEEPS {
            return problem("sweeps", "0 to 400", self.sweeps.to_string());
        }
        if !self.sectors.is_multiple_of(2) || !(2..=64).contains(&self.sectors) {
            return problem("sectors", "an even number from 2 to 64", self.sectors.to_string());
        }
        let is_told = matches!(self.point_labels, NuScenesPointLabels::Lidarseg | NuScenesPointLabels::Boxes);
        if is_told && matches!(self.unit, NuScenesUnit::Sweep | NuScenesUnit::Box) {
            let found = format!("labels of points with unit {:?}", self.unit);
            return problem("point_labels", "none or auto where units are no keyframes", found);
        }
        for (i, camera) in self.cameras.iter().enumerate() {
            if self.cameras[..i].contains(camera) {
                return problem("cameras", "each camera once", format!("{camera:?} twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked() {
        let parse = serde_json::from_str::<NuScenesConfig>;
        assert_eq!(parse("{}").unwrap(), NuScenesConfig::default());
        assert_eq!(parse("{\"unit\":\"box\",\"classes\":\"fine\"}").unwrap().unit, NuScenesUnit::Box);
        assert!(parse("{\"sweep\":3}").unwrap_err().to_string().starts_with("unknown field `sweep`"));
        assert!(NuScenesConfig::default().check().is_ok());
        let cases = [
            (
                "{\"version\":\"../x\"}",
                "dataset.version: expected a folder name such as \"v1.0-trainval\", found \"../x\"",
            ),
            (
                "{\"remove_close\":-1}",
                "dataset.remove_close: expected a length in metres, 0 or more, found -1",
            ),
            ("{\"sectors\":7}", "dataset.sectors: expected an even number from 2 to 64, found 7"),
            (
                "{\"unit\":\"box\",\"point_labels\":\"boxes\"}",
                "dataset.point_labels: expected none or auto where units are no keyframes, found labels of points with unit Box",
            ),
            ("{\"sweeps\":401}", "dataset.sweeps: expected 0 to 400, found 401"),
            ("{\"cameras\":[\"A\",\"A\"]}", "dataset.cameras: expected each camera once, found \"A\" twice"),
        ];
        for (text, message) in cases {
            assert_eq!(parse(text).unwrap().check().unwrap_err().to_string(), message);
        }
    }
}
