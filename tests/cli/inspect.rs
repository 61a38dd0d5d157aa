//! Looking at prepared sets: what is written, what is asked for in vain, who is talked to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use super::harness::{VIEWS, command, finish, jepa3d, prepare_small, text};

#[test]
fn a_sheet_and_a_recording_are_written_with_and_without_views() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    prepare_small(&at("plain"), &[]).expect(0);
    prepare_small(&at("views"), &VIEWS).expect(0);
    let mut sizes = Vec::new();
    for set in ["plain", "views"] {
        let (sheet, recording) = (at(&format!("{set}.png")), at(&format!("{set}.rrd")));
        let (set, sheet, recording) = (at(set), text(&sheet).to_owned(), text(&recording).to_owned());
        let args = ["inspect", text(&set), "--limit", "5", "--json", "--contact-sheet", &sheet];
        let save: &[&str] = if cfg!(feature = "rerun") { &["--save", &recording] } else { &[] };
        let run = jepa3d(&[&args, save].concat()).expect(0);
        let report = run.json();
        assert_eq!(report["samples"], 5);
        let bytes = std::fs::metadata(&sheet).unwrap().len();
        assert_eq!(report["contact_sheet"]["bytes"], bytes);
        assert!(std::fs::read(&sheet).unwrap().starts_with(b"\x89PNG"));
        assert_eq!(run.stderr.contains("--only views` adds them"), set.ends_with("plain"), "{}", run.stderr);
        if cfg!(feature = "rerun") {
            let bytes = std::fs::metadata(&recording).unwrap().len();
            assert_eq!(report["recording"]["bytes"], bytes);
            assert_eq!(report["recording"]["bytes_per_sample"], bytes / 5);
            sizes.push(bytes);
        }
    }
    assert!(sizes.is_empty() || sizes[1] > 2 * sizes[0], "{sizes:?}");
}

/// A run of three steps on the small set.
fn pretrain_small(dir: &Path) -> (PathBuf, PathBuf) {
    let [set, run, config] = ["set", "run", "tiny.toml"].map(|name| dir.join(name));
    prepare_small(&set, &[]).expect(0);
    let tiny = "preset = \"tiny\"\n[run]\nmax_steps = 3\n[data]\ngroups = 8\ngroup_size = 8\n[model]\n\
                tokenizer = [8, 8, 8]\nwidth = 12\ndepth = 1\nheads = 2\n[predictor]\nwidth = 6\ndepth = 1\nheads = 2\n\
                [masking]\nkind = \"region\"\ntarget_ratio = [0.5, 0.5]\n[optim]\nbatch = 4\n[monitor]\nsubset = 16\n\
                probe_every = 0\n";
    std::fs::write(&config, tiny).unwrap();
    jepa3d(&["pretrain", text(&config), "--data", text(&set), "--out", text(&run)]).expect(0);
    (set, run)
}

#[test]
fn a_run_is_shown_with_and_without_its_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let (set, run) = pretrain_small(dir.path());
    let [masks, curves, recording] = ["masks.png", "curves.png", "run.rrd"].map(|name| dir.path().join(name));
    let args = [
        "inspect",
        text(&run),
        "--data",
        text(&set),
        "--limit",
        "2",
        "--json",
        "--contact-sheet",
        text(&masks),
    ];
    let save: &[&str] = if cfg!(feature = "rerun") { &["--save", text(&recording)] } else { &[] };
    let report = jepa3d(&[&args, &["--curves", text(&curves)][..], save].concat()).expect(0).json();
    assert_eq!(report["samples"], 2);
    for (name, file) in [("contact_sheet", &masks), ("curves", &curves)] {
        assert_eq!(report[name]["bytes"], std::fs::metadata(file).unwrap().len());
        assert!(std::fs::read(file).unwrap().starts_with(b"\x89PNG"));
    }
    if cfg!(feature = "rerun") {
        let whole = std::fs::metadata(&recording).unwrap().len();
        assert_eq!(report["recording"]["bytes"], whole);
        let alone = jepa3d(&["inspect", text(&run), "--save", text(&recording)]).expect(0);
        assert!(alone.stderr.contains("note: only scalars are shown; --data DIR"), "{}", alone.stderr);
        assert!(std::fs::metadata(&recording).unwrap().len() < whole);
    }
    let sheet = jepa3d(&["inspect", text(&run), "--contact-sheet", text(&masks)]).expect(2);
    assert!(sheet.stderr.contains("run: --contact-sheet of a run needs its dataset"), "{}", sheet.stderr);
    let curves = jepa3d(&["inspect", text(&set), "--curves", text(&curves)]).expect(2);
    assert!(curves.stderr.contains("set: --curves: expected the folder of a run"), "{}", curves.stderr);
}

