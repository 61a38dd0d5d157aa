//! What a run has to tell at its end: warnings by name, and objects that a setting would have kept.

use jepa3d_schemas::{CATALOG_FILE, CatalogRow, Manifest, read_catalog};

use crate::error::Result;
use crate::output_folder::OutputFolder;
use crate::plan::PreparePlan;
use crate::prepare::has_too_few;
use crate::quarantine::{QuarantineRow, read_quarantine};
use crate::record::{PointsRecord, ShardRecord, ViewsRecord};
use crate::request::PlanPart;
use crate::warnings::{WarningCounts, count_warnings};

/// What a run has to tell at its end.
#[derive(Default)]
pub(crate) struct Findings {
    /// Objects with a warning, by its name.
    pub warnings: WarningCounts,
    /// Objects that were quarantined for too few points.
    pub too_few: usize,
    /// Objects and views that are quarantined.
    pub failures: usize,
}

impl Findings {
    /// Of a complete dataset, from its catalog and quarantine; of some tasks, from their records.
    ///
    /// # Errors
    /// Fails if they cannot be read, or are not those that were written.
    pub(crate) fn collect(
        plan: &PreparePlan,
        folder: &OutputFolder,
        part: PlanPart,
        manifest: Option<&Manifest>,
    ) -> Result<Self> {
        match (manifest, part) {
            (Some(manifest), _) => Self::of_dataset(folder, manifest),
            (None, _) => Self::of_tasks(plan, folder, part),
        }
    }

    fn of_dataset(folder: &OutputFolder, manifest: &Manifest) -> Result<Self> {
        let mut catalog = read_catalog(&folder.out.join(CATALOG_FILE))?;
        if manifest.views.is_none() {
            // What the catalog says of views counts only if the manifest has any.
            catalog.iter_mut().for_each(|row| row.views = None);
        }
        Ok(Self::count(&catalog, &read_quarantine(&folder.out, manifest)?, manifest.failures()))
    }

    fn of_tasks(plan: &PreparePlan, folder: &OutputFolder, part: PlanPart) -> Result<Self> {
        let (mut catalog, mut quarantine, mut failures) = (Vec::new(), Vec::new(), 0);
        for task in part.numbers(plan.tasks.len()).map(|number| &plan.tasks[number]) {
            if let Some(points) = PointsRecord::read(folder, task, &plan.hash)? {
                failures += points.quarantine.len();
                catalog.extend(points.catalog);
                quarantine.extend(points.quarantine);
            }
            let Some(hash) = &plan.views_hash else { continue };
            let Some(views) = ViewsRecord::read(folder, task, hash)? else { continue };
            failures += views.quarantine.len();
            catalog.extend(views.rows.into_iter().map(|row| CatalogRow {
                id: row.id,
                views: Some(row.counts),
                ..CatalogRow::default()
            }));
        }
        Ok(Self::count(&catalog, &quarantine, failures))
    }

    fn count(catalog: &[CatalogRow], quarantine: &[QuarantineRow], failures: usize) -> Self {
        let too_few = quarantine.iter().filter(|row| has_too_few(row)).count();
        Self { warnings: count_warnings(catalog), too_few, failures }
    }
}
