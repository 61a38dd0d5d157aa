//! Lidar points in photographs, against nuscenes-devkit and annotated boxes.

use std::path::PathBuf;

use glam::{DQuat, DVec3};
use jepa3d_datasets::{DatasetConfig, NuScenesConfig, NuScenesUnit};
use jepa3d_render::stages::{StoredCloud, correspond_photo, correspond_photo_frustum, nearest_points};
use jepa3d_render::{ColorBy, Placement, RigConfig, Subject, ViewScratch, ViewsConfig, render_views};
use jepa3d_schemas::{Correspondences, Object, Photo, Sample, Shape, UpAxis, viridis};
use serde_json::Value;

use crate::support::test_data;

/// The keyframe, with and without the car's own echoes, and the devkit's results.
fn keyframe(remove_close: f64) -> Option<(Object, Value)> {
    let root = test_data("nuscenes")?;
    let text = std::fs::read_to_string(root.join("golden_projection.json")).unwrap();
    let config = NuScenesConfig { remove_close, ..NuScenesConfig::default() };
    let object = DatasetConfig::NuScenes(config).open(&root).unwrap().get(0).unwrap();
    Some((object, serde_json::from_str(&text).unwrap()))
}

fn positions(object: &Object) -> &[[f64; 3]] {
    match &object.shape {
        Shape::Points(cloud) => &cloud.positions,
        Shape::Mesh(_) => panic!("no points"),
    }
}

/// The stored points of an object: `p = (raw - center) / scale`.
fn stored_points(object: &Object, center: [f64; 3], scale: f64) -> Vec<[f32; 3]> {
    positions(object).iter().map(|p| [0, 1, 2].map(|a| ((p[a] - center[a]) / scale) as f32)).collect()
}

#[test]
fn frustum_counts_and_pixels_equal_the_devkit() {
    let Some((object, golden)) = keyframe(0.0) else { return };
    for (center, scale, tolerance) in [([0.0; 3], 1.0, 1e-3), ([3.5, -20.25, 1.0], 97.3, 0.05)] {
        let points = stored_points(&object, center, scale);
        for photo in &object.photos {
            let expected = &golden["cameras"][&photo.name];
            let stored = StoredCloud { points: &points, center, scale };
            let found = correspond_photo_frustum(stored, &photo.camera);
            let count = expected["num_visible_f64"].as_u64().unwrap();
            // Rounding the stored points moves at most a point in a thousand over an edge.
            let slack = if scale == 1.0 { 0 } else { 3 };
            assert!((found.len() as u64).abs_diff(count) <= slack, "{} {count}", found.len());
            compare_pixels(&found, expected, scale, tolerance);
        }
    }
}

fn compare_pixels(found: &Correspondences, expected: &Value, scale: f64, tolerance: f64) {
    for point in expected["points"].as_array().unwrap() {
        let at = found.point.binary_search(&(point["index"].as_u64().unwrap() as u32));
        if !point["visible"].as_bool().unwrap() {
            assert!(at.is_err());
            continue;
        }
        let at = at.unwrap();
        let ours = [found.u[at], found.v[at], found.depth[at]].map(f64::from);
        for (ours, key) in
            [ours[0], ours[1], ours[2] * scale].into_iter().zip(["u_f64", "v_f64", "depth_f64"])
        {
            let theirs = point[key].as_f64().unwrap();
            assert!((ours - theirs).abs() < tolerance, "{key}: {ours} {theirs}");
        }
    }
}

/// A box of the lidar frame: centre, rotation, half length, width, height.
struct AnnotatedBox {
    box_from_lidar: DQuat,
    center: DVec3,
    half: DVec3,
}

impl AnnotatedBox {
    fn read_all(golden: &Value) -> Vec<Self> {
        let number = |v: &Value, i: usize| v[i].as_f64().unwrap();
        let boxes = golden["boxes_lidar_frame"].as_array().unwrap();
        boxes
            .iter()
            .filter(|b| b["points_in_box"].as_u64().unwrap() >= 20)
            .map(|b| {
                let (q, c, s) = (&b["rotation_wxyz"], &b["center"], &b["wlh"]);
                let rotation = DQuat::from_xyzw(number(q, 1), number(q, 2), number(q, 3), number(q, 0));
                Self {
                    box_from_lidar: rotation.inverse(),
                    center: DVec3::new(number(c, 0), number(c, 1), number(c, 2)),
                    half: DVec3::new(number(s, 1), number(s, 0), number(s, 2)) / 2.0,
                }
            })
            .collect()
    }

    /// Where a segment enters the box shrunk to `share`, as a share of the way; `None` if it misses or starts inside.
    fn entry(&self, from: DVec3, to: DVec3, share: f64) -> Option<f64> {
        let (a, b) = (self.box_from_lidar * (from - self.center), self.box_from_lidar * (to - self.center));
        let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
        for axis in 0..3 {
            let (way, half) = (b[axis] - a[axis], self.half[axis] * share);
            let (t0, t1) = ((-half - a[axis]) / way, (half - a[axis]) / way);
            (enter, leave) = (enter.max(t0.min(t1)), leave.min(t0.max(t1)));
        }
        (enter < leave).then_some(enter)
    }

