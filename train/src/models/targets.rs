//! What the predictor is asked for: latents of the target encoder, chosen, normed, and rid of what position explains.

use candle_core::{D, Tensor};
use jepa3d_kernels::{BatchParts, Precision, add_parts};
use jepa3d_probe::{PositionBasis, PositionedRows};

use crate::config::{TargetConfig, TargetNorm};
use crate::error::Result;
use crate::nn::{Encoder, ForwardPass, standardize};

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

/// How targets are made.
#[derive(Clone, Copy)]
pub(super) struct TargetPass<'a> {
    pub precision: Precision,
    /// Where the parts of a batch meet; none: the clouds are all that there are.
    pub parts: Option<&'a dyn BatchParts>,
}

impl<'a> TargetPass<'a> {
    /// Outside of training.
    pub(super) fn alone() -> Self {
        Self { precision: Precision::F32, parts: None }
    }

    /// In training.
    pub(super) fn within(pass: &'a ForwardPass) -> Self {
        Self { precision: pass.precision, parts: pass.parts() }
    }
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
        pass: TargetPass<'_>,
    ) -> Result<Tensor> {
        let outputs = self.average_outputs(encoder, tokens, positions, pass)?;
        let target = normalize_targets(&outputs, self.config.norm, pass.parts)?.detach();
        if !self.config.remove_position {
            return Ok(target);
        }
        let width = target.dim(2)?;
        let values: Vec<f32> = target.flatten_all()?.to_vec1()?;
        let at: Vec<f32> = centers.flatten_all()?.to_vec1()?;
        let rows = PositionedRows { vectors: &values, width, centers: &at };
        let add_up = |sums: &mut [f64]| add_parts(pass.parts, "what position explains", sums);
        let rest = self.basis.residual(rows, PENALTY, add_up)?;
        let rest = Tensor::from_vec(rest, target.shape(), target.device())?;
        Ok(normalize_targets(&rest, self.config.norm, pass.parts)?.detach())
    }

    /// The outputs that the config names, averaged.
    fn average_outputs(
        &self,
        encoder: &Encoder,
        tokens: &Tensor,
        positions: &Tensor,
        pass: TargetPass<'_>,
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
            outputs.extend(encoder.outputs(tokens, positions, &blocks, pass.precision)?);
        }
        match outputs.as_slice() {
            [one] if self.config.final_norm => encoder.final_norm(one),
            [one] => Ok(one.clone()),
            several => {
                let each = several.iter().map(|x| normalize_targets(x, self.config.each_norm, pass.parts));
                Ok(Tensor::stack(&each.collect::<Result<Vec<_>>>()?, 0)?.mean(0)?)
            }
        }
    }
}

/// `x [B, G, D]` brought to one scale; of a part of a batch, by the deviations of all parts, and then without gradient.
pub(super) fn normalize_targets(
    x: &Tensor,
    norm: TargetNorm,
    parts: Option<&dyn BatchParts>,
) -> Result<Tensor> {
    match norm {
        TargetNorm::Batch if parts.is_some() => standardize_columns(x, parts),
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
            Ok(centered.broadcast_div(&measure_centered(&centered)?)?.reshape((b, g, d))?)
        }
    }
}

/// The deviation of every channel of `x [B, D]` over the rows, of all parts: `[1, D]`.
pub(super) fn measure_deviations(x: &Tensor, parts: Option<&dyn BatchParts>) -> Result<Tensor> {
    if parts.is_none() {
        return measure_centered(&x.broadcast_sub(&x.mean_keepdim(0)?)?);
    }
    let width = x.dim(1)?;
    let spread = ColumnSpread::measure(&x.flatten_all()?.to_vec1::<f32>()?, width, parts)?;
    let deviations = spread.deviations.into_iter().map(|x| x as f32).collect();
    Ok(Tensor::from_vec(deviations, (1, width), x.device())?)
}

/// The deviation of every channel of rows that have no mean: `[B, D]` to `[1, D]`.
fn measure_centered(centered: &Tensor) -> Result<Tensor> {
    Ok((centered.sqr()?.mean_keepdim(0)?.sqrt()? + EPSILON)?)
}

/// Every channel of `x [B, G, D]` standardised over the rows of all parts.
fn standardize_columns(x: &Tensor, parts: Option<&dyn BatchParts>) -> Result<Tensor> {
    let width = x.dim(2)?;
    let mut values: Vec<f32> = x.flatten_all()?.to_vec1()?;
    let ColumnSpread { means, deviations } = ColumnSpread::measure(&values, width, parts)?;
    for row in values.chunks_exact_mut(width) {
        for c in 0..width {
            row[c] = ((f64::from(row[c]) - means[c]) / deviations[c]) as f32;
        }
    }
    Ok(Tensor::from_vec(values, x.shape(), x.device())?)
}

/// Means and deviations of columns over the rows of all parts.
struct ColumnSpread {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl ColumnSpread {
    fn measure(values: &[f32], width: usize, parts: Option<&dyn BatchParts>) -> Result<Self> {
        let mut means = vec![0.0; width + 1];
        means[width] = (values.len() / width) as f64;
        for row in values.chunks_exact(width) {
            means.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        add_parts(parts, "means of targets", &mut means)?;
        let rows = means[width];
        means.iter_mut().for_each(|sum| *sum /= rows);
        let mut deviations = vec![0.0; width];
        for row in values.chunks_exact(width) {
            let squares = row.iter().zip(&means).map(|(&x, mean)| (f64::from(x) - mean).powi(2));
            deviations.iter_mut().zip(squares).for_each(|(sum, square)| *sum += square);
        }
        add_parts(parts, "deviations of targets", &mut deviations)?;
        deviations.iter_mut().for_each(|sum| *sum = (*sum / rows).sqrt() + EPSILON);
        Ok(Self { means, deviations })
    }
}
