//! The evaluation of a run every few epochs: monitors of the fixed subset, the online probe, the best step so far.

use std::sync::Arc;

use candle_core::Device;
use jepa3d_loader::PreparedDataset;

use super::alarms::Alarms;
use super::online_probe::online_probe;
use super::subset::MonitorSubset;
use crate::config::{FeatureConfig, PretrainConfig};
use crate::error::Result;
use crate::features::FeatureExtractor;
use crate::models::PretrainModel;

/// Of the lines of a probe the one that decides which checkpoint is the best.
const DECIDES: &str = "probe/knn20";

/// The best online probe so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BestProbe {
    pub step: u64,
    pub accuracy: f64,
}

/// What monitors remember from one evaluation to the next; a checkpoint holds it.
#[derive(Clone, Debug, Default)]
pub(crate) struct MonitorState {
    pub alarms: Alarms,
    /// Share of the target variance that position explained before step 1.
    pub first_position: Option<f64>,
    pub best: Option<BestProbe>,
}

/// What an evaluation found.
pub(crate) struct EvaluationRecord {
    /// Names and values, in the order in which they are recorded.
    pub values: Vec<(&'static str, f64)>,
    /// Alarms that were raised.
    pub alarms: Vec<String>,
    /// Which lines of the probe are missing and why; said before step 1 only.
    pub left_out: Option<String>,
    /// No step before was better.
    pub is_best: bool,
}

/// Evaluates the model of a run.
pub(crate) struct OnlineEvaluation {
    pub state: MonitorState,
    pub subset: MonitorSubset,
    config: PretrainConfig,
    dataset: Arc<PreparedDataset>,
    device: Device,
}

impl OnlineEvaluation {
    /// Reads the subset.
    ///
    /// # Errors
    /// Fails if a shard does.
    pub(crate) fn new(
        config: &PretrainConfig,
        dataset: &Arc<PreparedDataset>,
        device: &Device,
        state: MonitorState,
    ) -> Result<Self> {
        let subset = MonitorSubset::read(config, dataset, device)?;
        Ok(Self {
            state,
            subset,
            config: config.clone(),
            dataset: Arc::clone(dataset),
            device: device.clone(),
        })
    }

    /// Measures the subset and probes the model after `step` steps.
    ///
    /// # Errors
    /// Fails if a shard does, or a feature is not finite.
    pub(crate) fn evaluate(&mut self, model: &PretrainModel, step: u64) -> Result<EvaluationRecord> {
        let measures = self.subset.measure(model)?;
        let mut values = vec![("rank", measures.rank)];
        values.extend(measures.position_encoder.map(|share| ("position/encoder", share)));
        values.extend(measures.position_target.map(|share| ("position/target", share)));
        values.extend(measures.cloud_encoder.map(|share| ("cloud/encoder", share)));
        let mut alarms = Vec::new();
        if step == 0 {
            self.state.first_position = self.state.first_position.or(measures.position_target);
        } else {
            let first = self.state.first_position;
            alarms = self.state.alarms.check_subset(&self.config.monitor, &measures, first);
        }
        let left_out = self.probe(model, step, &mut values)?;
        let decisive = values.iter().find(|(name, _)| *name == DECIDES);
        let best = decisive.map(|&(_, accuracy)| BestProbe { step, accuracy });
        let is_better = |found: &BestProbe| self.state.best.is_none_or(|best| found.accuracy > best.accuracy);
        let best = best.filter(is_better);
        self.state.best = best.or(self.state.best);
        Ok(EvaluationRecord { values, alarms, left_out, is_best: best.is_some() })
    }

    /// Adds kNN-20 and few labels on the validation part, as far as there are labels, and which lines are missing.
    fn probe(
        &self,
        model: &PretrainModel,
        step: u64,
        values: &mut Vec<(&'static str, f64)>,
    ) -> Result<Option<String>> {
        let data = &self.config.data;
        let features = FeatureConfig::default();
        let extractor = FeatureExtractor { model, data, device: &self.device, features };
        let eval = data.eval_config(&self.dataset);
        let features = extractor.extract(&self.dataset, std::slice::from_ref(&data.split), &eval)?;
        let found = online_probe(&features, &data.split)?;
        values.extend(&found.values);
        if step > 0 {
            return Ok(None);
        }
        values.extend(found.values.iter().map(|&(name, value)| match name {
            DECIDES => ("random/knn20", value),
            _ => ("random/labels20", value),
        }));
        Ok(found.left_out)
    }
}
