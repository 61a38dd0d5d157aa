//! When a run is called collapsed.
//!
//! The published guards watch standard deviations and rank. Targets can keep both and still become a function of a
//! patch's position, so the share of variance that position alone explains is watched too.

use std::collections::BTreeMap;

use super::step_measures::StepMeasures;
use super::subset::SubsetMeasures;
use crate::config::MonitorConfig;

/// Alarms that repeat.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarms(pub(crate) BTreeMap<String, u32>);

impl Alarms {
    /// Counts one observation; a message when the alarm has been on `patience` times in a row.
    fn count(&mut self, config: &MonitorConfig, name: &str, is_on: bool, text: String) -> Option<String> {
        let count = self.0.entry(name.to_owned()).or_default();
        *count = if is_on { *count + 1 } else { 0 };
        (*count == config.patience).then(|| format!("collapse: {text}, {count} times in a row"))
    }

    /// The guards of one logged step.
    pub(crate) fn check_step(&mut self, c: &MonitorConfig, m: &StepMeasures) -> Vec<String> {
        let low = |name: &str, value: f64, least: f64| format!("{name} {value:.4} is below {least}");
        [("pred_std", m.pred_std, c.min_pred_std), ("target_std", m.target_std, c.min_target_std)]
            .into_iter()
            .filter_map(|(name, value, least)| self.count(c, name, value < least, low(name, value, least)))
            .collect()
    }

    /// The guards of one evaluation; `first` is the position share of the targets before step 1.
    pub(crate) fn check_subset(
        &mut self,
        c: &MonitorConfig,
        m: &SubsetMeasures,
        first: Option<f64>,
    ) -> Vec<String> {
        let least = c.min_rank * m.width.min(m.clouds) as f64;
        let rank = format!("effective rank {:.1} of {} is below {least:.1}", m.rank, m.width);
        let mut messages: Vec<String> = self.count(c, "rank", m.rank < least, rank).into_iter().collect();
        if let (Some(share), Some(first)) = (m.position_target, first) {
            let least = c.min_beyond_position * (1.0 - first);
            let text = format!(
                "position leaves {:.3} of the target variance, below {least:.3} ({:.3} at the start)",
                1.0 - share,
                1.0 - first
            );
            messages.extend(self.count(c, "position", 1.0 - share < least, text));
        }
        if let Some(share) = m.cloud_encoder {
            let most = c.max_cloud;
            let text = format!("{share:.3} of the output's variance lies between clouds, above {most}");
            messages.extend(self.count(c, "cloud", share > most, text));
        }
        messages
    }
}
