//! The pretraining config: one TOML a preset, every default documented, `--set key=value` on top.

mod cross;
mod data;
mod features;
mod grouping;
mod hybrid;
mod model;
mod optim;
mod range;
mod run;
mod task;
mod terms;

use std::path::Path;

use jepa3d_loader::{LoaderConfig, MaskingConfig};
use jepa3d_schemas::{ConfigText, read_config};
use serde::{Deserialize, Serialize};

use crate::error::Result;

pub use cross::{CrossConfig, Method, TeacherConfig};
pub(crate) use data::BatchPlan;
pub use data::DataConfig;
pub use features::{FeatureConfig, OverTurns, Pooling};
pub(crate) use grouping::GroupLetters;
pub use hybrid::HybridConfig;
pub use model::{ModelConfig, PositionKind, PredictorConfig, PredictorKind};
pub use optim::{EmaConfig, EmaShape, OptimConfig};
pub(crate) use optim::{check_amounts, check_optim_rates};
pub(crate) use range::{BoundedCount, check_rates, out_of_range};
pub use run::{MonitorConfig, ProductPrecision, TrainRunConfig};
pub use task::{
    LossConfig, LossKind, TargetConfig, TargetKind, TargetNorm, TargetTokenizer, WholeAnswers, WholeConfig,
};

/// Everything that decides a pretraining run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Name of the preset, for the run's header.
    pub preset: String,
    /// Which model is trained.
    #[serde(default = "masked")]
    pub method: Method,
    /// Equal parts of every batch that pass the model at once, and whose sums are added in their order: a run has the same bits on
    /// any number of processes that divides it. Left out: 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub parts: usize,
    /// Seed, length, checkpoints.
    #[serde(default)]
    pub run: TrainRunConfig,
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
    /// A head that answers for the whole cloud.
    #[serde(default, skip_serializing_if = "WholeConfig::is_plain")]
    pub whole: WholeConfig,
    /// Cached embeddings of views.
    #[serde(default)]
    pub teacher: TeacherConfig,
    /// What is said about a view.
    #[serde(default)]
    pub cross: CrossConfig,
    /// Views as the model reads them, and the two terms of the loss.
    #[serde(default)]
    pub hybrid: HybridConfig,
    /// AdamW and its schedules.
    #[serde(default)]
    pub optim: OptimConfig,
    /// Momentum of the target encoder.
    #[serde(default)]
    pub ema: EmaConfig,
    /// What is logged, and when the run is called collapsed.
    #[serde(default)]
    pub monitor: MonitorConfig,
    /// How tokens become one vector of a cloud.
    #[serde(default, skip_serializing_if = "FeatureConfig::is_plain")]
    pub features: FeatureConfig,
}

fn masked() -> Method {
    Method::Masked
}

fn one() -> usize {
    1
}

/// Whether batches stay whole, which configs leave out.
fn is_one(parts: &usize) -> bool {
    *parts == 1
}

