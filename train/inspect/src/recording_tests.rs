//! Recordings of the small dataset, read back from the file.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use jepa3d_fixtures::viewed_set::write_dataset;
use jepa3d_loader::MaskKind;

use super::recording::save_recording;
use super::run::{RunQuery, RunView};
use super::run_tests::write_run;
use super::select::{Query, Selection};

fn save(folder: &Path, query: &Query, file: &Path) -> u64 {
    save_recording(&Selection::new(folder, query).unwrap(), file).unwrap()
}

/// `rerun rrd COMMAND FILE`, `None` (with a note) without the viewer's program of this version.
pub(super) fn rrd(command: &[&str], file: &Path) -> Option<String> {
    let version = Command::new("rerun").arg("--version").output().ok();
    let is_ours = version.is_some_and(|v| String::from_utf8_lossy(&v.stdout).contains("0.36.3"));
    if !is_ours {
        eprintln!("skipped: no rerun 0.36.3 on the path");
        return None;
    }
    let output = Command::new("rerun").arg("rrd").args(command).arg(file).output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "rerun rrd {command:?}: {text}");
    Some(text)
}

#[test]
fn a_recording_holds_every_entity_and_passes_the_viewers_own_check() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, file) = (dir.path().join("set"), dir.path().join("set.rrd"));
    write_dataset(&folder, true);
    let bytes = save(&folder, &Query::default(), &file);
    assert_eq!(std::fs::metadata(&file).unwrap().len(), bytes);
    let Some(_) = rrd(&["verify"], &file) else { return };
    let text = rrd(&["print", "-vv"], &file).unwrap();
    let mut expected: BTreeSet<String> = ["points", "centers", "patches", "boxes", "extent", "unseen"]
        .map(|name| format!("/cloud/{name}"))
        .into_iter()
        .chain(["/facts".into(), "/config".into()])
        .collect();
    for side in ["side\\ 0", "side\\ 1", "side\\ 2"] {
        expected.insert(format!("/correspondences/{side}"));
        expected.extend(["image", "depth", "correspondences"].map(|name| format!("/cameras/{side}/{name}")));
    }
    for path in expected {
        assert!(text.contains(&path), "{path} is missing in\n{text}");
    }
}

#[test]
fn a_recording_of_a_run_holds_every_scalar_as_one_column_and_all_masks() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = write_run(dir.path(), MaskKind::Runs);
    let file = dir.path().join("run.rrd");
    let query = RunQuery { clouds: Query { limit: 2, ..Query::default() }, draws: 3 };
    let view = RunView::open(&run, Some(&data), &query).unwrap();
    let bytes = save_recording(&view, &file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().len(), bytes);
    let Some(_) = rrd(&["verify"], &file) else { return };
    let text = rrd(&["print", "-vv"], &file).unwrap();
    let mut expected: BTreeSet<String> =
        ["/run", "/metrics/loss/loss", "/metrics/probe/knn20"].map(str::to_owned).into();
    for id in ["a0", "a2"] {
        let parts = ["context", "unused", "target\\ 1", "target\\ 2", "centers"];
        expected.extend(parts.map(|part| format!("/masks/{id}/{part}")));
    }
    for path in expected {
        assert!(text.contains(&path), "{path} is missing in\n{text}");
    }
    assert!(!text.contains("/errors/"), "there is no checkpoint");
}

#[test]
fn a_failed_recording_leaves_nothing_and_keeps_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, out) = (dir.path().join("set"), dir.path().join("out"));
    write_dataset(&folder, true);
    std::fs::create_dir(&out).unwrap();
    let file = out.join("set.rrd");
    std::fs::write(&file, "earlier").unwrap();
    let selection = Selection::new(&folder, &Query::default()).unwrap();
    let shard = folder.join("views/val-00002-of-00003.parquet");
    std::fs::write(&shard, "no shard").unwrap();
    let error = save_recording(&selection, &file).unwrap_err().to_string();
    assert!(error.contains("views/val-00002-of-00003.parquet"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"earlier");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
    let error = save_recording(&selection, &dir.path().join("gone/set.rrd")).unwrap_err().to_string();
    assert!(error.contains("gone/set.rrd: No such file"), "{error}");
}
