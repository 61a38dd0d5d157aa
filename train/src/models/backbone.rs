//! What all methods share on the side of points: tokenizer, positions, encoder; names are those of the official Point-JEPA
//! state dict.

use candle_core::Tensor;

use crate::config::{Method, ModelConfig, PretrainConfig};
use crate::error::Result;
use crate::nn::{Encoder, EncoderSize, Parameters, PositionEmbedding, Rates, Tokenizer};

/// From patches to features.
#[derive(Debug)]
pub(super) struct Backbone {
    pub tokenizer: Tokenizer,
    /// `[1, 1, D]`: added to every token where an encoder serves images too.
    pub modality: Option<Tensor>,
    pub positions: PositionEmbedding,
    pub encoder: Encoder,
}

impl Backbone {
    /// Drawn from the run's seed.
    pub(super) fn new(p: &mut Parameters, config: &PretrainConfig) -> Result<Self> {
        let m = &config.model;
        let tokenizer = Tokenizer::new(p, m.tokenizer, m.width)?;
        let modality = match config.method {
            Method::Hybrid => Some(p.truncated_normal("point_modality", &[1, 1, m.width], 0.02)?),
            Method::Masked | Method::Cross => None,
        };
        let positions = PositionEmbedding::new(p, "positional_encoding", m, m.width)?;
        let size = EncoderSize { width: m.width, depth: m.depth, heads: m.heads };
        let encoder = Encoder::new(p, "student", size, rates(m), m.positions_every_block)?;
        Ok(Self { tokenizer, modality, positions, encoder })
    }

    /// Features of every patch for evaluation: final norm, running statistics, no gradient.
    ///
    /// # Shapes
    /// `patches [B, G, K, 3]`, `centers [B, G, 3]` to `[B, G, D]`.
    pub(super) fn features(&self, patches: &Tensor, centers: &Tensor) -> Result<Tensor> {
        let (tokens, positions) = self.tokens_and_positions(patches, centers)?;
        self.encoder.features(&tokens, Some(&positions))
    }

    /// Tokens with the running statistics, and positions; without gradient.
    pub(super) fn tokens_and_positions(
        &self,
        patches: &Tensor,
        centers: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let tokens = with(self.tokenizer.eval(patches)?, self.modality.as_ref())?;
        Ok((tokens.detach(), self.positions.forward(centers)?.detach()))
    }
}

/// Tokens `[B, G, D]` with the vector of their kind.
pub(super) fn with(tokens: Tensor, modality: Option<&Tensor>) -> Result<Tensor> {
    Ok(match modality {
        Some(modality) => tokens.broadcast_add(modality)?,
        None => tokens,
    })
}

fn rates(m: &ModelConfig) -> Rates {
    let last = (m.depth.max(2) - 1) as f64;
    let path = (0..m.depth).map(|i| m.drop_path * i as f64 / last).collect();
    Rates { hidden: m.dropout, attention: m.attention_dropout, path }
}

/// Rows of `[B, G, C]` tensors that an index list of every sample names.
pub(super) struct Chosen {
    rows: Tensor,
    samples: usize,
}

impl Chosen {
    /// `indices [B, n]` into the `G` rows of every sample of `centers [B, G, 3]`.
    pub(super) fn new(indices: &[u32], centers: &Tensor) -> Result<Self> {
        let (samples, groups, _) = centers.dims3()?;
        let per_sample = indices.len() / samples;
        let flat: Vec<u32> =
            indices.iter().enumerate().map(|(i, &at)| (i / per_sample * groups) as u32 + at).collect();
        Ok(Self { rows: Tensor::from_vec(flat, indices.len(), centers.device())?, samples })
    }

    /// `[B, G, C]` to `[B, n, C]`.
    pub(super) fn of(&self, x: &Tensor) -> Result<Tensor> {
        let (b, g, c) = x.dims3()?;
        let chosen = x.reshape((b * g, c))?.index_select(&self.rows, 0)?;
        Ok(chosen.reshape((self.samples, self.rows.dim(0)? / self.samples, c))?)
    }

    /// `[B, G]` to `[B, n]`.
    pub(super) fn counts_of(&self, counts: &[u16]) -> Result<Vec<u16>> {
        let rows: Vec<u32> = self.rows.to_vec1()?;
        Ok(rows.into_iter().map(|row| counts[row as usize]).collect())
    }

    /// `[B, G, K, 3]` to `[B, n, K, 3]`.
    pub(super) fn patches_of(&self, patches: &Tensor) -> Result<Tensor> {
        let (b, g, k, axes) = patches.dims4()?;
        let chosen = self.of(&patches.reshape((b, g, k * axes))?)?;
        let n = chosen.dim(1)?;
        Ok(chosen.reshape((b, n, k, axes))?)
    }
}
