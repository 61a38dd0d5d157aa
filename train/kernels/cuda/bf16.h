//! bf16 as two bytes: rounded to nearest, ties to even, in whole numbers, so that every compiler gives the same bits.

#pragma once

#include "device.h"

/// The upper half of an f32.
struct Bf16 {
    unsigned short bits;
};

DEVICE Bf16 bf16_round(float value) {
    u32 bits = __float_as_uint(value);
    Bf16 out;
    // A NaN stays one: rounding could carry its last bits into the exponent.
    bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    out.bits = (unsigned short)(is_nan ? (bits >> 16) | 0x40u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    return out;
}

DEVICE float bf16_widen(Bf16 value) { return __uint_as_float(u32(value.bits) << 16); }

/// Numbers of either kind as f32, and back.
DEVICE float widen(float value) { return value; }
DEVICE float widen(Bf16 value) { return bf16_widen(value); }

template <class T> struct Narrow;
template <> struct Narrow<float> {
    static DEVICE_MEMBER float round(float value) { return value; }
};
template <> struct Narrow<Bf16> {
    static DEVICE_MEMBER Bf16 round(float value) { return bf16_round(value); }
};
template <class T> DEVICE T narrow(float value) { return Narrow<T>::round(value); }