impl PretrainConfig {
    /// Reads a config file and applies `key=value` overrides.
    ///
    /// # Errors
    /// Fails if the file cannot be read, and as [`PretrainConfig::parse`] does.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        Self::parse(&ConfigText::read(path)?, overrides)
    }

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

    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// Fails if one is out of range; the error names key, expected and found.
    pub fn check(&self) -> Result<()> {
        self.check_sizes()?;
        self.check_rates()?;
        self.features.check()?;
        self.check_whole()?;
        self.check_target()
    }

    /// What the loader is asked for in training.
    pub fn loader_config(&self) -> LoaderConfig {
        let views = (self.method == Method::Hybrid).then(|| self.hybrid.view());
        let plan = BatchPlan { batch: self.optim.batch, seed: self.run.seed, views, samples: None };
        let mut config = self.data.loader_config(plan);
        if let Some(sensor) = &mut config.sensor {
            sensor.one_sided = self.whole.one_sided;
            sensor.one_sided_from = if self.whole.is_there() { self.run.epochs } else { u64::MAX };
        }
        config
    }

    fn check_sizes(&self) -> Result<()> {
        self.run.check()?;
        let (d, m, p) = (&self.data, &self.model, &self.predictor);
        let bounds = [
            BoundedCount::new("data.groups", d.groups, 2, 1 << 16),
            BoundedCount::new("data.group_size", d.group_size, 1, 1 << 12),
            BoundedCount::new("data.threads", d.threads, 0, 256),
            BoundedCount::new("data.repeat", d.repeat, 1, 1 << 20),
            BoundedCount::new("model.width", m.width, 1, 1 << 14),
            BoundedCount::new("model.depth", m.depth, 1, 256),
            BoundedCount::new("model.tokenizer", m.tokenizer.into_iter().min().unwrap_or(0), 1, 1 << 14),
            BoundedCount::new("predictor.width", p.width, 1, 1 << 14),
            BoundedCount::new("predictor.depth", p.depth, 1, 256),
            BoundedCount::new("masking.blocks", self.masking.blocks, 1, d.groups),
            BoundedCount::new("optim.batch", self.optim.batch, 2, 1 << 16),
            BoundedCount::new("parts", self.parts, 1, self.optim.batch),
            BoundedCount::new("optim.accumulate", self.optim.accumulate, 1, 1 << 12),
            BoundedCount::new("monitor.subset", self.monitor.subset, 4, 1 << 20),
            BoundedCount::new("monitor.patience", self.monitor.patience as usize, 1, 1 << 20),
        ];
        bounds.iter().try_for_each(BoundedCount::check)?;
        if !self.optim.batch.is_multiple_of(self.parts) {
            let expected = format!("a divisor of optim.batch = {}", self.optim.batch);
            return Err(out_of_range("parts", expected, self.parts));
        }
        for (key, width, heads) in [("model.heads", m.width, m.heads), ("predictor.heads", p.width, p.heads)]
        {
            if heads == 0 || !width.is_multiple_of(heads) {
                return Err(out_of_range(key, format!("a divisor of the width {width}"), heads));
            }
        }
        let widths = [m.width, p.width];
        if m.positions == PositionKind::Sinusoid && widths.iter().any(|w| !w.is_multiple_of(6)) {
            let found = format!("{} and {}", m.width, p.width);
            return Err(out_of_range("model.positions", "widths that 6 divides for sinusoids", found));
        }
        Ok(())
    }

    fn check_rates(&self) -> Result<()> {
        check_optim_rates(&self.optim)?;
        let (m, p) = (&self.model, &self.predictor);
        let rates = [
            ("model.dropout", m.dropout),
            ("model.attention_dropout", m.attention_dropout),
            ("model.drop_path", m.drop_path),
            ("predictor.dropout", p.dropout),
            ("predictor.attention_dropout", p.attention_dropout),
            ("predictor.drop_path", p.drop_path),
        ];
        check_rates(&rates)?;
        for (key, [low, high]) in [
            ("masking.target_ratio", self.masking.target_ratio),
            ("masking.context_ratio", self.masking.context_ratio),
            ("ema.start, ema.end", [self.ema.start, self.ema.end]),
        ] {
            if !(0.0 <= low && low <= high && high <= 1.0) {
                return Err(out_of_range(key, "two ascending shares of 1", format!("[{low}, {high}]")));
            }
        }
        let [shortest, longest] = m.wavelengths;
        if !(shortest > 0.0 && shortest <= longest && longest.is_finite()) {
            let found = format!("[{shortest}, {longest}]");
            return Err(out_of_range("model.wavelengths", "two ascending positive lengths", found));
        }
        let drops = [p.dropout, p.attention_dropout, p.drop_path];
        if let (PredictorKind::Decoder, Some(found)) = (p.kind, drops.into_iter().find(|&rate| rate > 0.0)) {
            return Err(out_of_range("predictor.dropout", "0, as all rates of a decoder", found));
        }
        check_amounts(&self.optim)?;
        if let Some(sensor) = &self.data.sensor {
            sensor.check(self.data.patches_from, self.data.subset)?;
        }
        self.check_loss()
    }

    fn check_target(&self) -> Result<()> {
        match self.method {
            Method::Cross => return self.check_cross(),
            Method::Hybrid => self.check_hybrid()?,
            Method::Masked if self.cross.weight > 0.0 => self.check_views()?,
            Method::Masked => {}
        }
        let (t, depth) = (&self.target, self.model.depth);
        if let Some(found) = t.depths.iter().find(|&&d| d > depth) {
            return Err(out_of_range("target.depths", format!("0 (tokens) to {depth}"), found));
        }
        if t.final_norm && !t.depths.is_empty() {
            return Err(out_of_range("target.final_norm", "false with target.depths", true));
        }
        if self.data.sensor.is_some() && self.method == Method::Hybrid {
            return Err(out_of_range("data.sensor", "none with method = \"hybrid\"", "one"));
        }
        if self.data.sensor.is_some() && t.tokenizer != TargetTokenizer::Ema {
            let expected = "ema with data.sensor: the online tokenizer sees the context alone";
            return Err(out_of_range("target.tokenizer", expected, "online"));
        }
        if t.kind == TargetKind::Coordinates && t.tokenizer == TargetTokenizer::Ema {
            return Err(out_of_range("target.tokenizer", "online with target.kind = \"coordinates\"", "ema"));
        }
        Ok(())
    }

    fn check_cross(&self) -> Result<()> {
        if self.predictor.kind != PredictorKind::Joint {
            return Err(out_of_range("predictor.kind", "joint with method = \"cross\"", "decoder"));
        }
        if self.target.kind != TargetKind::Latent || self.target.remove_position {
            let expected = "latent targets without remove_position with method = \"cross\"";
            return Err(out_of_range("target", expected, "others"));
        }
        self.check_views()
    }

    /// What is said about views of a teacher, whose cameras turn with a cloud.
    fn check_views(&self) -> Result<()> {
        for (key, found) in [("teacher.width", self.teacher.width), ("cross.views", self.cross.views)] {
            if !(1..=1 << 14).contains(&found) {
                return Err(out_of_range(key, "1 to 16384", found));
            }
        }
        Ok(self.data.augment.check_beside_teacher()?)
    }

    fn check_hybrid(&self) -> Result<()> {
        let (h, m, p) = (&self.hybrid, &self.model, &self.predictor);
        if h.image_patch == 0 || h.image_size == 0 || !h.image_size.is_multiple_of(h.image_patch) {
            let found = format!("{} of {}", h.image_patch, h.image_size);
            return Err(out_of_range("hybrid.image_patch", "a divisor of hybrid.image_size", found));
        }
        if let Some(found) = [m.width, p.width].into_iter().find(|width| !width.is_multiple_of(4)) {
            return Err(out_of_range(
                "model.width, predictor.width",
                "multiples of 4 for image tokens",
                found,
            ));
        }
        if !(1..=1 << 14).contains(&h.queries) {
            return Err(out_of_range("hybrid.queries", "1 to 16384", h.queries));
        }
        if !(h.visible > 0.0 && h.visible <= 1.0) {
            return Err(out_of_range("hybrid.visible", "above 0, at most 1", h.visible));
        }
        if !(h.local.is_finite() && h.local > 0.0) {
            let expected = "a positive number: the point tokenizer learns from the local term alone";
            return Err(out_of_range("hybrid.local", expected, h.local));
        }
        for (key, is_right, expected) in [
            ("predictor.kind", p.kind == PredictorKind::Joint, "joint with method = \"hybrid\""),
            ("target.kind", self.target.kind == TargetKind::Latent, "latent with method = \"hybrid\""),
            (
                "target.tokenizer",
                self.target.tokenizer == TargetTokenizer::Ema,
                "ema with method = \"hybrid\", whose whole target side is an average",
            ),
        ] {
            if !is_right {
                return Err(out_of_range(key, expected, "another"));
            }
        }
        let augment = &self.data.augment;
        if augment.rotate_up != 0.0 || augment.mirror.contains(&true) {
            let expected = "no rotation and no mirror: nothing tells the trunk how its image turned";
            return Err(out_of_range("data.augment", expected, "a rotation or a mirror"));
        }
        Ok(())
    }
}
