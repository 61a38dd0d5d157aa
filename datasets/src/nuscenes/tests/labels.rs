//! Labels of points: from the annotated boxes, from a made-up lidarseg extension, and in sectors.

use std::path::Path;

use jepa3d_schemas::WarningKind;
use serde_json::json;
use tempfile::TempDir;

use super::drive::{edit_table, landmarks, token, write_drive, write_table};
use super::golden::cloud;
use crate::dataset::Dataset;
use crate::nuscenes::{NuScenesConfig, NuScenesPointLabels, NuScenesUnit, open_nuscenes};
use crate::test_data::test_data;

fn drive() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_drive(folder.path());
    folder
}

fn config(point_labels: NuScenesPointLabels) -> NuScenesConfig {
    NuScenesConfig { cameras: vec![], point_labels, ..NuScenesConfig::default() }
}

/// Adds the extension: the last keyframe has a file, the second one lists none. Category indices are 24 apart from rows.
fn write_lidarseg(root: &Path) -> std::path::PathBuf {
    edit_table(root, "category", |rows| {
        rows[0]["index"] = json!(17);
        rows.push(json!({"token": "road", "name": "flat.driveable_surface", "index": 24}));
        rows.push(json!({"token": "ego", "name": "vehicle.ego", "index": 31}));
    });
    let file = "lidarseg/v1.0-mini/8_lidarseg.bin";
    let row = |frame, name: &str| json!({"token": token(5, frame), "sample_data_token": token(5, frame), "filename": name});
    write_table(root, "lidarseg", &[row(8, file), row(0, "lidarseg/v1.0-mini/lost.bin")]);
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // The echo of the car comes last.
    let mut bytes: Vec<u8> = (0..landmarks().len()).map(|i| if i % 3 == 0 { 17 } else { 24 }).collect();
    bytes.push(31);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn labels(dataset: &dyn Dataset, index: usize) -> Vec<i16> {
    let object = dataset.get(index).unwrap();
    cloud(&object).point_labels.clone().unwrap()
}

#[test]
fn points_in_an_annotated_box_have_its_class_and_others_are_background() {
    let folder = drive();
    let dataset = open_nuscenes(folder.path(), &config(NuScenesPointLabels::Auto)).unwrap();
    let classes = dataset.point_classes().unwrap();
    assert_eq!((classes.names.len(), classes.names[1].as_str(), classes.ignored), (11, "car", None));
    let expected: Vec<i16> = (0..landmarks().len()).map(|i| i16::from(i == 7)).collect();
    assert_eq!(labels(&*dataset, 2), expected);
    assert!(labels(&*dataset, 0).iter().all(|&label| label == 0));
    let joined = NuScenesConfig { sweeps: 2, boxes: false, ..config(NuScenesPointLabels::Boxes) };
    let joined = open_nuscenes(folder.path(), &joined).unwrap();
    let object = joined.get(2).unwrap();
    let (own, older) = cloud(&object).point_labels.as_ref().unwrap().split_at(landmarks().len());
    assert_eq!((own, object.boxes.len()), (&expected[..], 0));
    assert!(older.len() == 2 * own.len() && older.iter().all(|&label| label == -1));

    let plain = open_nuscenes(folder.path(), &config(NuScenesPointLabels::None)).unwrap();
    assert_eq!((cloud(&plain.get(2).unwrap()).point_labels.clone(), plain.point_classes()), (None, None));
    edit_table(folder.path(), "sample_annotation", |rows| rows.clear());
    let bare = open_nuscenes(folder.path(), &config(NuScenesPointLabels::Auto)).unwrap();
    assert_eq!((cloud(&bare.get(2).unwrap()).point_labels.clone(), bare.point_classes()), (None, None));
}

#[test]
fn lidarseg_labels_stay_with_their_points() {
    let folder = drive();
    let file = write_lidarseg(folder.path());
    // A row that is not finite goes, and the points after it keep their labels.
    let lidar = folder.path().join("samples/LIDAR_TOP/8.pcd.bin");
    let mut bytes = std::fs::read(&lidar).unwrap();
    bytes[20 * 4..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&lidar, bytes).unwrap();
    let dataset = open_nuscenes(folder.path(), &config(NuScenesPointLabels::Auto)).unwrap();
    let classes = dataset.point_classes().unwrap();
    let [car, road] = ["car", "driveable_surface"]
        .map(|name| classes.names.iter().position(|known| known == name).unwrap() as i16);
    let object = dataset.get(2).unwrap();
    let cloud = cloud(&object);
    let found = cloud.point_labels.as_ref().unwrap();
    assert_eq!((found.len(), classes.ignored), (landmarks().len() - 1, Some(0)));
    for (which, label) in cloud.intensity.as_ref().unwrap().iter().zip(found) {
        assert_eq!(*label, if (*which as usize).is_multiple_of(3) { car } else { road });
    }
    let unlisted = dataset.get(1).unwrap();
    assert_eq!(unlisted.warnings[0].kind, WarningKind::LabelsUnknown);
    let lost = dataset.get(0).unwrap_err().to_string();
    assert!(lost.contains("lost.bin: missing: expected the labels of a keyframe"), "{lost}");
    std::fs::write(&file, [17; 40]).unwrap();
    let short = dataset.get(2).unwrap_err().to_string();
    assert!(short.ends_with("expected 41 bytes, one a point of the lidar file, found 40 bytes"), "{short}");
    std::fs::write(&file, [9; 41]).unwrap();
    let unknown = dataset.get(2).unwrap_err().to_string();
    assert!(unknown.ends_with("expected indices of category.json, found index 9 of point 0"), "{unknown}");
}

#[test]
fn sectors_of_the_real_keyframe_hold_each_point_once_with_its_label() {
    let Some(root) = test_data("nuscenes") else { return };
    let scene = open_nuscenes(&root, &config(NuScenesPointLabels::Auto)).unwrap();
    let whole = scene.get(0).unwrap();
    let count = |classes: &mut Vec<usize>, labels: &[i16]| {
        labels.iter().for_each(|&label| classes[label as usize] += 1);
    };
    let (mut all, mut parts) = (vec![0; 11], vec![0; 11]);
    count(&mut all, cloud(&whole).point_labels.as_ref().unwrap());
    let sectors = NuScenesConfig { unit: NuScenesUnit::Sector, ..config(NuScenesPointLabels::Auto) };
    let dataset = open_nuscenes(&root, &sectors).unwrap();
    assert_eq!((dataset.len(), dataset.point_classes()), (8, scene.point_classes()));
    for index in 0..8 {
        let object = dataset.get(index).unwrap();
        let points = cloud(&object);
        count(&mut parts, points.point_labels.as_ref().unwrap());
        assert_eq!(dataset.split(index), if index < 4 { "train" } else { "test" });
        assert!(points.positions.iter().all(|[x, y, _]| *x >= 0.0 && y.abs() <= x * 0.4143 + 1e-9));
    }
    assert_eq!(all, parts);
    // As numpy counts them with the devkit's test of a point in a box.
    assert_eq!(all, [25_415, 79, 502, 3, 0, 4, 109, 0, 1, 13, 288]);
}
