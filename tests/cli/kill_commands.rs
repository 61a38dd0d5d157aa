//! SIGKILL at random moments over what follows a preparation: caches, runs, features, reports and pictures. The same command, once
//! more, gives the same bytes, and nothing half-written is left.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jepa3d_schemas::Draws;

use super::ablate::{PLAN, ablate, bytes};
use super::harness::{VIEWS, command, contents, files_below, finish, prepare_small, text, verify};
use super::pretrain::{Place, assert_same};

/// What is killed: how it starts, and what must hold at every moment.
struct Victim<'a> {
    start: &'a dyn Fn() -> Command,
    /// After every kill.
    check: &'a dyn Fn(),
    /// Makes it all to be done again.
    restart: &'a dyn Fn(),
}

/// Kills until `wanted` kills have hit a running process, then lets it end; tells how many came late.
fn survive(victim: &Victim<'_>, wanted: usize, seed: u64) {
    let begin = Instant::now();
    finish((victim.start)()).expect(0);
    let duration = begin.elapsed();
    (victim.restart)();
    let mut draws = Draws::new(seed, "kill", "delay");
    let (mut hits, mut late) = (0, 0);
    while hits < wanted {
        assert!(late < 20 * wanted.max(3), "{hits} of {wanted} kills hit");
        let mut child = (victim.start)().spawn().unwrap();
        std::thread::sleep(duration.mul_f64(draws.range(0.0, 1.0)).max(Duration::from_millis(1)));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            late += 1;
            (victim.restart)();
        } else {
            hits += 1;
        }
        (victim.check)();
    }
    finish((victim.start)()).expect(0);
    eprintln!("{hits} kills hit within {duration:.2?}, {late} came late; the same bytes in the end");
}

fn half_written(folder: &Path) -> Vec<PathBuf> {
    files_below(folder).into_iter().filter(|path| text(path).ends_with(".tmp")).collect()
}

fn kill_teachers(wanted: usize) {
    let dir = tempfile::tempdir().unwrap();
    prepare_small(dir.path(), &VIEWS).expect(0);
    let start = || command(&["teacher", text(dir.path()), "--teacher", "hog", "--dim", "512"]);
    finish(start()).expect(0);
    let (whole, cache) = (contents(dir.path()), dir.path().join("teachers"));
    let restart = || std::fs::remove_dir_all(&cache).unwrap();
    restart();
    survive(&Victim { start: &start, check: &|| (), restart: &restart }, wanted, 1);
    assert_eq!(contents(dir.path()), whole);
    verify(dir.path()).expect(0);
}

fn kill_files(wanted: usize) {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=3"]).expect(0);
    let (run, data, out) = (place.path("run"), place.path("data"), place.path("out"));
    std::fs::create_dir(&out).unwrap();
    let (features, sheet, curves) = (out.join("f.parquet"), out.join("s.png"), out.join("c.png"));
    let embed = ["embed", text(&run), "--data", text(&data), "--out", text(&features)];
    let picture = ["inspect", text(&data), "--contact-sheet", text(&sheet)];
    let plot = ["inspect", text(&run), "--curves", text(&curves)];
    for (args, file) in [(&embed[..], &features), (&picture, &sheet), (&plot, &curves)] {
        finish(command(args)).expect(0);
        let whole = std::fs::read(file).unwrap();
        let restart = || std::fs::remove_file(file).unwrap();
        let check = || assert!(!file.exists() || std::fs::read(file).unwrap() == whole, "{}", file.display());
        restart();
        survive(&Victim { start: &|| command(args), check: &check, restart: &restart }, wanted, 2);
        assert!(std::fs::read(file).unwrap() == whole, "{}", file.display());
        assert_eq!(half_written(&out), [""; 0].map(PathBuf::from));
    }
}

fn kill_runs(wanted: usize) {
    let place = Place::new();
    place.pretrain("straight", &[]).expect(0);
    let out = place.path("run");
    let start = || place.command(&out, &["--resume"]);
    let restart = || std::fs::remove_dir_all(&out).unwrap();
    let check = || {
        let damaged = |path: &PathBuf| text(path).contains(".damaged-");
        let files = if out.exists() { files_below(&out) } else { Vec::new() };
        assert!(!files.iter().any(damaged), "a kill damages no record: {files:?}");
    };
    survive(&Victim { start: &start, check: &check, restart: &restart }, wanted, 3);
    assert_same(&out, &place.path("straight"));
    assert_eq!(half_written(&out), [""; 0].map(PathBuf::from));
}

