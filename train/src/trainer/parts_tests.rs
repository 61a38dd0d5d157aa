//! Batches in parts: the same bits on any number of processes, those of whole batches but for rounding, and an end for all if
//! one fails. Threads stand for processes.

use std::sync::atomic::AtomicBool;

use super::fixture::{DROPOUT, TrainerFixture};
use super::{Event, RunOutcome, Trainer};
use crate::metrics::Scalars;
use crate::parallel::thread_ranks_tests::join_threads;

const PARTS: &str = "parts=4";

/// Everything that couples samples.
const COUPLED: &[&str] = &[
    "masking.kind=region",
    "masking.target_ratio=[0.5, 0.5]",
    "model.calibrate=true",
    "target.depths=[0]",
    "target.norm=batch",
    "target.remove_position=true",
    "target.tokenizer=ema",
    "loss.variance=0.1",
    "loss.covariance=0.01",
    "loss.sigreg=0.1",
    "loss.pooled=0.5",
    "run.epochs=2",
    "whole.epochs=1",
    "data.patches_from=online",
    "data.sensor.points=[12, 20]",
    "optim.clip=0.5",
];

/// The last epoch's, of [`COUPLED`], with the blocks of the encoder.
const BLOCKS_TOO: &[&str] = &["whole.blocks_rate=0.5"];

/// The last epoch's, of [`COUPLED`], of a head that answers for what is made of turns.
const OF_TURNS: &[&str] = &["whole.answers=turns", "features.turns=4"];

impl TrainerFixture {
    /// A run of several processes to its end, with what the first told.
    #[track_caller]
    fn run_together(&self, out: &str, world: usize, sets: &[&str]) -> (RunOutcome, Vec<Event>) {
        let mut all = join_threads(world, |processes| {
            let mut trainer = Trainer::join(self.request(out, true, sets), processes).unwrap();
            let mut events = Vec::new();
            let ended = trainer.run(&AtomicBool::new(false), &mut |event| events.push(event)).unwrap();
            (ended, events)
        });
        let first = all.remove(0);
        assert!(all.iter().all(|(ended, events)| *ended == first.0 && events.is_empty()), "one tells");
        first
    }
}

fn losses(events: &[Event]) -> Vec<f64> {
    let loss = |event: &Event| match event {
        Event::Record(Scalars { values, .. }) => Some(values[0].1),
        _ => None,
    };
    events.iter().filter_map(loss).collect()
}

#[test]
fn bits_do_not_depend_on_the_processes() {
    let place = TrainerFixture::new();
    let accumulated = [DROPOUT, &["optim.batch=8", "optim.accumulate=2"]].concat();
    let variants = [
        ("plain", vec![]),
        ("coupled", [COUPLED, DROPOUT].concat()),
        ("blocks with the head", [COUPLED, DROPOUT, BLOCKS_TOO].concat()),
        ("head of turns", [COUPLED, OF_TURNS].concat()),
        ("accumulated", accumulated),
        ("blocks", vec!["masking.kind=fps-blocks", "predictor.kind=decoder", "run.precision=bf16"]),
    ];
    for (name, sets) in variants {
        let sets = [sets.as_slice(), &[PARTS]].concat();
        let alone = format!("{name} alone");
        assert_eq!(place.run(&alone, false, &sets).0, RunOutcome::Done);
        let want = place.result(&alone);
        for world in [2, 4] {
            let out = format!("{name} {world}");
            assert_eq!(place.run_together(&out, world, &sets).0, RunOutcome::Done);
            let found = place.result(&out);
            assert!(found == want, "{name}, {world} processes");
        }
    }
}

#[test]
fn parts_differ_from_whole_batches_by_rounding_alone() {
    let place = TrainerFixture::new();
    let (blocks, turns) = ([COUPLED, BLOCKS_TOO].concat(), [COUPLED, OF_TURNS].concat());
    let variants = [("plain", &[][..]), ("coupled", COUPLED), ("blocks", &blocks), ("turns", &turns)];
    for (name, sets) in variants {
        let whole = losses(&place.run(&format!("{name} whole"), false, sets).1);
        for parts in ["parts=2", "parts=4"] {
            let cut = losses(&place.run(&format!("{name} {parts}"), false, &[sets, &[parts]].concat()).1);
            let worst = whole.iter().zip(&cut).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
            assert!(whole.len() == 12 && cut.len() == 12 && worst < 1e-5, "{name}, {parts}: {worst}");
        }
    }
}

#[test]
fn a_run_is_continued_by_another_number_of_processes() {
    let place = TrainerFixture::new();
    let sets = [COUPLED, DROPOUT, &[PARTS]].concat();
    place.run("straight", false, &sets);
    for (world, steps) in [(4, 5), (1, 2), (2, 1)] {
        let stop = format!("run.stop_after={steps}");
        let (ended, events) = place.run_together("pieces", world, &[sets.as_slice(), &[&stop]].concat());
        assert_eq!(ended, RunOutcome::Stopped);
        assert!(matches!(events.last(), Some(Event::Checkpoint(_))));
    }
    assert_eq!(place.run_together("pieces", 2, &sets).0, RunOutcome::Done);
    assert!(place.result("pieces") == place.result("straight"));
    let Err(error) = place.trainer("pieces", true, &[COUPLED, DROPOUT].concat()) else {
        panic!("other parts")
    };
    assert!(error.to_string().contains("parts"), "{error}");
}

#[test]
fn an_error_of_one_process_ends_all_with_a_whole_checkpoint() {
    let place = TrainerFixture::new();
    place.run("run", false, &[PARTS, "run.stop_after=3"]);
    let before = place.result("run").0;
    let errors = join_threads(4, |processes| {
        let is_last = processes.rank() == 3;
        let mut trainer = Trainer::join(place.request("run", true, &[PARTS]), processes).unwrap();
        if is_last {
            // What a device would answer that is out of memory.
            let reason = "the device has no memory left";
            trainer.group.leave(Some(reason));
            return reason.to_owned();
        }
        trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap_err().to_string()
    });
    assert!(errors.iter().all(|error| error.contains("no memory left")), "{errors:?}");
    assert!(errors[0].contains("process 3 of 4"), "{errors:?}");
    assert!(place.result("run").0 == before, "the last checkpoint is whole");
    assert_eq!(place.run_together("run", 2, &[PARTS]).0, RunOutcome::Done);
}

#[test]
fn processes_that_differ_are_refused_by_all() {
    let place = TrainerFixture::new();
    let errors = join_threads(2, |processes| {
        let rate = if processes.rank() == 0 { "optim.lr=1e-3" } else { "optim.lr=2e-3" };
        Trainer::join(place.request("run", false, &["parts=2", rate]), processes).err().unwrap().to_string()
    });
    assert!(
        errors.iter().all(|error| error.contains("process 1: expected the config as in process 0")),
        "{errors:?}"
    );
    let errors = join_threads(2, |processes| {
        Trainer::join(place.request("other", false, &["parts=3"]), processes).err().unwrap().to_string()
    });
    assert!(
        errors.iter().all(|error| error.contains("parts: expected a multiple of the 2 processes")),
        "{errors:?}"
    );
}
