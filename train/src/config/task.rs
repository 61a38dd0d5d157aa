//! Settings of what is predicted, and how far off a prediction is.

use serde::{Deserialize, Serialize};

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
pub enum TargetNorm {
    /// Not at all.
    None,
    /// Layer norm without parameters: every vector has mean 0 and variance 1.
    Layer,
    /// Every channel has mean 0 and variance 1 over all patches of the batch.
    Batch,
    /// Every vector has length 1.
    Length,
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
    pub each_norm: TargetNorm,
    /// The target encoder's final norm is applied (only to the last block alone).
    pub final_norm: bool,
    /// Norm of the target.
    pub norm: TargetNorm,
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
            each_norm: TargetNorm::Layer,
            final_norm: false,
            norm: TargetNorm::Layer,
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
    /// 1 - cosine, mean over tokens (3D-JEPA).
    Cosine,
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
    /// Weight of the distance of the same features from an isotropic Gaussian (SIGReg, arXiv 2511.08544); 0: none.
    #[serde(skip_serializing_if = "super::range::is_nothing")]
    pub sigreg: f64,
    /// Weight of the pooled term: from the context alone a predictor answers for the mean over all patches, as the target
    /// encoder sees the whole cloud; 0: none.
    #[serde(skip_serializing_if = "super::range::is_nothing")]
    pub pooled: f64,
    /// Radians about the vertical by which the whole cloud of the pooled term is turned once more, at most: what is pooled
    /// then says little of where an object faces.
    #[serde(skip_serializing_if = "super::range::is_nothing")]
    pub pooled_turn: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            kind: LossKind::SmoothL1,
            beta: 2.0,
            variance: 0.0,
            variance_floor: 0.5,
            covariance: 0.0,
            sigreg: 0.0,
            pooled: 0.0,
            pooled_turn: 0.0,
        }
    }
}

/// What the whole head answers for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WholeAnswers {
    /// Mean and deviation over the tokens of a cloud that stands as it is seen; what is made of turns is made of answers.
    #[default]
    Look,
    /// What `features.turns` and `features.over_turns` make of mean and deviation: asked with one look and with what is made of all,
    /// the mean over the looks. What differs from turn to turn because half of an object is hidden is not taken for its shape.
    Turns,
}

impl WholeAnswers {
    /// Whether it is left out of a config that is written.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `[whole]`: a head that learns to say of what is seen of a cloud what its features would be if all of it were. It answers for
/// those of the clean cloud from those of all that the sensor sees, nothing masked, by what is to be added to these. It learns when the encoder has: for `epochs` more epochs the encoder stays as it is, and the rates of
/// `[optim]` fall once more, without warm-up. It is part of the encoder that is handed on: `features.pooling = "whole"` are its
/// answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WholeConfig {
    /// Epochs after `run.epochs` in which it learns; 0: there is no head.
    pub epochs: u64,
    /// Channels of its hidden layer.
    pub hidden: usize,
    /// What it answers for. Default look.
    #[serde(skip_serializing_if = "WholeAnswers::is_default")]
    pub answers: WholeAnswers,
    /// Chance that in these epochs a cloud is seen from one side, besides the kinds that `data.sensor` draws.
    pub one_sided: f64,
    /// Share of these rates at which the blocks of the encoder learn with it, the answers of the encoder as it was being the
    /// targets; 0: they stay as they are.
    #[serde(skip_serializing_if = "super::range::is_nothing")]
    pub blocks_rate: f64,
}

impl Default for WholeConfig {
    fn default() -> Self {
        Self { epochs: 0, hidden: 512, answers: WholeAnswers::default(), one_sided: 0.5, blocks_rate: 0.0 }
    }
}

impl WholeConfig {
    /// Whether there is a head.
    pub(crate) fn is_there(&self) -> bool {
        self.epochs > 0
    }

    /// Whether the encoder's blocks learn with it.
    pub(crate) fn teaches_blocks(&self) -> bool {
        self.blocks_rate > 0.0
    }

    /// Whether it is left out of a config that is written.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}
