//! Views: the same bytes in one pass, task by task or added later; points are never touched by them.

use std::path::Path;

use jepa3d_schemas::{
    CATALOG_FILE, Manifest, RowGroupEncoder, ShardWriter, View, ViewReader, WriteOptions, read_catalog,
};

use super::harness::{
    SMALL, VIEWS, contents, files_below, finish, jepa3d, prepare_command, prepare_small, samples_of, shards,
    text, verify, views_of, write,
};

/// The small set with small views.
fn with_views(out: &Path, args: &[&str]) -> super::harness::Run {
    prepare_small(out, &[&VIEWS, args].concat())
}

#[test]
fn views_stand_beside_their_points() {
    let dir = tempfile::tempdir().unwrap();
    let run = with_views(dir.path(), &[]).expect(0);
    assert!(run.stderr.contains("V 3 views of 48 x 48 pixels, cameras on a Fibonacci"), "{}", run.stderr);
    assert!(run.stdout.contains("complete, 60 samples, 0 quarantined, 180 views, "), "{}", run.stdout);
    let manifest = Manifest::read(dir.path()).unwrap();
    let views = manifest.views.clone().unwrap();
    assert_eq!((manifest.shape.V, manifest.shape.H, manifest.shape.W, views.rows()), (3, 48, 48, 180));
    assert_eq!(views.shards.len(), manifest.shards.len());
    for (points, views) in manifest.shards.iter().zip(&views.shards) {
        assert_eq!(points.file.replace("points/", "views/"), views.file);
        let (samples, views) = (dir.path().join(&points.file), dir.path().join(&views.file));
        let (samples, views) = (samples_of(&samples), views_of(&views));
        assert_eq!(samples.len(), views.len(), "row groups");
        for (samples, views) in samples.iter().zip(&views) {
            let expected = samples.iter().flat_map(|s| (0..3).map(|n| (s.sample_id.clone(), n)));
            assert!(views.iter().map(|v| (v.sample_id.clone(), v.view)).eq(expected));
            assert!(views.iter().all(|v| !v.correspondences.is_empty() && v.depth.is_some()));
        }
    }
    let catalog = read_catalog(&dir.path().join(CATALOG_FILE)).unwrap();
    for row in &catalog {
        let views = row.views.as_ref().unwrap();
        assert!(views.views == 3 && views.visible > 0.1 && views.covered > views.visible, "{views:?}");
    }
    let report = jepa3d(&["verify", text(dir.path()), "--json"]).expect(0).json();
    assert_eq!((&report["rows"], &report["views"]), (&60.into(), &180.into()));
    assert!(report["correspondences"].as_u64().unwrap() > 180 * 20, "{}", report["correspondences"]);
}

#[test]
fn one_pass_tasks_and_adding_later_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    with_views(&at("one"), &["--threads", "1"]).expect(0);
    let expected = contents(&at("one"));
    assert!(expected.files.len() > 40, "some 20 shards of points and of views");
    for threads in ["2", "5"] {
        with_views(&at(threads), &["--threads", threads]).expect(0);
        assert_eq!(contents(&at(threads)), expected, "{threads} threads");
    }
    let tasks = at("tasks");
    for task in (0..shards(&at("one")).len()).rev() {
        with_views(&tasks, &["--task", &task.to_string()]).expect(0);
    }
    assert!(!tasks.join("manifest.json").exists());
    with_views(&tasks, &["--finalize"]).expect(0);
    assert_eq!(contents(&tasks), expected);
    // Points first, then views: by --only, by --only task by task, or by the same command with [views].
    for (name, args) in [("only", &["--only", "views"][..]), ("plain", &[])] {
        let out = at(name);
        prepare_small(&out, &[]).expect(0);
        let (points, times) = (Manifest::read(&out).unwrap(), modified(&out.join("points")));
        let run = with_views(&out, args).expect(0);
        assert!(run.stdout.contains("complete, 60 samples, 0 quarantined, 180 views, "), "{}", run.stdout);
        assert_eq!(contents(&out), expected, "{name}");
        assert_eq!(modified(&out.join("points")), times, "points are not touched");
        let manifest = Manifest::read(&out).unwrap();
        assert_eq!((&manifest.plan, &manifest.fingerprint), (&points.plan, &points.fingerprint));
        assert_eq!(manifest.clone().without_views(), points);
        let again = with_views(&out, args).expect(0);
        assert!(again.stdout.contains("complete already, 60 samples, 0 quarantined, 180 views"));
        let pointless = prepare_small(&out, &["--json"]).expect(0).json();
        assert_eq!((&pointless["tasks_done"], &pointless["views"]), (&0.into(), &180.into()));
    }
    verify(&at("only")).expect(0);
}

