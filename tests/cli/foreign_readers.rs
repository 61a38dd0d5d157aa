//! pyarrow, polars, DuckDB and Hugging Face datasets read the shards with no code of ours.

use std::path::Path;
use std::process::Command;

use jepa3d_schemas::{Manifest, Sample, View};
use serde_json::json;

use super::harness::{
    VIEWS, cloud, prepare_folder, prepare_small, pyramid, samples_of, shards, text, views_of, write,
};

/// Exit code by which the script says that a package is missing.
const SKIPPED: i32 = 77;

fn samples(out: &Path) -> Vec<Sample> {
    let mut samples: Vec<_> =
        shards(out).into_iter().flat_map(|shard| samples_of(&shard)).flatten().collect();
    samples.sort_by(|a, b| a.sample_id.cmp(&b.sample_id));
    samples
}

fn views(out: &Path) -> Vec<View> {
    let views = Manifest::read(out).unwrap().views;
    let shards = views.into_iter().flat_map(|views| views.shards);
    let mut views: Vec<_> = shards.flat_map(|shard| views_of(&out.join(shard.file))).flatten().collect();
    views.sort_by(|a, b| (&a.sample_id, a.view).cmp(&(&b.sample_id, b.view)));
    views
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All rows by id, as our own reader sees them. Shortest decimals bring the floats back exactly.
fn expected(out: &Path) -> serde_json::Value {
    let sample = |s: Sample| {
        json!({
            "sample_id": s.sample_id, "dataset": s.dataset, "category": s.category, "label": s.label,
            "points": s.points, "normals": s.normals, "colors": s.colors, "intensity": s.intensity,
            "point_labels": s.point_labels, "subset": s.subset, "center_indices": s.center_indices,
            "patch_indices": s.patch_indices, "patch_counts": s.patch_counts, "centers": s.centers,
            "boxes": s.boxes, "box_labels": s.box_labels,
            "norm_center": s.norm_center, "norm_scale": s.norm_scale,
            "source": s.source, "source_hash": s.source_hash,
        })
    };
    let view = |v: View| {
        let map = |points: Vec<u32>| hex(points.iter().flat_map(|p| p.to_le_bytes()).collect::<Vec<_>>());
        let (camera, found) = (v.camera, v.correspondences);
        json!({
            "sample_id": v.sample_id, "view": v.view, "name": v.name, "image": hex(v.image),
            "width": camera.width, "height": camera.height,
            "fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy,
            "camera_from_world": camera.rows(), "depth": v.depth.map(hex), "depth_scale": v.depth_scale,
            "corr_point": found.point, "corr_u": found.u, "corr_v": found.v, "corr_depth": found.depth,
            "pixel_point": v.pixel_point.map(map),
        })
    };
    json!({
        "points": samples(out).into_iter().map(sample).collect::<Vec<_>>(),
        "views": views(out).into_iter().map(view).collect::<Vec<_>>(),
    })
}

fn check(out: &Path, dir: &Path) {
    let table = dir.join("expected.json");
    std::fs::write(&table, expected(out).to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign_readers.py");
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = Command::new(&python)
        .args([script, text(out), text(&table)])
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", dir.join("cache"))
        .env("HF_DATASETS_CACHE", dir.join("cache"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output();
    let Ok(run) = run else {
        eprintln!("skipped: no {python} on this machine");
        return;
    };
    let printed = [String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr)].concat();
    match run.status.code() {
        Some(SKIPPED) => eprintln!("skipped: {}", printed.trim()),
        code => assert_eq!(code, Some(0), "{printed}"),
    }
    eprint!("{printed}");
}

#[test]
fn synthetic_meshes() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    prepare_small(&out, &["--limit", "24"]).expect(0);
    check(&out, dir.path());
}

#[test]
fn views_of_synthetic_meshes() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let args = [&["--limit", "24"][..], &VIEWS, &["--set", "views.pixel_point=true"]].concat();
    prepare_small(&out, &args).expect(0);
    check(&out, dir.path());
}

/// Views are added when the sources of whole row groups are gone.
#[test]
fn views_of_some_samples() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    for i in 0..9 {
        write(&data.join(format!("{}/{i}.off", ["train", "val"][i / 6])), pyramid(i));
    }
    prepare_folder(&data, &out, &[]).expect(0);
    for gone in ["train/0.off", "train/1.off", "train/4.off", "val/6.off", "val/7.off"] {
        std::fs::remove_file(data.join(gone)).unwrap();
        // Listed, and not there.
        #[cfg(unix)]
        std::os::unix::fs::symlink("nowhere", data.join(gone)).unwrap();
    }
    let args = [&["--only", "views", "--max-failures", "5"][..], &VIEWS].concat();
    prepare_folder(&data, &out, &args).expect(0);
    super::harness::verify(&out).expect(0);
    let groups = views_of(&out.join("views/train-00000-of-00002.parquet"));
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [0, 3], "an empty row group keeps its place");
    check(&out, dir.path());
}

/// Clouds of different sizes, voxel blocks, no labels, and a shard of which nothing is left.
#[test]
fn bare_clouds_in_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    for i in 0..4 {
        write(&data.join(format!("{}/{i}.xyz", ["val", "train"][i % 2])), cloud(130 + 40 * i, i));
    }
    for i in 0..5 {
        write(&data.join(format!("train/bad{i}.xyz")), "no numbers\n");
    }
    prepare_folder(&data, &out, &["--set", "groups.kind=voxel", "--max-failures", "5"]).expect(0);
    check(&out, dir.path());
}
