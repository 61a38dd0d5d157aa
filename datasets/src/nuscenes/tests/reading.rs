//! Reads the made-up drive: sweeps, boxes, splits, and directories that are damaged.

use std::path::Path;

use glam::DVec3;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::drive::{FRAMES, edit_table, global_from_lidar, landmarks, token, write_drive};
use super::golden::cloud;
use crate::nuscenes::{NuScenesConfig, NuScenesTable, NuScenesUnit, open_nuscenes};

fn drive() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_drive(folder.path());
    folder
}

fn config(sweeps: usize) -> NuScenesConfig {
    NuScenesConfig { cameras: vec![], sweeps, ..NuScenesConfig::default() }
}

/// The message of the error that opening gives, below the folder of tables.
fn open_error(root: &Path, config: &NuScenesConfig) -> String {
    let text = open_nuscenes(root, config).err().expect("an error").to_string();
    text.replace(&format!("{}/", root.display()), "")
}

#[test]
fn sweeps_fall_into_place_in_the_frame_of_the_keyframe() {
    let folder = drive();
    let landmarks = landmarks();
    for (sweeps, counts) in [(0, [1, 1, 1]), (3, [1, 4, 4]), (6, [1, 5, 7]), (400, [1, 5, 9])] {
        let dataset = open_nuscenes(folder.path(), &config(sweeps)).unwrap();
        assert_eq!(dataset.len(), 3);
        for (i, count) in counts.into_iter().enumerate() {
            let object = dataset.get(i).unwrap();
            let cloud = cloud(&object);
            assert_eq!(cloud.len(), count * landmarks.len(), "{sweeps} sweeps, keyframe {i}");
            let global_from_keyframe = global_from_lidar(4 * i as u64);
            for (point, which) in cloud.positions.iter().zip(cloud.intensity.as_ref().unwrap()) {
                let global = global_from_keyframe.transform_point3(DVec3::from_array(*point));
                // Half a step of f32 at 35 m in each coordinate is 2e-6.
                assert!((global - landmarks[*which as usize]).length() < 5e-6);
            }
        }
    }
}

#[test]
fn every_lidar_file_is_an_object_of_unit_sweep() {
    let folder = drive();
    let sweeps = NuScenesConfig { unit: NuScenesUnit::Sweep, ..config(0) };
    let dataset = open_nuscenes(folder.path(), &sweeps).unwrap();
    assert_eq!(dataset.len() as u64, FRAMES);
    let ids: Vec<_> = (0..dataset.len()).map(|i| dataset.id(i)).collect();
    assert!(ids.is_sorted());
    assert_eq!(ids[5], "scene-0103/1532402927250000-00000000000000050000000000000005");
    assert_eq!(
        (dataset.source(4).as_str(), dataset.source(5).as_str()),
        ("samples/LIDAR_TOP/4.pcd.bin", "sweeps/LIDAR_TOP/5.pcd.bin")
    );
    let landmarks = landmarks();
    for frame in 0..FRAMES {
        let object = dataset.get(frame as usize).unwrap();
        assert!(object.label.is_none() && object.boxes.is_empty() && object.photos.is_empty());
        let cloud = cloud(&object);
        assert_eq!(cloud.len(), landmarks.len());
        for (point, which) in cloud.positions.iter().zip(cloud.intensity.as_ref().unwrap()) {
            let global = global_from_lidar(frame).transform_point3(DVec3::from_array(*point));
            assert!((global - landmarks[*which as usize]).length() < 5e-6);
        }
    }
    // With sweeps added, each is joined by those before it.
    let dense = open_nuscenes(folder.path(), &NuScenesConfig { sweeps: 3, ..sweeps }).unwrap();
    assert_eq!(cloud(&dense.get(6).unwrap()).len(), 4 * landmarks.len());
}

#[test]
fn close_points_are_dropped_in_the_frame_that_measured_them() {
    let folder = drive();
    let everything = NuScenesConfig { remove_close: 0.0, ..config(400) };
    let dataset = open_nuscenes(folder.path(), &everything).unwrap();
    let object = dataset.get(2).unwrap();
    let echoes = cloud(&object).intensity.as_ref().unwrap().iter().filter(|i| **i == 255.0).count();
    assert_eq!(echoes as u64, FRAMES);
    let without = open_nuscenes(folder.path(), &config(400)).unwrap().get(2).unwrap();
    assert!(cloud(&without).intensity.as_ref().unwrap().iter().all(|i| *i < 255.0));
}

