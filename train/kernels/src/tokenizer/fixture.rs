//! The tokenizer's weights as variables in their order, for tests of either device.

use candle_core::Var;

use super::TokenizerWeights;

/// Of ten variables: first layer, norm, lift, mix, norm, output.
pub(crate) fn weights(vars: &[Var]) -> TokenizerWeights {
    let part = |i: usize| vars[i].as_tensor().clone();
    TokenizerWeights {
        first: part(0),
        bn1_weight: part(1),
        bn1_bias: part(2),
        lift: part(3),
        lift_bias: part(4),
        mix: part(5),
        bn2_weight: part(6),
        bn2_bias: part(7),
        out: part(8),
        out_bias: part(9),
    }
}
