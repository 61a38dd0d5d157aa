//! Point-JEPA (Saito et al., arXiv 2404.16432): a context encoder and a predictor learn the latents that an EMA
//! target encoder gives hidden patches.
//!
//! Presets `point-jepa` (the official recipe) and `point-jepa-region`, and their ablations, differ in
//! the config only. Names of parameters are those of the official state dict.

use candle_core::{D, Device, Tensor};

use super::coordinates::chamfer;
use super::targets::Targets;
use crate::config::{
    LossConfig, LossKind, ModelConfig, Positions, PretrainConfig, TargetKind, TargetTokenizer,
};
use crate::error::Result;
use crate::masking::Masks;
use crate::nn::{
    Encoder, EncoderSize, Parameters, Pass, PositionEmbedding, Predictor, Rates, Role, Tokenizer,
};

/// One batch on the model's device.
#[derive(Clone, Debug)]
pub(crate) struct StepInput {
    /// `[B, G, K, 3]`, relative to the centers.
    pub patches: Tensor,
    /// `[B, G, 3]`.
    pub centers: Tensor,
    /// Context and targets.
    pub masks: Masks,
}

/// What one forward pass gives.
#[derive(Debug)]
pub(crate) struct StepOutput {
    /// Scalar.
    pub loss: Tensor,
    /// `[B, M, L, D]`, or `[B, M, L, 3K]` for coordinates; without gradient.
    pub predictions: Tensor,
    /// Like the predictions; without gradient.
    pub targets: Tensor,
}

/// Tokenizer, positions, encoder, target encoder, predictor.
#[derive(Debug)]
pub(crate) struct PointJepa {
    tokenizer: Tokenizer,
    positions: PositionEmbedding,
    encoder: Encoder,
    target_encoder: Option<Encoder>,
    target_tokenizer: Option<Tokenizer>,
    predictor: Predictor,
    targets: Targets,
    loss: LossConfig,
}

impl PointJepa {
    /// A model with its parameters, drawn from the run's seed.
    pub(crate) fn new(config: &PretrainConfig, device: &Device) -> Result<(Self, Parameters)> {
        let mut p = Parameters::new(config.run.seed, device);
        let m = &config.model;
        let tokenizer = Tokenizer::new(&mut p, m.tokenizer, m.width)?;
        let positions = PositionEmbedding::new(&mut p, "positional_encoding", m.positions, m.width)?;
        let size = EncoderSize { width: m.width, depth: m.depth, heads: m.heads };
        let encoder = Encoder::new(&mut p, "student", size, rates(m), m.positions_every_block)?;
        let (target_encoder, outputs) = match config.target.kind {
            TargetKind::Latent => (Some(encoder.target_copy(&mut p, "teacher.ema_model")?), m.width),
            TargetKind::Coordinates => (None, 3 * config.data.group_size),
        };
        let predictor = Predictor::new(&mut p, "predictor", (m, &config.predictor), outputs)?;
        if m.positions == Positions::Mlp {
            p.constant("mask_token", &[m.width], 0.0, Role::Unused)?;
        }
        let target_tokenizer = match config.target.tokenizer {
            TargetTokenizer::Ema => Some(tokenizer.target_copy(&mut p)?),
            TargetTokenizer::Online => None,
        };
        let (targets, loss) = (Targets::new(&config.target), config.loss.clone());
        let model = Self {
            tokenizer,
            positions,
            encoder,
            target_encoder,
            target_tokenizer,
            predictor,
            targets,
            loss,
        };
        Ok((model, p))
    }

    /// Loss of one batch, in training.
    pub(crate) fn step(&self, input: &StepInput, pass: &Pass) -> Result<StepOutput> {
        self.marked_step(input, pass, &mut |_| ())
    }

