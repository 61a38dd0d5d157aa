//! The mini-PointNet's backward; letters as in tokenizer_forward.cu.
//!
//! Given `dtoken`: `G` has it in the rows that own a maximum, 0 elsewhere; `dW4 = G^T z`, `g = (G W4) [z > 0]`. The second batch norm, with
//! `n = (y - mean) / std`: `dweight = sum g n`, `dbias = sum g`, `dy = weight / std (g - mean(g) - n mean(g n))` (running statistics: the
//! first term alone). `dM = dy^T h`, `du = sum_k dy`, `dW3g = du^T s`, `ds = du W3g`, which goes through the first maximum like `dtoken`
//! through the last: `dW2 = W3l^T dM + G_s^T h`, `dh = dy M + G_s W2`. The first norm's backward, like its statistics, follows from the
//! sums of `dh [h > 0]` times x, y, z and 1, and the points' moments. Chunks are recomputed, twice: sums first, then what they give.

#include "tokenizer.h"

/// `out [patches, k, width]`: `gradient [patches, width]` in the rows that `at` names, 0 elsewhere.
template <class T>
DEVICE void spread_maxima(Global<const float> gradient, Global<const u32> at, Global<T> out, u32 count, u32 k, u32 width) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u32 row = i / width, source = row / k * width + i % width;
    float value = 0.0f;
    if (at[source] == row % k) value = gradient[source];
    out[i] = narrow<T>(value);
}

/// `sums [shares, 2, c3]`: of `g` and `g n`, from `dz` of a chunk.
template <class T>
DEVICE void sum_mixed_gradient(Global<const T> dz, Global<const T> m, Global<const float> u, Global<const float> bias,
    Global<const float> folded, Global<double> sums, u32 rows, u32 c3, u32 k, u32 rows_each) {
    ColumnTile tile(rows, c3, rows_each);
    double sum = 0.0, by_normed = 0.0;
    if (tile.is_inside) {
        MixedChannel norm(folded, tile.column, c3);
        for (u32 row = tile.begin + threadIdx.y; row < tile.end; row += blockDim.y) {
            u32 i = row * c3 + tile.column;
            float y = widen(m[i]) + u[row / k * c3 + tile.column] + bias[tile.column];
            double g = norm.scale * y + norm.shift > 0.0f ? widen(dz[i]) : 0.0f;
            sum += g;
            by_normed += g * double((y - norm.mean) * norm.inverse);
        }
    }
    sum = tile_sum(sum);
    by_normed = tile_sum(by_normed);
    if (!tile.is_inside || threadIdx.y > 0) return;
    sums[blockIdx.y * 2 * c3 + tile.column] = sum;
    sums[blockIdx.y * 2 * c3 + c3 + tile.column] = by_normed;
}

/// `of_norm [2, c3]`: gradients of weight and bias; `means [2, c3]`: of `g` and `g n`, 0 with running statistics.
KERNEL(finish_mixed_gradient, (Global<const double> sums, Global<float> of_norm, Global<float> means, u32 shares, u32 rows, u32 c3,
    u32 is_training)) {
    u32 c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= c3) return;
    double sum = 0.0, by_normed = 0.0;
    for (u32 share = 0; share < shares; share++) {
        sum += sums[share * 2 * c3 + c];
        by_normed += sums[share * 2 * c3 + c3 + c];
    }
    of_norm[c] = float(by_normed);
    of_norm[c3 + c] = float(sum);
    means[c] = is_training ? float(sum / double(rows)) : 0.0f;
    means[c3 + c] = is_training ? float(by_normed / double(rows)) : 0.0f;
}

/// Turns `dz [patches, k, c3]` into `dy`; `du [patches, c3]`, and `du_copy` unless it is null.
template <class T>
DEVICE void turn_to_mixed_gradient(Global<T> dz, Global<const T> m, Global<const float> u, Global<const float> bias,
    Global<const float> folded, Global<const float> means, Global<float> du, Global<T> du_copy, u32 count, u32 c3, u32 k) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u32 c = i % c3, first = i / c3 * k * c3 + c;
    MixedChannel norm(folded, c, c3);
    float constant = u[i] + bias[c], mean = means[c], slope = means[c3 + c], total = 0.0f;
    for (u32 j = 0; j < k; j++) {
        float y = widen(m[first + j * c3]) + constant;
        float g = norm.scale * y + norm.shift > 0.0f ? widen(dz[first + j * c3]) : 0.0f;
        float dy = norm.scale * (g - mean - (y - norm.mean) * norm.inverse * slope);
        dz[first + j * c3] = narrow<T>(dy);
        total += dy;
    }
    du[i] = total;
    if (du_copy) du_copy[i] = narrow<T>(total);
}

