//! Robustness of a frozen encoder: the table, the file, and what cannot be measured.

use super::harness::{SMALL, finish, jepa3d, prepare_command, text};
use super::pretrain::Place;

#[test]
fn corrupted_clouds_are_measured_and_written_down() {
    let place = Place::new();
    for seed in ["1", "2"] {
        let set = format!("run.seed={seed}");
        place.pretrain(seed, &["--set", "run.stop_after=2", "--set", &set]).expect(0);
    }
    let (one, two, data, out) = (place.path("1"), place.path("2"), place.path("data"), place.path("out"));
    let start = ["robustness", text(&one), text(&two), "--data", text(&data), "--out", text(&out)];
    let measure = |args: &[&str]| jepa3d(&[&start[..], args].concat());
    let some = ["--severities", "5,1", "--corruptions", "subsample,jitter,occlude"];
    let run = measure(&some).expect(0);
    for says in [
        "point-jepa-region-small, SVM",
        "point-jepa-region-small, kNN-20",
        "\nclean ",
        "\njitter ",
        "random weights",
    ] {
        assert!(run.stdout.contains(says), "{says}: {}", run.stdout);
    }
    assert!(run.stdout.contains("seeds 1, 2: means, +- over seeds"), "{}", run.stdout);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("SVM under occlude") && page.contains("point-jepa-region-small, kNN-20"));
    let file = out.join("robustness.json");
    let first = std::fs::read_to_string(&file).unwrap();
    let report: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!(report["severities"], serde_json::json!([1, 5]));
    assert!(report["command"].as_str().unwrap().starts_with("jepa3d robustness "), "{first}");
    for part in ["pretrained", "random"] {
        let tables = report[part].as_array().unwrap();
        assert_eq!(tables.len(), 2);
        for table in tables {
            let lines = table["lines"].as_array().unwrap();
            let names: Vec<&str> = lines.iter().map(|line| line["corruption"].as_str().unwrap()).collect();
            assert_eq!(names, ["jitter", "jitter", "occlude", "occlude", "subsample", "subsample"]);
            let shares = lines.iter().flat_map(|line| [&line["svm"], &line["neighbours"]]);
            assert!(shares.into_iter().all(|share| (0.0..=100.0).contains(&share.as_f64().unwrap())));
            // 256 stored points: no fewer are kept by the first severity.
            assert_eq!(lines[4]["svm"], table["clean"]["svm"]);
        }
    }
    assert_eq!(report["errors"].as_array().unwrap().len(), 2);
    // The same bytes again, on another number of threads but for the command that names it.
    measure(&[&some[..], &["--threads", "1"]].concat()).expect(0);
    let again = std::fs::read_to_string(&file).unwrap().replace(" --threads 1", "");
    assert_eq!(again, first);
    let refused = measure(&["--severities", "6"]).expect(2);
    assert!(refused.stderr.contains("--severities: expected 1 to 5, found 6"), "{}", refused.stderr);
    let refused = measure(&["--test-split", "absent"]).expect(2);
    assert!(refused.stderr.contains("split: expected one of "), "{}", refused.stderr);
}

#[test]
fn a_set_grouped_otherwise_is_regrouped() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    let sets = [&SMALL[..], &["groups.points=256", "groups.centers=4"]].concat();
    finish(prepare_command(&place.path("other"), &sets, &[])).expect(0);
    let measure = |data: &str| {
        let (run, data) = (place.path("run"), place.path(data));
        let args = [
            "robustness",
            text(&run),
            "--data",
            text(&data),
            "--severities",
            "3",
            "--corruptions",
            "density",
        ];
        let report =
            jepa3d(&[&args[..], &["--calibrate-on", text(&place.path("data")), "--json"]].concat()).expect(0);
        report.json()
    };
    let (own, other) = (measure("data"), measure("other"));
    assert_eq!(own["pretrained"][0]["lines"], other["pretrained"][0]["lines"]);
    assert_eq!(own["random"][0]["lines"], other["random"][0]["lines"]);
}
