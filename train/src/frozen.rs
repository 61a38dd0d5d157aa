//! A frozen encoder: from a run, or with the random weights that the same config starts from.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use jepa3d_loader::{Masks, PreparedDataset};
use jepa3d_probe::FeatureSet;
use jepa3d_schemas::{ConfigText, FeatureRows, write_features};

use crate::checkpoint::{Checkpoint, RunState, find_checkpoint, read};
use crate::config::{FeatureConfig, Method, Pooling, PretrainConfig, TargetKind};
use crate::device::open_device;
use crate::encoder_input::{FittedInput, InputOptions, LearnedInput};
use crate::error::{Error, Result};
use crate::features::{FeatureExtractor, place_patches};
use crate::models::{MaskedInput, PretrainModel, StepInput};
use crate::monitor::{MonitorSubset, SubsetSource};
use crate::nn::ForwardPass;
use crate::run_config::{CONFIG_FILE, read_run_config};
use crate::run_folder::find_differences;
use crate::stages::Stages;

/// An encoder that is only evaluated.
pub struct FrozenEncoder {
    model: PretrainModel,
    config: PretrainConfig,
    device: Device,
    source: String,
    step: Option<u64>,
    fingerprint: Option<String>,
    learned: LearnedInput,
    options: InputOptions,
    features: FeatureConfig,
    /// Of the run that it is from.
    stages: Option<Stages>,
}

/// The config of a checkpoint: that of the folder around it, which must be the one it was trained with.
pub(crate) fn find_config(
    file: &Path,
    state: Option<&RunState>,
    preset: Option<&PretrainConfig>,
) -> Result<PretrainConfig> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let beside = folder.join(CONFIG_FILE);
    let Some(state) = state else {
        let reason = format!(
            "the checkpoint says nothing of its architecture, and there is no {CONFIG_FILE} beside it: say it by --preset \
             NAME, the preset or .toml file that it is one of"
        );
        return match preset {
            Some(preset) => Ok(preset.clone()),
            None if beside.exists() => read_run_config(folder),
            None => Err(Error::RunFolder { path: file.to_owned(), reason }),
        };
    };
    if preset.is_some() {
        tracing::warn!("{}: --preset is not used: the checkpoint holds its config", file.display());
    }
    let origin = file.to_owned();
    let trained = PretrainConfig::parse(&ConfigText { origin, toml: state.config.clone() }, &[])?;
    if !beside.exists() || state.encoder_only {
        return Ok(trained);
    }
    let config = read_run_config(folder)?;
    let differences = find_differences(&trained.to_toml(), &config.to_toml());
    if differences.is_empty() {
        return Ok(config);
    }
    let expected = format!("the config that {} was trained with", file.display());
    Err(Error::Checkpoint { path: beside, expected, found: differences.join(", ") })
}

impl FrozenEncoder {
    /// Opens a run folder (its newest checkpoint), or a checkpoint inside one; the config is that of the folder, or else the
    /// one that the checkpoint was trained with. A checkpoint that does not say, because another tool made it, is read as one
    /// of `preset`, if there is one.
    ///
    /// # Errors
    /// Fails if there is no config or checkpoint, or they do not fit together or are not as they were written.
    pub fn open(path: &Path, preset: Option<&PretrainConfig>, device: &str) -> Result<Self> {
        let file = find_checkpoint(path)?;
        let checkpoint = read(&file)?;
        let config = find_config(&file, checkpoint.state.as_ref(), preset)?;
        let device = open_device(device)?;
        let (model, parameters) = PretrainModel::new(&config, &device)?;
        checkpoint.set(&file, &parameters)?;
        let Checkpoint { state, .. } = checkpoint;
        let step = state.as_ref().map(|state| state.step);
        let said = step.map_or("unknown".to_owned(), |step| step.to_string());
        let source = format!("{} after step {said}", file.display());
        let learned = LearnedInput::read(state.as_ref(), &config.data)?;
        let stages = state.as_ref().map(|state| Stages::new(&config, state.steps_per_epoch));
        let fingerprint = state.map(|state| state.fingerprint);
        let (options, features) = (InputOptions::default(), config.features);
        Ok(Self { model, config, device, source, step, fingerprint, learned, options, features, stages })
    }

    /// Random weights of a config and its seed, with the batch-norm statistics of the config's split of `dataset`.
    ///
    /// # Errors
    /// Fails if the dataset does not serve the model.
    pub fn random(
        config: &PretrainConfig,
        dataset: &Arc<PreparedDataset>,
        options: InputOptions,
        device: &str,
    ) -> Result<Self> {
        let device = open_device(device)?;
        let (model, _) = PretrainModel::new(config, &device)?;
        let learned = LearnedInput::read(None, &config.data)?;
        let (source, config, features) = (String::new(), config.clone(), config.features);
        let (step, fingerprint, stages) = (None, None, None);
        let drawn =
            Self { model, config, device, source, step, fingerprint, learned, options, features, stages };
        drawn.randomize(dataset, std::slice::from_ref(&drawn.config.data.split))
    }

    /// The same encoder, given clouds as `options` say.
    pub fn with_input(self, options: InputOptions) -> Self {
        Self { options, ..self }
    }

    /// The same encoder, whose features are made as `features` says instead of its config.
    ///
    /// # Errors
    /// Fails if a number is out of range, or the model has nothing to make them with.
    pub fn with_features(self, features: FeatureConfig) -> Result<Self> {
        features.check()?;
        self.config.check_features(&features)?;
        Ok(Self { features, ..self })
    }

