//! What became of one object: a sample or a quarantine row, and views where they are wanted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use jepa3d_render::Subject;
use jepa3d_schemas::{CatalogRow, Object, Sample};

use crate::error::Rejected;
use crate::group;
use crate::plan::{Job, Plan};
use crate::prepare::{Prepared, prepare};
use crate::record::QuarantineRow;
use crate::views::{SampleViews, make_views};

/// Memory that a worker keeps from object to object.
#[derive(Default)]
pub(crate) struct Scratch {
    group: group::Scratch,
    render: jepa3d_render::ViewScratch,
}

/// What became of an object.
pub(crate) struct Outcome {
    /// Absent where the points are stored already.
    pub points: Option<Points>,
    /// Absent where none are wanted, or there is no sample to have any.
    pub views: Option<SampleViews>,
}

/// A sample, or why there is none.
pub(crate) enum Points {
    Written(Box<Prepared>),
    Quarantined(Box<(QuarantineRow, CatalogRow)>),
}

impl Outcome {
    /// Whether the object is not, or not wholly, what was asked for.
    pub(crate) fn has_failed(&self) -> bool {
        let no_sample = matches!(self.points, Some(Points::Quarantined(_)));
        no_sample || self.views.as_ref().is_some_and(|made| !made.quarantine.is_empty())
    }
}

/// Reads and prepares object `index`; whatever goes wrong, panics included, concerns it alone.
pub(crate) fn prepared(plan: &Plan, job: Job<'_>, index: usize, scratch: &mut Scratch) -> Outcome {
    let (id, source) = (plan.dataset.id(index), plan.dataset.source(index));
    let start = Instant::now();
    let mut read_ms = 0.0;
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let object = plan.dataset.get(index).map_err(|e| Rejected::new("read", e.to_string()))?;
        read_ms = start.elapsed().as_secs_f64() * 1e3;
        let prepared =
            prepare(&object, plan.dataset.name(), source.clone(), &plan.config, &mut scratch.group)?;
        Ok((object, prepared))
    }));
    let split = &job.task.split;
    let rejected = match attempt {
        Ok(Ok((object, mut prepared))) => {
            tell_warnings(&prepared.warnings, id, &source);
            prepared.catalog.split = split.clone();
            prepared.catalog.read_ms = read_ms;
            let views = views_of(plan, job, (&object, &prepared.sample), scratch);
            return Outcome { points: Some(Points::Written(Box::new(prepared))), views };
        }
        Ok(Err(rejected)) => rejected,
        Err(panic) => {
            *scratch = Scratch::default();
            Rejected::from_panic("reader", panic.as_ref())
        }
    };
    let (id, status) = (id.to_owned(), rejected.stage.to_owned());
    let catalog = CatalogRow {
        id: id.clone(),
        split: split.clone(),
        status: status.clone(),
        read_ms,
        ..CatalogRow::default()
    };
    let row = QuarantineRow { id, split: split.clone(), source, stage: status, error: rejected.reason };
    Outcome { points: Some(Points::Quarantined(Box::new((row, catalog)))), views: None }
}

/// Makes the views of a sample whose points are stored already.
pub(crate) fn added(
    plan: &Plan,
    job: Job<'_>,
    (index, sample): (usize, &Sample),
    scratch: &mut Scratch,
) -> Outcome {
    let read = catch_unwind(AssertUnwindSafe(|| plan.dataset.get(index)));
    let object = match read {
        Ok(Ok(object)) => check_source(object, sample),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(Rejected::from_panic("reader", panic.as_ref()).reason),
    };
    let views = match object {
        Ok(object) => views_of(plan, job, (&object, sample), scratch),
        Err(reason) => Some(SampleViews::none(sample, &job.task.split, reason)),
    };
    Outcome { points: None, views }
}

/// Refuses a source that is not the one the stored points came from.
fn check_source(object: Object, sample: &Sample) -> Result<Object, String> {
    if object.source_hash == sample.source_hash {
        return Ok(object);
    }
    Err(format!(
        "{}: source hash: expected {} (of the stored points), found {}",
        sample.source, sample.source_hash, object.source_hash
    ))
}

fn views_of(
    plan: &Plan,
    job: Job<'_>,
    (object, sample): (&Object, &Sample),
    scratch: &mut Scratch,
) -> Option<SampleViews> {
    let config = plan.config.views.as_ref().filter(|_| job.views)?;
    let subject = Subject { object, sample, up: plan.dataset.up_axis(), seed: plan.config.run.seed };
    let (made, warnings) = make_views(&subject, config, &job.task.split, &mut scratch.render);
    tell_warnings(&warnings, &sample.sample_id, &sample.source);
    Some(made)
}

fn tell_warnings(warnings: &[String], id: &str, source: &str) {
    for warning in warnings {
        tracing::debug!(id, source, "{warning}");
    }
}
