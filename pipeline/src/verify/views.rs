//! A views shard against the points shard it belongs to: same samples, same order, same row groups.

use std::path::Path;

use jepa3d_schemas::{Manifest, RowGroup, ShardEntry, ShardReader, ViewGroup, ViewReader};

use super::view::check_row;
use super::{CheckedShard, check_bytes};
use crate::shard_footer::{PLAN_KEY, VIEWS_PLAN_KEY};

/// Checks a views shard, bytes first.
pub(super) fn check_views(
    folder: &Path,
    points: Option<&ShardEntry>,
    shard: &ShardEntry,
    manifest: &Manifest,
) -> CheckedShard {
    let mut checked = CheckedShard::default();
    let file = &shard.file;
    if let Err(what) = check_bytes(folder, shard) {
        checked.report(file, None, what);
        return checked;
    }
    match open(folder, points, shard) {
        Err(what) => checked.report(file, None, what),
        Ok((points, views)) => {
            check_footer(&views, shard, manifest, &mut |what| checked.report(file, None, what));
            for group in 0..views.row_groups() {
                check_group(&points, &views, group, file, &mut checked);
            }
        }
    }
    checked
}

fn open(
    folder: &Path,
    points: Option<&ShardEntry>,
    shard: &ShardEntry,
) -> Result<(ShardReader, ViewReader), String> {
    let name = |file: &str| file.split_once('/').map_or(String::new(), |(_, name)| name.to_owned());
    let points = points.filter(|points| name(&points.file) == name(&shard.file));
    let points = points.ok_or("expected a points shard of the same name, found none")?;
    if points.split != shard.split {
        return Err(format!(
            "split: expected {:?} as of {}, found {:?}",
            points.split, points.file, shard.split
        ));
    }
    let reader = ShardReader::open(&folder.join(&points.file)).map_err(|e| e.to_string())?;
    let views = ViewReader::open(&folder.join(&shard.file)).map_err(|e| e.to_string())?;
    match (reader.row_groups(), views.row_groups()) {
        (expected, found) if expected != found => {
            Err(format!("row groups: expected {expected} as in {}, found {found}", points.file))
        }
        _ => Ok((reader, views)),
    }
}

fn check_footer(views: &ViewReader, shard: &ShardEntry, manifest: &Manifest, report: &mut dyn FnMut(String)) {
    let expected = manifest.views.as_ref().map_or("", |views| &views.plan);
    for (key, expected) in [(PLAN_KEY, manifest.plan.as_str()), (VIEWS_PLAN_KEY, expected)] {
        let found = views.metadata().get(key).map_or("none", String::as_str);
        if found != expected {
            report(format!("{key}: expected {expected}, found {found}"));
        }
    }
    if views.rows() != shard.rows {
        report(format!("rows: expected {}, found {}", shard.rows, views.rows()));
    }
}

fn check_group(
    points: &ShardReader,
    views: &ViewReader,
    group: usize,
    file: &str,
    checked: &mut CheckedShard,
) {
    let samples = points.read_row_group(group, &["sample_id", "points"]);
    match samples.and_then(|samples| Ok((samples, views.read_row_group(group, &[])?))) {
        Err(error) => checked.report(file, None, error.to_string()),
        Ok((samples, rows)) => check_rows(&samples, &rows, file, checked),
    }
}

/// Walks through samples and views at once: the views of a sample follow each other, by number.
fn check_rows(samples: &RowGroup, rows: &ViewGroup, file: &str, checked: &mut CheckedShard) {
    let (Some(ids), Some(points)) = (&samples.sample_id, &samples.points) else { return };
    let (mut at, mut last) = (0, None);
    for row in 0..rows.rows {
        let Some(view) = rows.view(row) else {
            let what = format!("row {row} of a row group: expected a camera of 12 numbers, found others");
            checked.report(file, None, what);
            continue;
        };
        let id = view.sample_id.as_str();
        let here = ids[at..].iter().position(|other| other == id).map(|skipped| at + skipped);
        let Some(here) = here else {
            let what = "expected the samples of the points in their order, found this one".to_owned();
            checked.report(file, Some(id), what);
            continue;
        };
        if here == at && last.is_some_and(|last| last >= view.view) {
            let what = format!("view {}: expected ascending numbers, found it after {last:?}", view.view);
            checked.report(file, Some(id), what);
        }
        (at, last) = (here, Some(view.view));
        let cloud = points.row(here).map_or(&[][..], |row| row.as_chunks::<3>().0);
        if let Err(what) = check_row(&view, cloud) {
            checked.report(file, Some(id), format!("view {} ({}): {what}", view.view, view.name));
        }
        checked.correspondences += view.correspondences.len();
        *checked.views.entry(view.sample_id).or_default() += 1;
    }
}
