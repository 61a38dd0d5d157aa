//! The probe along a run: what the labels of the training split allow, never an end to the run.
//!
//! Pretraining needs no labels, so too few of them leave lines of the record out, and the log says which and why.

use std::collections::BTreeMap;

use jepa3d_probe::{Extent, FeatureSet, ProbeConfig, is_validation, probe};

use crate::error::Result;

/// Of the lines of a probe the one that decides which checkpoint is the best.
pub(super) const DECIDES: &str = "probe/knn20";
/// Labels a class of the line `probe/labels20`.
const LABELS: usize = 20;

/// Accuracies, shares of 1, by the name they are logged under.
pub(crate) struct OnlineProbe {
    /// `probe/knn20`, `probe/labels20`.
    pub values: Vec<(&'static str, f64)>,
    /// Which lines are missing, and why.
    pub left_out: Option<String>,
}

impl OnlineProbe {
    /// Its lines in the record after `step` steps; before the first they are those of random weights as well.
    pub(super) fn record(&self, step: u64) -> Vec<(&'static str, f64)> {
        let random = self.values.iter().filter(|_| step == 0).map(|&(name, value)| match name {
            DECIDES => ("random/knn20", value),
            _ => ("random/labels20", value),
        });
        self.values.iter().copied().chain(random).collect()
    }
}

/// kNN-20 and 20 labels a class on the validation part of a split.
///
/// # Errors
/// Fails if a feature is not finite.
pub(crate) fn online_probe(features: &FeatureSet, split: &str) -> Result<OnlineProbe> {
    let (smallest, left_out) = match smallest_class(features, split) {
        Ok(smallest) if smallest < LABELS => {
            (smallest, Some(format!("no probe/labels20: the smallest class has {smallest} training samples")))
        }
        Ok(smallest) => (smallest, None),
        Err(reason) => return Ok(OnlineProbe { values: Vec::new(), left_out: Some(reason) }),
    };
    let label_counts = if smallest < LABELS { Vec::new() } else { vec![LABELS] };
    let extent = Extent::Light;
    let training_split = split.to_owned();
    let table = probe(features, &ProbeConfig { extent, training_split, label_counts, ..Default::default() })?;
    let names = [DECIDES, "probe/labels20"];
    let values = names.into_iter().zip(&table.lines).map(|(name, line)| (name, line.value / 100.0)).collect();
    Ok(OnlineProbe { values, left_out })
}

/// Samples of the smallest class of the training part, or why nothing can be probed.
fn smallest_class(features: &FeatureSet, split: &str) -> Result<usize, String> {
    let mut classes = BTreeMap::<i32, usize>::new();
    let mut queries = 0;
    for (i, label) in features.labels.iter().enumerate().filter(|&(i, _)| features.splits[i] == split) {
        match label {
            Some(_) if is_validation(&features.ids[i]) => queries += 1,
            Some(label) => *classes.entry(*label).or_default() += 1,
            None => {}
        }
    }
    match classes.values().min() {
        Some(&smallest) if classes.len() > 1 && queries > 0 => Ok(smallest),
        _ => Err(format!(
            "no online probe: it needs labels of two classes, found {} in the training part of {split} ({queries} \
             labelled samples to classify)",
            classes.len()
        )),
    }
}
