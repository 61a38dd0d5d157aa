//! Layer norm over rows (Ba et al., arXiv 1607.06450), with what is added to the rows before: positions, or the end of a branch
//! (branch.cu).
//!
//! Forward `s = x + added`, `n = (s - mean) / std`, `y = n w + b`, `std^2` the variance plus 1e-5; one warp a row. Backward, with
//! `t = dy w`: `dx += (t - mean(t) - n mean(t n)) / std`, `dw = sum dy n`, `db = sum dy`: every block sums its rows in shared
//! memory, warp by warp, and writes one row of partial sums, which `sum_partials` adds in their order. What was added to every
//! block's input gets the sum of the `dx` of all.

#include "bf16.h"
#include "dropout.h"
#include "reduce.h"

/// Norms a row of `from`; without a weight that is all.
template <class T>
DEVICE void normalize_row(Global<const float> from, float sum, Global<const float> weight, Global<const float> bias, Global<T> out,
    Global<float> stats, u32 row, u32 width) {
    u32 lane = threadIdx.x % WARP, first = row * width;
    float mean = warp_sum(sum) / float(width), squares = 0.0f;
    for (u32 j = lane; j < width; j += WARP) {
        float off = from[first + j] - mean;
        squares += off * off;
    }
    float inverse = 1.0f / sqrtf(warp_sum(squares) / float(width) + 1e-5f);
    for (u32 j = lane; j < width; j += WARP) {
        float normed = (from[first + j] - mean) * inverse;
        if (weight) normed = normed * weight[j] + bias[j];
        out[first + j] = narrow<T>(normed);
    }
    if (lane == 0) {
        stats[2 * row] = mean;
        stats[2 * row + 1] = inverse;
    }
}

/// `x [n, width]`, `added` like it or null (then `state` is not written); `stats [n, 2]`: mean and 1 / std.
template <class T>
DEVICE void normalize_rows(Global<const float> x, Global<const float> added, Global<float> state, Global<const float> weight,
    Global<const float> bias, Global<T> out, Global<float> stats, u32 rows, u32 width) {
    u32 row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    u32 first = row * width;
    float sum = 0.0f;
    for (u32 j = lane; j < width; j += WARP) {
        float value = x[first + j];
        if (added) {
            value += added[first + j];
            state[first + j] = value;
        }
        sum += value;
    }
    Global<const float> from = x;
    if (added) from = state;
    normalize_row<T>(from, sum, weight, bias, out, stats, row, width);
}

/// `state = x + path drop (y + branch_bias)`, then its norm: `x [n, width]`, `y` like it.
template <class T>
DEVICE void normalize_branch(Global<const float> x, Global<const T> y, Global<const float> branch_bias, Global<float> state,
    Global<const float> weight, Global<const float> bias, Global<T> out, Global<float> stats, u32 rows, u32 width, u32 tokens, u64 key,
    u32 threshold, float scale, u64 path_key, u32 path_threshold, float path_scale) {
    u32 row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    float sum = 0.0f;
    for (u32 j = lane; j < width; j += WARP) {
        u32 i = row * width + j;
        float factor = branch_factor(i, row / tokens, key, threshold, scale, path_key, path_threshold, path_scale);
        float value = x[i] + factor * (widen(y[i]) + branch_bias[j]);
        state[i] = value;
        sum += value;
    }
    Global<const float> from = state;
    normalize_row<T>(from, sum, weight, bias, out, stats, row, width);
}

/// Adds to `dx`, and what comes of it to `total` (unless null; `is_first`: sets it); `partials [blocks, step]`: sums of `dy n` from
/// `column`, of `dy` behind them. `rows_each` rows a block.
template <class T>
DEVICE void normalize_rows_backward(Global<const float> x, Global<const float> stats, Global<const float> weight,
    Global<const T> dy, Global<float> dx, Global<float> total, Global<float> partials, u32 rows, u32 width, u32 is_first, u32 rows_each,
    u32 step, u32 column) {
    DYNAMIC_SHARED(float, sums);
    u32 warp = threadIdx.x / WARP, warps = blockDim.x / WARP, lane = threadIdx.x % WARP;
    // A lane owns its columns in both halves: nothing of a warp's sums is shared until the barrier.
    for (u32 j = lane; j < width; j += WARP) sums[warp * 2 * width + j] = sums[warp * 2 * width + width + j] = 0.0f;
    u32 begin = blockIdx.x * rows_each, end = begin + rows_each < rows ? begin + rows_each : rows;
    for (u32 row = begin + warp; row < end; row += warps) {
        u32 first = row * width;
        float mean = stats[2 * row], inverse = stats[2 * row + 1], scaled = 0.0f, along = 0.0f;
        for (u32 j = lane; j < width; j += WARP) {
            float g = widen(dy[first + j]), normed = (x[first + j] - mean) * inverse, t = g * weight[j];
            u32 at = warp * 2 * width + j;
            sums[at] += g * normed;
            sums[at + width] += g;
            scaled += t;
            along += t * normed;
        }
        float mean_scaled = warp_sum(scaled) / float(width), slope = warp_sum(along) / float(width);
        for (u32 j = lane; j < width; j += WARP) {
            float normed = (x[first + j] - mean) * inverse, t = widen(dy[first + j]) * weight[j];
            float gradient = dx[first + j] + inverse * (t - mean_scaled - normed * slope);
            dx[first + j] = gradient;
            if (!total) continue;
            if (is_first == 0) gradient += total[first + j];
            total[first + j] = gradient;
        }
    }
    __syncthreads();
    for (u32 j = threadIdx.x; j < 2 * width; j += blockDim.x) {
        float sum = 0.0f;
        for (u32 w = 0; w < warps; w++) sum += sums[w * 2 * width + j];
        partials[blockIdx.x * step + column + j] = sum;
    }
}

#define LAYER_NORM(suffix, T) \
    KERNEL(layer_norm_##suffix, (Global<const float> x, Global<const float> added, Global<float> state, \
        Global<const float> weight, Global<const float> bias, Global<T> out, Global<float> stats, u32 rows, u32 width)) { \
        normalize_rows<T>(x, added, state, weight, bias, out, stats, rows, width); \
    } \
    KERNEL(branch_norm_##suffix, (Global<const float> x, Global<const T> y, Global<const float> branch_bias, Global<float> state, \
        Global<const float> weight, Global<const float> bias, Global<T> out, Global<float> stats, u32 rows, u32 width, u32 tokens, \
        u64 key, u32 threshold, float scale, u64 path_key, u32 path_threshold, float path_scale)) { \
        normalize_branch<T>(x, y, branch_bias, state, weight, bias, out, stats, rows, width, tokens, key, threshold, scale, path_key, \
            path_threshold, path_scale); \
    } \
    KERNEL(layer_norm_backward_##suffix, (Global<const float> x, Global<const float> stats, Global<const float> weight, \
        Global<const T> dy, Global<float> dx, Global<float> total, Global<float> partials, u32 rows, u32 width, u32 is_first, \
        u32 rows_each, u32 step, u32 column)) { \
        normalize_rows_backward<T>(x, stats, weight, dy, dx, total, partials, rows, width, is_first, rows_each, step, column); \
    }
LAYER_NORM(f32, float)
LAYER_NORM(bf16, Bf16)
