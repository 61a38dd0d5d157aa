//! What the predictor is asked for: latents of the target encoder, chosen and normalised.

use candle_core::Tensor;

use crate::config::TargetConfig;
use crate::error::Result;
use crate::nn::{Encoder, layer_norm_plain};

/// The targets of all patches, without gradient.
///
/// # Shapes
/// `tokens [B, G, D]`, `positions [B, G, D]` to `[B, G, D]`.
pub(super) fn latents(
    config: &TargetConfig,
    encoder: &Encoder,
    tokens: &Tensor,
    positions: &Tensor,
) -> Result<Tensor> {
    let last = [encoder.depth() - 1];
    let mut layers = if config.layers.is_empty() { last.to_vec() } else { config.layers.clone() };
    layers.sort_unstable();
    layers.dedup();
    let outputs = encoder.outputs(tokens, Some(positions), &layers)?;
    let target = match outputs.as_slice() {
        [one] if config.final_norm => encoder.final_norm(one)?,
        [one] => one.clone(),
        several => {
            let normed = several.iter().map(layer_norm_plain).collect::<Result<Vec<_>>>()?;
            Tensor::stack(&normed, 0)?.mean(0)?
        }
    };
    Ok(if config.norm { layer_norm_plain(&target)? } else { target }.detach())
}
