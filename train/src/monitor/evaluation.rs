//! The evaluation of a run every few epochs: monitors of the fixed subset, the online probe, the best step so far.

use std::sync::Arc;

use candle_core::Device;
use jepa3d_loader::PreparedDataset;
use jepa3d_probe::FeatureSet;

use super::alarms::Alarms;
use super::online_probe::{DECIDES, OnlineProbe, online_probe};
use super::subset::{MonitorSubset, SubsetMeasures, SubsetOutputs};
use crate::config::{FeatureConfig, MonitorConfig, PretrainConfig};
use crate::error::Result;
use crate::features::FeatureExtractor;
use crate::models::PretrainModel;

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
    /// Steps after which it was made.
    pub step: u64,
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

    /// What the model makes of the subset and of the training split after `step` steps.
    ///
    /// # Errors
    /// Fails if a shard does.
    pub(crate) fn observe(&self, model: &PretrainModel, step: u64) -> Result<Observation> {
        let (data, split) = (&self.config.data, self.config.data.split.clone());
        let features = FeatureConfig::default();
        let extractor = FeatureExtractor { model, data, device: &self.device, features };
        let eval = data.eval_config(&self.dataset);
        let subset = self.subset.observe(model)?;
        let features = extractor.extract(&self.dataset, std::slice::from_ref(&split), &eval)?;
        Ok(Observation { step, split, subset, features })
    }
}

/// What an evaluation is made from, off any device: the run can go on while it is judged.
pub(crate) struct Observation {
    step: u64,
    split: String,
    subset: SubsetOutputs,
    features: FeatureSet,
}

impl Observation {
    /// Measures the subset, and probes: kNN-20 and few labels on the validation part, as far as there are labels.
    ///
    /// # Errors
    /// Fails if a feature is not finite.
    pub(crate) fn judge(&self) -> Result<JudgedEvaluation> {
        let measures = self.subset.measure()?;
        let probe = online_probe(&self.features, &self.split)?;
        Ok(JudgedEvaluation { step: self.step, measures, probe })
    }
}

/// What an evaluation found, before it is compared with others.
pub(crate) struct JudgedEvaluation {
    step: u64,
    measures: SubsetMeasures,
    probe: OnlineProbe,
}

impl JudgedEvaluation {
    /// Has `state` remember what was found, and says it.
    pub(crate) fn conclude(&self, state: &mut MonitorState, config: &MonitorConfig) -> EvaluationRecord {
        let Self { step, measures, probe } = self;
        let mut values = vec![("rank", measures.rank)];
        values.extend(measures.position_encoder.map(|share| ("position/encoder", share)));
        values.extend(measures.position_target.map(|share| ("position/target", share)));
        values.extend(measures.cloud_encoder.map(|share| ("cloud/encoder", share)));
        values.extend(probe.record(*step));
        let mut alarms = Vec::new();
        if *step == 0 {
            state.first_position = state.first_position.or(measures.position_target);
        } else {
            alarms = state.alarms.check_subset(config, measures, state.first_position);
        }
        let decisive = probe.values.iter().find(|(name, _)| *name == DECIDES);
        let best = decisive.map(|&(_, accuracy)| BestProbe { step: *step, accuracy });
        let best = best.filter(|found| state.best.is_none_or(|best| found.accuracy > best.accuracy));
        state.best = best.or(state.best);
        let left_out = probe.left_out.clone().filter(|_| *step == 0);
        EvaluationRecord { step: *step, values, alarms, left_out, is_best: best.is_some() }
    }
}
