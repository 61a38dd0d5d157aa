//! Linear layers, candle-nn's with PyTorch's initial values, and GELU: run by kernels on the CPU; elsewhere a product is taken
//! in bf16 where it is asked for.

use candle_core::{DType, Tensor};
use candle_nn::{Linear, Module};
use jepa3d_kernels::{gelu_of, linear_layer};

use super::parameter_builder::{ParameterBuilder, ParameterKind};
use crate::error::Result;

/// `y = x weight^T + bias`; weight and bias begin uniform in +-1 / sqrt(inputs).
pub(super) fn linear(inputs: usize, outputs: usize, vb: &ParameterBuilder<'_>) -> Result<Linear> {
    let bound = 1.0 / (inputs as f64).sqrt();
    let weight = vb.get_with_hints((outputs, inputs), "weight", ParameterKind::Weight { bound })?;
    let bias = vb.get_with_hints(outputs, "bias", ParameterKind::Bias { bound })?;
    Ok(Linear::new(weight, Some(bias)))
}

/// `x [.., inputs]` to `[.., outputs]`. With `is_bf16` the product alone is
/// taken in bf16 on other devices than the CPU, which candle-nn's layer cannot.
pub(super) fn apply_linear(layer: &Linear, x: &Tensor, is_bf16: bool) -> Result<Tensor> {
    // The layer multiplies a batch of matrices, not one, if the rows do not follow each other.
    let x = x.contiguous()?;
    if let (true, Some(bias)) = (x.device().is_cpu(), layer.bias()) {
        return Ok(linear_layer(&x, layer.weight(), bias)?);
    }
    if !is_bf16 {
        return Ok(layer.forward(&x)?);
    }
    let product = Linear::new(layer.weight().to_dtype(DType::BF16)?, None);
    let out = product.forward(&x.to_dtype(DType::BF16)?)?.to_dtype(DType::F32)?;
    Ok(match layer.bias() {
        Some(bias) => out.broadcast_add(bias)?,
        None => out,
    })
}

/// GELU in its exact form: by a kernel on the CPU, where candle computes a number at a time.
pub(super) fn apply_gelu(x: &Tensor) -> Result<Tensor> {
    Ok(if x.device().is_cpu() { gelu_of(x)? } else { x.gelu_erf()? })
}

/// Weight and bias, if there is one.
pub(super) fn layer_tensors(layer: &Linear) -> Option<[Tensor; 2]> {
    Some([layer.weight().clone(), layer.bias()?.clone()])
}

/// The layer of `count` outputs from `first` on.
pub(super) fn narrow_outputs(layer: &Linear, first: usize, count: usize) -> Result<Linear> {
    let bias = layer.bias().map(|bias| bias.narrow(0, first, count)).transpose()?;
    Ok(Linear::new(layer.weight().narrow(0, first, count)?, bias))
}
