//! Where things stand in the recording of a run: timelines, panes of scalars, entity paths.

use std::collections::BTreeSet;

use rerun::EntityPath;

use super::run::RunView;
use crate::rerun;

/// Timeline of the record.
pub(super) const STEP: &str = "step";
/// Timeline of the draws of masks.
pub(super) const DRAW: &str = "draw";

/// The pane of a scalar.
pub(super) fn pane(name: &str) -> &'static str {
    match name {
        "lr" | "tau" | "grad_norm" | "weight_decay" => "optimiser",
        "rank" => "rank",
        "samples_per_s" => "speed",
        "r2" => "loss",
        _ if name.starts_with("loss") => "loss",
        _ if name.ends_with("_std") => "std",
        _ if name.ends_with("_ms") => "speed",
        _ if name.starts_with("probe/") || name.starts_with("random/") => "probe",
        _ if name.starts_with("position/") || name.starts_with("cloud/") => "position",
        _ => "other",
    }
}

/// Path of a scalar.
pub(super) fn metric_path(name: &str) -> EntityPath {
    let pane = pane(name);
    let below = name.strip_prefix(pane).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
    let parts = ["metrics", pane].into_iter().chain(below.split('/'));
    EntityPath::new(parts.map(Into::into).collect())
}

/// Path of what is said about a cloud.
pub(super) fn cloud_path(what: &str, id: &str, below: &[&str]) -> EntityPath {
    let parts = [what, id].into_iter().chain(below.iter().copied());
    EntityPath::new(parts.map(Into::into).collect())
}

/// Names of all scalars.
pub(super) fn scalar_names(run: &RunView) -> BTreeSet<&str> {
    run.log.iter().flat_map(|entry| entry.values.keys().map(String::as_str)).collect()
}
