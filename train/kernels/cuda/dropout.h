//! Dropout as a function of a key and an element's number: the same 32-bit draws as on the CPU (src/dropout.rs).

#pragma once

#include "device.h"

/// A bijection of 32 bits that scatters them well (lowbias32 by C. Wellons).
DEVICE u32 mix(u32 x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

/// What element `index` is multiplied with: 0, or `scale` = 1 / (1 - rate). A threshold of 0 drops nothing.
DEVICE float keep_factor(u64 key, u32 threshold, float scale, u32 index) {
    if (threshold == 0) return 1.0f;
    u32 draw = mix(mix(index ^ u32(key)) + u32(key >> 32));
    return draw < threshold ? 0.0f : scale;
}

/// The factor of element `i`, which is of `sample`.
DEVICE float branch_factor(u32 i, u32 sample, u64 key, u32 threshold, float scale, u64 path_key, u32 path_threshold,
    float path_scale) {
    float path = keep_factor(path_key, path_threshold, path_scale, sample);
    return path == 0.0f ? 0.0f : path * keep_factor(key, threshold, scale, i);
}
