//! Sums and maxima over a warp and a block, in an order that is always the same.

#pragma once

#include "device.h"

/// The sum over the lanes of a warp, in every lane.
template <class T> DEVICE T warp_sum(T value) {
    for (u32 step = WARP / 2; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}

/// The largest over the lanes of a warp, in every lane.
DEVICE float warp_max(float value) {
    for (u32 step = WARP / 2; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, step));
    return value;
}

/// The sum over a block of at most 1024 threads, in every thread. Blocks of it may follow each other.
DEVICE double block_sum(double value) {
    SHARED(double, warp_sums, WARP);
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    value = warp_sum(value);
    if (lane == 0) warp_sums[warp] = value;
    __syncthreads();
    double total = 0.0;
    for (u32 w = 0; w < warps; w++) total += warp_sums[w];
    __syncthreads();
    return total;
}
