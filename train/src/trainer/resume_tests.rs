//! Runs in pieces equal straight ones to the bit, whatever the threads; a seed decides everything.

use jepa3d_probe::is_validation;

use super::fixture::{DROPOUT, TrainerFixture, events_of};
use super::{Event, RunOutcome};

const REGION: &[&str] = &[
    "masking.kind=region",
    "masking.target_ratio=[0.5, 0.5]",
    "model.positions=sinusoid",
    "predictor.width=12",
    "model.calibrate=true",
    "target.depths=[0]",
    "target.norm=batch",
    "target.remove_position=true",
    "target.tokenizer=ema",
    "loss.variance=0.1",
    "loss.covariance=0.01",
    "optim.clip=0.5",
];

/// A context that a sensor saw, and every term that has draws of its own.
const SENSOR: &[&str] = &[
    "data.patches_from=online",
    "data.augment.per=sample",
    "data.augment.rotate_up=3.0",
    "data.sensor.points=[12, 20]",
    "target.tokenizer=ema",
    "loss.pooled=0.5",
    "loss.pooled_turn=3.0",
    "loss.sigreg=0.1",
];

/// A head that answers for what is made of turns.
const TURNS: &[&str] = &["whole.answers=turns", "features.turns=4"];

fn variants() -> Vec<(&'static str, Vec<&'static str>)> {
    let online =
        ["data.patches_from=online", "data.augment.scale_axes=[0.8, 1.2]", "data.augment.normalize=true"];
    let accumulated = [DROPOUT, &["optim.batch=6", "optim.accumulate=2"]].concat();
    vec![
        ("plain", vec![]),
        ("dropout", DROPOUT.to_vec()),
        ("accumulated", accumulated),
        ("region", [REGION, DROPOUT].concat()),
        ("online", online.to_vec()),
        ("bf16", [DROPOUT, &["run.precision=bf16"]].concat()),
        ("sensor", [DROPOUT, SENSOR].concat()),
        ("whole head", [SENSOR, &["run.epochs=1", "whole.epochs=2"]].concat()),
        ("whole head, later", [SENSOR, &["run.epochs=2", "whole.epochs=1"]].concat()),
        ("whole head of turns", [SENSOR, &["run.epochs=1", "whole.epochs=2"], TURNS].concat()),
        ("blocks with it", [SENSOR, &["run.epochs=1", "whole.epochs=2", "whole.blocks_rate=0.5"]].concat()),
    ]
}

#[test]
fn pieces_with_other_threads_equal_a_straight_run() {
    let place = TrainerFixture::new();
    for (name, sets) in variants() {
        let straight = format!("{name} straight");
        let (ended, events) = place.run(&straight, false, &sets);
        assert_eq!(ended, RunOutcome::Done);
        assert_eq!(events.iter().filter(|e| matches!(e, Event::Step(_))).count(), 12);
        let pieces = format!("{name} pieces");
        // The middle of an epoch, the step after it, the end of an epoch.
        for (stop, threads, done) in [(5, 1, 5), (1, 3, 6), (2, 2, 8)] {
            let (stop, threads) = (format!("run.stop_after={stop}"), format!("data.threads={threads}"));
            let more = [sets.as_slice(), &[&stop, &threads]].concat();
            let (ended, events) = place.run(&pieces, true, &more);
            assert_eq!(ended, RunOutcome::Stopped);
            assert_eq!(events.last(), Some(&Event::Checkpoint(done)), "{name}");
        }
        assert_eq!(place.run(&pieces, true, &sets).0, RunOutcome::Done);
        let (want, found) = (place.result(&straight), place.result(&pieces));
        assert_eq!(found.1, want.1, "{name}");
        assert!(found.0 == want.0, "{name}: {}", difference(&found.0, &want.0));
    }
}

#[test]
fn a_run_is_continued_in_the_precision_that_it_was_begun_in() {
    let place = TrainerFixture::new();
    place.run("run", false, &["run.stop_after=2"]);
    let Err(error) = place.trainer("run", true, &["run.precision=bf16"]) else { panic!("another precision") };
    assert!(error.to_string().contains("run.precision"), "{error}");
    place.run("bf16", false, &["run.precision=bf16", "run.stop_after=2"]);
    assert!(place.result("bf16").0 != place.result("run").0, "nothing was rounded");
}

#[test]
fn what_a_killed_run_left_half_written_is_removed() {
    let place = TrainerFixture::new();
    place.run("run", false, &["run.stop_after=2"]);
    let [torn, other] = ["last.safetensors.4711-8.tmp", "notes.tmp"].map(|name| place.path("run").join(name));
    for path in [&torn, &other] {
        std::fs::write(path, "half").unwrap();
    }
    assert_eq!(place.run("run", true, &[]).0, RunOutcome::Done);
    assert!(!torn.exists() && other.exists(), "only what a writer of ours left");
}

/// Where two checkpoints differ.
fn difference(found: &[u8], want: &[u8]) -> String {
    let [found, want] = [found, want].map(|bytes| {
        let (_, metadata) = safetensors::SafeTensors::read_metadata(bytes).unwrap();
        let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
        let tensors: std::collections::BTreeMap<String, Vec<u8>> =
            file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
        (metadata.metadata().clone(), tensors)
    });
    let names: Vec<&String> = want.1.keys().filter(|&name| found.1.get(name) != want.1.get(name)).collect();
    format!("{names:?}\n{:?}\n{:?}", found.0, want.0)
}