#[test]
fn ids_are_sorted_and_a_scene_stays_in_order_of_time() {
    let folder = drive();
    edit_table(folder.path(), "sample", |rows| rows.reverse());
    let dataset = open_nuscenes(folder.path(), &config(0)).unwrap();
    let ids: Vec<_> = (0..3).map(|i| dataset.id(i)).collect();
    assert_eq!(ids[1], "scene-0103/1532402927200000-00000000000000020000000000000004");
    assert!(ids.is_sorted());
    assert_eq!(dataset.source(2), "samples/LIDAR_TOP/8.pcd.bin");
    assert_eq!(dataset.split(0), "val");
    assert_eq!(
        dataset.notes(),
        ["v1.0-mini: 1 scenes, 3 keyframes", "splits: official mini_train and mini_val scenes"]
    );
}

#[test]
fn boxes_gain_points_from_sweeps_and_carry_labels() {
    let folder = drive();
    for (sweeps, count) in [(0, 1), (5, 6)] {
        let config = NuScenesConfig { unit: NuScenesUnit::Box, min_box_points: 1, ..config(sweeps) };
        let dataset = open_nuscenes(folder.path(), &config).unwrap();
        assert_eq!(dataset.len(), 1);
        assert_eq!(dataset.id(0), format!("scene-0103/1532402927400000/{}", token(9, 0)));
        let object = dataset.get(0).unwrap();
        assert_eq!((object.label, object.category.as_deref()), (Some(0), Some("car")));
        let cloud = cloud(&object);
        assert_eq!(cloud.intensity, Some(vec![7.0; count]));
        for point in &cloud.positions {
            assert!((DVec3::from_array(*point) - DVec3::new(-0.3, 0.0, 0.0)).length() < 5e-6);
        }
    }
    let strict = NuScenesConfig { unit: NuScenesUnit::Box, ..config(0) };
    let dataset = open_nuscenes(folder.path(), &strict).unwrap();
    assert!(dataset.is_empty());
    assert_eq!(
        dataset.notes()[2],
        "0 boxes; not listed: 0 without a class of the scheme, 1 with fewer than 32 lidar points"
    );
}

#[test]
fn a_box_with_fewer_points_than_told_is_noted() {
    let folder = drive();
    edit_table(folder.path(), "sample_annotation", |rows| rows[0]["num_lidar_pts"] = json!(40));
    let config = NuScenesConfig { unit: NuScenesUnit::Box, ..config(0) };
    let object = open_nuscenes(folder.path(), &config).unwrap().get(0).unwrap();
    assert_eq!(object.warnings, ["1 points lie in the box, though num_lidar_pts is 40"]);
}

#[test]
fn split_files_override_the_official_lists() {
    let folder = drive();
    let path = folder.path().join("splits.json");
    let config = NuScenesConfig { splits: Some("splits.json".into()), ..config(0) };
    assert_eq!(
        open_error(folder.path(), &config),
        "splits.json: missing: expected the split file that dataset.splits names"
    );
    std::fs::write(&path, "{\"test\": [\"scene-0103\"]}").unwrap();
    assert_eq!(open_nuscenes(folder.path(), &config).unwrap().split(0), "test");
}

#[test]
fn missing_tables_and_files_say_where_they_come_from() {
    let folder = drive();
    let trainval = NuScenesConfig { version: "v1.0-trainval".to_owned(), ..config(0) };
    assert_eq!(
        open_error(folder.path(), &trainval),
        "v1.0-trainval: missing: expected the folder of tables that dataset.version = \"v1.0-trainval\" names; \
         it comes with the metadata archive of that version from www.nuscenes.org, and samples/ and sweeps/ lie \
         beside it"
    );
    let cameras = NuScenesConfig { cameras: vec!["CAM_TOP".to_owned()], ..config(0) };
    assert_eq!(
        open_error(folder.path(), &cameras),
        "dataset.cameras: expected cameras of sensor.json, which has LIDAR_TOP, RADAR_FRONT, CAM_FRONT, \
         found \"CAM_TOP\""
    );
    let front = NuScenesConfig { cameras: vec!["CAM_FRONT".to_owned()], ..config(0) };
    let object = open_nuscenes(folder.path(), &front).unwrap().get(0).unwrap();
    assert_eq!(object.warnings, ["sample_data has no photo of CAM_FRONT for this keyframe"]);

    let dataset = open_nuscenes(folder.path(), &config(0)).unwrap();
    let lidar = folder.path().join("samples/LIDAR_TOP/4.pcd.bin");
    std::fs::write(&lidar, [0; 47]).unwrap();
    assert!(dataset.get(1).unwrap_err().to_string().ends_with("a multiple of 20 bytes, found 47 bytes"));
    std::fs::remove_file(&lidar).unwrap();
    let text = dataset.get(1).unwrap_err().to_string();
    assert!(text.ends_with(
        "samples/LIDAR_TOP/4.pcd.bin: missing: expected the lidar file of sample \
         00000000000000020000000000000004 (samples/ and sweeps/ of the data archives)"
    ));
    assert!(dataset.get(0).is_ok() && dataset.get(2).is_ok());

    for table in NuScenesTable::ALL.into_iter().filter(|&table| table != NuScenesTable::Lidarseg) {
        let folder = drive();
        let boxes = NuScenesConfig { unit: NuScenesUnit::Box, ..config(0) };
        std::fs::remove_file(folder.path().join(format!("v1.0-mini/{}.json", table.name()))).unwrap();
        assert_eq!(
            open_error(folder.path(), &boxes),
            format!(
                "v1.0-mini/{0}.json: missing: expected table {0} of nuScenes v1.0-mini, from the metadata archive \
                 of that version at www.nuscenes.org",
                table.name()
            )
        );
    }
}

