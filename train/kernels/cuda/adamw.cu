//! AdamW (Loshchilov, Hutter, arXiv 1711.05101), clipping, the moving average of the target encoder, and the copies in bf16, on one
//! flat buffer in three launches.
//!
//! `norm = |scale g|`; `k = scale min(1, clip / norm)`; `m = b1 m + (1 - b1) k g`, `v = b2 v + (1 - b2) (k g)^2`,
//! `p = p keep - rate m / (sqrt(v) root + epsilon)` with `rate = lr / (1 - b1^t)`, `root = 1 / sqrt(1 - b2^t)`, `keep = 1 - lr decay` for the
//! first `decayed` numbers, 1 for the rest; then `e += (1 - momentum) (p - e)` where a number has a twin. A norm that is not
//! finite changes nothing: the host finds it in the record.

#include "bf16.h"
#include "reduce.h"

/// `partials [blocks]`: sums of squares of shares, in f64.
KERNEL(square_sums, (Global<const float> gradient, Global<double> partials, u32 count)) {
    double sum = 0.0;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        double value = double(gradient[i]);
        sum += value * value;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

/// One block: `record [2]`: the norm of all gradients times `scale`, and what they are multiplied with (0 where it is not finite).
KERNEL(clip_factor, (Global<const double> partials, Global<float> record, u32 count, float scale, float clip)) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) sum += partials[i];
    double norm = sqrt(block_sum(sum)) * double(scale);
    if (threadIdx.x > 0) return;
    double factor = clip > 0.0f && norm > double(clip) ? double(clip) / norm : 1.0;
    record[0] = float(norm);
    record[1] = norm - norm == 0.0 ? float(double(scale) * factor) : 0.0f;
}

/// `copy += share (original - copy)`: the moving average of a parameter that stands alone.
KERNEL(move_towards, (Global<float> copy, Global<const float> original, u32 count, float share)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float value = copy[i];
    copy[i] = value + share * (original[i] - value);
}

/// `record`: where the factor of the gradient stands, or null: it is `scale`.
/// `twins [count]`, or null: where the moving average of a number stands, 0xffffffff if it has none. `halves`, or null: like the numbers.
KERNEL(adamw_update, (Global<float> parameters, Global<const float> gradient, Global<float> first, Global<float> second,
    Global<const u32> twins, Global<float> averages, Global<Bf16> halves, Global<Bf16> average_halves, Global<const float> record,
    u32 count, u32 decayed, float b1, float rest1, float b2, float rest2, float keep, float rate, float root, float epsilon, float share, float scale)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    float factor = scale;
    if (record) factor = record[1];
    if (i >= count || factor == 0.0f) return;
    float g = gradient[i] * factor;
    float m = b1 * first[i] + rest1 * g, v = b2 * second[i] + rest2 * g * g;
    float p = parameters[i] * (i < decayed ? keep : 1.0f) - rate * m / (sqrtf(v) * root + epsilon);
    first[i] = m;
    second[i] = v;
    parameters[i] = p;
    if (halves) halves[i] = bf16_round(p);
    if (!twins) return;
    u32 twin = twins[i];
    if (twin == 0xffffffffu) return;
    float average = averages[twin];
    average += share * (p - average);
    averages[twin] = average;
    if (average_halves) average_halves[twin] = bf16_round(average);
}
