//! What the predictor is asked for: latents of the target encoder, chosen, normed, and rid of what position explains.

use candle_core::{D, Tensor};
use jepa3d_kernels::Precision;
use jepa3d_probe::PositionBasis;

use crate::config::{TargetConfig, TargetNorm};
use crate::error::Result;
use crate::nn::{Encoder, standardize};

/// Functions of the position that are removed, and the distance over which they vary on the unit sphere.
const FUNCTIONS: usize = 64;
const LENGTH_SCALE: f64 = 0.5;
/// Ridge penalty for each row that is fitted.
const PENALTY: f64 = 1e-2;
/// Added to the standard deviation of a channel.
const EPSILON: f64 = 1e-4;

/// Makes targets from the target encoder.
#[derive(Debug)]
pub(super) struct TargetMaker {
    config: TargetConfig,
    basis: PositionBasis,
}

impl TargetMaker {
    /// `extent`: half the size of a cloud, in its units.
    pub(super) fn new(config: &TargetConfig, extent: f64) -> Self {
        let basis = PositionBasis::new("removed from targets", FUNCTIONS, &[LENGTH_SCALE], extent);
        Self { config: config.clone(), basis }
    }

    /// The targets of all patches, without gradient.
    ///
    /// # Shapes
    /// `tokens [B, G, D]`, `positions [B, G, D]`, `centers [B, G, 3]` to `[B, G, D]`.
    pub(super) fn make(
        &self,
        encoder: &Encoder,
        tokens: &Tensor,
        positions: &Tensor,
        centers: &Tensor,
        precision: Precision,
    ) -> Result<Tensor> {
        let target = normalize_targets(
            &self.average_outputs(encoder, tokens, positions, precision)?,
            self.config.norm,
        )?
        .detach();
        if !self.config.remove_position {
            return Ok(target);
        }
        let width = target.dim(2)?;
        let values: Vec<f32> = target.flatten_all()?.to_vec1()?;
        let at: Vec<f32> = centers.flatten_all()?.to_vec1()?;
        let rest = self.basis.residual(&values, width, &at, PENALTY);
        Ok(normalize_targets(&Tensor::from_vec(rest, target.shape(), target.device())?, self.config.norm)?
            .detach())
    }

    /// The outputs that the config names, averaged.
    fn average_outputs(
        &self,
        encoder: &Encoder,
        tokens: &Tensor,
        positions: &Tensor,
        precision: Precision,
    ) -> Result<Tensor> {
        let mut depths = self.config.depths.clone();
        if depths.is_empty() {
            depths.push(encoder.depth());
        }
        depths.sort_unstable();
        depths.dedup();
        let blocks: Vec<usize> = depths.iter().filter(|&&d| d > 0).map(|d| d - 1).collect();
        let mut outputs = if depths[0] == 0 { vec![tokens.detach()] } else { Vec::new() };
        if !blocks.is_empty() {
            outputs.extend(encoder.outputs(tokens, positions, &blocks, precision)?);
        }
        match outputs.as_slice() {
            [one] if self.config.final_norm => encoder.final_norm(one),
            [one] => Ok(one.clone()),
            several => {
                let each = several.iter().map(|x| normalize_targets(x, self.config.each_norm));
                Ok(Tensor::stack(&each.collect::<Result<Vec<_>>>()?, 0)?.mean(0)?)
            }
        }
    }
}

/// `x [B, G, D]` brought to one scale.
pub(super) fn normalize_targets(x: &Tensor, norm: TargetNorm) -> Result<Tensor> {
    match norm {
        TargetNorm::None => Ok(x.clone()),
        TargetNorm::Layer => standardize(x),
        TargetNorm::Length => {
            let length = (x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()? + EPSILON)?;
            Ok(x.broadcast_div(&length)?)
        }
        TargetNorm::Batch => {
            let (b, g, d) = x.dims3()?;
            let rows = x.reshape((b * g, d))?;
            let centered = rows.broadcast_sub(&rows.mean_keepdim(0)?)?;
            let std = (centered.sqr()?.mean_keepdim(0)?.sqrt()? + EPSILON)?;
            Ok(centered.broadcast_div(&std)?.reshape((b, g, d))?)
        }
    }
}
