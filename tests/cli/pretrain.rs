//! Pretraining, probing and embedding with the real binary: killed, stopped, out of disk, wrongly asked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jepa3d_schemas::{Draws, read_features};

use super::harness::{Run, command, files_below, finish, jepa3d, prepare_small, text, write};
use super::output_folder::SmallDisk;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/pretrain/point-jepa-region-small.toml");

/// Sizes that the small set serves; about a hundred steps of a few milliseconds.
pub(super) const TINY: [&str; 14] = [
    "data.groups=8",
    "data.group_size=8",
    "model.tokenizer=[8, 8, 16]",
    "model.width=16",
    "model.depth=2",
    "model.heads=2",
    "model.dropout=0.1",
    "predictor.width=8",
    "predictor.depth=1",
    "predictor.heads=2",
    "optim.batch=8",
    "run.epochs=24",
    "run.checkpoint_every=7",
    "monitor.probe_every=6",
];

pub(super) struct Place {
    pub(super) dir: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare_small(&dir.path().join("data"), &[]).expect(0);
        Self { dir }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn command(&self, out: &Path, args: &[&str]) -> Command {
        let mut command = command(&["pretrain", CONFIG, "--threads", "2", "--data"]);
        command.arg(self.path("data")).arg("--out").arg(out);
        for set in TINY {
            command.args(["--set", set]);
        }
        // Later settings win.
        command.args(args);
        command
    }

    pub(super) fn pretrain(&self, out: &str, args: &[&str]) -> Run {
        finish(self.command(&self.path(out), args))
    }
}

pub(super) fn last(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("last.safetensors")).unwrap()
}

/// The record without its timings.
pub(super) fn record(out: &Path) -> Vec<String> {
    let lines = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    lines.lines().map(|line| line.split(",\"samples_per_s\"").next().unwrap().to_owned()).collect()
}

#[track_caller]
pub(super) fn assert_same(found: &Path, want: &Path) {
    assert_eq!(record(found), record(want));
    assert!(last(found) == last(want), "other bytes in last.safetensors");
}

#[test]
fn a_killed_run_continues_to_the_same_bytes() {
    let place = Place::new();
    let begin = Instant::now();
    place.pretrain("straight", &[]).expect(0);
    let duration = begin.elapsed();
    let (out, mut draws) = (place.path("killed"), Draws::new(1, "kill", "pretrain"));
    let mut hits = 0;
    for _ in 0..3 {
        let mut child = place.command(&out, &["--resume"]).spawn().unwrap();
        std::thread::sleep(duration.mul_f64(draws.range(0.1, 0.5)));
        child.kill().unwrap();
        hits += usize::from(!child.wait().unwrap().success());
    }
    assert!(hits > 0, "a kill within {duration:?}");
    let run = place.pretrain("killed", &["--resume"]).expect(0);
    assert!(run.stderr.contains(&format!("done: {}", out.display())), "{}", run.stderr);
    assert_same(&out, &place.path("straight"));
    assert!(files_below(&out).iter().all(|path| !text(path).ends_with(".tmp")), "{:?}", files_below(&out));
    probe_and_embed(&place);
}

/// Both on the run that was just made.
fn probe_and_embed(place: &Place) {
    let (run, data) = (place.path("straight"), place.path("data"));
    let args = ["probe", text(&run), "--data", text(&data), "--labels", "1"];
    let table = jepa3d(&args).expect(0);
    assert!(
        table.stdout.contains("pretrained") && table.stdout.contains("random weights"),
        "{}",
        table.stdout
    );
    let json = jepa3d(&[&args[..], &["--json"]].concat()).expect(0).json();
    assert_eq!(json["seeds"], serde_json::json!([1]));
    for column in ["pretrained", "random"] {
        let lines = json[column][0]["lines"].as_array().unwrap();
        let names: Vec<_> = lines.iter().map(|line| line["name"].as_str().unwrap()).collect();
        let want = [
            "SVM, raw, C = 0.012",
            "SVM, standardised, C chosen",
            "kNN-20",
            "1 label a class",
            "effective rank",
        ];
        assert_eq!(names, want);
        assert!(
            lines.iter().all(|line| (0.0..=100.0).contains(&line["value"].as_f64().unwrap())),
            "{lines:?}"
        );
        assert_eq!(json[column][0]["width"], 32);
    }
    let out = place.path("features.parquet");
    let report =
        jepa3d(&["embed", text(&run), "--data", text(&data), "--out", text(&out), "--json"]).expect(0);
    let report = report.json();
    let (rows, metadata) = read_features(&out).unwrap();
    assert_eq!((rows.ids.len(), rows.width), (60, 32));
    assert_eq!((&report["samples"], &report["width"]), (&60.into(), &32.into()));
    assert!(rows.values.iter().all(|x| x.is_finite()) && rows.values.iter().any(|&x| x != 0.0));
    assert!(rows.labels.iter().zip(&rows.categories).all(|(l, c)| l.is_some() && c.is_some()));
    assert_eq!(metadata["jepa3d.pooling"], "concat[max, mean]");
    assert!(metadata["jepa3d.encoder"].contains("last.safetensors after step"), "{metadata:?}");
    let mean = ["--pool", "mean", "--split", "val"];
    let args = [&["embed", text(&run), "--data", text(&data), "--out", text(&out)], &mean[..]].concat();
    jepa3d(&args).expect(0);
    let (rows, _) = read_features(&out).unwrap();
    assert_eq!(rows.width, 16);
    assert!(!rows.splits.is_empty() && rows.splits.iter().all(|split| split == "val"));
}

