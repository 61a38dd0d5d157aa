//! Settings of tokenizer, positions, encoder and predictor.

use serde::{Deserialize, Serialize};

/// Where positions come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PositionKind {
    /// A learned MLP `3 -> 128 -> GELU -> D`.
    Mlp,
    /// Fixed sinusoids of each axis.
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
    pub positions: PositionKind,
    /// Shortest and longest wavelength of sinusoids, in the clouds' units; the longest says how far clouds reach: 4 for the
    /// unit sphere, 200 for scenes in metres.
    pub wavelengths: [f64; 2],
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
            positions: PositionKind::Mlp,
            wavelengths: [0.1, 4.0],
            positions_every_block: true,
            dropout: 0.0,
            attention_dropout: 0.0,
            drop_path: 0.0,
            calibrate: false,
        }
    }
}

impl ModelConfig {
    /// The length that takes the place of the unit sphere's radius.
    pub(crate) fn extent(&self) -> f64 {
        self.wavelengths[1] / 4.0
    }
}

/// How the predictor looks at the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PredictorKind {
    /// Joint self-attention over context and queries (Point-JEPA).
    Joint,
    /// Self-attention of the queries, then cross-attention to the context, in every block (3D-JEPA).
    Decoder,
}

/// The predictor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PredictorConfig {
    /// How it looks at the context.
    pub kind: PredictorKind,
    /// `decoder`: the context is given to every block, or to the first alone.
    pub context_every_block: bool,
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
        Self {
            kind: PredictorKind::Joint,
            context_every_block: true,
            width: 192,
            depth: 6,
            heads: 6,
            dropout: 0.0,
            attention_dropout: 0.0,
            drop_path: 0.0,
        }
    }
}
