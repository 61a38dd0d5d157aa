//! Bad textures, meshes, photos and sources cost views alone: points stay, and every loss is named.

use std::path::{Path, PathBuf};

use jepa3d_schemas::{Manifest, View};

use super::harness::{
    Run, SMALL, VIEWS, files_below, finish, prepare_command, prepare_folder, pyramid, test_data, text,
    verify, views_of, write,
};

/// Lines of the quarantine.
fn quarantine(out: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(out.join("quarantine.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn all_views(out: &Path) -> Vec<View> {
    let shards = Manifest::read(out).unwrap().views.unwrap().shards;
    shards.iter().flat_map(|shard| views_of(&out.join(&shard.file))).flatten().collect()
}

fn with_views(data: &Path, out: &Path, args: &[&str]) -> Run {
    prepare_folder(data, out, &[&VIEWS, args].concat())
}

#[test]
fn textures_that_are_missing_or_no_image_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    for (name, texture) in [("missing", "nowhere.png"), ("broken", "words.png")] {
        let faces = "usemtl skin\nf 1/1 2/2 3/3\nf 1/1 4/2 2/3\nf 2/1 4/2 3/3\nf 1/1 3/2 4/3\n";
        let mesh = "v 0 0 0\nv 1 0 0\nv 0 0 1\nv 0.3 1 0.2\nvt 0 0\nvt 1 0\nvt 0 1\n";
        write(&data.join(format!("{name}.obj")), format!("mtllib {name}.mtl\n{mesh}{faces}"));
        write(&data.join(format!("{name}.mtl")), format!("newmtl skin\nKd 0.8 0.1 0.1\nmap_Kd {texture}\n"));
    }
    write(&data.join("words.png"), "these are words");
    let run = with_views(&data, &out, &["-v"]).expect(0);
    for texture in ["nowhere.png", "words.png"] {
        assert!(run.stderr.lines().any(|l| l.contains("DEBUG") && l.contains(texture)), "{}", run.stderr);
    }
    let views = all_views(&out);
    assert_eq!(views.len(), 6);
    assert!(views.iter().all(|view| !view.correspondences.is_empty()));
    verify(&out).expect(0);
}

#[test]
fn odd_meshes_are_rendered_and_empty_ones_named() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    write(&data.join("good.off"), pyramid(0));
    write(&data.join("point.off"), "OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n");
    // A triangle, and others of which nothing is left: a line, a point, a needle.
    write(
        &data.join("slivers.off"),
        "OFF\n6 4 0\n0 0 0\n1 0 0\n0 0 1\n2 0 0\n0 0 0\n1e-9 1 0\n3 0 1 2\n3 0 1 3\n3 4 4 0\n3 0 4 5\n",
    );
    let run = with_views(&data, &out, &[]).expect(1);
    assert!(run.stdout.contains("complete, 2 samples, 1 quarantined, 6 views, "), "{}", run.stdout);
    let rows = quarantine(&out);
    assert_eq!((rows.len(), &rows[0]["id"], &rows[0]["stage"]), (1, &"point".into(), &"sample".into()));
    verify(&out).expect(0);
    // Cameras inside the mesh see its back faces.
    let inside = "views.rig={kind=\"explicit\", cameras=[{azimuth=0, elevation=10, distance=0.05}]}";
    let out = dir.path().join("inside");
    prepare_folder(&data, &out, &["--set", inside, "--set", "views.size=32", "--max-failures", "1"])
        .expect(0);
    assert_eq!(all_views(&out).len(), 2);
    verify(&out).expect(0);
}

#[test]
fn a_source_that_changed_or_vanished_keeps_its_points() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    for i in 0..4 {
        write(&data.join(format!("{i}.off")), pyramid(i));
    }
    prepare_folder(&data, &out, &[]).expect(0);
    write(&data.join("1.off"), pyramid(9));
    write(&data.join("2.off"), "OFF\n");
    let run = with_views(&data, &out, &["--only", "views"]).expect(1);
    assert!(run.stdout.contains("4 samples, 0 quarantined, 6 views (2 quarantined), "), "{}", run.stdout);
    let text = "2 objects and views are quarantined, run.max_failures allows 0: exit code 1";
    assert!(run.stderr.contains(text), "{}", run.stderr);
    let rows = quarantine(&out);
    assert!(rows.iter().all(|row| row["stage"] == "views" && row["split"] == "train"), "{rows:?}");
    let error = |row: usize| rows[row]["error"].as_str().unwrap();
    let hash = |mesh: String| jepa3d_schemas::source_hash(&[mesh.as_bytes()]);
    assert_eq!(
        error(0),
        format!(
            "1.off: source hash: expected {} (of the stored points), found {}",
            hash(pyramid(1)),
            hash(pyramid(9))
        )
    );
    assert!(error(1).contains("2.off"), "{}", error(1));
    verify(&out).expect(0);
    super::harness::jepa3d(&["stats", super::harness::text(&out)]).expect(0);
    with_views(&data, &out, &["--only", "views", "--max-failures", "2"]).expect(0);
}

