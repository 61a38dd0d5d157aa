//! What the tokenizer's kernels share: the mixing layer's output of a row, and what its batch norm makes of it.

#pragma once

#include "bf16.h"
#include "column_tile.h"
#include "reduce.h"

#define NORM_EPSILON 1e-5

/// The second batch norm in one step's form, `[4, c3]`: scale, shift, mean, 1 / std.
struct MixedChannel {
    float scale, shift, mean, inverse;

    DEVICE_MEMBER MixedChannel(Global<const float> folded, u32 c, u32 c3) {
        scale = folded[c];
        shift = folded[c3 + c];
        mean = folded[2 * c3 + c];
        inverse = folded[3 * c3 + c];
    }
};

/// Mean and variance of a channel as scale and shift of a batch norm.
DEVICE void fold_norm(double mean, double variance, float weight, float bias, float& scale, float& shift, float& inverse) {
    double inverse_wide = 1.0 / sqrt(variance + NORM_EPSILON), scale_wide = double(weight) * inverse_wide;
    scale = float(scale_wide);
    shift = float(double(bias) - scale_wide * mean);
    inverse = float(inverse_wide);
}
