//! The pretraining config: one TOML a preset, every default documented, `--set key=value` on top.

use std::path::Path;

use jepa3d_schemas::config_table;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Everything that decides a pretraining run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Name of the preset, for the run's header.
    pub preset: String,
    /// Seed, length, checkpoints.
    #[serde(default)]
    pub run: RunConfig,
    /// What the loader hands out.
    #[serde(default)]
    pub data: DataConfig,
    /// Tokenizer, positions, encoder.
    #[serde(default)]
    pub model: ModelConfig,
    /// The predictor.
    #[serde(default)]
    pub predictor: PredictorConfig,
    /// What is hidden and what is seen.
    #[serde(default)]
    pub masking: MaskingConfig,
    /// What is predicted.
    #[serde(default)]
    pub target: TargetConfig,
    /// How far prediction and target are apart.
    #[serde(default)]
    pub loss: LossConfig,
    /// AdamW and its schedules.
    #[serde(default)]
    pub optim: OptimConfig,
    /// Momentum of the target encoder.
    #[serde(default)]
    pub ema: EmaConfig,
    /// What is logged, and when the run is called collapsed.
    #[serde(default)]
    pub monitor: MonitorConfig,
}

/// Seed, length and checkpoints of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Of every random draw: initial weights, order, augmentation, masks, dropout.
    pub seed: u64,
    /// Epochs of the schedules and of the run.
    pub epochs: u64,
    /// Ends the run after this many steps (0: at the end of the last epoch); the schedules keep their length.
    pub max_steps: u64,
    /// This invocation writes a checkpoint and exits after so many steps of its own (0: never).
    pub stop_after: u64,
    /// Steps between checkpoints (0: one an epoch).
    pub checkpoint_every: u64,
    /// Checkpoints that are kept besides `last` and `best`.
    pub keep: usize,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self { seed: 1, epochs: 300, max_steps: 0, stop_after: 0, checkpoint_every: 0, keep: 0 }
    }
}

/// What the loader hands out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// The split that is trained on.
    pub split: String,
    /// Patches as they are stored, or grouped anew at every step.
    pub patches_from: crate::augment::PatchesFrom,
    /// `N`: points of a grouping that is made at every step.
    pub points: usize,
    /// `G`: patches of a sample.
    pub groups: usize,
    /// `K`: points of a patch.
    pub group_size: usize,
    /// Samples among which the order is shuffled freely.
    pub shuffle_buffer: usize,
    /// Loader threads; the batches do not depend on them.
    pub threads: usize,
    /// Batches that are ready ahead of time.
    pub prefetch: usize,
    /// Random motions of the clouds.
    pub augment: crate::augment::Augment,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            split: "train".into(),
            patches_from: crate::augment::PatchesFrom::Shard,
            points: 1024,
            groups: 64,
            group_size: 32,
            shuffle_buffer: 65_536,
            threads: 1,
            prefetch: 4,
            augment: crate::augment::Augment::default(),
        }
    }
}

/// Where positions come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// A learned MLP `3 -> 128 -> GELU -> D`.
    Mlp,
    /// Fixed sinusoids of each axis, wavelengths 0.1 to 4.
    Sinusoid,
}

/// Tokenizer, positions and encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Channels of the mini-PointNet: first, lifted, mixed.
    pub tokenizer: [usize; 3],
    /// `D`.
    pub width: usize,
    /// Transformer blocks.
    pub depth: usize,
    /// Attention heads; must divide the width.
    pub heads: usize,
    /// Where positions come from.
    pub positions: Positions,
    /// Positions are added before every block, or once at the input.
    pub positions_every_block: bool,
    /// Dropout after the projection and both layers of the MLP.
    pub dropout: f64,
    /// Dropout of attention probabilities.
    pub attention_dropout: f64,
    /// Stochastic depth of the last block; linear from 0 at the first.
    pub drop_path: f64,
    /// Sets the running statistics of the batch norms from the monitors' subset before step 1.
    pub calibrate: bool,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            tokenizer: [128, 256, 512],
            width: 384,
            depth: 12,
            heads: 6,
            positions: Positions::Mlp,
            positions_every_block: true,
            dropout: 0.0,
            attention_dropout: 0.0,
            drop_path: 0.0,
            calibrate: false,
        }
    }
}

