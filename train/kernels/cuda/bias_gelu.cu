//! Bias, GELU in its exact form (Hendrycks, Gimpel, arXiv 1606.08415) and dropout between the two layers of an MLP.
//!
//! Forward `a = drop(g(x + b))`, `g(x) = x P(x)`, `P(x) = (1 + erf(x / sqrt 2)) / 2`. Backward
//! `dx = drop(da) (P(y) + y exp(-y^2 / 2) / sqrt(2 pi))` with `y = x + b`, `db = sum dx`; `a` is computed once more there, so
//! that it need not be kept for the gradient of the second layer.

#include "bf16.h"
#include "column_tile.h"
#include "dropout.h"

DEVICE float cumulative(float x) { return 0.5f * (1.0f + erff(x * 0.70710678f)); }

template <class T>
DEVICE void activate(Global<const T> x, Global<const float> bias, Global<T> out, u32 count, u32 width, u64 key, u32 threshold,
    float scale) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float y = widen(x[i]) + bias[i % width];
    out[i] = narrow<T>(y * cumulative(y) * keep_factor(key, threshold, scale, i));
}

/// Turns `gradient` from that of `a` into that of `x`; sets `activation` to `a`.
template <class T>
DEVICE void activate_backward(Global<const T> x, Global<const float> bias, Global<T> gradient, Global<T> activation,
    Global<float> partials, u32 rows, u32 width, u32 rows_each, u32 step, u32 column, u64 key, u32 threshold, float scale) {
    ColumnTile tile(rows, width, rows_each);
    float sum = 0.0f;
    for (u32 row = tile.begin + threadIdx.y; row < tile.end && tile.is_inside; row += blockDim.y) {
        u32 i = row * width + tile.column;
        float y = widen(x[i]) + bias[tile.column], share = cumulative(y);
        float keep = keep_factor(key, threshold, scale, i);
        float dx = widen(gradient[i]) * keep * (share + y * 0.39894228f * expf(-0.5f * y * y));
        gradient[i] = narrow<T>(dx);
        activation[i] = narrow<T>(y * share * keep);
        sum += dx;
    }
    sum = tile_sum(sum);
    if (tile.is_inside && threadIdx.y == 0) partials[blockIdx.y * step + column + tile.column] = sum;
}

#define BIAS_GELU(suffix, T) \
    KERNEL(bias_gelu_##suffix, (Global<const T> x, Global<const float> bias, Global<T> out, u32 count, u32 width, u64 key, \
        u32 threshold, float scale)) { \
        activate<T>(x, bias, out, count, width, key, threshold, scale); \
    } \
    KERNEL(bias_gelu_backward_##suffix, (Global<const T> x, Global<const float> bias, Global<T> gradient, Global<T> activation, \
        Global<float> partials, u32 rows, u32 width, u32 rows_each, u32 step, u32 column, u64 key, u32 threshold, float scale)) { \
        activate_backward<T>(x, bias, gradient, activation, partials, rows, width, rows_each, step, column, key, threshold, scale); \
    }
BIAS_GELU(f32, float)
BIAS_GELU(bf16, Bf16)
