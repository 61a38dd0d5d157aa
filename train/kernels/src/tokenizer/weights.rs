//! What a tokenizer is made of: its parameters by name, and the statistics of its batch norms.

use candle_core::{Result, Tensor, bail};

use super::flat::Widths;

/// Parameters of the tokenizer, linear weights as [out, in]. Official widths: C1 128, C2 256, C3 512, D 384.
#[derive(Clone, Debug)]
pub struct TokenizerWeights {
    /// `first_conv.0.weight` `[C1,3]`, without bias.
    pub first: Tensor,
    /// `first_conv.1.weight` `[C1]`.
    pub bn1_weight: Tensor,
    /// `first_conv.1.bias` `[C1]`.
    pub bn1_bias: Tensor,
    /// `first_conv.3.weight` `[C2,C1]`.
    pub lift: Tensor,
    /// `first_conv.3.bias` `[C2]`.
    pub lift_bias: Tensor,
    /// `second_conv.0.weight` [C3, 2 C2], input order [global, local], without bias.
    pub mix: Tensor,
    /// `second_conv.1.weight` `[C3]`.
    pub bn2_weight: Tensor,
    /// `second_conv.1.bias` `[C3]`.
    pub bn2_bias: Tensor,
    /// `second_conv.3.weight` `[D,C3]`.
    pub out: Tensor,
    /// `second_conv.3.bias` `[D]`.
    pub out_bias: Tensor,
}

/// Statistics of one batch, per channel, for the running ones.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStats {
    /// Mean over all points of all patches.
    pub mean: Vec<f32>,
    /// Unbiased variance.
    pub var: Vec<f32>,
}

/// Which statistics BatchNorm normalises with.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// Those of the batch.
    Train,
    /// Running means and variances.
    Eval {
        /// Of the first BatchNorm, `[C1]` each.
        bn1: (&'a [f32], &'a [f32]),
        /// Of the second, `[C3]` each.
        bn2: (&'a [f32], &'a [f32]),
    },
}

impl TokenizerWeights {
    pub(crate) fn parts(&self) -> [&Tensor; 10] {
        let Self { first, bn1_weight, bn1_bias, lift, lift_bias, mix, bn2_weight, bn2_bias, out, out_bias } =
            self;
        [first, bn1_weight, bn1_bias, lift, lift_bias, mix, bn2_weight, bn2_bias, out, out_bias]
    }

    /// One vector: a candle operation takes three arguments at most, and candle splits its gradient again.
    pub(crate) fn flat(&self) -> Result<Tensor> {
        let parts = self.parts().map(Tensor::flatten_all).into_iter().collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 0)
    }

    /// Whether everything fits together.
    pub(crate) fn check(&self, patches: &Tensor, mode: &Mode<'_>) -> Result<()> {
        let (patch_count, k, axes) = patches.dims3()?;
        let Widths { c1, c2, c3, d } = self.widths()?;
        if patch_count == 0 || k == 0 || k > usize::from(u16::MAX) || axes != 3 {
            bail!(
                "tokenizer: patches: expected [P,K,3] with P, K > 0 and K < 65536, found {:?}",
                patches.dims()
            );
        }
        if matches!(mode, Mode::Train) && patch_count * k == 1 {
            bail!("tokenizer: patches: expected more than one point to take statistics of, found 1");
        }
        let shapes: [&[usize]; 10] =
            [&[c1, 3], &[c1], &[c1], &[c2, c1], &[c2], &[c3, 2 * c2], &[c3], &[c3], &[d, c3], &[d]];
        for (part, (expected, name)) in self.parts().into_iter().zip(shapes.into_iter().zip(NAMES)) {
            if part.dims() != expected {
                bail!("tokenizer: {name}: expected {expected:?}, found {:?}", part.dims());
            }
        }
        if let Mode::Eval { bn1, bn2 } = mode {
            let lengths = [bn1.0.len(), bn1.1.len(), bn2.0.len(), bn2.1.len()];
            if lengths != [c1, c1, c3, c3] {
                bail!(
                    "tokenizer: running statistics: expected lengths {:?}, found {lengths:?}",
                    [c1, c1, c3, c3]
                );
            }
        }
        Ok(())
    }

    pub(crate) fn widths(&self) -> Result<Widths> {
        Ok(Widths {
            c1: self.first.dim(0)?,
            c2: self.lift.dim(0)?,
            c3: self.mix.dim(0)?,
            d: self.out.dim(0)?,
        })
    }
}

/// Official names of the parts, in their order.
pub(crate) const NAMES: [&str; 10] = [
    "first_conv.0.weight",
    "first_conv.1.weight",
    "first_conv.1.bias",
    "first_conv.3.weight",
    "first_conv.3.bias",
    "second_conv.0.weight",
    "second_conv.1.weight",
    "second_conv.1.bias",
    "second_conv.3.weight",
    "second_conv.3.bias",
];
