//! Compares a real keyframe with what the official devkit computed for it (`golden_projection.json`).

use std::path::PathBuf;

use jepa3d_schemas::{Object, PointCloud, Shape};
use serde_json::Value;

use crate::dataset::Dataset;
use crate::nuscenes::box_unit::BoxUnit;
use crate::nuscenes::chain::sees;
use crate::nuscenes::config::NuScenesClasses;
use crate::nuscenes::dataset::NuScenes;
use crate::nuscenes::{NuScenesConfig, NuScenesUnit, open_nuscenes};
use crate::test_data::test_data;

pub(super) fn cloud(object: &Object) -> &PointCloud {
    match &object.shape {
        Shape::Points(cloud) => cloud,
        Shape::Mesh(_) => panic!("no points"),
    }
}

fn golden() -> Option<(PathBuf, Value)> {
    let root = test_data("nuscenes")?;
    let text = std::fs::read_to_string(root.join("golden_projection.json")).unwrap();
    Some((root, serde_json::from_str(&text).unwrap()))
}

#[test]
fn projections_agree_with_the_devkit_in_f64() {
    let Some((root, golden)) = golden() else { return };
    let config = NuScenesConfig { remove_close: 0.0, ..NuScenesConfig::default() };
    let dataset = open_nuscenes(&root, &config).unwrap();
    assert_eq!(dataset.len(), 1);
    assert_eq!(dataset.id(0), "scene-0061/1532402927647951-ca9a282c9e77460f8360f564131a8af5");
    assert_eq!(dataset.split(0), "train");
    assert_eq!(dataset.source(0), golden["lidar_file"]);
    let object = dataset.get(0).unwrap();
    let cloud = cloud(&object);
    assert_eq!(cloud.len() as u64, golden["num_points"]);
    assert_eq!((object.photos.len(), &object.warnings), (6, &vec![]));
    let mut worst = [0.0_f64; 3];
    for photo in &object.photos {
        let expected = &golden["cameras"][&photo.name];
        let visible = cloud.positions.iter().filter(|p| sees(&photo.camera, **p)).count();
        assert_eq!(visible as u64, expected["num_visible_f64"], "{}", photo.name);
        assert!(photo.path.is_file());
        let points = expected["points"].as_array().unwrap();
        assert_eq!(points.len(), 200);
        for point in points {
            let position = cloud.positions[point["index"].as_u64().unwrap() as usize];
            let ours = photo.camera.project(position);
            assert_eq!(sees(&photo.camera, position), point["visible"].as_bool().unwrap());
            for (axis, key) in ["u_f64", "v_f64", "depth_f64"].iter().enumerate() {
                let theirs = point[key].as_f64().unwrap();
                worst[axis] =
                    worst[axis].max((ours[axis] - theirs).abs() / theirs.abs().max(1000.0) * 1000.0);
            }
        }
    }
    eprintln!("largest difference in u, v (pixels), depth (metres): {worst:?}");
    assert!(worst.iter().all(|d| *d < 1e-6), "{worst:?}");
}

/// Places a listed box in the lidar frame of the only keyframe.
fn lidar_from_box(dataset: &NuScenes<BoxUnit>, index: usize) -> glam::DAffine3 {
    let row = &dataset.unit.boxes.rows[dataset.listed[index].row as usize];
    let chain = &dataset.recording.chain;
    let lidar = chain.frame(dataset.recording.keyframe(0).lidar);
    chain.sensor_from_global(lidar) * row.global_from_box.parent_from_child()
}

#[test]
fn boxes_agree_with_the_devkit() {
    let Some((root, golden)) = golden() else { return };
    let config = NuScenesConfig {
        unit: NuScenesUnit::Box,
        classes: NuScenesClasses::Fine,
        min_box_points: 0,
        remove_close: 0.0,
        ..NuScenesConfig::default()
    };
    let dataset = NuScenes::<BoxUnit>::open(&root, &config).unwrap();
    let boxes = golden["boxes_lidar_frame"].as_array().unwrap();
    assert_eq!(dataset.len(), boxes.len());
    for expected in boxes {
        let token = expected["annotation"].as_str().unwrap();
        let index = (0..dataset.len()).find(|&i| dataset.id(i).ends_with(token)).unwrap();
        let object = dataset.get(index).unwrap();
        let (cloud, wlh) = (cloud(&object), &expected["wlh"]);
        assert_eq!(cloud.len() as u64, expected["points_in_box"], "{token}");
        assert_eq!(object.category.as_deref(), expected["category"].as_str());
        assert_eq!(dataset.classes()[object.label.unwrap() as usize], expected["category"].as_str().unwrap());
        // wlh against x length, y width, z height.
        for (axis, size) in [1, 0, 2].into_iter().enumerate() {
            let half = wlh[size].as_f64().unwrap() / 2.0;
            assert!(cloud.positions.iter().all(|p| p[axis].abs() <= half));
        }
        let lidar_from_box = lidar_from_box(&dataset, index);
        for axis in 0..3 {
            let theirs = expected["center"][axis].as_f64().unwrap();
            assert!((lidar_from_box.translation[axis] - theirs).abs() < 1e-9, "{token}");
        }
        let [w, x, y, z] = [0, 1, 2, 3].map(|i| expected["rotation_wxyz"][i].as_f64().unwrap());
        let rotation = glam::DMat3::from_quat(glam::DQuat::from_xyzw(x, y, z, w));
        assert!(lidar_from_box.matrix3.abs_diff_eq(rotation, 1e-12), "{token}");
    }
}