    /// How its features are made.
    pub fn feature_config(&self) -> &FeatureConfig {
        &self.features
    }

    /// Random weights of the same config and seed, given clouds in the same way: what training started from. The running
    /// statistics of their batch norms are those of `monitor.subset` clouds of `splits` (none: all) of `dataset`, which
    /// should be the set that this encoder learned from, as its own statistics are of that.
    ///
    /// # Errors
    /// Fails if the dataset does not serve the model.
    pub fn randomize(&self, dataset: &Arc<PreparedDataset>, splits: &[String]) -> Result<Self> {
        let FittedInput { eval, .. } = self.fit(dataset)?;
        let (model, _) = PretrainModel::new(&self.config, &self.device)?;
        let splits: Vec<&str> = splits.iter().map(String::as_str).collect();
        let from = SubsetSource { dataset, splits: &splits, eval: &eval };
        let subset = MonitorSubset::read_from(&from, &self.config, &self.device)?;
        subset.calibrate(&model)?;
        let source = format!(
            "random weights of seed {}, batch-norm statistics of {} clouds of {}",
            self.config.run.seed,
            subset.clouds()?,
            dataset.folder().display()
        );
        Ok(Self {
            model,
            config: self.config.clone(),
            device: self.device.clone(),
            source,
            step: None,
            fingerprint: None,
            learned: self.learned.clone(),
            options: self.options,
            features: self.features,
            stages: None,
        })
    }

    /// The config it was built from.
    pub fn config(&self) -> &PretrainConfig {
        &self.config
    }

    /// Where its weights come from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Steps that it was trained for; none if it was not, or the checkpoint does not say.
    pub fn step(&self) -> Option<u64> {
        self.step
    }

    /// Fingerprint of the dataset it was trained on; none if it was not, or the checkpoint does not say.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// How wrong the prediction of every hidden patch is, as a share of the variance of the batch's targets: 0 is
    /// exact, 1 no better than their mean. As in training: batch statistics and dropout. `None` where
    /// coordinates or views are predicted.
    ///
    /// # Shapes
    /// `patches [B, G, K, 3]`, `centers [B, G, 3]` to `[B, M, L]`.
    ///
    /// # Errors
    /// Fails if a tensor operation does.
    pub fn patch_errors(&self, patches: &[f32], centers: &[f32], masks: &Masks) -> Result<Option<Vec<f32>>> {
        if self.config.target.kind == TargetKind::Coordinates || self.config.method != Method::Masked {
            return Ok(None);
        }
        let (g, k) = (self.config.data.groups, self.config.data.group_size);
        let b = centers.len() / 3 / g;
        let points = place_patches(patches, centers, (b, g, k, 3), &self.device)?;
        let input = StepInput::Masked(MaskedInput::plain(points, masks.clone()));
        let output = self.model.step(&input, &ForwardPass::new(0, false))?;
        Ok(Some(output.row_errors()?))
    }

    /// How the clouds of a dataset are read for it.
    pub(crate) fn fit(&self, dataset: &PreparedDataset) -> Result<FittedInput> {
        if let (Pooling::Whole, Some(stages), Some(step)) = (self.features.pooling, self.stages, self.step) {
            stages.check_head(Path::new(&self.source), step)?;
        }
        self.learned.fit(&self.config.data, dataset, self.options, self.features.outliers)
    }

    /// What of a dataset's clouds is changed for it, and what nobody knows, in words: nothing, as a rule.
    ///
    /// # Errors
    /// Fails if the dataset holds other groups than it learned from and they are not to be made afresh.
    pub fn describe_input(&self, dataset: &PreparedDataset) -> Result<Vec<String>> {
        Ok(self.fit(dataset)?.notes)
    }

    /// What makes features of it.
    pub(crate) fn extractor(&self) -> FeatureExtractor<'_> {
        let Self { model, config, device, features, .. } = self;
        FeatureExtractor { model, data: &config.data, device, features: *features }
    }

    /// Pooled features of every sample of `splits` (none: all splits), in stored order.
    ///
    /// # Errors
    /// Fails if a shard does, or the dataset holds other groups than it learned from and they are not to be made afresh.
    pub fn features(&self, dataset: &Arc<PreparedDataset>, splits: &[String]) -> Result<FeatureSet> {
        self.extractor().extract(dataset, splits, &self.fit(dataset)?.eval)
    }

    /// Writes features with what made them in the footer.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn write(&self, path: &Path, set: FeatureSet, dataset: &PreparedDataset) -> Result<()> {
        let category = |label: &Option<i32>| {
            label.and_then(|l| dataset.classes().get(usize::try_from(l).ok()?).cloned())
        };
        let rows = FeatureRows {
            categories: set.labels.iter().map(category).collect(),
            ids: set.ids,
            splits: set.splits,
            labels: set.labels,
            width: set.width,
            values: set.values,
        };
        let metadata = [
            ("jepa3d.pooling", self.features.describe()),
            ("jepa3d.encoder", self.source.clone()),
            ("jepa3d.fingerprint", dataset.fingerprint().to_owned()),
            ("jepa3d.config", self.config.to_toml()),
        ];
        let notes = self.describe_input(dataset)?.join("; ");
        let notes = (!notes.is_empty()).then_some(("jepa3d.input", notes));
        let metadata = metadata.into_iter().chain(notes).map(|(key, value)| (key.to_owned(), value));
        Ok(write_features(path, &rows, metadata.collect())?)
    }
}
