//! Catalog and quarantine of a prepared dataset against the rows of its shards.

use std::collections::BTreeMap;
use std::path::Path;

use jepa3d_schemas::{CATALOG_FILE, CatalogRow, MANIFEST_FILE, Manifest, read_catalog};

use super::DatasetProblem;
use crate::fingerprint::{Fingerprint, views_fingerprint};
use crate::prepare::WRITTEN;
use crate::quarantine::{QUARANTINE_FILE, read_quarantine};

/// What the shards hold.
#[derive(Default)]
pub(super) struct ShardContents {
    /// Split and id of every sample, in order.
    pub ids: Vec<(String, String)>,
    /// Views of every sample that has any.
    pub views: BTreeMap<String, u32>,
}

/// Catalog, quarantine and counts against the rows of the shards.
pub(super) fn check_tables(
    folder: &Path,
    manifest: &Manifest,
    found: &ShardContents,
    problems: &mut Vec<DatasetProblem>,
) {
    let mut report = |file: &str, what: String| {
        problems.push(DatasetProblem { file: file.to_owned(), sample: None, what });
    };
    match read_catalog(&folder.join(CATALOG_FILE)) {
        Err(error) => report(CATALOG_FILE, error.to_string()),
        Ok(catalog) => check_catalog(&catalog, manifest, found, &mut |what| report(CATALOG_FILE, what)),
    }
    match read_quarantine(folder, manifest) {
        Err(error) => report(QUARANTINE_FILE, error.to_string()),
        Ok(rows) => {
            let of_views = rows.iter().filter(|row| row.concerns_views()).count();
            let (expected, found) = (manifest.quarantined(), rows.len() - of_views);
            if expected != found {
                report(QUARANTINE_FILE, format!("rows: expected {expected}, found {found}"));
            }
            if let Some(views) = manifest.views.as_ref().filter(|views| views.failures != of_views) {
                let expected = views.failures;
                report(
                    QUARANTINE_FILE,
                    format!("rows of stage views: expected {expected}, found {of_views}"),
                );
            }
        }
    }
    if let Some(views) = &manifest.views {
        let (expected, found) = (views_fingerprint(&manifest.fingerprint, &views.plan), &views.fingerprint);
        if expected != *found {
            report(MANIFEST_FILE, format!("fingerprint of the views: expected {expected}, found {found}"));
        }
    }
}

fn check_catalog(
    catalog: &[CatalogRow],
    manifest: &Manifest,
    found: &ShardContents,
    report: &mut dyn FnMut(String),
) {
    let is_written = |row: &&CatalogRow| row.status == WRITTEN;
    let written = catalog.iter().filter(is_written).map(|r| (r.split.clone(), r.id.clone()));
    // With a broken shard the rows differ anyway, and that is reported already.
    if found.ids.len() == manifest.written() && !written.eq(found.ids.iter().cloned()) {
        report("expected the ids of the shards in their order, found others".to_owned());
    }
    let (expected, rows) = (manifest.written() + manifest.quarantined(), catalog.len());
    if expected != rows {
        report(format!("rows: expected {expected}, found {rows}"));
    }
    let mut fingerprint = Fingerprint::new(&manifest.plan);
    fingerprint.add(catalog);
    let (expected, hash) = (&manifest.fingerprint, fingerprint.finish());
    if *expected != hash {
        report(format!("fingerprint: expected {expected} (manifest), found {hash}"));
    }
    // The same for the views: a shard that could not be read is reported already.
    let all: u32 = found.views.values().sum();
    if manifest.views.as_ref().is_some_and(|views| views.rows() == all as usize) {
        for row in catalog.iter().filter(is_written) {
            let expected = found.views.get(&row.id).copied().unwrap_or(0);
            let listed = row.views.as_ref().map(|views| views.views);
            if listed != Some(expected) {
                report(format!("views of {}: expected {expected}, found {listed:?}", row.id));
            }
        }
    }
}
