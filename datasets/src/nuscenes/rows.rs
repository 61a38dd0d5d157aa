//! Defines the tables that are read and the columns kept of each; other columns are dropped.
//!
//! `attribute`, `visibility`, `log` and `map` are not read: nothing that is handed on depends on them.

use std::path::{Component, Path};

use serde::{Deserialize, Deserializer};

use super::stream::{StreamError, stream_rows};
use super::token::Token;
use crate::error::ParseError;

/// A table of nuScenes that this reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NuScenesTable {
    /// Drives of 20 s.
    Scene,
    /// Keyframes, 2 Hz.
    Sample,
    /// Names of sensors.
    Sensor,
    /// Where a sensor sits on the car, and camera intrinsics.
    CalibratedSensor,
    /// Files: keyframes and sweeps of every sensor.
    SampleData,
    /// Where the car was when a file was recorded.
    EgoPose,
    /// Category names.
    Category,
    /// Objects followed through a scene.
    Instance,
    /// Boxes.
    SampleAnnotation,
    /// Files of a label for each point, where the lidarseg extension is.
    Lidarseg,
}

impl NuScenesTable {
    /// All tables, in the order they are read.
    pub const ALL: [Self; 10] = [
        Self::Scene,
        Self::Sample,
        Self::Sensor,
        Self::CalibratedSensor,
        Self::SampleData,
        Self::EgoPose,
        Self::Category,
        Self::Instance,
        Self::SampleAnnotation,
        Self::Lidarseg,
    ];

    /// Name of the table; its file is this name with `.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scene => "scene",
            Self::Sample => "sample",
            Self::Sensor => "sensor",
            Self::CalibratedSensor => "calibrated_sensor",
            Self::SampleData => "sample_data",
            Self::EgoPose => "ego_pose",
            Self::Category => "category",
            Self::Instance => "instance",
            Self::SampleAnnotation => "sample_annotation",
            Self::Lidarseg => "lidarseg",
        }
    }
}

