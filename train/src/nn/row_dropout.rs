//! Dropout of single numbers outside of blocks, as a function of a key and the number's place.

use candle_core::Tensor;
use jepa3d_kernels::Mask;

use super::forward_pass::ForwardPass;
use crate::error::Result;

/// Drops numbers of `x` with probability `rate`, and scales up the rest.
pub(crate) fn drop_rows(x: Tensor, rate: f64, pass: &ForwardPass) -> Result<Tensor> {
    let Some(mask) = Mask::new(pass.next_key(), rate) else { return Ok(x) };
    let factors: Vec<f32> = (0..x.elem_count() as u32).map(|i| mask.factor(i)).collect();
    Ok((&x * Tensor::from_vec(factors, x.shape(), x.device())?)?)
}