#[test]
fn views_are_added_task_by_task() {
    let dir = tempfile::tempdir().unwrap();
    let (one, out) = (dir.path().join("one"), dir.path().join("out"));
    with_views(&one, &[]).expect(0);
    prepare_small(&out, &[]).expect(0);
    let count = shards(&out).len();
    for task in 0..count {
        with_views(&out, &["--only", "views", "--task", &task.to_string()]).expect(0);
        // Complete without views until the merge, also for those that look at it meanwhile.
        assert!(Manifest::read(&out).unwrap().views.is_none());
    }
    verify(&out).expect(0);
    prepare_small(&out, &[]).expect(0);
    let report = with_views(&out, &["--only", "views", "--finalize", "--json"]).expect(0).json();
    assert_eq!((&report["views"], &report["tasks_done"]), (&180.into(), &0.into()));
    assert_eq!(contents(&out), contents(&one));
}

#[test]
fn tasks_at_once_replace_views() {
    let dir = tempfile::tempdir().unwrap();
    let (one, out) = (dir.path().join("one"), dir.path().join("out"));
    with_views(&one, &[]).expect(0);
    with_views(&out, &["--set", "views.size=32"]).expect(0);
    let tasks: Vec<String> = (0..shards(&out).len()).map(|task| task.to_string()).collect();
    for four in tasks.chunks(4) {
        let start = |task: &String| {
            let args = [&VIEWS[..], &["--only", "views", "--task", task]].concat();
            prepare_command(&out, &SMALL, &args).spawn().unwrap()
        };
        for child in four.iter().map(start).collect::<Vec<_>>() {
            let run = child.wait_with_output().unwrap();
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        }
    }
    with_views(&out, &["--only", "views", "--finalize"]).expect(0);
    assert_eq!(contents(&out), contents(&one));
}

fn modified(folder: &Path) -> Vec<std::time::SystemTime> {
    files_below(folder).iter().map(|file| file.metadata().unwrap().modified().unwrap()).collect()
}

#[test]
fn other_views_replace_the_old_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (one, out) = (dir.path().join("one"), dir.path().join("out"));
    let smaller = ["--set", "views.size=32"];
    with_views(&one, &smaller).expect(0);
    with_views(&out, &[]).expect(0);
    let old = Manifest::read(&out).unwrap();
    let run = with_views(&out, &[&smaller[..], &["--only", "views"]].concat()).expect(0);
    let plan = &old.views.as_ref().unwrap().plan;
    assert!(run.stderr.contains(&format!("another config or renderer (plan {plan})")), "{}", run.stderr);
    let new = Manifest::read(&out).unwrap();
    assert_eq!((new.shape.H, &new.fingerprint), (32, &old.fingerprint));
    assert_ne!(new.views.unwrap().fingerprint, old.views.unwrap().fingerprint);
    assert_eq!(contents(&out), contents(&one));
}