/// Parses a table, checks the columns that are used and returns the number of rows.
///
/// # Errors
/// Fails if the bytes are not one JSON array of objects with the columns of the table; names the line.
pub fn parse_nuscenes_table(table: NuScenesTable, bytes: &[u8]) -> Result<usize, ParseError> {
    let result = match table {
        NuScenesTable::Scene => stream_rows(bytes, |_, _: SceneRow| Ok(())),
        NuScenesTable::Sample => stream_rows(bytes, |_, _: SampleRow| Ok(())),
        NuScenesTable::Sensor => stream_rows(bytes, |_, _: SensorRow| Ok(())),
        NuScenesTable::CalibratedSensor => stream_rows(bytes, |_, _: CalibratedSensorRow| Ok(())),
        NuScenesTable::SampleData => stream_rows(bytes, |_, _: SampleDataRow| Ok(())),
        NuScenesTable::EgoPose => stream_rows(bytes, |_, _: EgoPoseRow| Ok(())),
        NuScenesTable::Category => stream_rows(bytes, |_, _: CategoryRow| Ok(())),
        NuScenesTable::Instance => stream_rows(bytes, |_, _: InstanceRow| Ok(())),
        NuScenesTable::SampleAnnotation => stream_rows(bytes, |_, _: SampleAnnotationRow| Ok(())),
        NuScenesTable::Lidarseg => stream_rows(bytes, |_, _: LidarsegRow| Ok(())),
    };
    result.map_err(|error| match error {
        StreamError::Parse(problem) => problem,
        // Reading from memory cannot fail; said as a problem of the whole file all the same.
        StreamError::Io(e) => ParseError::file("readable bytes", e.to_string()),
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct SceneRow {
    pub(super) token: Token,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct SampleRow {
    pub(super) token: Token,
    /// Microseconds since 1970.
    pub(super) timestamp: u64,
    pub(super) scene_token: Token,
}

#[derive(Debug, Deserialize)]
pub(super) struct SensorRow {
    pub(super) token: Token,
    pub(super) channel: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct CalibratedSensorRow {
    pub(super) token: Token,
    pub(super) sensor_token: Token,
    pub(super) translation: [f64; 3],
    /// w, x, y, z.
    pub(super) rotation: [f64; 4],
    /// Three rows of three for a camera, empty for other sensors.
    pub(super) camera_intrinsic: Vec<Vec<f64>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SampleDataRow {
    pub(super) token: Token,
    pub(super) sample_token: Token,
    pub(super) ego_pose_token: Token,
    pub(super) calibrated_sensor_token: Token,
    /// Microseconds since 1970.
    pub(super) timestamp: u64,
    pub(super) is_key_frame: bool,
    /// Pixels; 0 or null for other sensors than cameras.
    #[serde(default)]
    pub(super) height: Option<u32>,
    #[serde(default)]
    pub(super) width: Option<u32>,
    /// Below the root.
    #[serde(deserialize_with = "relative_path")]
    pub(super) filename: Box<str>,
    pub(super) prev: Token,
}

#[derive(Debug, Deserialize)]
pub(super) struct EgoPoseRow {
    pub(super) token: Token,
    pub(super) translation: [f64; 3],
    /// w, x, y, z.
    pub(super) rotation: [f64; 4],
}

/// The column that says which row it is: what is left of a row that has others wrong.
#[derive(Debug, Deserialize)]
pub(super) struct TokenColumn {
    pub(super) token: Token,
}

#[derive(Debug, Deserialize)]
pub(super) struct CategoryRow {
    pub(super) token: Token,
    pub(super) name: String,
    /// Its number in files of labels, with the lidarseg extension.
    #[serde(default)]
    pub(super) index: Option<u8>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LidarsegRow {
    pub(super) sample_data_token: Token,
    /// Below the root.
    #[serde(deserialize_with = "relative_path")]
    pub(super) filename: Box<str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct InstanceRow {
    pub(super) token: Token,
    pub(super) category_token: Token,
}

#[derive(Debug, Deserialize)]
pub(super) struct SampleAnnotationRow {
    pub(super) token: Token,
    pub(super) sample_token: Token,
    pub(super) instance_token: Token,
    /// Centre, global frame.
    pub(super) translation: [f64; 3],
    /// Width, length, height.
    pub(super) size: [f64; 3],
    /// w, x, y, z.
    pub(super) rotation: [f64; 4],
    /// `None` where the table does not know: -1, null or no such column.
    #[serde(default, deserialize_with = "point_count")]
    pub(super) num_lidar_pts: Option<u32>,
}

/// The columns of a row of `sample_annotation` that say which object it is: what is left of a row that has others wrong.
#[derive(Debug, Deserialize)]
pub(super) struct AnnotationTokens {
    pub(super) token: Token,
    pub(super) sample_token: Token,
    pub(super) instance_token: Token,
}

/// A number of points; -1 means that nobody has counted.
fn point_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    use serde::de::Error;
    match Option::<f64>::deserialize(deserializer)? {
        None | Some(-1.0) => Ok(None),
        Some(count) if count.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&count) => {
            Ok(Some(count as u32))
        }
        Some(other) => Err(D::Error::custom(format!("{other}, expected a number of points, or -1"))),
    }
}

/// A path that stays below the root: relative, without `..`.
fn relative_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<str>, D::Error> {
    use serde::de::Error;
    let text = Box::<str>::deserialize(deserializer)?;
    let below =
        Path::new(&*text).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if text.is_empty() || !below {
        return Err(D::Error::custom(format!("filename {text:?} that is not below the root")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE_DATA: &str = r#"[
{"token": "edd78a7135673f893c534755f7e59f8b", "sample_token": "ca9a282c9e77460f8360f564131a8af5",
 "ego_pose_token": "edd78a7135673f893c534755f7e59f8b", "calibrated_sensor_token": "13975bcdee13129d128b4c83036b848b",
 "timestamp": 1532402927647951, "fileformat": "pcd", "is_key_frame": true, "height": 0, "width": 0,
 "filename": "samples\/LIDAR_TOP/a.pcd.bin", "prev": "", "next": ""}
]"#;

    #[test]
    fn columns_are_checked() {
        let parse = |text: &str| parse_nuscenes_table(NuScenesTable::SampleData, text.as_bytes());
        let error = |from: &str, to: &str| parse(&SAMPLE_DATA.replace(from, to)).unwrap_err().to_string();
        assert_eq!(parse(SAMPLE_DATA), Ok(1));
        let start = "expected a row of the table: a JSON object with its columns, found";
        assert_eq!(
            error("is_key_frame", "is_key"),
            format!("{start} missing field `is_key_frame` of row 0, line 5")
        );
        assert_eq!(
            error("samples\\/", "../"),
            format!(
                "{start} filename \"../LIDAR_TOP/a.pcd.bin\" that is not below the root in column \"filename\" of row 0, line 5"
            )
        );
        assert!(error("samples\\/", "/").contains("not below the root"));
        assert_eq!(
            error("1532402927647951", "-1"),
            format!(
                "{start} invalid value: integer `-1`, expected u64 in column \"timestamp\" of row 0, line 4"
            )
        );
        assert!(
            error("\"token\": \"edd", "\"token\": 1, \"x\": \"edd")
                .contains("expected a token in column \"token\" of row 0, line 2")
        );
    }

    proptest! {
        #[test]
        fn mutated_tables_give_rows_or_an_error(
            table in 0_usize..10,
            at in proptest::collection::vec((0_usize..SAMPLE_DATA.len(), any::<u8>()), 0..4),
            end in 0_usize..=SAMPLE_DATA.len(),
        ) {
            let mut bytes = SAMPLE_DATA.as_bytes()[..end].to_vec();
            for (i, byte) in at {
                if let Some(place) = bytes.get_mut(i) {
                    *place = byte;
                }
            }
            let _ = parse_nuscenes_table(NuScenesTable::ALL[table], &bytes);
        }

        #[test]
        fn any_bytes_give_rows_or_an_error(table in 0_usize..10, bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse_nuscenes_table(NuScenesTable::ALL[table], &bytes);
        }
    }
}
