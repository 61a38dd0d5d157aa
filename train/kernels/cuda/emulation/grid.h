//! A grid of blocks run on the CPU: one fibre a thread, switched at barriers and shuffles.
//!
//! Blocks run one after the other, so what only goes wrong between blocks that run at once is seen by the shadows of memory.h
//! alone. A barrier that not every thread of a block reaches, and a shuffle that not every lane of a warp does, end the launch.

#pragma once

#include <ucontext.h>

#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "memory.h"

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

enum class State { Runs, WaitsForBlock, WaitsForWarp, Done };

struct Fibre {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    State state = State::Done;
    uint32_t warp_phase = 0;
};

/// What lanes hand each other: two slots each, used in turns.
struct Warp {
    uint64_t slots[2][32];
};

extern std::vector<Fibre> fibres;
extern std::vector<Warp> warps;

/// Leaves the thread until its block, or its warp, has come to the same place.
void wait(State state);

inline Warp& own_warp() { return warps[now.thread / 32]; }

template <class T> T shuffle(T value, unsigned from_lane) {
    static_assert(sizeof(T) <= 8, "a lane hands on eight bytes at most");
    unsigned turn = now.warp_phase % 2, lane = now.thread % 32;
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    own_warp().slots[turn][lane] = bits;
    wait(State::WaitsForWarp);
    memcpy(&value, &own_warp().slots[turn][from_lane % 32], sizeof(T));
    return value;
}

/// Shared memory of the block that runs, by the place in the source that asks for it.
Region* shared_region(const void* place, const char* name, size_t bytes);
Region* dynamic_region();

/// A kernel as a launch finds it: by name, with a function that reads its arguments.
struct Argument {
    Region* region;
    int64_t offset;
    uint64_t bits;
    bool is_pointer;
};
typedef std::function<void()> Body;
typedef std::function<Body(const std::vector<Argument>&, std::string&)> Binder;
std::map<std::string, Binder>& kernels();

template <class T> struct Convert {
    static bool read(const Argument& argument, T& value) {
        if (argument.is_pointer) return false;
        memcpy(&value, &argument.bits, sizeof(T));
        return true;
    }
};
template <class T> struct Convert<Pointer<T>> {
    static bool read(const Argument& argument, Pointer<T>& value) {
        if (!argument.is_pointer) return false;
        value = Pointer<T>(argument.region, argument.offset);
        return true;
    }
};

template <class... T, size_t... I>
Body bind_arguments(void (*kernel)(T...), const std::vector<Argument>& arguments, std::string& fault, std::index_sequence<I...>) {
    std::tuple<T...> values;
    bool fits = arguments.size() == sizeof...(T);
    if (fits) {
        bool each[] = {true, Convert<T>::read(arguments[I], std::get<I>(values))...};
        for (bool one : each) fits = fits && one;
    }
    if (!fits) {
        fault = text("%zu arguments that are not those of the kernel's %zu parameters", arguments.size(), sizeof...(T));
        return Body();
    }
    return [kernel, values] { kernel(std::get<I>(values)...); };
}

struct Registration {
    template <class... T> Registration(const char* name, void (*kernel)(T...)) {
        kernels()[name] = [kernel](const std::vector<Argument>& arguments, std::string& fault) {
            return bind_arguments(kernel, arguments, fault, std::index_sequence_for<T...>());
        };
    }
};

/// How a kernel is launched.
struct Launch {
    dim3 grid, block;
    size_t shared_bytes = 0;
};

/// Runs a grid; what was found wrong, or nothing.
std::string run_grid(const Launch& launch, const Body& body);

}  // namespace emulation

#define KERNEL(name, parameters) \
    static void name parameters; \
    static emulation::Registration registered_##name(#name, name); \
    static void name parameters

#define SHARED(T, name, count) \
    static const char name##_place = 0; \
    emulation::Pointer<T> name(emulation::shared_region(&name##_place, #name, (count) * sizeof(T)), 0)
#define DYNAMIC_SHARED(T, name) emulation::Pointer<T> name(emulation::dynamic_region(), 0)

inline void __syncthreads() { emulation::wait(emulation::State::WaitsForBlock); }
inline void __syncwarp(unsigned = 0xffffffffu) { emulation::wait(emulation::State::WaitsForWarp); }

template <class T> T __shfl_xor_sync(unsigned, T value, unsigned lanes) {
    return emulation::shuffle(value, (emulation::now.thread % 32) ^ lanes);
}
template <class T> T __shfl_sync(unsigned, T value, unsigned lane) { return emulation::shuffle(value, lane); }

inline unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, 4);
    return bits;
}
inline float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
