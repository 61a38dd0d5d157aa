//! A small MLP that lifts a few numbers to a token.

use candle_core::Tensor;

use super::linear::Linear;
use super::parameters::{Parameters, Role};
use super::tokenizer::TARGET_PREFIX;
use crate::error::Result;

/// Channels between the two layers.
const HIDDEN: usize = 128;

/// `inputs -> 128 -> GELU -> width`.
#[derive(Clone, Debug)]
pub(crate) struct Mlp(Linear, Linear);

impl Mlp {
    pub(crate) fn new(p: &mut Parameters, name: &str, inputs: usize, width: usize) -> Result<Self> {
        let first = Linear::new(p, &format!("{name}.0"), inputs, HIDDEN)?;
        Ok(Self(first, Linear::new(p, &format!("{name}.2"), HIDDEN, width)?))
    }

    /// `[.., inputs]` to `[.., width]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.1.forward(&self.0.forward(x)?.gelu_erf()?)
    }

    /// A copy with the same values that follows, never learns.
    pub(crate) fn target_copy(&self, p: &mut Parameters, name: &str) -> Result<Self> {
        let mut copy = |layer: &Linear, part: &str| -> Result<Linear> {
            let mut tensor = |of: &Tensor, what: &str| {
                p.copy_of(&format!("{TARGET_PREFIX}{name}.{part}.{what}"), of, Role::Target)
            };
            Ok(Linear { weight: tensor(&layer.weight, "weight")?, bias: tensor(&layer.bias, "bias")? })
        };
        Ok(Self(copy(&self.0, "0")?, copy(&self.1, "2")?))
    }
}