/// `sums [shares, 4, c1]`: of `dh [h > 0]` times x, y, z and 1 over the rows of a chunk.
template <class T>
DEVICE void sum_first_gradient(Global<const float> dh, Global<const T> h, Global<const float> points, Global<double> sums, u32 rows, u32 c1,
    u32 rows_each) {
    ColumnTile tile(rows, c1, rows_each);
    double found[4] = {0.0, 0.0, 0.0, 0.0};
    for (u32 row = tile.begin + threadIdx.y; row < tile.end && tile.is_inside; row += blockDim.y) {
        u32 i = row * c1 + tile.column;
        double g = widen(h[i]) > 0.0f ? dh[i] : 0.0f;
        for (u32 a = 0; a < 3; a++) found[a] += g * double(points[3 * row + a]);
        found[3] += g;
    }
    for (u32 part = 0; part < 4; part++) {
        double total = tile_sum(found[part]);
        if (tile.is_inside && threadIdx.y == 0) sums[(blockIdx.y * 4 + part) * c1 + tile.column] = total;
    }
}

/// `out [5, c1]`: gradients of the first layer (as `[c1, 3]`), its norm's weight and bias.
KERNEL(finish_first_gradient, (Global<const double> sums, Global<const double> moments, Global<const double> statistics,
    Global<const float> first, Global<const float> weight, Global<float> out, u32 shares, u32 c1, u32 is_training)) {
    u32 c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= c1) return;
    double found[4] = {0.0, 0.0, 0.0, 0.0}, w[3], along[3], by_layer = 0.0;
    for (u32 share = 0; share < shares; share++)
        for (u32 part = 0; part < 4; part++) found[part] += sums[(share * 4 + part) * c1 + c];
    for (u32 a = 0; a < 3; a++) {
        w[a] = double(first[3 * c + a]);
        by_layer += w[a] * found[a];
    }
    along[0] = moments[3] * w[0] + moments[4] * w[1] + moments[5] * w[2];
    along[1] = moments[4] * w[0] + moments[6] * w[1] + moments[7] * w[2];
    along[2] = moments[5] * w[0] + moments[7] * w[1] + moments[8] * w[2];
    double inverse = 1.0 / sqrt(statistics[c1 + c] + NORM_EPSILON), mean = statistics[c];
    double of_weight = (by_layer - mean * found[3]) * inverse, scale = double(weight[c]) * inverse;
    for (u32 a = 0; a < 3; a++) {
        double common = is_training ? found[3] * moments[a] + of_weight * inverse * along[a] : 0.0;
        out[3 * c + a] = float(scale * (found[a] - common));
    }
    out[3 * c1 + c] = float(of_weight);
    out[4 * c1 + c] = float(found[3]);
}

#define TOKENIZER_BACKWARD(suffix, T) \
    KERNEL(spread_maxima_##suffix, (Global<const float> gradient, Global<const u32> at, Global<T> out, u32 count, u32 k, u32 width)) { \
        spread_maxima<T>(gradient, at, out, count, k, width); \
    } \
    KERNEL(mixed_gradient_sums_##suffix, (Global<const T> dz, Global<const T> m, Global<const float> u, Global<const float> bias, \
        Global<const float> folded, Global<double> sums, u32 rows, u32 c3, u32 k, u32 rows_each)) { \
        sum_mixed_gradient<T>(dz, m, u, bias, folded, sums, rows, c3, k, rows_each); \
    } \
    KERNEL(mixed_gradient_##suffix, (Global<T> dz, Global<const T> m, Global<const float> u, Global<const float> bias, \
        Global<const float> folded, Global<const float> means, Global<float> du, Global<T> du_copy, u32 count, u32 c3, u32 k)) { \
        turn_to_mixed_gradient<T>(dz, m, u, bias, folded, means, du, du_copy, count, c3, k); \
    } \
    KERNEL(first_gradient_sums_##suffix, (Global<const float> dh, Global<const T> h, Global<const float> points, Global<double> sums, \
        u32 rows, u32 c1, u32 rows_each)) { \
        sum_first_gradient<T>(dh, h, points, sums, rows, c1, rows_each); \
    }
TOKENIZER_BACKWARD(f32, float)
TOKENIZER_BACKWARD(bf16, Bf16)