#[test]
fn tokens_that_lead_nowhere_are_named() {
    let lost = "000000000000dead000000000000beef";
    let leads_nowhere = |table: &str, row| {
        format!(
            "row {row}: expected a token of {table}.json, found token {lost}, which {table}.json does not have"
        )
    };
    let cases = [
        ("sample", 1, "scene_token", leads_nowhere("scene", 1)),
        ("calibrated_sensor", 0, "sensor_token", leads_nowhere("sensor", 0)),
        ("sample_data", 3, "calibrated_sensor_token", leads_nowhere("calibrated_sensor", 3)),
        ("sample_data", 4, "sample_token", leads_nowhere("sample", 4)),
        ("instance", 0, "category_token", leads_nowhere("category", 0)),
        ("sample_annotation", 0, "sample_token", leads_nowhere("sample", 0)),
        ("sample_annotation", 0, "instance_token", leads_nowhere("instance", 0)),
        (
            "sample_data",
            5,
            "prev",
            format!(
                "expected a frame of LIDAR_TOP with the token {lost}, found none, though \
                 sweeps/LIDAR_TOP/5.pcd.bin names it as prev"
            ),
        ),
        (
            "sample_data",
            5,
            "token",
            format!(
                "expected a frame of LIDAR_TOP with the token {}, found none, though \
                 sweeps/LIDAR_TOP/6.pcd.bin names it as prev",
                token(5, 5)
            ),
        ),
        (
            "sample_data",
            8,
            "ego_pose_token",
            format!(
                "ego_pose.json: expected the token {lost} that sample_data.json names, found no such row"
            ),
        ),
        ("sample_data", 4, "is_key_frame", "expected a keyframe of LIDAR_TOP for sample".to_owned()),
    ];
    for (table, row, column, message) in cases {
        let folder = drive();
        let value = if column == "is_key_frame" { json!(false) } else { json!(lost) };
        edit_table(folder.path(), table, |rows| rows[row][column] = value.clone());
        let boxes = NuScenesConfig { unit: NuScenesUnit::Box, ..config(5) };
        let text = open_error(folder.path(), &boxes).replace(", row", " row");
        assert!(text.contains(&message.replace(", row", " row")), "{table}.{column}: {text}");
    }
}

#[test]
fn rows_that_contradict_each_other_are_refused() {
    let refused = |table: &str, edit: &dyn Fn(&mut Vec<Value>)| {
        let folder = drive();
        edit_table(folder.path(), table, edit);
        open_error(folder.path(), &NuScenesConfig { unit: NuScenesUnit::Box, min_box_points: 0, ..config(5) })
    };
    let twice = |rows: &mut Vec<Value>| rows.push(rows[2].clone());
    assert!(refused("sample", &twice).ends_with("a second time"));
    assert!(refused("ego_pose", &twice).contains("row 9: expected a token of its own, found token"));
    assert!(refused("sample_data", &twice).ends_with("a second time"));
    let keyframe = |rows: &mut Vec<Value>| rows[3]["is_key_frame"] = json!(true);
    assert!(refused("sample_data", &keyframe).contains(
        "row 4: expected one keyframe of a sensor for a sample, found a second one of sample \
         00000000000000020000000000000004"
    ));
    let tilted = |rows: &mut Vec<Value>| rows[1]["rotation"] = json!([1.0, 0.0, 0.0, 1.0]);
    let text = refused("calibrated_sensor", &tilted);
    assert!(
        text.contains("calibrated_sensor.json, row 1: expected a column rotation that is a unit"),
        "{text}"
    );
    let nameless = |rows: &mut Vec<Value>| rows[0]["token"] = json!(null);
    let text = refused("sample_annotation", &nameless);
    assert!(text.contains("expected a token in column \"token\" of row 0"), "{text}");
}

