//! Objects of each class, by split.

use std::collections::BTreeMap;

use polars::prelude::*;
use serde::Serialize;

use super::frame;
use crate::error::Result;

/// Objects of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct ClassCounts {
    /// Class name, `None` for objects without one.
    pub category: Option<String>,
    /// Written objects of each split that has any.
    pub splits: BTreeMap<String, usize>,
    /// Written objects.
    pub written: usize,
    /// Share of all written objects, 0 to 1.
    pub share: f64,
    /// Objects that could not be prepared.
    pub quarantined: usize,
}

/// Counts the objects of each class, the largest class first, ties by name; a class of the
/// manifest without objects counts 0.
pub(super) fn count(objects: &DataFrame, classes: &[String]) -> Result<Vec<ClassCounts>> {
    let grouped = objects.group_by(["category", "split", "is_written"])?;
    let groups = grouped.get_groups();
    let mut by_class: BTreeMap<Option<String>, ClassCounts> = BTreeMap::new();
    for name in classes {
        by_class.entry(Some(name.clone())).or_default();
    }
    for group in groups.iter() {
        // A group is of one class, split and fate: its first row tells which.
        let row = group.first() as usize;
        let class = by_class.entry(frame::text(objects, "category", row)?).or_default();
        if objects.column("is_written")?.bool()?.get(row) == Some(true) {
            let split = frame::text(objects, "split", row)?.unwrap_or_default();
            *class.splits.entry(split).or_default() += group.len();
            class.written += group.len();
        } else {
            class.quarantined += group.len();
        }
    }
    let all: usize = by_class.values().map(|class| class.written).sum();
    let named = by_class.into_iter().map(|(category, class)| {
        let share = class.written as f64 / all.max(1) as f64;
        ClassCounts { category, share, ..class }
    });
    let mut sorted: Vec<ClassCounts> = named.collect();
    // Stable, and the map was in order of names.
    sorted.sort_by_key(|class| std::cmp::Reverse((class.written, class.quarantined)));
    Ok(sorted)
}
