//! The mini-PointNet that makes a token of each patch, forward (PointNet, arXiv 1612.00593, as in Point-MAE).
//!
//! For points `x_k`: `h_k = relu(norm1(W1 x_k))`, `s = max_k W2 h_k + b2`, `y_k = M h_k + u` with `M = W3l W2` and
//! `u = W3g s + W3l b2` (two linear layers in a row are one), `z_k = relu(norm2(y_k))`, token `= max_k W4 z_k + b4`. The first batch
//! norm's statistics follow from the points' moments; the second's are sums over `y`. Products run between these kernels, on
//! chunks of patches in a workspace that does not grow with the batch: no activation of a point outlives its chunk. A maximum goes
//! to the lowest of equal points.

#include "tokenizer.h"

/// `partials [blocks, 9]`: sums of x, y, z, xx, xy, xz, yy, yz, zz over `count` points.
KERNEL(point_moments, (Global<const float> points, Global<double> partials, u32 count)) {
    double sums[9] = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        double p[3] = {double(points[3 * i]), double(points[3 * i + 1]), double(points[3 * i + 2])};
        u32 at = 3;
        for (u32 a = 0; a < 3; a++) {
            sums[a] += p[a];
            for (u32 b = a; b < 3; b++) sums[at++] += p[a] * p[b];
        }
    }
    for (u32 part = 0; part < 9; part++) {
        double total = block_sum(sums[part]);
        if (threadIdx.x == 0) partials[blockIdx.x * 9 + part] = total;
    }
}

/// One block: `moments [9]`: mean and covariance of the points; `statistics [2, c1]`: of the first layer's output, the running ones
/// where there are some; `folded [4, c1]`: that layer and its norm as one map of x, y, z, 1.
KERNEL(fold_first, (Global<const double> partials, Global<const float> first, Global<const float> weight, Global<const float> bias,
    Global<const float> running, Global<double> moments, Global<double> statistics, Global<float> folded, u32 blocks, u32 count, u32 c1)) {
    SHARED(double, sums, 9);
    if (threadIdx.x < 9) {
        double sum = 0.0;
        for (u32 b = 0; b < blocks; b++) sum += partials[b * 9 + threadIdx.x];
        sums[threadIdx.x] = sum / double(count);
    }
    __syncthreads();
    double mean[3] = {sums[0], sums[1], sums[2]}, covariance[6];
    u32 at = 0;
    for (u32 a = 0; a < 3; a++)
        for (u32 b = a; b < 3; b++, at++) covariance[at] = sums[3 + at] - mean[a] * mean[b];
    if (threadIdx.x == 0)
        for (u32 i = 0; i < 9; i++) moments[i] = i < 3 ? mean[i] : covariance[i - 3];
    for (u32 c = threadIdx.x; c < c1; c += blockDim.x) {
        double w[3] = {double(first[3 * c]), double(first[3 * c + 1]), double(first[3 * c + 2])};
        double center = w[0] * mean[0] + w[1] * mean[1] + w[2] * mean[2];
        double spread = w[0] * w[0] * covariance[0] + w[1] * w[1] * covariance[3] + w[2] * w[2] * covariance[5]
            + 2.0 * (w[0] * w[1] * covariance[1] + w[0] * w[2] * covariance[2] + w[1] * w[2] * covariance[4]);
        if (running) {
            center = double(running[c]);
            spread = double(running[c1 + c]);
        }
        spread = spread > 0.0 ? spread : 0.0;
        statistics[c] = center;
        statistics[c1 + c] = spread;
        double scale = double(weight[c]) / sqrt(spread + NORM_EPSILON);
        for (u32 a = 0; a < 3; a++) folded[a * c1 + c] = float(scale * w[a]);
        folded[3 * c1 + c] = float(double(bias[c]) - scale * center);
    }
}

template <class T>
DEVICE void run_first_layer(Global<const float> points, Global<const float> folded, Global<T> out, u32 count, u32 c1) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u32 row = i / c1, c = i % c1;
    float value = folded[3 * c1 + c];
    for (u32 a = 0; a < 3; a++) value += folded[a * c1 + c] * points[3 * row + a];
    out[i] = narrow<T>(fmaxf(value, 0.0f));
}

/// Of `x [patches, k, width]` the largest over the points plus `bias`, as f32 and (unless null) as `copy`; `at`: the point that has it.
template <class T>
DEVICE void find_maxima(Global<const float> x, Global<const float> bias, Global<float> out, Global<T> copy, Global<u32> at, u32 count,
    u32 k, u32 width) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u32 first = i / width * k * width + i % width, point = 0;
    float largest = x[first];
    for (u32 j = 1; j < k; j++) {
        float value = x[first + j * width];
        if (value > largest) {
            largest = value;
            point = j;
        }
    }
    largest += bias[i % width];
    out[i] = largest;
    at[i] = point;
    if (copy) copy[i] = narrow<T>(largest);
}

