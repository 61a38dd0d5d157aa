//! pyarrow, polars, DuckDB and Hugging Face datasets read the shards with no code of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use jepa3d_schemas::{Sample, ShardReader};
use serde_json::json;

use super::harness::{cloud, prepare_folder, prepare_small, shards, text, write};

/// Exit code by which the script says that a package is missing.
const SKIPPED: i32 = 77;

fn samples(out: &Path) -> Vec<Sample> {
    let read = |path: PathBuf| {
        let reader = ShardReader::open(&path).unwrap();
        let groups: Vec<_> =
            (0..reader.row_groups()).map(|i| reader.read_row_group(i, &[]).unwrap()).collect();
        groups.iter().flat_map(|g| (0..g.rows).filter_map(|i| g.sample(i))).collect::<Vec<_>>()
    };
    let mut samples: Vec<_> = shards(out).into_iter().flat_map(read).collect();
    samples.sort_by(|a, b| a.sample_id.cmp(&b.sample_id));
    samples
}

/// All rows by id, as our own reader sees them. Shortest decimals bring the floats back exactly.
fn expected(out: &Path) -> serde_json::Value {
    let row = |s: Sample| {
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
    samples(out).into_iter().map(row).collect()
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
