//! Pretraining on several datasets at once with the real binary: killed, resumed with others, wrongly mixed.

use std::path::Path;
use std::time::{Duration, Instant};

use jepa3d_schemas::Draws;

use super::harness::{Run, SMALL, finish, prepare_command, prepare_small, text};
use super::pretrain::{Place, assert_same};

/// The small set, and another one of other objects of the same names.
fn place() -> Place {
    let place = Place::new();
    prepare_small(&place.path("other"), &["--set", "dataset.seed=5"]).expect(0);
    place
}

/// The arguments that mix the other set in, and these.
fn with<'a>(other: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["--data", other], args].concat()
}

fn pretrain(place: &Place, out: &Path, args: &[&str]) -> Run {
    finish(place.command(out, args))
}

#[test]
fn a_killed_run_on_two_sets_continues_to_the_same_bytes_and_on_no_other_sets() {
    let place = place();
    let (other, straight, out) = (place.path("other"), place.path("straight"), place.path("killed"));
    let half = format!("{}:0.5", text(&other));
    let begin = Instant::now();
    let run = pretrain(&place, &straight, &with(&half, &[])).expect(0);
    let duration = begin.elapsed();
    let said = format!("data: {}, weight 0.5: ", other.display());
    assert!(run.stderr.contains(&said), "{}", run.stderr);
    let mut draws = Draws::new(1, "kill", "mixed data");
    for _ in 0..3 {
        let mut child = place.command(&out, &with(&half, &["--resume"])).spawn().unwrap();
        std::thread::sleep(duration.mul_f64(draws.range(0.1, 0.5)).max(Duration::from_millis(20)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let args = ["--resume", "--set", "data.threads=2"];
    pretrain(&place, &out, &with(&half, &args)).expect(0);
    assert_same(&out, &straight);
    // The other weight, the other set alone, one set less: each is named with both fingerprints.
    for mix in [with(text(&other), &args), args.to_vec()] {
        let refused = pretrain(&place, &out, &mix).expect(2);
        assert!(refused.stderr.contains("the dataset it was trained on, fingerprint"), "{}", refused.stderr);
        assert!(refused.stderr.contains(":0.5"), "{}", refused.stderr);
    }
}

#[test]
fn sets_that_cannot_be_mixed_are_refused_by_name() {
    let place = place();
    let (other, out) = (place.path("other"), place.path("run"));
    let refused = |args: &[&str]| pretrain(&place, &out, args).expect(2).stderr;
    let none = refused(&with("nowhere:0.5", &[]));
    assert!(none.contains("nowhere: expected a complete prepared dataset"), "{none}");
    let zero = refused(&with("nowhere:0", &[]));
    assert!(zero.contains("expected a weight above 0"), "{zero}");
    let data = place.path("data");
    let twice = refused(&with(text(&data), &[]));
    assert!(twice.contains("expected every dataset once"), "{twice}");
    let letters = [&SMALL[..], &["groups.points=32", "dataset.seed=6"]].concat();
    finish(prepare_command(&place.path("letters"), &letters, &[])).expect(0);
    let found = refused(&with(text(&place.path("letters")), &[]));
    assert!(found.contains("expected stored groupings R") && found.contains("N 32"), "{found}");
    let online = ["--set", "data.patches_from=online", "--set", "data.points=32", "--set", "run.max_steps=2"];
    pretrain(&place, &out, &with(text(&place.path("letters")), &online)).expect(0);
    let sensor = refused(&with(text(&other), &["--set", "data.sensor.clean=0.5"]));
    assert!(sensor.contains("with data.sensor: stored groupings are of clean clouds"), "{sensor}");
}
