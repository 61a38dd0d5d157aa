//! The mini-PointNet that turns a patch into a token, and its batch norms' running statistics.

use candle_core::{Tensor, Var};
use jepa3d_kernels::{BatchStats, Mode, TokenizerWeights, tokenize, tokenize_counted};

use super::parameters::{Parameters, Role};
use crate::error::Result;

/// Share of a batch's statistics in the running ones.
const MOMENTUM: f64 = 0.1;

/// Prefix of the official names.
const NAME: &str = "tokenizer.embedding.encoder";

/// Before the names of an EMA copy; the official code has none.
pub(crate) const TARGET_PREFIX: &str = "teacher.";

/// Patches to tokens.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    weights: TokenizerWeights,
    /// Mean and variance of both batch norms.
    running: [[Var; 2]; 2],
}

impl Tokenizer {
    pub(crate) fn new(p: &mut Parameters, [c1, c2, c3]: [usize; 3], width: usize) -> Result<Self> {
        let at = |part: &str| format!("{NAME}.{part}");
        let bound = |inputs: usize| 1.0 / (inputs as f64).sqrt();
        let norm = |p: &mut Parameters, name: &str, channels: usize| -> Result<[Tensor; 2]> {
            let weight = p.constant(&at(&format!("{name}.weight")), &[channels], 1.0, Role::Trained)?;
            let bias = p.constant(&at(&format!("{name}.bias")), &[channels], 0.0, Role::Trained)?;
            for (part, value) in [("running_mean", 0.0), ("running_var", 1.0)] {
                p.constant(&at(&format!("{name}.{part}")), &[channels], value, Role::Statistic)?;
            }
            Ok([weight, bias])
        };
        let first = p.uniform(&at("first_conv.0.weight"), &[c1, 3], bound(3))?;
        let [bn1_weight, bn1_bias] = norm(p, "first_conv.1", c1)?;
        let lift = p.uniform(&at("first_conv.3.weight"), &[c2, c1], bound(c1))?;
        let lift_bias = p.uniform(&at("first_conv.3.bias"), &[c2], bound(c1))?;
        let mix = p.uniform(&at("second_conv.0.weight"), &[c3, 2 * c2], bound(2 * c2))?;
        let [bn2_weight, bn2_bias] = norm(p, "second_conv.1", c3)?;
        let out = p.uniform(&at("second_conv.3.weight"), &[width, c3], bound(c3))?;
        let out_bias = p.uniform(&at("second_conv.3.bias"), &[width], bound(c3))?;
        let weights = TokenizerWeights {
            first,
            bn1_weight,
            bn1_bias,
            lift,
            lift_bias,
            mix,
            bn2_weight,
            bn2_bias,
            out,
            out_bias,
        };
        let statistic = |name: &str| p.get(&at(name)).expect("made above").var.clone();
        let pair = |name: &str| ["running_mean", "running_var"].map(|s| statistic(&format!("{name}.{s}")));
        Ok(Self { weights, running: [pair("first_conv.1"), pair("second_conv.1")] })
    }

    /// A copy with the same values that follows, never learns. Its running statistics follow too if `statistics` is
    /// [`Role::Target`]; else they are set by [`Tokenizer::take_statistics`].
    pub(crate) fn target_copy(&self, p: &mut Parameters, statistics: Role) -> Result<Self> {
        let mut copy = |part: &str, tensor: &Tensor| {
            p.copy_of(&format!("{TARGET_PREFIX}{NAME}.{part}"), tensor, Role::Target)
        };
        let w = &self.weights;
        let weights = TokenizerWeights {
            first: copy("first_conv.0.weight", &w.first)?,
            bn1_weight: copy("first_conv.1.weight", &w.bn1_weight)?,
            bn1_bias: copy("first_conv.1.bias", &w.bn1_bias)?,
            lift: copy("first_conv.3.weight", &w.lift)?,
            lift_bias: copy("first_conv.3.bias", &w.lift_bias)?,
            mix: copy("second_conv.0.weight", &w.mix)?,
            bn2_weight: copy("second_conv.1.weight", &w.bn2_weight)?,
            bn2_bias: copy("second_conv.1.bias", &w.bn2_bias)?,
            out: copy("second_conv.3.weight", &w.out)?,
            out_bias: copy("second_conv.3.bias", &w.out_bias)?,
        };
        let mut running = self.running.clone();
        for (norm, pair) in ["first_conv.1", "second_conv.1"].iter().zip(&mut running) {
            for (part, var) in ["running_mean", "running_var"].iter().zip(pair) {
                let name = format!("{TARGET_PREFIX}{NAME}.{norm}.{part}");
                p.copy_of(&name, var.as_tensor(), statistics)?;
                *var = p.get(&name).expect("made above").var.clone();
            }
        }
        Ok(Self { weights, running })
    }

