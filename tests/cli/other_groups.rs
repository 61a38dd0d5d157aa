//! Encoders and sets that do not go together: other groups, another axis up, and what makes them go together.

use std::path::Path;

use jepa3d_schemas::{FeatureRows, read_features};

use super::harness::{Run, SMALL, cloud, finish, jepa3d, prepare_command, prepare_folder, text, write};
use super::pretrain::Place;

/// `embed` of a run, with the features if there are any.
fn embed(place: &Place, run: &Path, data: &str, args: &[&str]) -> (Run, Option<FeatureRows>) {
    let (data, out) = (place.path(data), place.path("features.parquet"));
    let _ = std::fs::remove_file(&out);
    let start = ["embed", text(run), "--data", text(&data), "--out", text(&out)];
    let done = jepa3d(&[&start[..], args].concat());
    (done, read_features(&out).ok().map(|(rows, _)| rows))
}

#[test]
fn other_groups_are_refused_and_made_afresh_where_asked() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    let run = place.path("run");
    for (name, more) in
        [("other", "groups.points=256"), ("more", "groups.centers=16"), ("blocks", "groups.kind=voxel")]
    {
        let sets = [&SMALL[..], &[more]].concat();
        finish(prepare_command(&place.path(name), &sets, &[])).expect(0);
    }
    let (done, own) = embed(&place, &run, "data", &[]);
    assert_eq!(done.expect(0).stderr, "");
    // The same clouds, grouped as the encoder learned: to the bit what preparation stored.
    for data in ["data", "other", "more", "blocks"] {
        let (done, features) = embed(&place, &run, data, &["--regroup"]);
        done.expect(0);
        assert_eq!(features, own, "{data}");
    }
    // More centers than it learned from hold those that it did.
    let (done, features) = embed(&place, &run, "more", &[]);
    assert_eq!((done.expect(0).stderr.as_str(), features), ("", own));
    for (data, stored) in [("other", "N 256, G 8, K 8, patches"), ("blocks", "N 128, G 8, K 8, voxel blocks")]
    {
        let refused = embed(&place, &run, data, &[]).0.expect(2);
        let says = format!(
            "error: {}: expected groups as the encoder learned from, N 128, G 8, K 8, patches, found {stored}: --regroup makes \
             the encoder's own of the stored clouds\n",
            place.path(data).display()
        );
        assert_eq!(refused.stderr, says);
        let data = place.path(data);
        for verb in ["probe", "fewshot"] {
            let refused = jepa3d(&[verb, text(&run), "--data", text(&data)]).expect(2);
            // A note on the labels may come before.
            assert!(refused.stderr.ends_with(&says), "{}", refused.stderr);
        }
    }
}

#[test]
fn clouds_are_turned_to_the_axis_that_the_encoder_knows() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    let run = place.path("run");
    // The same points with y up and, turned by a quarter about x, with z up.
    let cloud = |seed: usize, is_z: bool| -> String {
        let point = |i: usize| {
            let (x, y, z) = ((i * (seed + 3)) as f64, (i as f64 * 0.31).sin(), (i as f64 * 0.7).cos());
            let x = x.sin();
            if is_z { format!("{x} {} {y}\n", -z) } else { format!("{x} {y} {z}\n") }
        };
        (0..300).map(point).collect()
    };
    for (name, is_z) in [("y", false), ("z", true)] {
        let raw = place.path(&format!("raw-{name}"));
        for seed in 0..6 {
            write(&raw.join(format!("cube/{seed}.xyz")), cloud(seed, is_z));
        }
        let up = format!("dataset.up_axis={name}");
        prepare_folder(&raw, &place.path(name), &["--set", &up]).expect(0);
    }
    let (done, lying) = embed(&place, &run, "y", &[]);
    assert_eq!(done.expect(0).stderr, "", "the encoder learned clouds with y up");
    let (done, turned) = embed(&place, &run, "z", &[]);
    let says = format!(
        "note: {}: z is up in these clouds: they are turned by a quarter, to y up\n",
        place.path("z").display()
    );
    assert_eq!(done.expect(0).stderr, says);
    let (lying, turned) = (lying.unwrap(), turned.unwrap());
    let off = lying.values.iter().zip(&turned.values).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(off < 1e-4, "{off}");
    // Overruled, the clouds lie as the set has them.
    let (done, other) = embed(&place, &run, "z", &["--up-axis", "z"]);
    assert_eq!(done.expect(0).stderr, "");
    let other = other.unwrap();
    let off = lying.values.iter().zip(&other.values).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(off > 1e-3, "{off}");
}

#[test]
fn random_weights_take_their_statistics_from_the_set_that_is_named() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    let run = place.path("run");
    let other = place.path("other");
    let sets = [&SMALL[..], &["run.seed=9"]].concat();
    finish(prepare_command(&other, &sets, &[])).expect(0);
    let (done, own) = embed(&place, &run, "data", &["--random", "--json"]);
    let report = done.expect(0).json();
    let encoder = report["encoder"].as_str().unwrap();
    assert!(encoder.starts_with("random weights of seed 1, batch-norm statistics of "), "{encoder}");
    assert_ne!(own, embed(&place, &run, "data", &[]).1);
    assert_eq!(own, embed(&place, &run, "data", &["--random"]).1);
    let (done, elsewhere) = embed(&place, &run, "other", &["--random"]);
    assert!(done.expect(0).stderr.contains("(--calibrate-on DIR)"));
    let data = place.path("data");
    let (done, named) = embed(&place, &run, "other", &["--random", "--calibrate-on", text(&data)]);
    assert_eq!(done.expect(0).stderr, "");
    assert_ne!(named, elsewhere);
    // The probe shows random weights alone where asked to.
    let args = ["probe", text(&run), "--data", text(&data), "--labels", "1", "--random", "--json"];
    let report = jepa3d(&args).expect(0).json();
    assert_eq!(report["pretrained"], serde_json::json!([]));
    assert_eq!(report["random"].as_array().unwrap().len(), 1);
}

#[test]
fn clouds_of_five_to_thousands_of_points_are_embedded_where_that_is_asked_for() {
    let place = Place::new();
    place.pretrain("run", &["--set", "run.stop_after=2"]).expect(0);
    let run = place.path("run");
    let raw = place.path("raw");
    for count in [5, 6, 7, 9, 100, 3000] {
        write(&raw.join(format!("thing/{count}.xyz")), cloud(count, 1));
    }
    let few = ["cloud.points=8192", "groups.points=4", "groups.centers=2", "groups.neighbors=2"];
    let sets = [&SMALL[1..], &few, &["dataset.kind=folder"]].concat();
    finish(prepare_command(&place.path("few"), &sets, &["--data", text(&raw)])).expect(0);
    let refused = embed(&place, &run, "few", &["--regroup"]).0.expect(2);
    assert!(
        refused.stderr.contains("cannot be grouped: expected at least 8 points, found "),
        "{}",
        refused.stderr
    );
    let (done, features) = embed(&place, &run, "few", &["--regroup", "--repeat-points"]);
    assert_eq!(done.expect(0).stderr, "");
    let features = features.unwrap();
    assert_eq!(features.ids.len(), 6);
    assert!(features.values.iter().all(|x| x.is_finite()));
    let alone = embed(&place, &run, "few", &["--repeat-points"]).0.expect(2);
    assert!(alone.stderr.contains("--regroup"), "{}", alone.stderr);
}
