//! Multi-head attention of short sequences (Vaswani et al., arXiv 1706.03762), one block a head of a sample, in shared memory.
//!
//! Forward `S = (Q + b)(K + b)^T / sqrt(d)`, `P = softmax(S)` over the keys that are no padding, `A = drop(P)`, `O = A (V + b)`; a warp
//! takes a query. Kept of `P` are the largest score and 1 / sum of every row. Backward: `dV = A^T dO`, `dP = drop(dO V^T)`,
//! `dS = P (dP - sum_j dP_j P_j)`, `dQ = dS K / sqrt(d)`, `dK = dS^T Q / sqrt(d)`; one T x T matrix holds first P, then dS.
//! Rows in shared memory are one number longer than a head, so that neighbours lie in different banks.

#include "bf16.h"
#include "dropout.h"
#include "reduce.h"

/// Keys a lane looks at: at most 4 x 32.
#define LANE_KEYS 4

/// Sizes of the attention of one block.
struct HeadShape {
    u32 tokens, width, size, sample, head, first_row, keys;
    float scale;

    DEVICE_MEMBER HeadShape(u32 tokens, u32 width, Global<const u32> all_keys) : tokens(tokens), width(width) {
        head = blockIdx.x;
        sample = blockIdx.y;
        size = width / gridDim.x;
        first_row = sample * tokens;
        keys = tokens;
        if (all_keys) keys = all_keys[sample];
        scale = 1.0f / sqrtf(float(size));
    }
};

/// Copies queries (0), keys (1) or values (2) of a head with their bias to `to [T, size + 1]`.
template <class T>
DEVICE void load_third(Shared<float> to, Global<const T> qkv, Global<const float> bias, HeadShape shape, u32 third) {
    u32 column = third * shape.width + shape.head * shape.size;
    for (u32 i = threadIdx.x; i < shape.tokens * shape.size; i += blockDim.x) {
        u32 row = i / shape.size, d = i % shape.size;
        float value = widen(qkv[(shape.first_row + row) * 3 * shape.width + column + d]);
        to[row * (shape.size + 1) + d] = value + bias[column + d];
    }
}

/// Products of a row with rows `lane, lane + 32, ..` of `matrix`, those below `count`.
DEVICE void multiply_rows(float (&found)[LANE_KEYS], Shared<const float> row, Shared<const float> matrix, u32 size, u32 count) {
    u32 lane = threadIdx.x % WARP;
    for (u32 r = 0; r < LANE_KEYS; r++) {
        u32 j = lane + r * WARP;
        float sum = 0.0f;
        for (u32 d = 0; j < count && d < size; d++) sum += row[d] * matrix[j * (size + 1) + d];
        found[r] = sum;
    }
}

template <class T>
DEVICE void attend(Global<const T> qkv, Global<const float> bias, Global<const u32> all_keys, Global<T> out, Global<float> row_stats,
    u32 tokens, u32 width, u64 key, u32 threshold, float drop_scale) {
    DYNAMIC_SHARED(float, shared);
    HeadShape shape(tokens, width, all_keys);
    u32 line = shape.size + 1, warp = threadIdx.x / WARP, warps = blockDim.x / WARP, lane = threadIdx.x % WARP;
    Shared<float> q = shared, k = q + tokens * line, v = k + tokens * line, shares = v + tokens * line + warp * tokens;
    load_third<T>(q, qkv, bias, shape, 0);
    load_third<T>(k, qkv, bias, shape, 1);
    load_third<T>(v, qkv, bias, shape, 2);
    __syncthreads();
    for (u32 i = warp; i < tokens; i += warps) {
        float scores[LANE_KEYS], largest = -__uint_as_float(0x7f800000u), sum = 0.0f;
        multiply_rows(scores, q + i * line, k, shape.size, shape.keys);
        for (u32 r = 0; r < LANE_KEYS; r++) {
            scores[r] *= shape.scale;
            if (lane + r * WARP < shape.keys) largest = fmaxf(largest, scores[r]);
        }
        largest = warp_max(largest);
        for (u32 r = 0; r < LANE_KEYS; r++) {
            scores[r] = lane + r * WARP < shape.keys ? expf(scores[r] - largest) : 0.0f;
            sum += scores[r];
        }
        u32 row = (shape.sample * gridDim.x + shape.head) * tokens + i;
        float inverse = 1.0f / warp_sum(sum);
        for (u32 r = 0; r < LANE_KEYS; r++) {
            u32 j = lane + r * WARP;
            if (j < tokens) shares[j] = scores[r] * inverse * keep_factor(key, threshold, drop_scale, row * tokens + j);
        }
        if (lane == 0) {
            row_stats[2 * row] = largest;
            row_stats[2 * row + 1] = inverse;
        }
        __syncwarp();
        for (u32 d = lane; d < shape.size; d += WARP) {
            float total = 0.0f;
            for (u32 j = 0; j < shape.keys; j++) total += shares[j] * v[j * line + d];
            out[(shape.first_row + i) * width + shape.head * shape.size + d] = narrow<T>(total);
        }
        __syncwarp();
    }
}

