//! The end of a residual branch: bias, dropout, stochastic depth of its samples (Huang et al., arXiv 1603.09382), and the sum.
//!
//! Forward `out = x + path(sample) drop(element) (y + b)`; backward `dy = path drop dout`, `db = sum dy`, and `dout` goes on to `x`
//! as it is. Both factors are drawn again from their keys.

#include "bf16.h"
#include "column_tile.h"
#include "dropout.h"

template <class T>
DEVICE void add_branch(Global<const float> x, Global<const T> y, Global<const float> bias, Global<float> out, u32 count, u32 width,
    u32 tokens, u64 key, u32 threshold, float scale, u64 path_key, u32 path_threshold, float path_scale) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float factor = branch_factor(i, i / width / tokens, key, threshold, scale, path_key, path_threshold, path_scale);
    out[i] = x[i] + factor * (widen(y[i]) + bias[i % width]);
}

template <class T>
DEVICE void branch_gradient(Global<const float> dout, Global<T> dy, Global<float> partials, u32 rows, u32 width, u32 tokens,
    u32 rows_each, u32 step, u32 column, u64 key, u32 threshold, float scale, u64 path_key, u32 path_threshold, float path_scale) {
    ColumnTile tile(rows, width, rows_each);
    float sum = 0.0f;
    for (u32 row = tile.begin + threadIdx.y; row < tile.end && tile.is_inside; row += blockDim.y) {
        u32 i = row * width + tile.column;
        float g = dout[i] * branch_factor(i, row / tokens, key, threshold, scale, path_key, path_threshold, path_scale);
        dy[i] = narrow<T>(g);
        sum += g;
    }
    sum = tile_sum(sum);
    if (tile.is_inside && threadIdx.y == 0) partials[blockIdx.y * step + column + tile.column] = sum;
}

#define BRANCH(suffix, T) \
    KERNEL(branch_##suffix, (Global<const float> x, Global<const T> y, Global<const float> bias, Global<float> out, u32 count, \
        u32 width, u32 tokens, u64 key, u32 threshold, float scale, u64 path_key, u32 path_threshold, float path_scale)) { \
        add_branch<T>(x, y, bias, out, count, width, tokens, key, threshold, scale, path_key, path_threshold, path_scale); \
    } \
    KERNEL(branch_backward_##suffix, (Global<const float> dout, Global<T> dy, Global<float> partials, u32 rows, u32 width, u32 tokens, \
        u32 rows_each, u32 step, u32 column, u64 key, u32 threshold, float scale, u64 path_key, u32 path_threshold, \
        float path_scale)) { \
        branch_gradient<T>(dout, dy, partials, rows, width, tokens, rows_each, step, column, key, threshold, scale, path_key, \
            path_threshold, path_scale); \
    }
BRANCH(f32, float)
BRANCH(bf16, Bf16)
