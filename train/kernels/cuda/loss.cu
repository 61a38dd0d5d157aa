//! Distances of predictions and targets, their gradient, and the statistics a run is watched by, without leaving the device.
//!
//! Of rows `p`, `t` with `e = p - t`: smooth L1 (0) `mean_d min(|e|, b) (|e| - min(|e|, b) / 2) / b`, sums of squares (1) `sum_d e^2`,
//! means of squares (2) `mean_d e^2`, cosine (3) `1 - p t / (|p| |t|)`, norms below 1e-6 count as that. The loss is the mean over rows;
//! `dp` its gradient. The record: the loss, the mean over channels of the standard deviations of predictions and targets,
//! and `1 - squared error / variance of the targets` (0 where they do not vary). Predictions of a cosine loss are compared in the length of their targets.

#include "column_tile.h"
#include "reduce.h"

#define SMOOTH_L1 0
#define SUM_SQUARES 1
#define MEAN_SQUARES 2
#define COSINE 3
/// Norms below this count as this.
#define LEAST_NORM 1e-6f

/// One warp a row: its distance, the factor that gives it its target's length (1 unless cosine), and its gradient.
KERNEL(row_losses, (Global<const float> predictions, Global<const float> targets, Global<float> gradient, Global<float> losses,
    Global<float> lengths, u32 rows, u32 width, u32 kind, float beta)) {
    u32 row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    u32 first = row * width;
    float sum = 0.0f, pp = 0.0f, tt = 0.0f, pt = 0.0f, share = 1.0f / float(rows);
    float scale = kind == SUM_SQUARES ? 1.0f : 1.0f / float(width);
    for (u32 j = lane; j < width; j += WARP) {
        float p = predictions[first + j], t = targets[first + j], e = p - t, size = fabsf(e), q = fminf(size, beta);
        sum += kind == SMOOTH_L1 ? q * (size - 0.5f * q) / beta : e * e;
        pp += p * p;
        tt += t * t;
        pt += p * t;
    }
    sum = warp_sum(sum) * scale;
    pp = warp_sum(pp);
    tt = warp_sum(tt);
    pt = warp_sum(pt);
    bool is_cosine = kind == COSINE, is_short = pp <= LEAST_NORM * LEAST_NORM;
    float np = sqrtf(fmaxf(pp, LEAST_NORM * LEAST_NORM)), nt = sqrtf(fmaxf(tt, LEAST_NORM * LEAST_NORM));
    if (is_cosine) sum = 1.0f - pt / (np * nt);
    for (u32 j = lane; j < width; j += WARP) {
        float p = predictions[first + j], t = targets[first + j], e = p - t, g = 2.0f * e * scale;
        if (kind == SMOOTH_L1) g = scale * (fabsf(e) < beta ? e / beta : copysignf(1.0f, e));
        if (is_cosine) g = -(t / (np * nt) - (is_short ? 0.0f : p * pt / (np * np * np * nt)));
        gradient[first + j] = g * share;
    }
    if (lane == 0) {
        losses[row] = sum;
        lengths[row] = is_cosine ? sqrtf(tt) / (sqrtf(pp) + 1e-12f) : 1.0f;
    }
}

/// Sums over a share of the rows: `sums [shares, 5, width]` of predictions, their squares, targets, their squares, squared errors.
KERNEL(loss_columns, (Global<const float> predictions, Global<const float> targets, Global<const float> lengths, Global<double> sums,
    u32 rows, u32 width, u32 rows_each)) {
    ColumnTile tile(rows, width, rows_each);
    double found[5] = {0.0, 0.0, 0.0, 0.0, 0.0};
    for (u32 row = tile.begin + threadIdx.y; row < tile.end && tile.is_inside; row += blockDim.y) {
        u32 i = row * width + tile.column;
        double p = predictions[i] * lengths[row], t = targets[i];
        found[0] += p;
        found[1] += p * p;
        found[2] += t;
        found[3] += t * t;
        found[4] += (p - t) * (p - t);
    }
    for (u32 part = 0; part < 5; part++) {
        double total = tile_sum(found[part]);
        if (tile.is_inside && threadIdx.y == 0) sums[(blockIdx.y * 5 + part) * width + tile.column] = total;
    }
}

DEVICE double deviation(double sum, double squares, double count) {
    double n = count < 2.0 ? 2.0 : count, variance = (squares - sum * sum / n) / (n - 1.0);
    return variance > 0.0 ? sqrt(variance) : 0.0;
}

/// One block: `record [4]` from all rows and shares.
KERNEL(loss_record, (Global<const float> losses, Global<const double> sums, Global<float> record, u32 rows, u32 width, u32 shares)) {
    double loss = 0.0, of_predictions = 0.0, of_targets = 0.0, error = 0.0, variance = 0.0, squares = 0.0;
    for (u32 row = threadIdx.x; row < rows; row += blockDim.x) loss += double(losses[row]);
    for (u32 c = threadIdx.x; c < width; c += blockDim.x) {
        double total[5] = {0.0, 0.0, 0.0, 0.0, 0.0};
        for (u32 share = 0; share < shares; share++)
            for (u32 part = 0; part < 5; part++) total[part] += sums[(share * 5 + part) * width + c];
        of_predictions += deviation(total[0], total[1], double(rows));
        of_targets += deviation(total[2], total[3], double(rows));
        error += total[4];
        squares += total[3];
        variance += total[3] - total[2] * total[2] / double(rows);
    }
    loss = block_sum(loss);
    of_predictions = block_sum(of_predictions);
    of_targets = block_sum(of_targets);
    error = block_sum(error);
    variance = block_sum(variance);
    squares = block_sum(squares);
    if (threadIdx.x > 0) return;
    record[0] = float(loss / double(rows));
    record[1] = float(of_predictions / double(width));
    record[2] = float(of_targets / double(width));
    // Of targets that do not vary there is only rounding left.
    record[3] = variance > 1e-14 * squares ? float(1.0 - error / variance) : 0.0f;
}
