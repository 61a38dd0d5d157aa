//! A host that has time of its own while a device computes makes the same run, in other hours.

use super::fixture::{DROPOUT, TrainerFixture};
use super::{Event, Trainer};
use crate::checkpoint::BEST_FILE;
use crate::error::Result;
use crate::request::PretrainRequest;
use crate::trained_samples::SamplePlan;

/// A run to its end, or to its error, with what it told.
fn run(place: &TrainerFixture, out: &str, works_ahead: bool, sets: &[&str]) -> (Result<()>, Vec<Event>) {
    let plan = SamplePlan { every: 5, clouds: 2 };
    let request = PretrainRequest { shown: Some(plan), ..place.request(out, false, sets) };
    let mut trainer = Trainer::new(request).unwrap();
    trainer.works_ahead = works_ahead;
    let mut events = Vec::new();
    let ended = trainer.run(&false.into(), &mut |event| events.push(event));
    (ended.map(|_| ()), events)
}

/// Step, ids and patches of the clouds that were handed out.
fn shown(events: Vec<Event>) -> Vec<(u64, Vec<String>, Vec<f32>)> {
    let shown = events.into_iter().filter_map(|event| match event {
        Event::Samples(samples) => Some((samples.step, samples.ids, samples.patches)),
        _ => None,
    });
    shown.collect()
}

#[test]
fn what_is_made_ahead_is_what_would_have_been() {
    let place = TrainerFixture::new();
    let cuts: [(&str, &[&str]); 4] = [
        ("whole", &[]),
        ("accumulated", &["optim.batch=4", "optim.accumulate=3"]),
        ("parts", &["parts=2"]),
        ("rarely-saved", &["run.checkpoint_seconds=1e6"]),
    ];
    for (name, more) in cuts {
        let sets = [DROPOUT, more].concat();
        let outs = [format!("{name}-asked"), format!("{name}-ahead")];
        let [want, found] = [0, 1].map(|ahead| {
            let (ended, events) = run(&place, &outs[ahead], ahead == 1, &sets);
            ended.unwrap();
            let best = std::fs::read(place.path(&outs[ahead]).join(BEST_FILE)).unwrap();
            (shown(events), place.result(&outs[ahead]), best)
        });
        assert_eq!(want.0.iter().map(|samples| samples.0).collect::<Vec<_>>(), [1, 5, 10], "{name}");
        assert!(found.0 == want.0, "{name}: other clouds are shown");
        assert!(found.1.0 == want.1.0, "{name}: another encoder");
        assert!(found.2 == want.2, "{name}: another best encoder");
        assert_eq!(found.1.1, want.1.1, "{name}");
    }
}

#[test]
fn an_evaluation_is_waited_for_after_a_hundred_steps() {
    let place = TrainerFixture::new();
    let sets = ["run.epochs=30", "monitor.probe_every=30", "run.checkpoint_seconds=1e6"];
    let (ended, events) = run(&place, "run", true, &sets);
    ended.unwrap();
    let mut told = Vec::new();
    for event in events {
        match event {
            Event::Probe(scalars) => told.push(("probe", scalars.step)),
            Event::Record(scalars) if [100, 101, 120].contains(&scalars.step) => {
                told.push(("step", scalars.step));
            }
            _ => {}
        }
    }
    assert_eq!(told, [("step", 100), ("probe", 0), ("step", 101), ("step", 120), ("probe", 120)]);
}

#[test]
fn an_error_leaves_no_line_of_the_record_behind() {
    let place = TrainerFixture::new();
    let lines = |out: &str, works_ahead: bool| {
        let (ended, _) = run(&place, out, works_ahead, &["optim.lr=1e30", "optim.warmup_epochs=0"]);
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("not finite") || error.contains("NaN"), "{error}");
        crate::metrics::read_metrics(&place.path(out)).unwrap()
    };
    let (want, found) = (lines("asked", false), lines("ahead", true));
    assert!(want.len() > 1, "{want:?}");
    let steps = |lines: &[crate::metrics::Logged]| lines.iter().map(|line| line.step).collect::<Vec<_>>();
    assert_eq!(steps(&found), steps(&want));
    assert!(found[0].values.contains_key("rank"), "{found:?}");
}
