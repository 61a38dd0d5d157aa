//! What a machine allows: threads, sizes of files, folders that are not there, what killed processes left, and a terminal that
//! believes what it is sent.

use std::time::Instant;

use super::harness::{
    SMALL, finish, jepa3d, limited, prepare_command, prepare_folder, prepare_small, text, verify, write,
};
use super::pretrain::Place;

#[test]
fn threads_are_bounded_by_the_cores_with_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let run = prepare_small(dir.path(), &["--threads", "100000"]).expect(0);
    let says = "note: --threads 100000: this process may use ";
    assert!(run.stderr.contains(says), "{}", run.stderr);
    let run = jepa3d(&["verify", text(dir.path()), "--threads", "100000"]).expect(0);
    assert!(run.stderr.contains(says), "{}", run.stderr);
    let mut inspect =
        super::harness::command(&["inspect", text(dir.path()), "--contact-sheet", "/dev/null/x.png"]);
    inspect.env("RAYON_NUM_THREADS", "100000");
    finish(inspect).expect(2);
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
    let place = Place::new();
    let many = ["--threads", "100000", "--set", "data.threads=256", "--set", "run.stop_after=3"];
    let run = place.pretrain("run", &many[2..]).expect(0);
    assert!(run.stderr.contains("note: data.threads 256: this process may use "), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn a_limit_on_the_size_of_files_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut args = vec!["prepare", "--out", text(&out)];
    SMALL.iter().for_each(|set| args.extend(["--set", set]));
    let run = finish(limited("ulimit -f 2", &args)).expect(2);
    assert!(run.stderr.contains("File too large") && run.stderr.contains(text(&out)), "{}", run.stderr);
    finish(prepare_command(&out, &SMALL, &[])).expect(0);
    verify(&out).expect(0);
}

#[test]
fn files_that_could_not_be_written_are_refused_before_the_work() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    let (run, data) = (place.path("run"), place.path("data"));
    let (run, data, checkpoint) = (text(&run), text(&data), run.join("last.safetensors"));
    let gone = place.path("missing/dir");
    let in_gone = |name: &str| text(&gone.join(name)).to_owned();
    let [parquet, png, rrd, ckpt] = ["f.parquet", "s.png", "r.rrd", "x.ckpt"].map(in_gone);
    let cases: [(&str, Vec<&str>); 5] = [
        ("--out", vec!["embed", run, "--data", data, "--out", &parquet]),
        ("--contact-sheet", vec!["inspect", data, "--contact-sheet", &png]),
        ("--curves", vec!["inspect", run, "--curves", &png]),
        ("--save", vec!["inspect", data, "--save", &rrd]),
        ("--to", vec!["convert", text(&checkpoint), "--to", &ckpt]),
    ];
    for (option, args) in cases {
        let says = jepa3d(&args).expect(2).stderr;
        let expected = format!(": expected a folder {}, found none\n", gone.display());
        assert!(says.starts_with(&format!("error: {option} ")) && says.ends_with(&expected), "{says}");
    }
    let says = jepa3d(&["embed", run, "--data", data, "--out", data]).expect(2).stderr;
    assert!(says.contains(": expected the name of a file, found a folder"), "{says}");
    let says = jepa3d(&["inspect", data, "--contact-sheet", "/dev/null"]).expect(2).stderr;
    assert!(says.contains(": expected the name of a file, found something else"), "{says}");
}

#[test]
fn what_a_killed_process_left_half_written_is_cleared_by_the_next() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    let (run, data, plots) = (place.path("run"), place.path("data"), place.path("plots"));
    let at = |name: &str| place.path(name);
    let left = |name: &str| at(&format!("{name}.4711-0.tmp"));
    let names = ["f.parquet", "s.png", "c.png", "plots/classes.png"];
    names.iter().for_each(|name| write(&left(name), "half"));
    write(&at("theirs.png.4711-0.tmp"), "of another command");
    let (run, data) = (text(&run), text(&data));
    jepa3d(&["embed", run, "--data", data, "--out", text(&at("f.parquet"))]).expect(0);
    jepa3d(&["inspect", data, "--contact-sheet", text(&at("s.png"))]).expect(0);
    jepa3d(&["inspect", run, "--curves", text(&at("c.png"))]).expect(0);
    jepa3d(&["stats", data, "--plots", text(&plots)]).expect(0);
    for name in names {
        assert!(at(name).exists() && !left(name).exists(), "{name}");
    }
    assert!(at("theirs.png.4711-0.tmp").exists());
}

#[cfg(unix)]
#[test]
fn names_from_outside_do_not_steer_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    let odd = "a\u{1b}]0;owned\u{7}\u{1b}[2J\r\nzz\u{9b}31m\u{202e}";
    for i in 0..3 {
        write(&data.join(odd).join(format!("{odd}{i}.xyz")), super::harness::cloud(300, i));
    }
    write(&data.join(odd).join(format!("{odd}.xyz")), format!("0 0 {odd}\n"));
    let sheet = dir.path().join("s.png");
    let mut runs = vec![prepare_folder(&data, &out, &["-vv", "--max-failures", "1"]).expect(0)];
    for args in [
        vec!["verify", text(&out)],
        vec!["stats", text(&out)],
        vec!["stats", text(&out), "--json"],
        vec!["inspect", text(&out), "--contact-sheet", text(&sheet), "--sample", odd],
        vec!["inspect", text(&out), "--contact-sheet", text(&sheet), "--split", odd],
    ] {
        runs.push(jepa3d(&args));
    }
    runs.push(prepare_folder(&data, &dir.path().join("dry"), &["--dry-run"]));
    runs.push(prepare_folder(&data, &dir.path().join("dry"), &["--set", &format!("{odd}=1")]));
    for run in &runs {
        let text = format!("{}{}", run.stdout, run.stderr);
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(steers), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("zz")), "a line of its own: {text:?}");
    }
    let quarantined = &runs[0].stderr;
    assert!(
        quarantined.contains("a\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\r\\nzz\\u{9b}31m\\u{202e}"),
        "{quarantined}"
    );
    // As an argument of --set, TOML has a say first; the line stays one.
    assert_eq!(runs.last().unwrap().stderr.lines().count(), 1, "{}", runs.last().unwrap().stderr);
}
