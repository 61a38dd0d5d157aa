//! Rows picked by their numbers, and the way back without atomics.
//!
//! Forward `out_r = x_{index_r}`. Backward `dx_i = sum over the r with index_r = i of dy_r`, in ascending `r`: the inverse of the
//! index, made on the host with the batch, lists them, so that every row is summed by one block and the bits never change.

#include "device.h"

KERNEL(gather_rows, (Global<const float> x, Global<const u32> index, Global<float> out, u32 count, u32 width)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = x[index[i / width] * width + i % width];
}

/// `starts [rows + 1]`, `places [picked]`: row `i` was picked at `places[starts[i]..starts[i + 1]]`.
KERNEL(scatter_rows, (Global<const float> dy, Global<const u32> starts, Global<const u32> places, Global<float> dx, u32 count,
    u32 width)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u32 row = i / width, end = starts[row + 1];
    float sum = 0.0f;
    for (u32 at = starts[row]; at < end; at++) sum += dy[places[at] * width + i % width];
    dx[i] = sum;
}