/// The predictor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PredictorConfig {
    /// `P`.
    pub width: usize,
    /// Transformer blocks.
    pub depth: usize,
    /// Attention heads; must divide the width.
    pub heads: usize,
    /// As in the encoder.
    pub dropout: f64,
    /// As in the encoder.
    pub attention_dropout: f64,
    /// Stochastic depth, the same in every block.
    pub drop_path: f64,
}

impl Default for PredictorConfig {
    fn default() -> Self {
        Self { width: 192, depth: 6, heads: 6, dropout: 0.0, attention_dropout: 0.0, drop_path: 0.0 }
    }
}

/// How context and targets are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskKind {
    /// Contiguous runs of a greedy order, the same for all samples of a batch (Point-JEPA).
    Runs,
    /// Regions that grow from anchors, exact in number, drawn for every sample.
    Region,
    /// A uniform subset, exact in number, drawn for every sample.
    Random,
}

/// The order that runs are cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sequence {
    /// Starts at the least x + y + z, goes on to the nearest unvisited center.
    NearestMinStart,
    /// The same from center 0, the FPS start.
    NearestFromFirst,
    /// Morton order.
    Morton,
}

/// What is hidden and what is seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskingConfig {
    /// Runs, regions, or random subsets.
    pub kind: MaskKind,
    /// `runs`: the order.
    pub sequence: Sequence,
    /// `runs`: target blocks `M`; `region`: anchors.
    pub blocks: usize,
    /// `runs`: share of the patches in a target block; `region` and `random`: share that is hidden. Drawn once a batch.
    pub target_ratio: [f64; 2],
    /// `runs`: share of what is left that is seen. Drawn once a batch.
    pub context_ratio: [f64; 2],
}

impl Default for MaskingConfig {
    fn default() -> Self {
        Self {
            kind: MaskKind::Runs,
            sequence: Sequence::NearestMinStart,
            blocks: 4,
            target_ratio: [0.15, 0.20],
            context_ratio: [0.40, 0.75],
        }
    }
}

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// Latents of the target encoder.
    Latent,
    /// The coordinates of the hidden patches (a reconstruction baseline; no target encoder).
    Coordinates,
}

/// How vectors are brought to one scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Not at all.
    None,
    /// Layer norm without parameters: every vector has mean 0 and variance 1.
    Layer,
    /// Every channel has mean 0 and variance 1 over all patches of the batch.
    Batch,
}

/// Which tokenizer the target encoder reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetTokenizer {
    /// The online one, without gradient (the official recipe).
    Online,
    /// An EMA copy with the online running statistics. The online tokenizer then only sees the context.
    Ema,
}

/// The target and its normalisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetConfig {
    /// Latents or coordinates.
    pub kind: TargetKind,
    /// What is averaged: 0 are the tokens, `d` is the output of block `d`; empty: the last block.
    pub depths: Vec<usize>,
    /// Norm of each depth before the average; not used with one depth.
    pub each_norm: Norm,
    /// The target encoder's final norm is applied (only to the last block alone).
    pub final_norm: bool,
    /// Norm of the target.
    pub norm: Norm,
    /// Subtracts from the normed target what its position explains (ridge regression in the batch), and norms
    /// again: what can be said without having seen the shape is not asked for.
    pub remove_position: bool,
    /// Which tokenizer the target encoder reads from.
    pub tokenizer: TargetTokenizer,
}

impl Default for TargetConfig {
    fn default() -> Self {
        Self {
            kind: TargetKind::Latent,
            depths: Vec::new(),
            each_norm: Norm::Layer,
            final_norm: false,
            norm: Norm::Layer,
            remove_position: false,
            tokenizer: TargetTokenizer::Online,
        }
    }
}

/// How far prediction and target are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// Smooth L1, mean over elements.
    SmoothL1,
    /// Squared L2 norm over D, mean over tokens.
    SumDim,
    /// `sum-dim` / D.
    MeanElem,
}