/// `sums [shares, 2, c3]`: of `y = m + u + bias` and its square, over rows `m` of a chunk; `u` is of its patches.
template <class T>
DEVICE void sum_mixed(Global<const T> m, Global<const float> u, Global<const float> bias, Global<double> sums, u32 rows, u32 c3, u32 k,
    u32 rows_each) {
    ColumnTile tile(rows, c3, rows_each);
    double sum = 0.0, squares = 0.0;
    for (u32 row = tile.begin + threadIdx.y; row < tile.end && tile.is_inside; row += blockDim.y) {
        double y = widen(m[row * c3 + tile.column]) + u[row / k * c3 + tile.column] + bias[tile.column];
        sum += y;
        squares += y * y;
    }
    sum = tile_sum(sum);
    squares = tile_sum(squares);
    if (!tile.is_inside || threadIdx.y > 0) return;
    sums[blockIdx.y * 2 * c3 + tile.column] = sum;
    sums[blockIdx.y * 2 * c3 + c3 + tile.column] = squares;
}

/// `statistics [2, c3]` and `folded [4, c3]` of the second norm, from the sums of all shares or from running statistics.
KERNEL(fold_mixed, (Global<const double> sums, Global<const float> weight, Global<const float> bias, Global<const float> running,
    Global<double> statistics, Global<float> folded, u32 shares, u32 rows, u32 c3)) {
    u32 c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= c3) return;
    double sum = 0.0, squares = 0.0;
    for (u32 share = 0; share < shares; share++) {
        sum += sums[share * 2 * c3 + c];
        squares += sums[share * 2 * c3 + c3 + c];
    }
    double mean = sum / double(rows), variance = squares / double(rows) - mean * mean;
    if (running) {
        mean = double(running[c]);
        variance = double(running[c3 + c]);
    }
    variance = variance > 0.0 ? variance : 0.0;
    statistics[c] = mean;
    statistics[c3 + c] = variance;
    float scale, shift, inverse;
    fold_norm(mean, variance, weight[c], bias[c], scale, shift, inverse);
    folded[c] = scale;
    folded[c3 + c] = shift;
    folded[2 * c3 + c] = float(mean);
    folded[3 * c3 + c] = inverse;
}

/// Sets `z` of a chunk.
template <class T>
DEVICE void activate_mixed(Global<const T> m, Global<const float> u, Global<const float> bias, Global<const float> folded, Global<T> z,
    u32 count, u32 c3, u32 k) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u32 c = i % c3;
    MixedChannel norm(folded, c, c3);
    float y = widen(m[i]) + u[i / c3 / k * c3 + c] + bias[c];
    z[i] = narrow<T>(fmaxf(norm.scale * y + norm.shift, 0.0f));
}

#define TOKENIZER_FORWARD(suffix, T) \
    KERNEL(first_layer_##suffix, (Global<const float> points, Global<const float> folded, Global<T> out, u32 count, u32 c1)) { \
        run_first_layer<T>(points, folded, out, count, c1); \
    } \
    KERNEL(patch_maxima_##suffix, (Global<const float> x, Global<const float> bias, Global<float> out, Global<T> copy, Global<u32> at, \
        u32 count, u32 k, u32 width)) { \
        find_maxima<T>(x, bias, out, copy, at, count, k, width); \
    } \
    KERNEL(mixed_sums_##suffix, (Global<const T> m, Global<const float> u, Global<const float> bias, Global<double> sums, u32 rows, \
        u32 c3, u32 k, u32 rows_each)) { \
        sum_mixed<T>(m, u, bias, sums, rows, c3, k, rows_each); \
    } \
    KERNEL(mixed_activation_##suffix, (Global<const T> m, Global<const float> u, Global<const float> bias, Global<const float> folded, \
        Global<T> z, u32 count, u32 c3, u32 k)) { \
        activate_mixed<T>(m, u, bias, folded, z, count, c3, k); \
    }
TOKENIZER_FORWARD(f32, float)
TOKENIZER_FORWARD(bf16, Bf16)

/// Moves the running `mean` and `variance` of a norm by `share` towards those of a batch, `statistics [2, c]`; `unbiased`: what makes of
/// a batch's variance an estimate of that of all points.
KERNEL(follow_statistics, (Global<const double> statistics, Global<float> mean, Global<float> variance, u32 c, float unbiased, float share)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= c) return;
    mean[i] = mean[i] * (1.0f - share) + float(statistics[i]) * share;
    variance[i] = variance[i] * (1.0f - share) + float(statistics[c + i] * double(unbiased)) * share;
}
