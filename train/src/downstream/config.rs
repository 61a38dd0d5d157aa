//! The config of a run that follows pretraining: one TOML a recipe, every default documented, `--set key=value` on top.

use jepa3d_schemas::{ConfigText, read_config};
use serde::{Deserialize, Serialize};

use super::label_budget::LabelBudget;
use super::segment_config::SegmentConfig;
use crate::config::{
    BoundedCount, DataConfig, OptimConfig, TrainRunConfig, check_amounts, check_optim_rates, check_rates,
    out_of_range,
};
use crate::encoder_part::is_of_encoder;
use crate::error::Result;
use crate::nn::Parameter;

/// Everything that decides a run that follows pretraining.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownstreamConfig {
    /// Name of the preset, for the run's header.
    pub preset: String,
    /// The `pretrain` preset whose architecture is trained with `--from scratch`.
    pub encoder: String,
    /// Seed, length, checkpoints.
    #[serde(default)]
    pub run: TrainRunConfig,
    /// What is asked of the run's length beyond `run`.
    #[serde(default)]
    pub length: LengthConfig,
    /// What the loader hands out; `groups`, `group_size` and `points` of 0 are those that the encoder learned with.
    #[serde(default)]
    pub data: DataConfig,
    /// Which samples are trained on, selected on, and judged.
    #[serde(default)]
    pub labels: LabelConfig,
    /// When the encoder is trained, and what is dropped in it.
    #[serde(default)]
    pub tuning: TuningConfig,
    /// What stands on the encoder.
    #[serde(default)]
    pub head: HeadConfig,
    /// How points are labelled; only `segment` reads it.
    #[serde(default)]
    pub segment: SegmentConfig,
    /// AdamW and its schedules.
    #[serde(default)]
    pub optim: OptimConfig,
    /// Several looks at every sample, reported beside the plain number.
    #[serde(default)]
    pub votes: VoteConfig,
}

/// The length of a run with few labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LengthConfig {
    /// A run of fewer steps is stretched to about so many: its epochs, the warm-up and the epoch from which the encoder is
    /// trained are multiplied by one factor. 0: never.
    pub min_steps: u64,
    /// Steps between printed lines.
    pub print_every: u64,
}

/// Which samples are trained on, selected on, and judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelConfig {
    /// `"all"`, a share of every class (`"5%"`, at least one sample), or a number of samples of every class (`"20"`); drawn by
    /// `run.seed`, fewer being some of more.
    pub budget: LabelBudget,
    /// Share of every class of the training part that is held out to select the best epoch on, by a fixed draw; with a budget
    /// nothing is selected, since it would need more labels than are trained on.
    pub selection: f64,
    /// Epochs between looks at the part that is selected on.
    pub select_every: u64,
    /// The split that is judged, once, at the end; empty: the fixed fifth of the training split (as `probe` takes it).
    pub test_split: String,
}

impl Default for LabelConfig {
    fn default() -> Self {
        Self { budget: LabelBudget::All, selection: 0.05, select_every: 5, test_split: String::new() }
    }
}

/// Which part of the encoder stays as it is until it is thawed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FrozenPart {
    /// The transformer; tokenizer and positions are trained from the start (the official recipe).
    Transformer,
    /// Everything but the head: features of a frozen encoder.
    Encoder,
}

/// When the encoder is trained, and what is dropped in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TuningConfig {
    /// What is frozen at first.
    pub frozen: FrozenPart,
    /// Epochs for which it is; `run.epochs` or more: always, 0: never.
    pub frozen_epochs: u64,
    /// Dropout after the projection and both layers of the MLPs.
    pub dropout: f64,
    /// Dropout of attention probabilities.
    pub attention_dropout: f64,
    /// Stochastic depth of the last block; linear from 0 at the first.
    pub drop_path: f64,
    /// Share of the learning rate at which the encoder learns where it does; below 1 it forgets less of what it has learned.
    #[serde(skip_serializing_if = "is_one")]
    pub encoder_rate: f64,
}

impl TuningConfig {
    /// The share of the learning rate at which a parameter learns.
    pub(super) fn rate_of(&self, p: &Parameter) -> f64 {
        if is_of_encoder(&p.name) { self.encoder_rate } else { 1.0 }
    }
}

/// Whether an encoder learns as fast as all else, which configs leave out.
fn is_one(share: &f64) -> bool {
    *share == 1.0
}

impl Default for TuningConfig {
    fn default() -> Self {
        Self {
            frozen: FrozenPart::Transformer,
            frozen_epochs: 0,
            dropout: 0.0,
            attention_dropout: 0.0,
            drop_path: 0.2,
            encoder_rate: 1.0,
        }
    }
}

/// What stands on the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadConfig {
    /// Numbers of both hidden layers.
    pub hidden: usize,
    /// Dropout after both.
    pub dropout: f64,
    /// Label smoothing of the cross entropy.
    pub smoothing: f64,
}

impl Default for HeadConfig {
    fn default() -> Self {
        Self { hidden: 256, dropout: 0.5, smoothing: 0.1 }
    }
}

/// Several looks at every sample, each grouped from a random start: the mean of their probabilities decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VoteConfig {
    /// Looks; 0: no votes.
    pub looks: usize,
    /// Seed of the starts.
    pub seed: u64,
}

impl Default for VoteConfig {
    fn default() -> Self {
        Self { looks: 10, seed: 0 }
    }
}

impl DownstreamConfig {
    /// The config of a text with `key=value` overrides.
    ///
    /// # Errors
    /// Fails if the text cannot be parsed, a key is unknown, or a value is out of range.
    pub fn parse(text: &ConfigText, overrides: &[String]) -> Result<Self> {
        let config: Self = read_config(Some(text), overrides, &|table| toml::Value::Table(table).try_into())?;
        config.check()?;
        Ok(config)
    }

    /// The resolved config as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a config serialises")
    }

    /// Checks that the numbers are in range.
    ///
    /// # Errors
    /// Fails if one is not; the error names key, expected and found.
    pub fn check(&self) -> Result<()> {
        self.run.check()?;
        let bounds = [
            BoundedCount::new("optim.batch", self.optim.batch, 2, 1 << 16),
            BoundedCount::new("optim.accumulate", self.optim.accumulate, 1, 1 << 12),
            BoundedCount::new("head.hidden", self.head.hidden, 1, 1 << 14),
            BoundedCount::new("labels.select_every", self.labels.select_every as usize, 1, 1 << 20),
            BoundedCount::new("votes.looks", self.votes.looks, 0, 1000),
            BoundedCount::new("data.threads", self.data.threads, 1, 256),
        ];
        bounds.iter().try_for_each(BoundedCount::check)?;
        if self.data.sensor.is_some() {
            return Err(out_of_range("data.sensor", "none: a classifier sees the clouds themselves", "one"));
        }
        let (t, h) = (&self.tuning, &self.head);
        if !(t.encoder_rate > 0.0 && t.encoder_rate <= 1.0) {
            let expected = "a share of 1 above 0 (tuning.frozen_epochs freezes)";
            return Err(out_of_range("tuning.encoder_rate", expected, t.encoder_rate));
        }
        check_rates(&[
            ("tuning.dropout", t.dropout),
            ("tuning.attention_dropout", t.attention_dropout),
            ("tuning.drop_path", t.drop_path),
            ("head.dropout", h.dropout),
            ("head.smoothing", h.smoothing),
            ("labels.selection", self.labels.selection),
        ])?;
        check_optim_rates(&self.optim)?;
        check_amounts(&self.optim)
    }
}