#[test]
fn what_a_dead_process_leaves_is_complete_without_views_and_continued() {
    let dir = tempfile::tempdir().unwrap();
    let (one, out) = (dir.path().join("one"), dir.path().join("out"));
    with_views(&one, &[]).expect(0);
    prepare_small(&out, &[]).expect(0);
    with_views(&out, &["--set", "views.size=32"]).expect(0);
    let whole = Manifest::read(&out).unwrap();
    // Died after the old views were given up and three tasks of the new ones were done.
    for task in ["0", "1", "2"] {
        with_views(&out, &["--only", "views", "--task", task]).expect(0);
    }
    assert_eq!(Manifest::read(&out).unwrap(), whole.without_views());
    verify(&out).expect(0);
    jepa3d(&["stats", text(&out)]).expect(0);
    // Its record is torn, and a shard of another one is gone.
    std::fs::write(out.join(".jepa3d/views-00001.json"), "{\"plan\":").unwrap();
    std::fs::remove_file(out.join("views").join(shards(&out)[2].file_name().unwrap())).unwrap();
    let report = with_views(&out, &["--only", "views", "--json"]).expect(0).json();
    assert_eq!(report["tasks_skipped"], 1);
    assert_eq!(contents(&out), contents(&one));
    // Died between catalog and manifest: what they say of views does not count.
    let manifest = Manifest::read(&out).unwrap();
    manifest.clone().without_views().write(&out).unwrap();
    let found = verify(&out).expect(1).stdout;
    assert!(found.contains("views/test-00000-of-") && found.contains("of the manifest alone"), "{found}");
    std::fs::create_dir_all(out.join(".jepa3d")).unwrap();
    std::fs::write(out.join(".jepa3d/views.txt"), &manifest.views.unwrap().plan).unwrap();
    verify(&out).expect(0);
    with_views(&out, &[]).expect(0);
    assert_eq!(contents(&out), contents(&one));
}

#[test]
fn lost_shards_of_points_and_views_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    with_views(out, &[]).expect(0);
    let before = contents(out);
    let views: Vec<_> = files_below(&out.join("views"));
    let removed = |files: &[&Path]| files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    removed(&[&views[1], &views[4]]);
    assert!(verify(out).expect(1).stdout.contains(": cannot read: No such file"));
    let only = with_views(out, &["--only", "views", "--json"]).expect(0).json();
    assert_eq!(only["tasks_done"], 2);
    assert_eq!(contents(out), before);
    removed(&[&shards(out)[4], &shards(out)[5], &views[5], &views[6]]);
    let refused = with_views(out, &["--only", "views"]).expect(2);
    assert!(refused.stderr.contains("--only views adds views to prepared points"), "{}", refused.stderr);
    let refused = prepare_small(out, &[]).expect(2);
    let text = "is lost and the dataset has views; repair it by the config that has its [views] table";
    assert!(refused.stderr.contains(text), "{}", refused.stderr);
    assert_eq!(with_views(out, &["--json"]).expect(0).json()["tasks_done"], 3);
    assert_eq!(contents(out), before);
    removed(&[&out.join(CATALOG_FILE)]);
    with_views(out, &[]).expect(0);
    assert_eq!(contents(out), before);
}

#[test]
fn a_flipped_byte_in_views_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    with_views(out, &[]).expect(0);
    let file = files_below(&out.join("views"))[3].clone();
    let good = std::fs::read(&file).unwrap();
    for at in [5, good.len() / 2, good.len() - 3] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&file, bad).unwrap();
        let found = verify(out).expect(1).stdout;
        let name = text(file.strip_prefix(out).unwrap());
        assert!(found.starts_with(&format!("{name}: content hash: expected ")), "{found}");
        assert!(found.ends_with("1 problems\n"), "{found}");
    }
}

/// Writes a views shard anew with changed row groups, and its new size and hash into the manifest.
fn forge(out: &Path, shard: usize, change: &dyn Fn(&mut Vec<Vec<View>>)) {
    let mut manifest = Manifest::read(out).unwrap();
    let entry = &mut manifest.views.as_mut().unwrap().shards[shard];
    let path = out.join(&entry.file);
    let mut groups = views_of(&path);
    let metadata = ViewReader::open(&path).unwrap().metadata().clone().into_iter().collect();
    change(&mut groups);
    let options = WriteOptions::default();
    let encoder = RowGroupEncoder::new(options);
    let mut writer = ShardWriter::create(&path, options, metadata).unwrap();
    for group in &groups {
        writer.append_even_empty(encoder.encode(group).unwrap()).unwrap();
    }
    let written = writer.finish().unwrap();
    (entry.rows, entry.bytes, entry.hash) = (written.rows, written.bytes, written.hash);
    manifest.write(out).unwrap();
}

