//! Kernels with one fault each: what the emulation must find.

#include "../device.h"

/// Reads one number behind the end.
KERNEL(faulty_out_of_bounds, (Global<const float> x, Global<float> out, u32 n)) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = x[i + 1];
}

/// Every thread reads what its neighbour wrote, without a barrier.
KERNEL(faulty_missing_barrier, (Global<float> out)) {
    SHARED(float, values, 64);
    values[threadIdx.x] = 0.0f;
    __syncthreads();
    values[threadIdx.x] = float(threadIdx.x);
    out[threadIdx.x] = values[(threadIdx.x + 1) % 64];
}

/// The same with the barrier: right.
KERNEL(faultless_barrier, (Global<float> out)) {
    SHARED(float, values, 64);
    values[threadIdx.x] = 0.0f;
    __syncthreads();
    values[threadIdx.x] = float(threadIdx.x);
    __syncthreads();
    out[threadIdx.x] = values[(threadIdx.x + 1) % 64];
}

/// A barrier that half of the threads go around.
KERNEL(faulty_divergent_barrier, (Global<float> out)) {
    if (threadIdx.x < 32) __syncthreads();
    out[threadIdx.x] = 1.0f;
}

/// A shuffle that one lane misses.
KERNEL(faulty_divergent_shuffle, (Global<float> out)) {
    float value = 1.0f;
    if (threadIdx.x != 5) value += __shfl_xor_sync(ALL_LANES, value, 1);
    out[threadIdx.x] = value;
}

/// Two blocks write the same number.
KERNEL(faulty_blocks, (Global<float> out)) {
    if (threadIdx.x == 0) out[0] = float(blockIdx.x);
}

/// Writes over what other threads still read.
KERNEL(faulty_write_after_read, (Global<float> x)) {
    float value = x[(threadIdx.x + 1) % 64];
    x[threadIdx.x] = value;
}

/// Reads shared memory that nobody wrote.
KERNEL(faulty_unwritten, (Global<float> out)) {
    SHARED(float, values, 64);
    if (threadIdx.x < 32) values[threadIdx.x] = 1.0f;
    __syncthreads();
    out[threadIdx.x] = values[threadIdx.x];
}
