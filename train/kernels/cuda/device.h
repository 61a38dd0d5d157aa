//! The words that kernels are written in, for a device (NVRTC, nvcc) and for the emulation on the host.
//!
//! `KERNEL(name, (parameters)) { body }` defines a kernel; `Global<T>` is a pointer into device memory, `SHARED(T, name, n)` an
//! array of a block, `DYNAMIC_SHARED(T, name)` the one whose size the launch gives. On a device these are what CUDA calls
//! them; in the emulation every access is checked (emulation/memory.h).

#pragma once

#if defined(__CUDACC__)

template <class T> using Global = T*;
template <class T> using Shared = T*;

#define KERNEL(name, parameters) extern "C" __global__ void name parameters
#define SHARED(T, name, count) __shared__ T name[count]
#define DYNAMIC_SHARED(T, name) \
    extern __shared__ float dynamic_shared_memory[]; \
    T* name = reinterpret_cast<T*>(dynamic_shared_memory)
#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__

#else

#include "emulation/grid.h"

#define DEVICE static inline
#define DEVICE_MEMBER inline

#endif

typedef unsigned int u32;
typedef unsigned long long u64;

/// What lies at an address that stands in a table; 0 is null.
template <class T> DEVICE Global<T> pointer_at(u64 address) {
#if defined(__CUDACC__)
    return reinterpret_cast<T*>(address);
#else
    return emulation::resolve<T>(address);
#endif
}

/// Threads that shuffle with each other.
#define WARP 32
#define ALL_LANES 0xffffffffu