/// Hashes alone prove nothing about a shard that was written wrong.
#[test]
fn views_that_are_whole_and_wrong_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let (out, good) = (dir.path().join("out"), dir.path().join("good"));
    with_views(&good, &[]).expect(0);
    let at = Manifest::read(&good).unwrap().shards.iter().position(|s| s.rows == 3).unwrap();
    let name = Manifest::read(&good).unwrap().views.unwrap().shards[at].file.clone();
    let id = views_of(&good.join(&name))[0][0].sample_id.clone();
    let finds = |change: &dyn Fn(&mut Vec<Vec<View>>), what: &str| {
        copy_folder(&good, &out);
        forge(&out, at, change);
        let found = verify(&out).expect(1).stdout;
        assert!(found.contains(what) && found.contains(&name), "{found}\nhas not {what}");
        std::fs::remove_dir_all(&out).unwrap();
    };
    finds(
        &|groups| groups[0].swap(0, 3),
        "expected the samples of the points in their order, found this one",
    );
    finds(&|groups| groups[0].swap(0, 1), "view 0: expected ascending numbers, found it after Some(1)");
    finds(&|groups| groups.swap(0, 1), "expected the samples of the points in their order, found this one");
    finds(&|groups| groups.push(vec![]), "row groups: expected 2 as in points/");
    finds(&|groups| groups[0][1].correspondences.u[0] += 0.02, &format!("sample {id}: view 1 ("));
    finds(&|groups| groups[0][1].correspondences.depth[0] *= 1.001, "expected its projection (");
    finds(&|groups| groups[0][1].image.truncate(99), "image: expected a PNG or JPEG file, found");
    finds(&|groups| groups[0][1].camera.fx = -1.0, "focal length: expected above 0, found -1 x");
    copy_folder(&good, &out);
    forge(&out, at, &|groups| drop(groups[0].remove(1)));
    let found = verify(&out).expect(1).stdout;
    assert!(found.contains(&format!("catalog.parquet: views of {id}: expected 2, found Some(3)")), "{found}");
    let mut manifest = Manifest::read(&good).unwrap();
    manifest.views.as_mut().unwrap().shards[at].split = "other".to_owned();
    manifest.write(&good).unwrap();
    let found = verify(&good).expect(1).stdout;
    assert!(found.contains(&format!("{name}: split: expected \"")), "{found}");
}

fn copy_folder(from: &Path, to: &Path) {
    for file in files_below(from) {
        write(&to.join(file.strip_prefix(from).unwrap()), std::fs::read(&file).unwrap());
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let refused = |args: &[&str], what: &str| {
        let run = prepare_small(&out, args).expect(2);
        assert!(run.stderr.contains(what), "{args:?}: {}", run.stderr);
    };
    refused(&["--only", "views"], "--only views: expected a [views] table in the config");
    refused(&["--only", "points"], "invalid value 'points'");
    refused(&["--set", "views.size=5000"], "views.size: expected 1 to 4096, found 5000");
    refused(&["--set", "views.sizes=5"], "unknown field `sizes`");
    refused(&["--set", "views.rig.kind=ring"], "unknown variant `ring`");
    refused(&["--set", "views.rig.views=0"], "views.rig.views: expected 1 to 4096, found 0");
    let args = [&VIEWS[..], &["--only", "views"]].concat();
    refused(&args, "--only views adds views to prepared points, and they are not complete");
    assert!(!out.exists());
    let dry = with_views(&out, &["--dry-run"]).expect(0).stdout;
    assert!(dry.contains("[views.rig]") && dry.contains("views = 3"), "{dry}");
    assert!(!out.exists());
    let other = finish(prepare_command(&out, &SMALL, &[&VIEWS[..], &["--set", "run.seed=1"]].concat()));
    other.expect(0);
    refused(&args, "was prepared by another config");
}