/// A run that follows pretraining.
struct TunedVerb {
    verb: &'static str,
    preset: &'static str,
    sets: &'static [&'static str],
}

const TUNED: [TunedVerb; 2] = [
    TunedVerb { verb: "finetune", preset: "modelnet40-small", sets: &[] },
    TunedVerb { verb: "segment", preset: "parts-small", sets: &["head.hidden=8", "segment.upsampling=8"] },
];

fn kill_tuning(wanted: usize) {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=1"]).expect(0);
    TUNED.iter().for_each(|tuned| kill_tuned(&place, tuned, wanted));
}

fn kill_tuned(place: &Place, tuned: &TunedVerb, wanted: usize) {
    let (run, data) = (place.path("run"), place.path("data"));
    let start = |out: &Path| {
        let mut all = vec![tuned.verb, tuned.preset, "--from", text(&run), "--data", text(&data), "--resume"];
        let sets = ["run.epochs=3", "length.min_steps=0", "labels.selection=0.5", "labels.select_every=1"];
        let more = ["optim.batch=8", "run.checkpoint_every=1"];
        sets.iter().chain(&more).chain(tuned.sets).for_each(|set| all.extend(["--set", set]));
        command(&[&all[..], &["--out", text(out)]].concat())
    };
    let [straight, out] = ["straight", "killed"].map(|name| place.path(&format!("{name}-{}", tuned.verb)));
    finish(start(&straight)).expect(0);
    let restart = || std::fs::remove_dir_all(&out).unwrap();
    survive(&Victim { start: &|| start(&out), check: &|| (), restart: &restart }, wanted, 4);
    for file in ["last.safetensors", "best.safetensors", "result.json"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(&straight) == read(&out), "{}: {file}", tuned.verb);
    }
    assert_eq!(half_written(&out), [""; 0].map(PathBuf::from), "{}", tuned.verb);
}

fn kill_reports(wanted: usize) {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=3"]).expect(0);
    let (run, data, out) = (place.path("run"), place.path("data"), place.path("report"));
    let common = [text(&run), "--data", text(&data), "--out", text(&out)];
    let retrieve = [&["retrieve"], &common[..]].concat();
    let robustness = [&["robustness"], &common[..], &["--corruptions", "jitter,occlude"]].concat();
    for args in [retrieve, robustness] {
        finish(command(&args)).expect(0);
        let read = || -> Vec<(PathBuf, Vec<u8>)> {
            let files = files_below(&out).into_iter().filter(|path| !text(path).ends_with(".tmp"));
            files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
        };
        let whole = read();
        let restart = || std::fs::remove_dir_all(&out).unwrap();
        let check = || {
            let found = if out.exists() { read() } else { Vec::new() };
            assert!(found.iter().all(|file| whole.contains(file)), "{args:?}: a file that is not whole");
        };
        restart();
        survive(&Victim { start: &|| command(&args), check: &check, restart: &restart }, wanted, 5);
        assert!(read() == whole, "{args:?}");
        assert_eq!(half_written(&out), [""; 0].map(PathBuf::from));
        restart();
    }
}

fn kill_ablations(wanted: usize) {
    let place = Place::new();
    let (plan, straight, out) = (place.path("plan.toml"), place.path("straight"), place.path("ablation"));
    std::fs::write(&plan, PLAN).unwrap();
    let start = |out: &Path| ablate(&place, text(&plan), out, &[]);
    finish(start(&straight)).expect(0);
    let restart = || std::fs::remove_dir_all(&out).unwrap();
    survive(&Victim { start: &|| start(&out), check: &|| (), restart: &restart }, wanted, 6);
    assert!(bytes(&out) == bytes(&straight), "other bytes");
    assert_eq!(half_written(&out), [""; 0].map(PathBuf::from));
}

#[test]
fn a_few_kills_lose_nothing_that_follows_a_preparation() {
    kill_teachers(2);
    kill_files(1);
    kill_runs(2);
    kill_tuning(2);
    kill_reports(1);
    kill_ablations(1);
}

#[test]
#[ignore = "long: make test-kill"]
fn many_kills_lose_nothing_that_follows_a_preparation() {
    kill_teachers(60);
    kill_files(30);
    kill_runs(60);
    kill_tuning(60);
    kill_reports(30);
    kill_ablations(30);
}