#[test]
fn what_cannot_be_shown_is_exit_code_2_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (out, sheet) = (dir.path().join("out"), dir.path().join("sheet.png"));
    prepare_small(&out, &[]).expect(0);
    let (out, sheet, gone) = (text(&out), text(&sheet), dir.path().join("gone"));
    let gone_sheet = gone.join("sheet.png");
    let cases: [(&[&str], &str); 7] = [
        (&[text(&gone), "--contact-sheet", sheet], "gone: not a complete prepared dataset: no manifest.json"),
        (
            &[out, "--contact-sheet", sheet, "--sample", "chair-00000"],
            "sample: expected one of 60, like chair-00000",
        ),
        (
            &[out, "--contact-sheet", sheet, "--split", "holdout"],
            "split: expected one of test, train, val; found \"holdout\"",
        ),
        (&[out, "--contact-sheet", sheet, "--limit", "0"], "limit: expected at least 1, found 0"),
        (&[out, "--contact-sheet", sheet, "--grouping", "2"], "grouping: expected below R = 2, found 2"),
        (&[out, "--contact-sheet", text(&gone_sheet)], "gone/sheet.png"),
        (&[out], "--contact-sheet"),
    ];
    for (args, expected) in cases {
        let run = jepa3d(&[&["inspect"], args].concat()).expect(2);
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
        assert!(run.stdout.is_empty(), "{args:?}: {}", run.stdout);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was written");
}

#[cfg(not(feature = "rerun"))]
#[test]
fn without_the_feature_recordings_name_it() {
    let dir = tempfile::tempdir().unwrap();
    prepare_small(dir.path(), &[]).expect(0);
    for args in [&["--save", "a.rrd"][..], &["--serve"], &["--spawn"]] {
        let run = jepa3d(&[&["inspect", text(dir.path())], args].concat()).expect(2);
        assert!(run.stderr.contains("expected a build with the feature `rerun`"), "{}", run.stderr);
    }
}

#[cfg(feature = "rerun")]
#[test]
fn a_recording_that_the_environment_forbids_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (out, file) = (dir.path().join("out"), dir.path().join("a.rrd"));
    prepare_small(&out, &[]).expect(0);
    let mut command = command(&["inspect", text(&out), "--save", text(&file)]);
    command.env("RERUN", "off");
    let run = finish(command).expect(2);
    let expected = "environment variable RERUN: expected on or none, found \"off\"";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was written");
}

#[cfg(feature = "rerun")]
#[test]
fn a_viewer_is_served_that_talks_to_this_machine_alone() {
    let dir = tempfile::tempdir().unwrap();
    prepare_small(dir.path(), &VIEWS).expect(0);
    let mut serving = command(&["inspect", text(dir.path()), "--limit", "1", "--serve"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(serving.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let ask = |path: &str, host: &str| {
        let at = line.split_once("http://").map(|(_, url)| url.split('/').next().unwrap().to_owned())?;
        let mut stream = TcpStream::connect(&at).ok()?;
        let host = host.replace("PORT", at.split_once(':')?.1);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").ok()?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).ok()?;
        Some(String::from_utf8_lossy(&response).into_owned())
    };
    let page = ask("/", "localhost:PORT");
    let recording = ask("/recording.rrd", "127.0.0.1:PORT");
    let rebound = ask("/recording.rrd", "evil.example:PORT");
    serving.kill().unwrap();
    serving.wait().unwrap();
    let page = page.unwrap_or_else(|| panic!("no address: {line}"));
    assert!(page.starts_with("HTTP/1.1 200 OK\r\nContent-Security-Policy: default-src 'self'"), "{page}");
    assert!(page.contains("re_viewer.js"), "{page}");
    let body = recording.unwrap().split_once("\r\n\r\n").unwrap().1.to_owned();
    assert!(body.starts_with("RRF2"), "{:?}", body.get(..20));
    assert!(rebound.unwrap().starts_with("HTTP/1.1 403 Forbidden\r\nContent-Security-Policy: "));
    assert!(line.contains("http://127.0.0.1:") && line.contains("%2Frecording.rrd"), "{line}");
}
