//! An encoder that is given other groups than it learned from says so, and the features keep it.

use super::harness::{SMALL, finish, jepa3d, prepare_command, text};
use super::pretrain::Place;

#[test]
fn features_of_other_groups_carry_a_warning() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    let other = place.path("other");
    let sets = [&SMALL[..], &["groups.points=256"]].concat();
    finish(prepare_command(&other, &sets, &[])).expect(0);
    let run = place.path("run");
    let embed = |data: &str, out: &str| {
        let (data, out) = (place.path(data), place.path(out));
        let done = jepa3d(&["embed", text(&run), "--data", text(&data), "--out", text(&out)]).expect(0);
        let bytes = std::fs::read(&out).unwrap();
        (done.stderr, bytes.windows(16).any(|here| here == b"grouping-differs"))
    };
    assert_eq!(embed("data", "own.parquet"), (String::new(), false));
    let (told, is_kept) = embed("other", "other.parquet");
    assert!(told.contains("grouping-differs: ") && is_kept, "{told}");
    assert!(
        told.contains("learned from N 128, G 8, K 8, patches, the dataset holds N 256, G 8, K 8"),
        "{told}"
    );
}