    fn holds(&self, p: DVec3) -> bool {
        let p = (self.box_from_lidar * (p - self.center)).abs();
        p.cmple(self.half * 1.05).all()
    }
}

/// What the occlusion test did in one photo.
#[derive(Debug, Default)]
struct Removal {
    frustum: usize,
    removed: usize,
    /// Points that an annotated box stands before, and how many of them were removed.
    behind_boxes: usize,
    behind_boxes_removed: usize,
    /// Points near the road, not behind a box, and how many of them were removed.
    ground: usize,
    ground_removed: usize,
}

fn removal(object: &Object, photo: &Photo, solids: &[AnnotatedBox]) -> Removal {
    let points = stored_points(object, [0.0; 3], 1.0);
    let stored = StoredCloud { points: &points, center: [0.0; 3], scale: 1.0 };
    let frustum = correspond_photo_frustum(stored, &photo.camera);
    let kept = correspond_photo(stored, &photo.camera, positions(object));
    let eye = photo.camera.camera_from_world.inverse().translation;
    let mut tally =
        Removal { frustum: frustum.len(), removed: frustum.len() - kept.len(), ..Removal::default() };
    for point in &frustum.point {
        let p = DVec3::from_array(positions(object)[*point as usize]);
        let is_removed = kept.point.binary_search(point).is_err();
        let is_behind = |share: f64| {
            let stands_before = |s: &AnnotatedBox| {
                // What the lidar sees through a box (windows, under a car) says nothing.
                let is_solid = s.entry(DVec3::ZERO, p, 1.0).is_none();
                let is_far = |t: f64| p.distance(eye) * (1.0 - t) > 1.0;
                is_solid && !s.holds(p) && s.entry(eye, p, share).is_some_and(is_far)
            };
            solids.iter().any(stands_before)
        };
        if is_behind(0.8) {
            tally.behind_boxes += 1;
            tally.behind_boxes_removed += usize::from(is_removed);
        } else if p.z < -1.6 && p.truncate().length() < 25.0 && !is_behind(1.3) {
            tally.ground += 1;
            tally.ground_removed += usize::from(is_removed);
        }
    }
    tally
}

#[test]
fn occlusion_removes_what_boxes_hide_and_keeps_the_road() {
    let Some((object, golden)) = keyframe(1.0) else { return };
    let solids = AnnotatedBox::read_all(&golden);
    let mut sum = Removal::default();
    for photo in &object.photos {
        let r = removal(&object, photo, &solids);
        eprintln!("{}: {r:?}", photo.name);
        sum.frustum += r.frustum;
        sum.removed += r.removed;
        sum.behind_boxes += r.behind_boxes;
        sum.behind_boxes_removed += r.behind_boxes_removed;
        sum.ground += r.ground;
        sum.ground_removed += r.ground_removed;
    }
    eprintln!("{sum:?}");
    assert!(sum.behind_boxes_removed as f64 >= 0.85 * sum.behind_boxes as f64);
    assert!(sum.ground_removed as f64 <= 0.005 * sum.ground as f64);
}

/// A sample that stores every point of an object in metres.
fn sample(object: &Object) -> Sample {
    Sample {
        sample_id: object.id.clone(),
        points: stored_points(object, [0.0; 3], 1.0).as_flattened().to_vec(),
        norm_scale: 1.0,
        ..Sample::default()
    }
}

#[test]
fn photos_become_views_with_their_bytes_and_failures_name_the_file() {
    let Some((mut object, _)) = keyframe(1.0) else { return };
    let folder = tempfile::tempdir().unwrap();
    let truncated = folder.path().join("truncated.jpg");
    let bytes = std::fs::read(&object.photos[2].path).unwrap();
    std::fs::write(&truncated, &bytes[..50_000]).unwrap();
    object.photos[2].path.clone_from(&truncated);
    let sample = sample(&object);
    let subject = Subject { object: &object, sample: &sample, up: UpAxis::Z, seed: 0 };
    let config = ViewsConfig { rig: RigConfig::Photos, ..ViewsConfig::default() };
    let rendered = render_views(&subject, &config, &mut ViewScratch::default()).unwrap();
    assert_eq!(rendered.views.iter().map(|v| v.view).collect::<Vec<_>>(), [0, 1, 3, 4, 5]);
    for view in &rendered.views {
        let photo = &object.photos[view.view as usize];
        assert_eq!((&view.name, &view.image), (&photo.name, &std::fs::read(&photo.path).unwrap()));
        assert!(view.correspondences.len() > 2000);
        crate::mesh::assert_reprojects(&view.correspondences, sample.points.as_chunks().0, &view.camera);
    }
    let failures: Vec<String> = rendered.failures.iter().map(ToString::to_string).collect();
    let expected = format!(
        "{}: JPEG: expected an end-of-image marker, found 50000 bytes that stop before it",
        truncated.display()
    );
    assert_eq!(failures, [expected]);
}

