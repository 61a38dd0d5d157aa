//! Numbers as they are in another kind: weights and rows for products in bf16.

#include "bf16.h"

KERNEL(narrow_bf16, (Global<const float> x, Global<Bf16> out, u32 count)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = bf16_round(x[i]);
}

/// Four arrays at once: a block's weights. The grid's second dimension says which.
KERNEL(narrow_four_bf16, (Global<const float> a, Global<const float> b, Global<const float> c, Global<const float> d, Global<Bf16> out_a,
    Global<Bf16> out_b, Global<Bf16> out_c, Global<Bf16> out_d, u32 count_a, u32 count_b, u32 count_c, u32 count_d)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (blockIdx.y == 0 && i < count_a) out_a[i] = bf16_round(a[i]);
    if (blockIdx.y == 1 && i < count_b) out_b[i] = bf16_round(b[i]);
    if (blockIdx.y == 2 && i < count_c) out_c[i] = bf16_round(c[i]);
    if (blockIdx.y == 3 && i < count_d) out_d[i] = bf16_round(d[i]);
}
