//! Forced collapses are reported, end the run if asked to, and numbers that are not finite name step and checkpoint.

use candle_core::Tensor;

use super::fixture::{TrainerFixture, events_of};
use super::{Event, RunOutcome, Trainer};

/// Nothing moves but by rounding: what a test sets stays.
const FROZEN: &[&str] = &[
    "optim.lr=1e-12",
    "optim.lr_end=0",
    "optim.weight_decay=0",
    "ema.shape=linear",
    "ema.start=1",
    "ema.end=1",
    "monitor.patience=2",
];

fn set(trainer: &Trainer, name: &str, change: impl Fn(usize, f32) -> f32) {
    let p = trainer.parameters.get(name).unwrap_or_else(|| panic!("no parameter {name}"));
    let values: Vec<f32> = p.var.as_tensor().flatten_all().unwrap().to_vec1().unwrap();
    let values: Vec<f32> = values.into_iter().enumerate().map(|(i, x)| change(i, x)).collect();
    p.var.set(&Tensor::from_vec(values, p.var.shape(), p.var.device()).unwrap()).unwrap();
}

/// The alarms of a run whose parameters were changed before its first step, by the words they begin with.
fn alarms(out: &str, sets: &[&str], change: impl FnOnce(&mut Trainer)) -> Vec<String> {
    let place = TrainerFixture::new();
    let mut trainer = place.trainer(out, false, &[FROZEN, sets].concat()).unwrap();
    change(&mut trainer);
    let (ended, events) = events_of(&mut trainer).unwrap();
    assert_eq!(ended, RunOutcome::Done);
    let text = |event: Event| match event {
        Event::Alarm(text) => Some(text),
        _ => None,
    };
    events.into_iter().filter_map(text).collect()
}

#[track_caller]
fn one_alarm(alarms: &[String], text: &str) {
    let found = alarms.iter().filter(|alarm| alarm.contains(text)).count();
    assert_eq!(found, 1, "{text:?} once in {alarms:?}");
    assert!(
        alarms.iter().all(|alarm| alarm.starts_with("collapse: ") && alarm.ends_with("2 times in a row"))
    );
}

#[test]
fn a_healthy_start_raises_no_alarm() {
    // A tiny random encoder tells little but the position, and that is not what is tested here.
    let found = alarms("healthy", &["monitor.min_beyond_position=0", "monitor.max_cloud=1"], |_| {});
    assert_eq!(found, [""; 0]);
}

#[test]
fn constant_predictions_are_reported() {
    let found = alarms("predictions", &[], |trainer| {
        set(trainer, "predictor.predictor_proj.weight", |_, _| 0.0);
    });
    one_alarm(&found, "pred_std 0.0000 is below 0.01");
}

#[test]
fn constant_targets_are_reported() {
    // Tokens that are all alike, standardised over the batch: zero, not noise blown up.
    let sets = ["target.depths=[0]", "target.norm=batch", "target.tokenizer=ema"];
    let found = alarms("targets", &sets, |trainer| {
        set(trainer, "teacher.tokenizer.embedding.encoder.second_conv.3.weight", |_, _| 0.0);
    });
    one_alarm(&found, "target_std 0.0000 is below 0.1");
}

#[test]
fn constant_features_are_reported() {
    let found = alarms("features", &[], |trainer| {
        set(trainer, "student.norm.weight", |_, _| 0.0);
        set(trainer, "student.norm.bias", |i, _| i as f32);
    });
    one_alarm(&found, "effective rank 1.0 of 24 is below 1.2");
}

#[test]
fn features_of_the_cloud_alone_are_reported() {
    let found = alarms("cloud", &[], |trainer| {
        // Equal attention to all patches, and nothing of a patch itself beside it.
        set(trainer, "student.blocks.1.attn.qkv.weight", |i, x| if i < 2 * 12 * 12 { 0.0 } else { x });
        set(trainer, "student.blocks.1.attn.qkv.bias", |i, x| if i < 2 * 12 { 0.0 } else { x });
        set(trainer, "student.blocks.1.attn.proj.weight", |_, x| 1e4 * x);
    });
    one_alarm(&found, "of the output's variance lies between clouds, above 0.7");
}

#[test]
fn features_of_the_position_alone_are_reported() {
    let found = alarms("position", &[], |trainer| {
        trainer.evaluation.state.first_position = Some(0.5);
        // Tokens of nothing: what is left are the positions, which the target encoder passes on.
        for part in ["weight", "bias"] {
            set(trainer, &format!("tokenizer.embedding.encoder.second_conv.3.{part}"), |_, _| 0.0);
        }
        for block in 0..2 {
            for part in ["attn.proj", "mlp.fc2"] {
                set(trainer, &format!("teacher.ema_model.blocks.{block}.{part}.weight"), |_, _| 0.0);
            }
        }
    });
    one_alarm(&found, "of the target variance, below 0.250 (0.500 at the start)");
}

#[test]
fn a_collapse_ends_the_run_where_asked_to() {
    let place = TrainerFixture::new();
    let sets = [FROZEN, &["monitor.abort_on_collapse=true"]].concat();
    let mut trainer = place.trainer("run", false, &sets).unwrap();
    set(&trainer, "predictor.predictor_proj.weight", |_, _| 0.0);
    let (ended, events) = events_of(&mut trainer).unwrap();
    assert_eq!(ended, RunOutcome::Collapsed);
    assert_eq!(events.last(), Some(&Event::Checkpoint(2)), "patience is 2 steps");
    assert!(place.last("run").exists());
    // Without the wish it goes on from there.
    drop(trainer);
    assert_eq!(place.run("run", true, FROZEN).0, RunOutcome::Done);
}

#[test]
fn a_loss_that_is_not_finite_names_its_step_and_keeps_the_checkpoint() {
    let place = TrainerFixture::new();
    place.run("straight", false, &[]);
    place.run("run", false, &["run.stop_after=2"]);
    let kept = std::fs::read(place.last("run")).unwrap();
    let mut trainer = place.trainer("run", true, &["run.checkpoint_every=1"]).unwrap();
    set(&trainer, "student.norm.weight", |i, x| if i == 0 { f32::NAN } else { x });
    let error = events_of(&mut trainer).unwrap_err().to_string();
    assert_eq!(error, "step 3: the loss is NaN; the checkpoint of step 2 is the last good one");
    assert!(std::fs::read(place.last("run")).unwrap() == kept);
    drop(trainer);
    assert_eq!(place.run("run", true, &[]).0, RunOutcome::Done);
    assert!(place.result("run") == place.result("straight"));
}

#[test]
fn a_learning_rate_beyond_all_bounds_is_caught_before_any_checkpoint() {
    let place = TrainerFixture::new();
    let mut trainer = place.trainer("run", false, &["optim.lr=1e30", "optim.warmup_epochs=0"]).unwrap();
    let error = events_of(&mut trainer).unwrap_err().to_string();
    assert!(error.starts_with("step 2: the loss is "), "{error}");
    assert!(error.ends_with("; there is no checkpoint yet"), "{error}");
    assert!(!place.last("run").exists());
}
