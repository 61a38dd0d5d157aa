//! `segment` with the real binary: parts of the built-in set, stopped and continued to the same bytes; what cannot be segmented.

use std::path::Path;

use super::harness::{
    Run, SMALL, cloud, finish, jepa3d, prepare_command, prepare_folder, prepare_small, text, write,
};

/// A preset on a tiny set, two epochs of a tiny encoder.
fn segment(data: &Path, out: &Path, args: &[&str]) -> Run {
    let sets = [
        "data.groups=8",
        "data.group_size=8",
        "run.epochs=2",
        "length.min_steps=0",
        "head.hidden=8",
        "segment.upsampling=8",
        "labels.select_every=1",
        "labels.selection=0.5",
    ];
    let encoder = out.with_extension("toml");
    let tiny = "preset = \"tiny\"\n[model]\ntokenizer = [4, 8, 8]\nwidth = 12\ndepth = 3\nheads = 2\n";
    std::fs::write(&encoder, tiny).unwrap();
    let mut all = vec!["segment", "parts-small", "--from", "scratch", "--preset", text(&encoder)];
    all.extend(["--data", text(data), "--out", text(out), "--json"]);
    sets.iter().for_each(|set| all.extend(["--set", set]));
    jepa3d(&[&all, args].concat())
}

#[test]
fn parts_of_the_built_in_set_in_one_piece_or_two() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    prepare_small(&path("data"), &[]).expect(0);
    let whole = segment(&path("data"), &path("whole"), &[]).expect(0).json();
    let whole = &whole["runs"][0];
    let parts = &whole["last"]["scores"]["parts"];
    assert_eq!(parts["categories"].as_array().unwrap().len(), 16);
    assert_eq!(parts["shapes"], whole["n_evaluation"]);
    assert!(whole["point_classes"][0].as_str().unwrap().starts_with("airplane "));
    let stopped = segment(&path("data"), &path("two"), &["--set", "run.stop_after=3"]).expect(0);
    assert!(
        stopped.stderr.contains("stopped; the same command with --resume continues"),
        "{}",
        stopped.stderr
    );
    let again = segment(&path("data"), &path("two"), &["--resume", "--threads", "1"]).expect(0).json();
    assert_eq!(&again["runs"][0], whole);
    for file in ["last.safetensors", "best.safetensors", "result.json"] {
        let read = |out: &str| std::fs::read(path(out).join(file)).unwrap();
        assert!(read("whole") == read("two"), "{file}");
    }
    // The pictures are the same on any number of threads, and say what they show.
    let pictures = |out: &str| -> serde_json::Value {
        let text = std::fs::read(path(out).join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let sections = report["sections"].as_array().unwrap();
        sections.iter().find(|section| section["kind"] == "images").unwrap().clone()
    };
    let shown = pictures("whole");
    assert_eq!(shown, pictures("two"));
    let (rows, examples) = (shown["rows"].as_array().unwrap(), whole["examples"].as_array().unwrap());
    assert!(rows.len() > 2 && rows.len() == examples.len());
    for (row, example) in rows.iter().zip(examples) {
        let title = row["title"].as_str().unwrap();
        assert!(title.starts_with(&format!("{}: mIoU ", example["id"].as_str().unwrap())), "{title}");
        assert_eq!(row["images"].as_array().unwrap().len(), 3);
        assert!(row["legend"][0]["name"].is_string(), "{row}");
    }
    let page = std::fs::read_to_string(path("whole").join("report.html")).unwrap();
    assert!(page.contains("images large") && page.contains("legend keys") && page.contains("% differ"));
    // An official file and back: what the class of the paper loads is what the run wrote.
    let convert =
        |from: &str, to: &str| jepa3d(&["convert", text(&path(from)), "--to", text(&path(to))]).expect(0);
    let said = convert("whole/last.safetensors", "theirs.ckpt").stdout;
    assert!(
        said.contains("parts of 16 classes") && said.contains("left out: moments of the optimiser"),
        "{said}"
    );
    convert("theirs.ckpt", "ours.safetensors");
    convert("ours.safetensors", "again.ckpt");
    assert!(std::fs::read(path("theirs.ckpt")).unwrap() == std::fs::read(path("again.ckpt")).unwrap());
}

#[test]
fn a_split_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    prepare_small(&dir.path().join("data"), &[]).expect(0);
    let out = dir.path().join("out");
    let refused = segment(&dir.path().join("data"), &out, &["--test-split", "nosuch"]).expect(2).stderr;
    assert!(refused.contains("split: expected one of ") && refused.contains("found \"nosuch\""), "{refused}");
    assert!(!out.exists(), "nothing was begun");
}

#[test]
fn labels_that_are_all_equal_and_classes_that_are_only_judged_are_noted() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, data) = (dir.path().join("raw"), dir.path().join("data"));
    write(&raw.join("synsetoffset2category.txt"), "Airplane\t02691156\nChair\t03001627\nLamp\t03636649\n");
    let mut lists = [Vec::new(), Vec::new()];
    for (synset, label) in [("02691156", 0), ("03001627", 12), ("03636649", 24)] {
        for i in 0..6 {
            let points: Vec<String> =
                cloud(200, i).lines().map(|line| format!("{line} 0 0 0 {label}")).collect();
            write(&raw.join(format!("{synset}/{i}.txt")), points.join("\n"));
            lists[usize::from(i > 3 || label == 24)].push(format!("shape_data/{synset}/{i}"));
        }
    }
    for (split, list) in ["train", "test"].iter().zip(&lists) {
        let file = format!("train_test_split/shuffled_{split}_file_list.json");
        write(&raw.join(file), serde_json::to_string(list).unwrap());
    }
    write(&raw.join("train_test_split/shuffled_val_file_list.json"), "[]");
    let args = ["--set", "dataset.kind=shapenetpart", "--data", text(&raw)];
    finish(prepare_command(&data, &SMALL[1..], &args)).expect(0);
    let encoder = dir.path().join("plain.toml");
    write(&encoder, "preset = \"tiny\"\n[model]\ntokenizer = [4, 8, 8]\nwidth = 12\ndepth = 3\nheads = 2\n");
    let start =
        ["segment", "parts-small", "--from", "scratch", "--preset", text(&encoder), "--data", text(&data)];
    let sets = ["data.groups=8", "data.group_size=8", "run.epochs=1", "length.min_steps=0", "optim.batch=4"];
    let mut all = [&start[..], &["--test-split", "test", "--labels", "4", "--out"]].concat();
    let out = dir.path().join("out");
    all.push(text(&out));
    sets.iter().for_each(|set| all.extend(["--set", set]));
    let run = jepa3d(&all).expect(0);
    assert!(run.stderr.contains("classes that are judged and never trained on: Lamp"), "{}", run.stderr);
    let says = "note: all judged points of a class of objects are of one part: ";
    assert!(run.stdout.contains(says), "{}", run.stdout);
}

#[test]
fn points_without_labels_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let clouds = path("raw/train");
    std::fs::create_dir_all(&clouds).unwrap();
    let line = |i: i32| format!("{} {} {}\n", f64::from(i).sin(), f64::from(i).cos(), f64::from(i % 7));
    std::fs::write(clouds.join("a.xyz"), (0..300).map(line).collect::<String>()).unwrap();
    prepare_folder(&path("raw"), &path("data"), &[]).expect(0);
    let refused = segment(&path("data"), &path("out"), &[]).expect(2).stderr;
    assert!(
        refused.contains("point_classes: expected what the labels of points mean, found none"),
        "{refused}"
    );
    assert!(!path("out").exists(), "nothing was begun");
}