/// The loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Which one.
    pub kind: LossKind,
    /// `smooth-l1`: where it becomes linear.
    pub beta: f64,
    /// Weight of the variance hinge on mean-pooled context features (VICReg, arXiv 2105.04906); 0: none.
    pub variance: f64,
    /// Standard deviation below which the hinge acts.
    pub variance_floor: f64,
    /// Weight of the squared covariances between channels of the same features; 0: none.
    pub covariance: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { kind: LossKind::SmoothL1, beta: 2.0, variance: 0.0, variance_floor: 0.5, covariance: 0.0 }
    }
}

/// AdamW and its schedules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimConfig {
    /// Samples of a step.
    pub batch: usize,
    /// Batches whose gradients are averaged into a step (batch norm sees each alone).
    pub accumulate: usize,
    /// Learning rate at the end of the warm-up.
    pub lr: f64,
    /// Learning rate of the first step.
    pub lr_start: f64,
    /// Learning rate at the end.
    pub lr_end: f64,
    /// Epochs of linear warm-up.
    pub warmup_epochs: f64,
    /// The learning rate changes at epochs only (the official recipe) or at every step.
    pub lr_per_epoch: bool,
    /// Decoupled weight decay at the start.
    pub weight_decay: f64,
    /// Weight decay at the end (cosine); negative: as at the start.
    pub weight_decay_end: f64,
    /// Weight decay of biases, norms and tokens too (the official recipe).
    pub decay_all: bool,
    /// Decay rates of the moments.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Largest norm of all gradients together; 0: no clipping.
    pub clip: f64,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            batch: 128,
            accumulate: 1,
            lr: 1e-3,
            lr_start: 1e-6,
            lr_end: 1e-6,
            warmup_epochs: 10.0,
            lr_per_epoch: false,
            weight_decay: 0.05,
            weight_decay_end: -1.0,
            decay_all: false,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            clip: 0.0,
        }
    }
}

/// How the momentum of the target encoder grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmaShape {
    /// Updates 1 and 2 copy, then linear from `start` to `end` (the official recipe).
    OfficialLinear,
    /// Linear.
    Linear,
    /// Half a cosine.
    Cosine,
}

/// Momentum of the target encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmaConfig {
    /// How it grows.
    pub shape: EmaShape,
    /// At the first update.
    pub start: f64,
    /// At the last.
    pub end: f64,
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self { shape: EmaShape::OfficialLinear, start: 0.9995, end: 0.99999 }
    }
}

/// Logging, the online probe and alarms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MonitorConfig {
    /// Steps between printed lines.
    pub print_every: u64,
    /// Epochs between online probes (0: never). The first is before step 1, the last at the end.
    pub probe_every: u64,
    /// Samples of the fixed subset that rank and position shares are measured on.
    pub subset: usize,
    /// Alarm: standard deviation of predictions below this.
    pub min_pred_std: f64,
    /// Alarm: standard deviation of targets below this.
    pub min_target_std: f64,
    /// Alarm: effective rank below this share of the width.
    pub min_rank: f64,
    /// Alarm: what position does not explain of the targets' variance falls below this share of what it was
    /// before step 1.
    pub min_beyond_position: f64,
    /// Alarm: share of the encoder output's variance that lies between clouds above this.
    pub max_cloud: f64,
    /// Alarms in a row that make a report.
    pub patience: u32,
    /// A reported collapse ends the run with exit code 1.
    pub abort_on_collapse: bool,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            print_every: 10,
            probe_every: 10,
            subset: 512,
            min_pred_std: 0.01,
            min_target_std: 0.1,
            min_rank: 0.05,
            min_beyond_position: 0.5,
            max_cloud: 0.7,
            patience: 3,
            abort_on_collapse: false,
        }
    }
}