    /// The same; `mark` is told the name of each part when it is done.
    pub(crate) fn marked_step(
        &self,
        input: &StepInput,
        pass: &Pass,
        mark: &mut dyn FnMut(&'static str),
    ) -> Result<StepOutput> {
        let masks = &input.masks;
        let seen = Chosen::new(&masks.context, &input.centers)?;
        let (seen_tokens, all_tokens) = self.tokens(input, &seen)?;
        let positions = self.positions.forward(&input.centers)?;
        mark("tokenizer");
        let goal = match &self.target_encoder {
            Some(target) => self.targets.of(target, &all_tokens, &positions, &input.centers)?,
            None => coordinates(&input.patches)?,
        };
        mark("target");
        let context = self.encoder.train(&seen_tokens, Some(&seen.of(&positions)?), pass)?;
        mark("context");
        let asked = Chosen::new(&masks.targets, &input.centers)?;
        let (b, m, l) = (input.centers.dim(0)?, masks.blocks, masks.target_len);
        let target_centers = asked.of(&input.centers)?.reshape((b, m, l, 3))?;
        let predictions =
            self.predictor.forward(&context, &seen.of(&input.centers)?, &target_centers, pass)?;
        let targets = asked.of(&goal)?.reshape((b, m, l, goal.dim(2)?))?;
        let mut loss = self.distance(&predictions, &targets)?;
        if self.loss.variance > 0.0 || self.loss.covariance > 0.0 {
            loss = (loss + self.spread(&context.mean(1)?)?)?;
        }
        mark("predictor");
        Ok(StepOutput { loss, predictions: predictions.detach(), targets })
    }

    /// Tokens of the context, with gradient, and of all patches for the target encoder.
    fn tokens(&self, input: &StepInput, seen: &Chosen) -> Result<(Tensor, Tensor)> {
        let Some(target) = &self.target_tokenizer else {
            let all = self.tokenizer.train(&input.patches)?;
            return Ok((seen.of(&all)?, all));
        };
        let (b, g, k, _) = input.patches.dims4()?;
        let context = seen.of(&input.patches.reshape((b, g, k * 3))?)?;
        let n = context.dim(1)?;
        let context = self.tokenizer.train(&context.reshape((b, n, k, 3))?)?;
        target.take_statistics(&self.tokenizer)?;
        Ok((context, target.eval(&input.patches)?))
    }

    /// Sets the running statistics of the batch norms to those of these patches.
    pub(crate) fn calibrate(&self, patches: &Tensor) -> Result<()> {
        self.tokenizer.calibrate(patches)?;
        match &self.target_tokenizer {
            Some(target) => target.take_statistics(&self.tokenizer),
            None => Ok(()),
        }
    }

    /// Keeps pooled features `[B, D]` from shrinking and from repeating each other: hinge on the standard deviation of
    /// every channel, squared covariances between channels (VICReg, arXiv 2105.04906).
    fn spread(&self, pooled: &Tensor) -> Result<Tensor> {
        let (b, d) = pooled.dims2()?;
        let centered = pooled.broadcast_sub(&pooled.mean_keepdim(0)?)?;
        let count = (b.max(2) - 1) as f64;
        let variance = (centered.sqr()?.sum(0)? / count)?;
        let short = (self.loss.variance_floor - (&variance + 1e-4)?.sqrt()?)?.relu()?.mean_all()?;
        let covariance = (centered.t()?.matmul(&centered)? / count)?;
        let crossed = ((covariance.sqr()?.sum_all()? - variance.sqr()?.sum_all()?)? / d as f64)?;
        Ok(((short * self.loss.variance)? + (crossed * self.loss.covariance)?)?)
    }

    fn distance(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        if self.target_encoder.is_none() {
            let (b, m, l, outputs) = predictions.dims4()?;
            let points = (b * m * l, outputs / 3, 3);
            return chamfer(&predictions.reshape(points)?, &targets.reshape(points)?);
        }
        let e = (predictions - targets)?;
        Ok(match self.loss.kind {
            LossKind::SmoothL1 => smooth_l1(&e, self.loss.beta)?,
            LossKind::SumDim => e.sqr()?.sum(D::Minus1)?.mean_all()?,
            LossKind::MeanElem => e.sqr()?.mean_all()?,
        })
    }

    /// Features of every patch for evaluation: online encoder, final norm, running statistics.
    ///
    /// # Shapes
    /// `patches [B, G, K, 3]`, `centers [B, G, 3]` to `[B, G, D]`.
    pub(crate) fn features(&self, patches: &Tensor, centers: &Tensor) -> Result<Tensor> {
        let (tokens, positions) = self.tokens_and_positions(patches, centers)?;
        self.encoder.features(&tokens, Some(&positions))
    }

    /// Tokens with the running statistics, and positions; without gradient.
    pub(super) fn tokens_and_positions(
        &self,
        patches: &Tensor,
        centers: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        Ok((self.tokenizer.eval(patches)?, self.positions.forward(centers)?.detach()))
    }

    /// Targets of every patch with the running statistics; `None` for coordinates.
    ///
    /// # Shapes
    /// As [`PointJepa::features`].
    pub(crate) fn target_latents(&self, patches: &Tensor, centers: &Tensor) -> Result<Option<Tensor>> {
        let Some(target) = &self.target_encoder else { return Ok(None) };
        let tokens = self.target_tokenizer.as_ref().unwrap_or(&self.tokenizer).eval(patches)?;
        let positions = self.positions.forward(centers)?.detach();
        Ok(Some(self.targets.of(target, &tokens, &positions, centers)?))
    }
}

fn rates(m: &ModelConfig) -> Rates {
    let last = (m.depth.max(2) - 1) as f64;
    let path = (0..m.depth).map(|i| m.drop_path * i as f64 / last).collect();
    Rates { hidden: m.dropout, attention: m.attention_dropout, path }
}

fn coordinates(patches: &Tensor) -> Result<Tensor> {
    let (b, g, k, _) = patches.dims4()?;
    Ok(patches.reshape((b, g, k * 3))?)
}

/// Rows of `[B, G, C]` tensors that an index list of every sample names.
struct Chosen {
    rows: Tensor,
    samples: usize,
}

impl Chosen {
    /// `indices [B, n]` into the `G` rows of every sample.
    fn new(indices: &[u32], centers: &Tensor) -> Result<Self> {
        let (samples, groups, _) = centers.dims3()?;
        let per_sample = indices.len() / samples;
        let flat: Vec<u32> =
            indices.iter().enumerate().map(|(i, &at)| (i / per_sample * groups) as u32 + at).collect();
        Ok(Self { rows: Tensor::from_vec(flat, indices.len(), centers.device())?, samples })
    }

    /// `[B, G, C]` to `[B, n, C]`.
    fn of(&self, x: &Tensor) -> Result<Tensor> {
        let (b, g, c) = x.dims3()?;
        let chosen = x.reshape((b * g, c))?.index_select(&self.rows, 0)?;
        Ok(chosen.reshape((self.samples, self.rows.dim(0)? / self.samples, c))?)
    }
}

/// Mean over elements of `e^2 / (2 beta)` where `|e| < beta`, of `|e| - beta / 2` elsewhere.
fn smooth_l1(e: &Tensor, beta: f64) -> Result<Tensor> {
    // min(|e|, beta) carries both branches: q (|e| - q / 2) / beta.
    let size = e.abs()?;
    let q = size.minimum(beta)?;
    Ok(((&q * (&size - (&q * 0.5)?)?)?.mean_all()? / beta)?)
}
