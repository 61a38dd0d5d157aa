//! Reports that commands leave, side by side: the same bytes again, names that do nothing, and what is refused.

use std::path::Path;

use jepa3d_inspect::{ImageMark, PointColors, ReportImage, render_thumbnail};
use jepa3d_schemas::Manifest;

use super::harness::{SMALL, finish, jepa3d, prepare_command, samples_of, shards, text, write};
use super::pretrain::Place;

/// A set of three classes and a run of two steps.
fn place() -> Place {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    let sets = [&SMALL[..], &["dataset.categories=[\"mug\",\"lamp\",\"chair\"]"]].concat();
    finish(prepare_command(&place.path("three"), &sets, &[])).expect(0);
    place
}

fn read(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap()
}

fn kinds(report: &serde_json::Value) -> Vec<&str> {
    report["sections"].as_array().unwrap().iter().map(|section| section["kind"].as_str().unwrap()).collect()
}

/// What a report holds of a stored cloud.
fn picture(data: &Path, caption: &str) -> String {
    let mut samples = shards(data).into_iter().flat_map(|shard| samples_of(&shard)).flatten();
    let sample = samples.find(|sample| caption.ends_with(&sample.sample_id)).unwrap();
    let up = Manifest::read(data).unwrap().up_axis;
    let png = render_thumbnail(&sample.points, PointColors::Height, up, 144);
    ReportImage::new(&png, caption, ImageMark::Plain).png
}

#[test]
fn retrieve_probe_and_fewshot_leave_reports_that_are_compared() {
    let place = place();
    let (run, data) = (place.path("run"), place.path("three"));
    let out = |name: &str| place.path(name);
    let common = [text(&run), "--data", text(&data)];
    let retrieve = ["retrieve", "--queries", "1", "--json", "--out"];
    let found = jepa3d(&[&retrieve[..], &[text(&out("a"))], &common].concat()).expect(0).json();
    assert_eq!(found["columns"].as_array().unwrap().len(), 2);
    assert_eq!(found["columns"][0]["overall"]["recall"].as_array().unwrap().len(), 10);
    let report = read(&out("a"));
    let expected = [
        "table",
        "table",
        "curves",
        "curves",
        "confusion",
        "images",
        "scatter",
        "scatter",
        "scatter",
        "scatter",
    ];
    assert_eq!(kinds(&report), expected);
    assert_eq!(report["sections"][5]["rows"][0]["images"].as_array().unwrap().len(), 6);
    let image = &report["sections"][5]["rows"][0]["images"][0];
    assert_eq!(image["png"].as_str().unwrap(), picture(&data, image["caption"].as_str().unwrap()));
    let page = || std::fs::read_to_string(out("a").join("report.html")).unwrap();
    let first = page();
    assert!(first.contains("data:image/png;base64,iVBOR") && !first.contains("<script"));
    jepa3d(&[&retrieve[..], &[text(&out("a"))], &common].concat()).expect(0);
    assert!(first == page(), "the same line leaves the same bytes");
    jepa3d(&[&["retrieve", "--no-random", "--out", text(&out("b"))], &common[..]].concat()).expect(0);
    jepa3d(&[&["probe", "--light", "--labels", "1,2", "--out", text(&out("p"))], &common[..]].concat())
        .expect(0);
    assert!(kinds(&read(&out("p"))).contains(&"scatter"));
    let few = ["fewshot", "--ways", "2", "--shots", "1", "--queries", "1", "--folds", "2", "--out"];
    jepa3d(&[&few[..], &[text(&out("f"))], &common].concat()).expect(0);
    assert_eq!(kinds(&read(&out("f"))), ["table", "curves", "text"]);
    let html = out("both.html");
    let folders = ["a", "b", "p", "f"].map(out);
    let folders: Vec<&str> = folders.iter().map(|folder| text(folder)).collect();
    let said = jepa3d(&[&["report"], &folders[..]].concat()).expect(0).stdout;
    assert!(said.contains("recall@1") && said.contains("a: jepa3d retrieve"), "{said}");
    jepa3d(&[&["report", "--out", text(&html)], &folders[..]].concat()).expect(0);
    assert!(std::fs::read_to_string(&html).unwrap().contains("a, b, p, f compared"));
}

#[test]
fn what_is_no_report_and_what_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (none, broken, newer) = ("none", "broken", "newer");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at(none)).unwrap();
    write(&at(broken).join("report.json"), "{\"format\"");
    write(&at(newer).join("report.json"), "{\"format\": \"jepa3d report\", \"version\": 9}");
    for (name, said) in [(none, "found none"), (broken, "report.json"), (newer, "found 9"), ("gone", "gone")]
    {
        let refused = jepa3d(&["report", text(&at(name))]).expect(2).stderr;
        assert!(refused.contains(said) && refused.contains(name), "{refused}");
    }
    write(&at("file"), "");
    let refused = jepa3d(&["retrieve", "run", "--data", "set", "--out", text(&at("file"))]).expect(2).stderr;
    assert!(refused.contains("--out") && refused.contains("expected a folder, found a file"), "{refused}");
}