/// Fills `p` with the probabilities once more, from the statistics of their rows; 0 for padding.
DEVICE void repeat_shares(Shared<float> p, Shared<const float> q, Shared<const float> k, Global<const float> row_stats, HeadShape shape) {
    u32 line = shape.size + 1, lane = threadIdx.x % WARP;
    for (u32 i = threadIdx.x / WARP; i < shape.tokens; i += blockDim.x / WARP) {
        float scores[LANE_KEYS];
        multiply_rows(scores, q + i * line, k, shape.size, shape.keys);
        u32 row = (shape.sample * gridDim.x + shape.head) * shape.tokens + i;
        float largest = row_stats[2 * row], inverse = row_stats[2 * row + 1];
        for (u32 r = 0; r < LANE_KEYS; r++) {
            u32 j = lane + r * WARP;
            if (j >= shape.tokens) continue;
            p[i * shape.tokens + j] = j < shape.keys ? expf(scores[r] * shape.scale - largest) * inverse : 0.0f;
        }
    }
}

/// Turns `p` from probabilities into the gradient of the scores, times `1 / sqrt(d)`.
DEVICE void turn_to_score_gradient(Shared<float> p, Shared<const float> gradient, Shared<const float> v, HeadShape shape, u64 key,
    u32 threshold, float drop_scale) {
    u32 line = shape.size + 1, lane = threadIdx.x % WARP;
    for (u32 i = threadIdx.x / WARP; i < shape.tokens; i += blockDim.x / WARP) {
        float dp[LANE_KEYS], along = 0.0f;
        multiply_rows(dp, gradient + i * line, v, shape.size, shape.tokens);
        u32 row = (shape.sample * gridDim.x + shape.head) * shape.tokens + i;
        for (u32 r = 0; r < LANE_KEYS; r++) {
            u32 j = lane + r * WARP;
            if (j >= shape.tokens) continue;
            dp[r] *= keep_factor(key, threshold, drop_scale, row * shape.tokens + j);
            along += dp[r] * p[i * shape.tokens + j];
        }
        along = warp_sum(along);
        for (u32 r = 0; r < LANE_KEYS; r++) {
            u32 j = lane + r * WARP;
            if (j < shape.tokens) p[i * shape.tokens + j] *= (dp[r] - along) * shape.scale;
        }
    }
}

template <class T>
DEVICE void attend_backward(Global<const T> qkv, Global<const float> bias, Global<const u32> all_keys, Global<const float> row_stats,
    Global<const T> dout, Global<T> dqkv, u32 tokens, u32 width, u64 key, u32 threshold, float drop_scale) {
    DYNAMIC_SHARED(float, shared);
    HeadShape shape(tokens, width, all_keys);
    u32 size = shape.size, line = size + 1, column = shape.head * size;
    Shared<float> q = shared, k = q + tokens * line, v = k + tokens * line, gradient = v + tokens * line, p = gradient + tokens * line;
    load_third<T>(q, qkv, bias, shape, 0);
    load_third<T>(k, qkv, bias, shape, 1);
    load_third<T>(v, qkv, bias, shape, 2);
    for (u32 i = threadIdx.x; i < tokens * size; i += blockDim.x)
        gradient[i / size * line + i % size] = widen(dout[(shape.first_row + i / size) * width + column + i % size]);
    __syncthreads();
    repeat_shares(p, q, k, row_stats, shape);
    __syncthreads();
    for (u32 i = threadIdx.x; i < tokens * size; i += blockDim.x) {
        u32 j = i / size, d = i % size;
        float total = 0.0f;
        for (u32 t = 0; t < tokens && j < shape.keys; t++) {
            u32 element = ((shape.sample * gridDim.x + shape.head) * tokens + t) * tokens + j;
            total += p[t * tokens + j] * keep_factor(key, threshold, drop_scale, element) * gradient[t * line + d];
        }
        dqkv[(shape.first_row + j) * 3 * width + 2 * width + column + d] = narrow<T>(total);
    }
    __syncthreads();
    turn_to_score_gradient(p, gradient, v, shape, key, threshold, drop_scale);
    __syncthreads();
    for (u32 i = threadIdx.x; i < tokens * size; i += blockDim.x) {
        u32 row = i / size, d = i % size;
        float of_query = 0.0f, of_key = 0.0f;
        for (u32 t = 0; t < tokens; t++) {
            of_query += p[row * tokens + t] * k[t * line + d];
            of_key += p[t * tokens + row] * q[t * line + d];
        }
        u32 at = (shape.first_row + row) * 3 * width + column + d;
        dqkv[at] = narrow<T>(of_query);
        dqkv[at + width] = narrow<T>(of_key);
    }
}

#define ATTENTION(suffix, T) \
    KERNEL(attention_##suffix, (Global<const T> qkv, Global<const float> bias, Global<const u32> keys, Global<T> out, \
        Global<float> row_stats, u32 tokens, u32 width, u64 key, u32 threshold, float scale)) { \
        attend<T>(qkv, bias, keys, out, row_stats, tokens, width, key, threshold, scale); \
    } \
    KERNEL(attention_backward_##suffix, (Global<const T> qkv, Global<const float> bias, Global<const u32> keys, \
        Global<const float> row_stats, Global<const T> dout, Global<T> dqkv, u32 tokens, u32 width, u64 key, u32 threshold, \
        float scale)) { \
        attend_backward<T>(qkv, bias, keys, row_stats, dout, dqkv, tokens, width, key, threshold, scale); \
    }
ATTENTION(f32, float)
ATTENTION(bf16, Bf16)