/// The real keyframe with links to all files but `without`.
#[cfg(unix)]
fn keyframe_without(data: &Path, without: &str) -> Option<PathBuf> {
    let real = test_data("nuscenes")?;
    let mut left_out = None;
    for path in files_below(&real) {
        let relative = path.strip_prefix(&real).unwrap();
        std::fs::create_dir_all(data.join(relative).parent().unwrap()).unwrap();
        if relative.starts_with(without) {
            left_out = Some(path.clone());
        } else {
            std::os::unix::fs::symlink(&path, data.join(relative)).unwrap();
        }
    }
    left_out
}

#[cfg(unix)]
#[test]
fn a_truncated_photo_costs_its_view_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    let Some(photo) = keyframe_without(&data, "samples/CAM_BACK/") else { return };
    let real = test_data("nuscenes").unwrap();
    let name = photo.strip_prefix(&real).unwrap();
    let bytes = std::fs::read(&photo).unwrap();
    std::fs::write(data.join(name), &bytes[..bytes.len() / 2]).unwrap();
    let args = ["--set", "dataset.kind=nuscenes", "--set", "views.rig.kind=photos", "--data", text(&data)];
    let run = finish(prepare_command(&out, &SMALL[1..], &args)).expect(1);
    assert!(run.stdout.contains(", 5 views (1 quarantined), "), "{}", run.stdout);
    let rows = quarantine(&out);
    assert_eq!((rows.len(), &rows[0]["stage"]), (1, &"views".into()));
    let error = rows[0]["error"].as_str().unwrap();
    assert!(error.contains(text(name)) && error.contains("found"), "{error}");
    let manifest = Manifest::read(&out).unwrap();
    assert_eq!((manifest.shape.V, manifest.shape.H, manifest.shape.W), (5, 900, 1600));
    let names: Vec<_> = all_views(&out).into_iter().map(|view| (view.view, view.name)).collect();
    assert!(names.len() == 5 && names.iter().all(|(_, name)| name != "CAM_BACK"), "{names:?}");
    verify(&out).expect(0);
}

/// A sphere of 1,000,000 triangles: seconds, not minutes, and verified.
#[test]
#[ignore = "long: cargo test --release --test cli -- --ignored a_million"]
fn a_million_triangles() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    let (rings, segments) = (501, 1000);
    let mut mesh = format!("OFF\n{} {} 0\n", rings * segments, 2 * (rings - 1) * segments);
    for ring in 0..rings {
        let polar = std::f64::consts::PI * (ring as f64 + 0.5) / rings as f64;
        for segment in 0..segments {
            let around = std::f64::consts::TAU * segment as f64 / segments as f64;
            let (x, z) = (polar.sin() * around.cos(), polar.sin() * around.sin());
            mesh += &format!("{x} {} {z}\n", polar.cos());
        }
    }
    for ring in 0..rings - 1 {
        for segment in 0..segments {
            let at = |r: usize, s: usize| r * segments + s % segments;
            let (a, b) = (at(ring, segment), at(ring, segment + 1));
            let (c, d) = (at(ring + 1, segment), at(ring + 1, segment + 1));
            mesh += &format!("3 {a} {c} {b}\n3 {b} {c} {d}\n");
        }
    }
    write(&data.join("sphere.off"), mesh);
    let run = prepare_folder(&data, &out, &["--set", "views.size=224"]).expect(0);
    eprintln!("{}", run.stdout);
    let views = all_views(&out);
    let seen: usize = views.iter().map(|view| view.correspondences.len()).sum();
    // Half of a sphere at a distance, less for a camera close to it.
    let share = seen as f64 / (views.len() * Manifest::read(&out).unwrap().shape.S) as f64;
    assert!(views.len() == 12 && (0.2..0.5).contains(&share), "{share}");
    verify(&out).expect(0);
}