#[test]
fn checkpoints_that_would_come_too_soon_are_left_out() {
    let place = TrainerFixture::new();
    let checkpoints = |name: &str, sets: &[&str]| {
        let (_, events) = events_of(&mut place.trainer(name, false, sets).unwrap()).unwrap();
        let steps = events.into_iter().filter_map(|event| match event {
            Event::Checkpoint(step) => Some(step),
            _ => None,
        });
        steps.collect::<Vec<u64>>()
    };
    let each_epoch = checkpoints("often", &[]);
    let at_the_end = checkpoints("rarely", &["run.checkpoint_seconds=1e6"]);
    assert!(each_epoch.len() > 1, "{each_epoch:?}");
    assert_eq!(at_the_end, each_epoch[each_epoch.len() - 1..]);
    assert_eq!(checkpoints("always", &["run.checkpoint_seconds=1e-9"]), each_epoch);
}

#[test]
fn steps_after_a_checkpoint_are_repeated_alike() {
    let place = TrainerFixture::new();
    place.run("straight", false, DROPOUT);
    let sets = [DROPOUT, &["run.checkpoint_every=3"]].concat();
    let mut killed = place.trainer("killed", false, &sets).unwrap();
    killed.evaluate(&mut |_| {}).unwrap();
    // Four steps are recorded, three are in the checkpoint.
    for _ in 0..4 {
        let record = killed.step().unwrap();
        killed.log_step(record, &mut |_| {}).unwrap();
        killed.save_and_evaluate_when_due(&mut |_| {}).unwrap();
    }
    drop(killed);
    let mut resumed = place.trainer("killed", true, &sets).unwrap();
    assert_eq!(resumed.step, 3);
    events_of(&mut resumed).unwrap();
    let (want, found) = (place.result("straight"), place.result("killed"));
    assert!(found.0 == want.0, "{}", difference(&found.0, &want.0));
    assert_eq!(found.1, want.1);
}

#[test]
fn a_seed_decides_everything_and_loader_threads_nothing() {
    let place = TrainerFixture::new();
    for (out, more) in
        [("one", &[][..]), ("two", &["data.threads=3", "data.prefetch=1"]), ("other", &["run.seed=2"])]
    {
        place.run(out, false, &[DROPOUT, more].concat());
    }
    let [one, two, other] = ["one", "two", "other"].map(|out| place.result(out));
    assert!(one.0 == two.0, "{}", difference(&two.0, &one.0));
    assert_eq!(one.1, two.1);
    let differs = one.1.iter().zip(&other.1).filter(|(a, b)| a != b).count();
    assert_eq!(differs, one.1.len(), "every line differs");
}

#[test]
fn training_learns_moves_the_target_and_keeps_what_is_asked_for() {
    let place = TrainerFixture::new();
    let sets =
        ["run.epochs=30", "run.checkpoint_every=40", "run.keep=2", "monitor.probe_every=30", "optim.lr=3e-3"];
    let (_, events) = place.run("run", false, &sets);
    let loss = |event: &Event| match event {
        Event::Step(scalars) => {
            scalars.values.iter().find(|(name, _)| *name == "loss").map(|&(_, loss)| loss)
        }
        _ => None,
    };
    let losses: Vec<f64> = events.iter().filter_map(loss).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&losses[100..]) < 0.9 * mean(&losses[..20]), "{losses:?}");
    let mut names: Vec<String> = std::fs::read_dir(place.path("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("step-"))
        .collect();
    names.sort();
    assert_eq!(names, ["step-00000080.safetensors", "step-00000120.safetensors"]);
}

#[test]
fn probes_need_labels_and_pretraining_none() {
    let place = TrainerFixture::new();
    let values = |events: &[Event]| {
        let probe = events.iter().find_map(|event| match event {
            Event::Probe(scalars) if scalars.step == 0 => {
                Some(scalars.values.iter().map(|&(name, _)| name).collect::<Vec<_>>())
            }
            _ => None,
        });
        let told = events.iter().find_map(|event| match event {
            Event::Header(text) => Some(text.clone()),
            _ => None,
        });
        (probe.unwrap(), told)
    };
    let monitors = ["rank", "position/encoder", "position/target", "cloud/encoder"];
    let (names, told) = values(&place.run("labelled", false, &[]).1);
    assert_eq!(names, [&monitors[..], &["probe/knn20", "random/knn20"]].concat());
    let held_out = |i: &usize| is_validation(&format!("s{i:03}"));
    let train: Vec<usize> = (0..23).chain(48..73).filter(|i| !held_out(i)).collect();
    let smallest = (0..4).map(|class| train.iter().filter(|&i| i % 4 == class).count()).min().unwrap();
    let text = format!("no probe/labels20: the smallest class has {smallest} training samples");
    assert_eq!(told, Some(text));
    let (names, told) = values(&place.run("unlabelled", false, &["data.split=unlabelled"]).1);
    assert_eq!(names, monitors);
    let text = "no online probe: it needs labels of two classes, found 0 in the training part of unlabelled (0 \
                labelled samples to classify)";
    assert_eq!(told.as_deref(), Some(text));
    assert!(!place.path("unlabelled").join("best.safetensors").exists());
    assert!(place.path("labelled").join("best.safetensors").exists());
}