impl PretrainConfig {
    /// Reads a config file and applies `key=value` overrides.
    ///
    /// # Errors
    /// Fails if the file cannot be read or parsed, a key is unknown, or a value is out of range.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        let table = config_table(Some(path), overrides)?;
        let config: Self = toml::Value::Table(table).try_into().map_err(|e: toml::de::Error| {
            Error::ConfigFile { path: path.to_owned(), reason: e.to_string().trim_end().to_owned() }
        })?;
        config.check()?;
        Ok(config)
    }

    /// The resolved config as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a config serialises")
    }

    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// Fails if one is out of range; the error names key, expected and found.
    pub fn check(&self) -> Result<()> {
        self.check_sizes()?;
        self.check_rates()?;
        self.check_target()
    }

    fn check_sizes(&self) -> Result<()> {
        let (d, m, p) = (&self.data, &self.model, &self.predictor);
        for (key, found, low, high) in [
            ("run.epochs", self.run.epochs as usize, 1, 1 << 20),
            ("data.groups", d.groups, 2, 1 << 16),
            ("data.group_size", d.group_size, 1, 1 << 12),
            ("data.threads", d.threads, 1, 256),
            ("model.width", m.width, 1, 1 << 14),
            ("model.depth", m.depth, 1, 256),
            ("predictor.width", p.width, 1, 1 << 14),
            ("predictor.depth", p.depth, 1, 256),
            ("masking.blocks", self.masking.blocks, 1, d.groups),
            ("optim.batch", self.optim.batch, 2, 1 << 16),
            ("optim.accumulate", self.optim.accumulate, 1, 1 << 12),
        ] {
            if !(low..=high).contains(&found) {
                return Err(out_of_range(key, format!("{low} to {high}"), found));
            }
        }
        for (key, width, heads) in [("model.heads", m.width, m.heads), ("predictor.heads", p.width, p.heads)]
        {
            if heads == 0 || !width.is_multiple_of(heads) {
                return Err(out_of_range(key, format!("a divisor of the width {width}"), heads));
            }
        }
        let widths = [m.width, p.width];
        if m.positions == Positions::Sinusoid && widths.iter().any(|w| !w.is_multiple_of(6)) {
            let found = format!("{} and {}", m.width, p.width);
            return Err(out_of_range("model.positions", "widths that 6 divides for sinusoids", found));
        }
        Ok(())
    }

    fn check_rates(&self) -> Result<()> {
        let (m, p, o) = (&self.model, &self.predictor, &self.optim);
        let rates = [
            ("model.dropout", m.dropout),
            ("model.attention_dropout", m.attention_dropout),
            ("model.drop_path", m.drop_path),
            ("predictor.dropout", p.dropout),
            ("predictor.attention_dropout", p.attention_dropout),
            ("predictor.drop_path", p.drop_path),
            ("optim.betas", o.betas[0]),
            ("optim.betas", o.betas[1]),
        ];
        for (key, found) in rates {
            if !(0.0..1.0).contains(&found) {
                return Err(out_of_range(key, "0 or more, below 1", found));
            }
        }
        for (key, [low, high]) in [
            ("masking.target_ratio", self.masking.target_ratio),
            ("masking.context_ratio", self.masking.context_ratio),
            ("ema.start, ema.end", [self.ema.start, self.ema.end]),
        ] {
            if !(0.0 <= low && low <= high && high <= 1.0) {
                return Err(out_of_range(key, "two ascending shares of 1", format!("[{low}, {high}]")));
            }
        }
        for (key, found) in [("optim.lr", o.lr), ("loss.beta", self.loss.beta)] {
            if !(found.is_finite() && found > 0.0) {
                return Err(out_of_range(key, "a positive number", found));
            }
        }
        Ok(())
    }

    fn check_target(&self) -> Result<()> {
        let (t, depth) = (&self.target, self.model.depth);
        if let Some(found) = t.depths.iter().find(|&&d| d > depth) {
            return Err(out_of_range("target.depths", format!("0 (tokens) to {depth}"), found));
        }
        if t.final_norm && !t.depths.is_empty() {
            return Err(out_of_range("target.final_norm", "false with target.depths", true));
        }
        if t.kind == TargetKind::Coordinates && t.tokenizer == TargetTokenizer::Ema {
            return Err(out_of_range("target.tokenizer", "online with target.kind = \"coordinates\"", "ema"));
        }
        Ok(())
    }
}

/// A setting that is out of range.
pub(crate) fn out_of_range(key: &str, expected: impl Into<String>, found: impl ToString) -> Error {
    Error::Config { key: key.into(), expected: expected.into(), found: found.to_string() }
}