#[test]
fn boxes_of_a_scene_agree_with_the_devkit() {
    let Some((root, golden)) = golden() else { return };
    let config = NuScenesConfig { classes: NuScenesClasses::Fine, ..NuScenesConfig::default() };
    let dataset = open_nuscenes(&root, &config).unwrap();
    let object = dataset.get(0).unwrap();
    let expected = golden["boxes_lidar_frame"].as_array().unwrap();
    assert_eq!(object.boxes.len(), expected.len());
    for found in &object.boxes {
        let number = |value: &serde_json::Value, i: usize| value[i].as_f64().unwrap();
        let is_it =
            |e: &&serde_json::Value| (0..3).all(|i| (number(&e["center"], i) - found.center[i]).abs() < 1e-9);
        let expected = expected.iter().find(is_it).expect("a box of the devkit at this place");
        assert_eq!(found.size, [1, 0, 2].map(|i| number(&expected["wlh"], i)));
        assert_eq!(dataset.box_classes()[found.label as usize], expected["category"].as_str().unwrap());
        // A quaternion and its negative are the same rotation.
        let dot: f64 = (0..4).map(|i| found.rotation[i] * number(&expected["rotation_wxyz"], i)).sum();
        assert!((dot.abs() - 1.0).abs() < 1e-12, "{dot}");
    }
    let without = NuScenesConfig { boxes: false, ..config };
    assert!(open_nuscenes(&root, &without).unwrap().get(0).unwrap().boxes.is_empty());
}

#[test]
fn photos_of_a_box_are_those_that_see_its_centre() {
    let Some((root, _)) = golden() else { return };
    let config = NuScenesConfig { unit: NuScenesUnit::Box, min_box_points: 40, ..NuScenesConfig::default() };
    let dataset = NuScenes::<BoxUnit>::open(&root, &config).unwrap();
    assert_eq!(dataset.len(), 4);
    let classes: Vec<_> = (0..4).map(|i| dataset.get(i).unwrap().category.unwrap()).collect();
    assert!(classes.iter().all(|c| dataset.classes().contains(c)), "{classes:?}");
    let scene = open_nuscenes(&root, &NuScenesConfig::default()).unwrap().get(0).unwrap();
    for index in 0..dataset.len() {
        let object = dataset.get(index).unwrap();
        assert!(!object.photos.is_empty() && object.photos.len() < 3, "{index}");
        let lidar_from_box = lidar_from_box(&dataset, index);
        for photo in &object.photos {
            // The same pixel whether a point is given in the box frame or in the lidar frame.
            let whole = scene.photos.iter().find(|p| p.name == photo.name).unwrap();
            for &point in cloud(&object).positions.iter().take(20) {
                let in_lidar = lidar_from_box.transform_point3(point.into()).to_array();
                let (a, b) = (photo.camera.project(point), whole.camera.project(in_lidar));
                assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-8));
            }
            assert!(sees(&photo.camera, [0.0; 3]));
        }
    }
}

#[test]
fn hashes_are_stable_and_depend_on_the_object() {
    let Some((root, _)) = golden() else { return };
    let scene = open_nuscenes(&root, &NuScenesConfig::default()).unwrap();
    assert_eq!(scene.get(0).unwrap(), scene.get(0).unwrap());
    let config = NuScenesConfig { unit: NuScenesUnit::Box, min_box_points: 30, ..NuScenesConfig::default() };
    let boxes = open_nuscenes(&root, &config).unwrap();
    let mut hashes: Vec<_> = (0..boxes.len()).map(|i| boxes.get(i).unwrap().source_hash).collect();
    hashes.push(scene.get(0).unwrap().source_hash);
    hashes.sort();
    assert!(hashes.windows(2).all(|w| w[0] != w[1]), "{hashes:?}");
}
