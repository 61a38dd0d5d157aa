//! One row group of a task: which objects it is made of, and how their outcomes become rows.

use jepa3d_schemas::{CatalogRow, EncodedRowGroup, RowGroupEncoder, Sample, View, WriteOptions};

use crate::error::Result;
use crate::outcome::{ObjectOutcome, PointsOutcome};
use crate::plan::ShardJob;
use crate::quarantine::QuarantineRow;
use crate::record::SampleViewsRow;
use crate::views::SampleViews;

/// A row group to be made: of the points of its objects, of their views, or of both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowGroupJob<'a> {
    pub job: ShardJob<'a>,
    /// Indices into the dataset.
    pub objects: &'a [usize],
    /// Whether the shards of the task are whole with it.
    pub is_last: bool,
}

/// Cuts the shards of `jobs` into row groups of `rows` objects.
pub(crate) fn cut_row_groups<'a>(jobs: &[ShardJob<'a>], rows: usize) -> Vec<RowGroupJob<'a>> {
    let mut groups = Vec::new();
    for &job in jobs {
        let last = job.task.objects.len().div_ceil(rows).saturating_sub(1);
        let cut = job.task.objects.chunks(rows).enumerate();
        groups.extend(cut.map(|(i, objects)| RowGroupJob { job, objects, is_last: i == last }));
    }
    groups
}

/// A row group ready to be appended.
pub(crate) struct FinishedRowGroup {
    pub points: Option<FinishedPoints>,
    pub views: Option<FinishedViews>,
}

/// A row group of points, and what it adds to the task's record.
pub(crate) struct FinishedPoints {
    pub encoded: EncodedRowGroup<Sample>,
    pub catalog: Vec<CatalogRow>,
    pub quarantine: Vec<QuarantineRow>,
}

/// A row group of views, and what it adds to the task's record.
pub(crate) struct FinishedViews {
    pub encoded: EncodedRowGroup<View>,
    /// Whether the points have such a row group: then the views have one too, even an empty one.
    pub has_samples: bool,
    pub rows: Vec<SampleViewsRow>,
    pub quarantine: Vec<QuarantineRow>,
}

/// Encoders of both tables; shared by all workers.
pub(crate) struct TableEncoders {
    points: RowGroupEncoder<Sample>,
    views: RowGroupEncoder<View>,
}

impl TableEncoders {
    pub(crate) fn new(options: WriteOptions) -> Self {
        Self { points: RowGroupEncoder::new(options), views: RowGroupEncoder::new(options) }
    }

    /// Encodes what became of the objects of a row group, in their order.
    pub(crate) fn encode(&self, job: ShardJob<'_>, outcomes: Vec<ObjectOutcome>) -> Result<FinishedRowGroup> {
        let (mut points, mut views) = (PointsColumns::default(), ViewsColumns::default());
        for outcome in outcomes {
            outcome.points.into_iter().for_each(|outcome| points.push(outcome));
            outcome.views.into_iter().for_each(|made| views.push(made));
        }
        let has_samples = !points.samples.is_empty() || !views.rows.is_empty();
        let points = job.points.then(|| points.encode(&self.points)).transpose()?;
        let views = job.views.then(|| views.encode(&self.views, has_samples)).transpose()?;
        Ok(FinishedRowGroup { points, views })
    }
}

#[derive(Default)]
struct PointsColumns {
    samples: Vec<Sample>,
    catalog: Vec<CatalogRow>,
    quarantine: Vec<QuarantineRow>,
}

impl PointsColumns {
    fn push(&mut self, outcome: PointsOutcome) {
        match outcome {
            PointsOutcome::Written(prepared) => {
                self.samples.push(prepared.sample);
                self.catalog.push(prepared.catalog);
            }
            PointsOutcome::Quarantined(object) => {
                self.quarantine.push(object.quarantine);
                self.catalog.push(object.catalog);
            }
        }
    }

    fn encode(self, encoder: &RowGroupEncoder<Sample>) -> Result<FinishedPoints> {
        let encoded = encoder.encode(&self.samples)?;
        Ok(FinishedPoints { encoded, catalog: self.catalog, quarantine: self.quarantine })
    }
}

#[derive(Default)]
struct ViewsColumns {
    views: Vec<View>,
    rows: Vec<SampleViewsRow>,
    quarantine: Vec<QuarantineRow>,
}

impl ViewsColumns {
    fn push(&mut self, made: SampleViews) {
        self.views.extend(made.views);
        self.rows.push(made.row);
        self.quarantine.extend(made.quarantine);
    }

    fn encode(self, encoder: &RowGroupEncoder<View>, has_samples: bool) -> Result<FinishedViews> {
        let encoded = encoder.encode(&self.views)?;
        Ok(FinishedViews { encoded, has_samples, rows: self.rows, quarantine: self.quarantine })
    }
}