    /// Takes over the running statistics of another tokenizer.
    pub(crate) fn take_statistics(&self, other: &Self) -> Result<()> {
        for (own, other) in self.running.iter().flatten().zip(other.running.iter().flatten()) {
            own.set(other.as_tensor())?;
        }
        Ok(())
    }

    /// Sets the running statistics to those of `patches [B, G, K, 3]` with as many `counts` as patches, or none.
    pub(crate) fn calibrate(&self, patches: &Tensor, counts: Option<&[u16]>) -> Result<()> {
        match self.in_training(patches, counts)?.1 {
            Some(stats) => self.follow(&stats, 1.0),
            None => Ok(()),
        }
    }

    /// Tokens in training; updates the running statistics, so it runs once a batch.
    ///
    /// # Shapes
    /// `patches [B, G, K, 3]`, `counts [B, G]` of voxel blocks, to `[B, G, D]`.
    pub(crate) fn train(&self, patches: &Tensor, counts: Option<&[u16]>) -> Result<Tensor> {
        let (b, g, _, _) = patches.dims4()?;
        let (tokens, stats) = self.in_training(patches, counts)?;
        if let Some(stats) = stats {
            self.follow(&stats, MOMENTUM)?;
        }
        let width = tokens.dim(1)?;
        Ok(tokens.reshape((b, g, width))?)
    }

    /// The kernel, or for voxel blocks candle's operators.
    fn in_training(
        &self,
        patches: &Tensor,
        counts: Option<&[u16]>,
    ) -> Result<(Tensor, Option<[BatchStats; 2]>)> {
        let (b, g, k, _) = patches.dims4()?;
        let flat = patches.reshape((b * g, k, 3))?;
        Ok(match counts {
            None => tokenize(&flat, &self.weights, &Mode::Train)?,
            Some(counts) => tokenize_counted(&flat, &self.weights, counts)?,
        })
    }

    /// Tokens with the running statistics, without gradient.
    pub(crate) fn eval(&self, patches: &Tensor) -> Result<Tensor> {
        let (b, g, k, _) = patches.dims4()?;
        let flat = patches.reshape((b * g, k, 3))?;
        let values = |var: &Var| -> Result<Vec<f32>> { Ok(var.as_tensor().to_vec1()?) };
        let [one, two] = &self.running;
        let [mean1, var1, mean2, var2] =
            [values(&one[0])?, values(&one[1])?, values(&two[0])?, values(&two[1])?];
        let mode = Mode::Eval { bn1: (&mean1, &var1), bn2: (&mean2, &var2) };
        let (tokens, _) = tokenize(&flat, &self.weights, &mode)?;
        let width = tokens.dim(1)?;
        Ok(tokens.reshape((b, g, width))?.detach())
    }

    fn follow(&self, stats: &[BatchStats; 2], share: f64) -> Result<()> {
        for (running, batch) in self.running.iter().zip(stats) {
            for (var, values) in running.iter().zip([&batch.mean, &batch.var]) {
                let batch = Tensor::from_slice(values, values.len(), var.device())?;
                var.set(&((var.as_tensor() * (1.0 - share))? + (batch * share)?)?)?;
            }
        }
        Ok(())
    }
}
