//! Dropout of single numbers from candle's operators, as a function of a key and the number's place.

use candle_core::Tensor;
use jepa3d_kernels::Mask;

use super::forward_pass::ForwardPass;
use crate::error::Result;

/// Drops numbers of `x` with probability `rate`, and scales up the rest.
pub(crate) fn drop_rows(x: Tensor, rate: f64, pass: &ForwardPass) -> Result<Tensor> {
    match Mask::new(pass.next_key(), rate) {
        Some(mask) => apply_mask(&x, mask),
        None => Ok(x),
    }
}

/// Every number of `x` times its factor of a mask.
pub(super) fn apply_mask(x: &Tensor, mask: Mask) -> Result<Tensor> {
    let factors: Vec<f32> = (0..x.elem_count() as u32).map(|i| mask.factor(i)).collect();
    Ok((x * Tensor::from_vec(factors, x.shape(), x.device())?)?)
}