#[test]
fn boxes_have_photos_of_their_own_points() {
    let Some(root) = test_data("nuscenes") else { return };
    let config = NuScenesConfig { unit: NuScenesUnit::Box, min_box_points: 20, ..NuScenesConfig::default() };
    let dataset = DatasetConfig::NuScenes(config).open(&root).unwrap();
    let views = ViewsConfig { rig: RigConfig::Photos, ..ViewsConfig::default() };
    for index in 0..dataset.len() {
        let object = dataset.get(index).unwrap();
        let sample = sample(&object);
        let subject = Subject { object: &object, sample: &sample, up: UpAxis::Z, seed: 0 };
        let rendered = render_views(&subject, &views, &mut ViewScratch::default()).unwrap();
        let shown: Vec<usize> = rendered.views.iter().map(|v| v.correspondences.len()).collect();
        eprintln!("{}: {} points, shown {shown:?} {:?}", object.id, sample.len(), rendered.warnings);
        assert!(!shown.is_empty() && rendered.failures.is_empty());
    }
}

#[test]
#[ignore = "writes pictures to the folder JEPA3D_TEST_PICTURES"]
fn pictures_of_kept_and_removed_points() {
    let Some(folder) = std::env::var_os("JEPA3D_TEST_PICTURES").map(PathBuf::from) else { return };
    let Some((object, _)) = keyframe(1.0) else { return };
    let points = stored_points(&object, [0.0; 3], 1.0);
    let stored = StoredCloud { points: &points, center: [0.0; 3], scale: 1.0 };
    for photo in &object.photos {
        let mut image = image::open(&photo.path).unwrap().to_rgb8();
        let kept = correspond_photo(stored, &photo.camera, positions(&object));
        let all = correspond_photo_frustum(stored, &photo.camera);
        for i in 0..all.len() {
            let is_kept = kept.point.binary_search(&all.point[i]).is_ok();
            let color = if is_kept { viridis(all.depth[i] / 40.0) } else { [255, 0, 0] };
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1), (0, 2), (1, 2), (2, 2)] {
                let (x, y) = (all.u[i] as u32 + dx - 1, all.v[i] as u32 + dy - 1);
                if x < 1600 && y < 900 {
                    image.put_pixel(x, y, image::Rgb(color));
                }
            }
        }
        image.save(folder.join(format!("photo-{}.jpg", photo.name))).unwrap();
    }
}

#[test]
#[ignore = "writes pictures to the folder JEPA3D_TEST_PICTURES"]
fn pictures_of_a_sweep_as_discs() {
    let Some(folder) = std::env::var_os("JEPA3D_TEST_PICTURES").map(PathBuf::from) else { return };
    let Some((object, _)) = keyframe(1.0) else { return };
    let Shape::Points(cloud) = &object.shape else { panic!("no points") };
    let sample = Sample { intensity: cloud.intensity.clone(), ..sample(&object) };
    let subject = Subject { object: &object, sample: &sample, up: UpAxis::Z, seed: 0 };
    let placement = |azimuth, elevation, distance| Placement {
        azimuth,
        elevation,
        roll: 0.0,
        distance: Some(distance),
        field_of_view: None,
    };
    let cameras = vec![placement(30.0, 35.0, 60.0), placement(0.0, 89.0, 80.0), placement(200.0, 10.0, 25.0)];
    for color in [ColorBy::Auto, ColorBy::Height] {
        let rig = RigConfig::Explicit { cameras: cameras.clone() };
        let config = ViewsConfig { rig, size: 448, background: [255; 4], color, ..ViewsConfig::default() };
        for view in render_views(&subject, &config, &mut ViewScratch::default()).unwrap().views {
            std::fs::write(folder.join(format!("sweep-{color:?}-{}.png", view.name)), view.image).unwrap();
        }
    }
}

#[test]
#[ignore = "prints times"]
fn time_of_photos() {
    let Some((object, _)) = keyframe(1.0) else { return };
    let sample = sample(&object);
    let subject = Subject { object: &object, sample: &sample, up: UpAxis::Z, seed: 0 };
    let config = ViewsConfig { rig: RigConfig::Photos, ..ViewsConfig::default() };
    for _ in 0..3 {
        let start = crate::support::thread_seconds();
        let views = render_views(&subject, &config, &mut ViewScratch::default()).unwrap().views;
        let whole = crate::support::thread_seconds();
        for photo in &object.photos {
            let points = sample.points.as_chunks().0;
            let stored = StoredCloud { points, center: [0.0; 3], scale: 1.0 };
            correspond_photo(stored, &photo.camera, positions(&object));
        }
        let points = crate::support::thread_seconds() - whole;
        let dense = crate::support::thread_seconds();
        for view in &views {
            nearest_points(&view.correspondences, &view.camera);
        }
        let dense = crate::support::thread_seconds() - dense;
        eprintln!(
            "6 photos {:.1} ms, of which correspondences {:.1} ms; dense maps {:.1} ms more",
            (whole - start) * 1e3,
            points * 1e3,
            dense * 1e3
        );
    }
}
