//! Splatted clouds: what they show against the mesh they were sampled from, and pictures to look at.

use std::path::{Path, PathBuf};

use jepa3d_datasets::formats::{ReadOptions, read_geometry};
use jepa3d_render::stages::{FrameBuffer, SampleGrid, Splats, correspond_splats};
use jepa3d_render::{RigConfig, Subject, ViewScratch, ViewsConfig, render_views};
use jepa3d_schemas::{Object, PointCloud, Sample, Shape, UpAxis};

use crate::mesh::{VisibilityTally, assert_reprojects, visible_by_rays};
use crate::support::{files, scene, test_data, thread_seconds, twelve_cameras};

fn compare(points: usize, step: usize) -> Option<(VisibilityTally, f64)> {
    let mut total = VisibilityTally::default();
    let (mut covered, mut frame) = (0, FrameBuffer::default());
    for path in files(&test_data("shapedb")?, "obj", step) {
        let scene = scene(&path, points);
        let splats = Splats::new(&scene.points);
        for camera in twelve_cameras(224) {
            splats.draw(SampleGrid { camera: &camera, scale: 1 }, &mut frame);
            covered += frame.depth.iter().filter(|d| d.is_finite()).count();
            let found = correspond_splats(&splats, &camera, &frame);
            assert_reprojects(&found, &scene.points, &camera);
            total.add(&found, &visible_by_rays(&scene, &camera));
        }
    }
    Some((total, covered as f64))
}

#[test]
fn splats_show_about_what_the_surface_shows() {
    for points in [1024, 2048] {
        let Some((tally, _)) = compare(points, 100) else { return };
        let (precision, recall) = (tally.precision(), tally.recall());
        eprintln!("{points} points as discs: precision {precision:.4}, recall {recall:.4}, {tally:?}");
        assert!(precision > 0.7 && recall > 0.75);
    }
}

/// A sample of a cloud file in the unit sphere, as the pipeline makes it.
fn sample(path: &Path) -> (Object, Sample) {
    let loaded = read_geometry(path, &ReadOptions::default()).unwrap();
    let Shape::Points(cloud) = &loaded.shape else { panic!("no cloud") };
    let center = [0, 1, 2].map(|a| cloud.positions.iter().map(|p| p[a]).sum::<f64>() / cloud.len() as f64);
    let reach = |p: &[f64; 3]| (0..3).map(|a| (p[a] - center[a]).powi(2)).sum::<f64>();
    let scale = cloud.positions.iter().map(reach).fold(0.0, f64::max).sqrt();
    let points = cloud.positions.iter().flat_map(|p| [0, 1, 2].map(|a| ((p[a] - center[a]) / scale) as f32));
    let sample = Sample {
        sample_id: path.file_stem().unwrap().to_string_lossy().into_owned(),
        points: points.collect(),
        norm_center: center,
        norm_scale: scale,
        ..Sample::default()
    };
    (object(loaded.shape), sample)
}

fn object(shape: Shape) -> Object {
    Object::new("x", shape)
}

#[test]
#[ignore = "writes pictures to the folder JEPA3D_TEST_PICTURES"]
fn pictures_of_modelnet_clouds() {
    let Some(folder) = std::env::var_os("JEPA3D_TEST_PICTURES").map(PathBuf::from) else { return };
    let Some(data) = test_data("modelnet10") else { return };
    let config = ViewsConfig {
        rig: RigConfig::Orbit { elevations: vec![20.0], azimuths: 3 },
        background: [255; 4],
        ..ViewsConfig::default()
    };
    for path in files(&data, "pcd", 400) {
        let (object, sample) = sample(&path);
        let subject = Subject { object: &object, sample: &sample, up: UpAxis::Z, seed: 0 };
        let rendered = render_views(&subject, &config, &mut ViewScratch::default()).unwrap();
        for view in rendered.views {
            let name = format!("{}-{}.png", view.sample_id, view.name);
            std::fs::write(folder.join(name), view.image).unwrap();
        }
    }
}

#[test]
fn odd_clouds_do_not_panic() {
    let clouds: [Vec<[f32; 3]>; 4] = [
        vec![],
        vec![[0.0; 3]],
        vec![[0.1, 0.2, 0.3]; 40],
        (0..50).map(|i| [i as f32 / 50.0, 0.0, 0.0]).collect(),
    ];
    for points in clouds {
        let object = object(Shape::Points(PointCloud::default()));
        let sample = Sample { points: points.as_flattened().to_vec(), norm_scale: 1.0, ..Sample::default() };
        let subject = Subject { object: &object, sample: &sample, up: UpAxis::Y, seed: 0 };
        let rendered = render_views(&subject, &ViewsConfig::default(), &mut ViewScratch::default()).unwrap();
        assert_eq!(rendered.views.len(), 12);
        let shown = rendered.views.iter().map(|v| v.correspondences.len()).min().unwrap();
        assert!(shown > 0 || points.is_empty());
    }
}

#[test]
#[ignore = "prints times"]
fn time_of_splats() {
    let Some(data) = test_data("modelnet10") else { return };
    let config = ViewsConfig { supersample: 1, ..ViewsConfig::default() };
    let samples: Vec<_> = files(&data, "pcd", 100).iter().map(|p| sample(p)).collect();
    for _ in 0..3 {
        let (mut scratch, mut splats) = (ViewScratch::default(), 0.0);
        let start = thread_seconds();
        for (object, sample) in &samples {
            let subject = Subject { object, sample, up: UpAxis::Z, seed: 0 };
            render_views(&subject, &config, &mut scratch).unwrap();
        }
        let whole = thread_seconds() - start;
        for (_, sample) in &samples {
            let start = thread_seconds();
            Splats::new(sample.points.as_chunks().0);
            splats += thread_seconds() - start;
        }
        let each = 1e3 / samples.len() as f64;
        eprintln!("12 views of 1024 discs: {:.2} ms, of which fitting {:.2} ms", whole * each, splats * each);
    }
}
