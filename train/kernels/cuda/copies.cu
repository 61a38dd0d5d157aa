//! Numbers as they are in another kind: weights and rows for products in bf16; and sums of two arrays.

#include "bf16.h"

KERNEL(narrow_bf16, (Global<const float> x, Global<Bf16> out, u32 count)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = bf16_round(x[i]);
}

/// `sum += x`.
KERNEL(add_to, (Global<float> sum, Global<const float> x, u32 count)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) sum[i] += x[i];
}
