//! Few-shot episodes on frozen features: drawn, published, read back, and refused where they do not fit.

use super::harness::{SMALL, finish, jepa3d, prepare_command, text};
use super::pretrain::Place;

#[test]
fn episodes_are_drawn_published_and_read_back() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    let (run, data, list) = (place.path("run"), place.path("three"), place.path("episodes.json"));
    let sets = [&SMALL[..], &["dataset.categories=[\"mug\",\"lamp\",\"chair\"]"]].concat();
    finish(prepare_command(&data, &sets, &[])).expect(0);
    let few = |args: &[&str]| {
        let start = ["fewshot", text(&run), "--data", text(&data)];
        jepa3d(&[&start[..], args].concat())
    };
    let sizes = ["--ways", "2,3", "--shots", "1,2", "--queries", "1", "--folds", "4"];
    let drawn = few(&[&sizes[..], &["--write-episodes", text(&list), "--json"]].concat());
    let drawn = drawn.expect(0).json();
    let lines = drawn["columns"][0]["lines"].as_array().unwrap();
    assert_eq!((lines.len(), drawn["columns"].as_array().unwrap().len()), (4, 2));
    let read = few(&["--episodes", text(&list), "--json"]).expect(0).json();
    assert_eq!(read["columns"], drawn["columns"]);
    std::fs::write(&list, "{}").unwrap();
    let refused = few(&["--episodes", text(&list)]).expect(2);
    assert!(refused.stderr.contains("episodes.json"), "{}", refused.stderr);
}
