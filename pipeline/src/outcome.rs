//! What became of one object: a sample or a quarantine row, and views where they are wanted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use jepa3d_render::Subject;
use jepa3d_schemas::{CatalogRow, Object, Sample};

use crate::error::{Rejected, Result};
use crate::group::GroupScratch;
use crate::plan::{PreparePlan, ShardJob};
use crate::prepare::{PreparedSample, RawObject, prepare};
use crate::quarantine::QuarantineRow;
use crate::read::read_object;
use crate::views::{SampleViews, make_views};

/// Memory that a worker keeps from object to object.
#[derive(Default)]
pub(crate) struct ObjectScratch {
    group: GroupScratch,
    render: jepa3d_render::ViewScratch,
}

/// What became of an object.
pub(crate) struct ObjectOutcome {
    /// Absent where the points are stored already.
    pub points: Option<PointsOutcome>,
    /// Absent where none are wanted, or there is no sample to have any.
    pub views: Option<SampleViews>,
}

/// A sample, or why there is none.
pub(crate) enum PointsOutcome {
    Written(Box<PreparedSample>),
    Quarantined(Box<QuarantinedObject>),
}

/// What is written down of an object without a sample.
pub(crate) struct QuarantinedObject {
    pub quarantine: QuarantineRow,
    pub catalog: CatalogRow,
}

impl QuarantinedObject {
    /// `known` is what its row of the catalog says already.
    fn new(id: &str, split: &str, source: String, known: CatalogRow, rejected: Rejected) -> Self {
        let (id, split, status) = (id.to_owned(), split.to_owned(), rejected.stage.to_owned());
        let catalog = CatalogRow { id: id.clone(), split: split.clone(), status: status.clone(), ..known };
        let quarantine = QuarantineRow { id, split, source, stage: status, error: rejected.reason };
        Self { quarantine, catalog }
    }
}

impl ObjectOutcome {
    /// Whether the object is not, or not wholly, what was asked for.
    pub(crate) fn has_failed(&self) -> bool {
        let no_sample = matches!(self.points, Some(PointsOutcome::Quarantined(_)));
        no_sample || self.views.as_ref().is_some_and(|made| !made.quarantine.is_empty())
    }
}

/// Reads and prepares object `index`; whatever is wrong with it, panics included, concerns it alone.
///
/// # Errors
/// Fails if the machine does: what it fails at is no object's fault.
pub(crate) fn prepare_object(
    plan: &PreparePlan,
    job: ShardJob<'_>,
    index: usize,
    scratch: &mut ObjectScratch,
) -> Result<ObjectOutcome> {
    let (dataset, split) = (plan.dataset.as_ref(), job.task.split.as_str());
    let (id, source) = (dataset.id(index), dataset.source(index));
    let start = Instant::now();
    let read = read_object(plan, index)?;
    let mut known = CatalogRow::default();
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let object = read?;
        let read_ms = start.elapsed().as_secs_f64() * 1e3;
        let warnings = object.warnings.iter().map(ToString::to_string).collect();
        known = CatalogRow { read_ms, warnings, ..CatalogRow::default() };
        let raw = RawObject { object: &object, dataset: dataset.name(), source: &source, split, read_ms };
        let prepared = prepare(&raw, &plan.config, &mut scratch.group)?;
        Ok((object, prepared))
    }));
    let rejected = match attempt {
        Ok(Ok((object, prepared))) => {
            tell_warnings(&prepared.catalog.warnings, id, &source);
            let views = make_object_views(plan, job, &object, &prepared.sample, scratch)?;
            return Ok(ObjectOutcome { points: Some(PointsOutcome::Written(Box::new(prepared))), views });
        }
        Ok(Err(rejected)) => rejected,
        Err(panic) => {
            *scratch = ObjectScratch::default();
            Rejected::from_panic("reader", panic.as_ref())
        }
    };
    let object = QuarantinedObject::new(id, split, source, known, rejected);
    Ok(ObjectOutcome { points: Some(PointsOutcome::Quarantined(Box::new(object))), views: None })
}

/// Makes the views of object `index`, whose points are stored already as `sample`.
///
/// # Errors
/// Fails as [`prepare_object`] does.
pub(crate) fn add_views(
    plan: &PreparePlan,
    job: ShardJob<'_>,
    index: usize,
    sample: &Sample,
    scratch: &mut ObjectScratch,
) -> Result<ObjectOutcome> {
    let read = read_object(plan, index)?.map_err(|rejected| rejected.reason);
    let views = match read.and_then(|object| check_source(object, sample)) {
        Ok(object) => make_object_views(plan, job, &object, sample, scratch)?,
        Err(reason) => Some(SampleViews::none(sample, &job.task.split, reason)),
    };
    Ok(ObjectOutcome { points: None, views })
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

fn make_object_views(
    plan: &PreparePlan,
    job: ShardJob<'_>,
    object: &Object,
    sample: &Sample,
    scratch: &mut ObjectScratch,
) -> Result<Option<SampleViews>> {
    let Some(config) = plan.config.views.as_ref().filter(|_| job.views) else { return Ok(None) };
    let subject = Subject { object, sample, up: plan.dataset.up_axis(), seed: plan.config.run.seed };
    let made = make_views(&subject, config, &job.task.split, &mut scratch.render)?;
    tell_warnings(&made.row.counts.warnings, &sample.sample_id, &sample.source);
    Ok(Some(made))
}

fn tell_warnings(warnings: &[String], id: &str, source: &str) {
    for warning in warnings {
        tracing::debug!(id, source, "{warning}");
    }
}
