//! Clouds that are handed out to be shown: of the steps asked for, and without a trace in what is computed.

use super::Event;
use super::fixture::{DROPOUT, TrainerFixture, events_of};
use crate::request::PretrainRequest;
use crate::trained_samples::{SamplePlan, TrainedSamples};
use crate::trainer::Trainer;

#[test]
fn what_is_shown_changes_nothing_and_every_record_is_told() {
    let place = TrainerFixture::new();
    let sets = [DROPOUT, &["optim.batch=6", "optim.accumulate=2"]].concat();
    place.run("plain", false, &sets);
    let plan = SamplePlan { every: 5, clouds: 2 };
    let request = PretrainRequest { shown: Some(plan), ..place.request("shown", false, &sets) };
    let (_, events) = events_of(&mut Trainer::new(request).unwrap()).unwrap();
    let (want, found) = (place.result("plain"), place.result("shown"));
    assert!(found.0 == want.0, "other bytes");
    assert_eq!(found.1, want.1);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Record(_))).count(), 12);
    let shown: Vec<&TrainedSamples> = events
        .iter()
        .filter_map(|event| if let Event::Samples(samples) = event { Some(&**samples) } else { None })
        .collect();
    assert_eq!(shown.iter().map(|samples| samples.step).collect::<Vec<_>>(), [1, 5, 10]);
    for TrainedSamples { ids, patches, centers, masks, errors, .. } in shown {
        assert_eq!((ids.len(), patches.len(), centers.len()), (2, 2 * 6 * 5 * 3, 2 * 6 * 3));
        let masks = masks.as_ref().unwrap();
        assert_eq!(masks.context.len(), 2 * masks.context_len);
        let errors = errors.as_ref().unwrap();
        assert_eq!(errors.len(), 2 * masks.blocks * masks.target_len);
        assert!(errors.iter().all(|error| error.is_finite()));
    }
}