#[test]
fn sigterm_writes_a_checkpoint_and_exits_well() {
    let place = Place::new();
    let (out, long) = (place.path("stopped"), ["--resume", "--set", "run.epochs=5000"]);
    let child = place.command(&out, &long).spawn().unwrap();
    let begin = Instant::now();
    while std::fs::read_to_string(out.join("metrics.jsonl")).map_or(0, |text| text.lines().count()) < 4 {
        assert!(begin.elapsed() < Duration::from_secs(60), "no step within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let wanted = format!("stopped; the same command with --resume continues {}\n", out.display());
    assert!(stderr.ends_with(&wanted), "{stderr}");
    let steps = record(&out).len() as u64 - 1;
    assert!(stderr.contains(&format!("\ncheckpoint after step {steps}\n")), "{steps}: {stderr}");
    // What follows is what would have followed.
    let most = format!("run.max_steps={}", steps + 3);
    let more = [&long[..], &["--set", &most]].concat();
    let run = finish(place.command(&out, &more)).expect(0);
    assert!(run.stderr.contains(&format!(", continued after step {steps}\n")), "{}", run.stderr);
    place.pretrain("straight", &more).expect(0);
    assert_same(&out, &place.path("straight"));
}

#[test]
fn what_cannot_run_says_why_with_exit_code_2() {
    let place = Place::new();
    let refused = |run: Run, says: &str| {
        let run = run.expect(2);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.lines().any(|line| line.starts_with("error: ")), "{}", run.stderr);
        assert!(run.stderr.contains(says), "{says:?} in {}", run.stderr);
    };
    refused(
        place.pretrain("run", &["--set", "model.widht=3"]),
        "error: --set model.widht=3: unknown field `widht`, expected one of ",
    );
    refused(
        place.pretrain("run", &["--set", "data.groups=9"]),
        "config: data.groups x data.group_size: expected at most the stored 8 x 8 of R = 2, found 9 x 8",
    );
    refused(
        place.pretrain("run", &["--set", "optim.batch=640"]),
        "config: optim.batch: expected at most the ",
    );
    refused(
        place.pretrain("run", &["--device", "cuda"]),
        "config: --device: expected cpu or cuda:N, found cuda",
    );
    assert!(!place.path("run").join("last.safetensors").exists());
    let run =
        jepa3d(&["pretrain", CONFIG, "--data", text(&place.path("none")), "--out", text(&place.path("run"))]);
    refused(run, "expected a complete prepared dataset, found no manifest.json");
    let (data, run) = (place.path("data"), place.path("run"));
    let no_run = "no run: expected last.safetensors there, or a built-in encoder (jepa3d-s), found none";
    refused(jepa3d(&["probe", text(&run), "--data", text(&data)]), no_run);
    refused(jepa3d(&["embed", text(&run), "--data", text(&data), "--out", "x.parquet"]), no_run);
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    refused(place.pretrain("run", &[]), "--resume continues it, another --out starts a new one");
    refused(
        place.pretrain("run", &["--resume", "--set", "optim.lr=1"]),
        "found optim.lr 1.0 instead of 0.001",
    );
    let many = ["probe", text(&run), "--data", text(&data), "--labels", "500"];
    let table = jepa3d(&many).expect(0).stdout;
    assert!(table.contains("left out: 500 labels a class: ") && table.contains("kNN-20"), "{table}");
    write(&run.join("last.safetensors"), &last(&run)[..1000]);
    refused(place.pretrain("run", &["--resume"]), "expected a safetensors checkpoint, found ");
}

#[test]
fn a_collapse_ends_with_exit_code_1_where_asked_to() {
    let place = Place::new();
    let sets = ["--set", "monitor.min_pred_std=100", "--set", "monitor.print_every=1"];
    let run = place.pretrain("run", &[&sets[..], &["--abort-on-collapse"]].concat()).expect(1);
    assert!(run.stderr.contains("ALARM collapse: pred_std "), "{}", run.stderr);
    assert!(run.stderr.contains("is below 100, 3 times in a row"), "{}", run.stderr);
    assert!(run.stderr.contains("stopped: collapse reported"), "{}", run.stderr);
    assert!(place.path("run").join("last.safetensors").exists());
}

#[test]
fn a_full_disk_keeps_the_checkpoint_and_the_same_command_continues() {
    let place = Place::new();
    let at = place.path("disk");
    let Some(_disk) = SmallDisk::mount(&at) else {
        eprintln!("skipped: no right to mount a small file system");
        return;
    };
    place.pretrain("straight", &[]).expect(0);
    let out = at.join("run");
    let run = |args: &[&str]| finish(place.command(&out, args));
    run(&["--set", "run.stop_after=10"]).expect(0);
    let kept = last(&out);
    // Room for some lines of the record, not for another checkpoint.
    let free = 2 * 1024 * 1024 - files_below(&at).iter().map(|p| p.metadata().unwrap().len()).sum::<u64>();
    write(&at.join("filler"), vec![0; free as usize - kept.len() / 2]);
    let full = run(&["--resume"]).expect(2);
    assert!(full.stderr.contains("No space left on device"), "{}", full.stderr);
    assert!(full.stderr.contains(text(&out)), "names the file: {}", full.stderr);
    assert!(last(&out) == kept);
    let left = files_below(&out);
    assert!(left.iter().all(|path| !text(path).ends_with(".tmp")), "{left:?}");
    std::fs::remove_file(at.join("filler")).unwrap();
    run(&["--resume"]).expect(0);
    assert_same(&out, &place.path("straight"));
}
