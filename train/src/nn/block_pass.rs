//! What a pass adds to a block of candle's operators: dropout, padding, products in bf16.
//!
//! Dropout is that of the fused kernel, place by place: 0 attention probabilities, 1 and 3 after the two branches, 2 between
//! the layers of the MLP, 5 and 7 stochastic depth.

use candle_core::Tensor;
use jepa3d_kernels::{Mask, key_of};

use super::row_dropout::apply_mask;
use crate::error::Result;

/// Rates of what is dropped in a stack of blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct DropRates {
    /// After the projection and both layers of the MLP.
    pub hidden: f64,
    /// On attention probabilities.
    pub attention: f64,
    /// Stochastic depth, by block.
    pub path: Vec<f64>,
}

impl DropRates {
    /// Whether nothing is dropped.
    pub(super) fn is_none(&self) -> bool {
        self.hidden == 0.0 && self.attention == 0.0 && self.path.iter().all(|&rate| rate == 0.0)
    }
}

/// Rates of one block, and the key of its draws.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockDropout {
    pub key: u64,
    pub hidden: f64,
    pub attention: f64,
    pub path: f64,
}

/// One pass through one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockPass<'a> {
    /// Products of linear layers in bf16.
    pub is_bf16: bool,
    /// `None`: nothing is dropped.
    pub dropout: Option<BlockDropout>,
    /// `[B, 1, 1, T]`: added to the scores of every key.
    pub key_bias: Option<&'a Tensor>,
}

impl BlockPass<'_> {
    /// Without dropout and padding.
    pub(super) fn plain(is_bf16: bool) -> Self {
        Self { is_bf16, dropout: None, key_bias: None }
    }

    pub(super) fn drop_attention(&self, shares: Tensor, place: u64) -> Result<Tensor> {
        self.drop(shares, place, |dropout| dropout.attention)
    }

    pub(super) fn drop_hidden(&self, x: Tensor, place: u64) -> Result<Tensor> {
        self.drop(x, place, |dropout| dropout.hidden)
    }

    fn drop(&self, x: Tensor, place: u64, rate: fn(&BlockDropout) -> f64) -> Result<Tensor> {
        match self.mask(place, rate) {
            Some(mask) => apply_mask(&x, mask),
            None => Ok(x),
        }
    }

    /// Drops a branch `[B, T, D]` for whole samples.
    pub(super) fn drop_path(&self, branch: Tensor, place: u64) -> Result<Tensor> {
        let Some(mask) = self.mask(place, |dropout| dropout.path) else { return Ok(branch) };
        let samples = branch.dim(0)?;
        let factors: Vec<f32> = (0..samples as u32).map(|i| mask.factor(i)).collect();
        Ok(branch.broadcast_mul(&Tensor::from_vec(factors, (samples, 1, 1), branch.device())?)?)
    }

    fn mask(&self, place: u64, rate: fn(&BlockDropout) -> f64) -> Option<Mask> {
        let dropout = self.dropout.as_ref()?;
        Mask::new(key_of(dropout.key, place), rate(dropout))
    }
}