#[test]
fn an_annotation_that_means_nothing_costs_its_box_alone() {
    let broken = [
        ("size", json!([1.0, 0.0, 1.0]), "expected a column size of width, length, height above 0 metres"),
        ("size", json!("large"), "expected an array of length 3 in column \"size\" of row 0"),
        ("rotation", json!([1.0, 0.0, 0.0, 1.0]), "expected a column rotation that is a unit quaternion"),
        ("translation", json!(null), "in column \"translation\" of row 0"),
        (
            "num_lidar_pts",
            json!(-7),
            "-7, expected a number of points, or -1 in column \"num_lidar_pts\" of row 0",
        ),
        (
            "num_lidar_pts",
            json!(1.5),
            "1.5, expected a number of points, or -1 in column \"num_lidar_pts\" of row 0",
        ),
    ];
    for (column, value, reason) in broken {
        let folder = drive();
        edit_table(folder.path(), "sample_annotation", |rows| {
            let mut whole = rows[0].clone();
            whole["token"] = json!(token(9, 1));
            rows[0][column] = value.clone();
            rows.push(whole);
        });
        let config = NuScenesConfig { unit: NuScenesUnit::Box, min_box_points: 1, ..config(0) };
        let dataset = open_nuscenes(folder.path(), &config).unwrap();
        assert_eq!(dataset.len(), 2);
        let error = dataset.get(0).unwrap_err().to_string();
        assert!(error.contains("sample_annotation.json") && error.contains("row 0"), "{error}");
        assert!(error.contains(reason), "{error}");
        assert!(dataset.get(1).is_ok());
        let keyframes =
            open_nuscenes(folder.path(), &NuScenesConfig { unit: NuScenesUnit::Scene, ..config }).unwrap();
        let object = keyframes.get(2).unwrap();
        assert_eq!((object.boxes.len(), object.warnings.len()), (1, 1));
        assert_eq!(object.warnings[0].kind, jepa3d_schemas::WarningKind::BoxLeftOut);
        assert!(object.warnings[0].text.contains(reason), "{}", object.warnings[0]);
    }
}

#[test]
fn a_pose_that_means_nothing_costs_the_frames_that_name_it() {
    for value in [json!([1.0, 0.0, 0.0, 1.0]), json!("north")] {
        let folder = drive();
        edit_table(folder.path(), "ego_pose", |rows| rows[4]["rotation"] = value.clone());
        let dataset = open_nuscenes(folder.path(), &config(0)).unwrap();
        let error = dataset.get(1).unwrap_err().to_string();
        assert!(
            error.contains("ego_pose.json") && error.contains("row 4") && error.contains("rotation"),
            "{error}"
        );
        assert!(dataset.get(0).is_ok() && dataset.get(2).is_ok());
    }
}

#[test]
fn numbers_of_points_that_nobody_has_counted_are_not_taken_for_points() {
    let kept = |value: Value, min_box_points| {
        let folder = drive();
        edit_table(folder.path(), "sample_annotation", |rows| rows[0]["num_lidar_pts"] = value.clone());
        let config = NuScenesConfig { unit: NuScenesUnit::Box, min_box_points, ..config(0) };
        let dataset = open_nuscenes(folder.path(), &config).unwrap();
        (dataset.len(), dataset.notes()[2].clone())
    };
    let unknown = "0 boxes; not listed: 0 without a class of the scheme, 0 with fewer than 1 lidar points, \
                   1 whose lidar points nobody has counted (num_lidar_pts -1)";
    assert_eq!(kept(json!(-1), 1), (0, unknown.to_owned()));
    assert_eq!(kept(json!(null), 1), (0, unknown.to_owned()));
    assert_eq!((kept(json!(-1), 0).0, kept(json!(0), 0).0, kept(json!(0), 1).0), (1, 1, 0));
    assert_eq!((kept(json!(1.0), 1).0, kept(json!(1), 1).0), (1, 1));
}

#[test]
fn categories_of_the_lidar_segmentation_change_nothing() {
    let folder = drive();
    edit_table(folder.path(), "category", |rows| {
        rows.insert(0, json!({"token": "noise", "name": "noise", "description": "", "index": 0}));
        rows[1]["index"] = json!(1);
        rows.push(json!({"token": "ego", "name": "vehicle.ego", "description": "", "index": 31}));
    });
    let config = NuScenesConfig { unit: NuScenesUnit::Box, min_box_points: 1, ..config(0) };
    let object = open_nuscenes(folder.path(), &config).unwrap().get(0).unwrap();
    assert_eq!((object.label, object.category.as_deref()), (Some(0), Some("car")));
}

#[test]
fn sweeps_must_go_back_in_time() {
    let folder = drive();
    edit_table(folder.path(), "sample_data", |rows| rows[6]["prev"] = json!(token(5, 8)));
    let dataset = open_nuscenes(folder.path(), &config(5)).unwrap();
    let text = dataset.get(2).unwrap_err().to_string();
    assert!(
        text.contains("prev of sweeps/LIDAR_TOP/6.pcd.bin to be earlier than 1532402927300000"),
        "{text}"
    );
}
