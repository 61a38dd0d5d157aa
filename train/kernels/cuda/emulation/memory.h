//! Memory of the emulated device: every access is in bounds, of something that was written, and ordered by a barrier.
//!
//! A shadow stands beside every two bytes: who wrote and read them last, in which launch, between which barriers. Two accesses
//! of one place by different threads, one of them a write, are a race unless a barrier of their block, or one of their warp,
//! lies between them; blocks are never ordered. What is found ends the launch with a message.

#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace emulation {

/// A place in a grid and in time.
struct Moment {
    uint32_t launch = 0, block = 0, thread = 0, phase = 0, warp_phase = 0;

    bool is_of_same_thread(const Moment& other) const { return block == other.block && thread == other.thread; }

    /// Whether a barrier lies between the two.
    bool is_ordered_with(const Moment& other) const {
        if (block != other.block) return false;
        return phase != other.phase || (thread / 32 == other.thread / 32 && warp_phase != other.warp_phase);
    }
};

/// What happened to two bytes.
struct Shadow {
    Moment write, read;
    bool is_written = false, has_many_readers = false, has_many_blocks = false;
};

extern Moment now;
[[noreturn]] void end_launch(const std::string& message);

inline std::string text(const char* form, ...) {
    char out[512];
    va_list values;
    va_start(values, form);
    vsnprintf(out, sizeof out, form, values);
    va_end(values);
    return out;
}

/// Numbers with their shadows.
struct Region {
    std::string label;
    const char* name;
    std::vector<unsigned char> bytes;
    std::vector<Shadow> shadows;

    Region(const char* name, size_t length) : label(name), name(name), bytes(length), shadows((length + 1) / 2) {}

    void check_bounds(const char* what, int64_t at, size_t size) const {
        if (at < 0 || at + int64_t(size) > int64_t(bytes.size()))
            end_launch(text("out of bounds: %s number %lld of %s, which has %zu", what, (long long)(at / int64_t(size)), name,
                bytes.size() / size));
    }

    void note_read(int64_t at, size_t size) {
        check_bounds("reads", at, size);
        for (size_t i = at / 2; i < (at + size + 1) / 2; i++) {
            Shadow& shadow = shadows[i];
            if (!shadow.is_written)
                end_launch(text("not written: reads number %lld of %s", (long long)(at / int64_t(size)), name));
            if (shadow.write.launch == now.launch && !shadow.write.is_of_same_thread(now) && !shadow.write.is_ordered_with(now))
                end_race("reads what was written by", at, size, shadow.write);
            bool is_known = shadow.read.launch == now.launch;
            bool is_same_phase = is_known && shadow.read.block == now.block && shadow.read.phase == now.phase;
            shadow.has_many_blocks = is_known && (shadow.has_many_blocks || shadow.read.block != now.block);
            shadow.has_many_readers = is_same_phase && (shadow.has_many_readers || !shadow.read.is_of_same_thread(now));
            shadow.read = now;
        }
    }

    void note_write(int64_t at, size_t size) {
        check_bounds("writes", at, size);
        for (size_t i = at / 2; i < (at + size + 1) / 2; i++) {
            Shadow& shadow = shadows[i];
            if (shadow.write.launch == now.launch && !shadow.write.is_of_same_thread(now) && !shadow.write.is_ordered_with(now))
                end_race("writes what was written by", at, size, shadow.write);
            if (shadow.read.launch == now.launch) {
                bool is_own = shadow.read.is_of_same_thread(now) && !shadow.has_many_readers;
                bool is_ordered = is_own || shadow.read.is_ordered_with(now);
                if (shadow.has_many_blocks || !is_ordered) end_race("writes what was read by", at, size, shadow.read);
            }
            shadow.write = now;
            shadow.is_written = true;
        }
    }

    [[noreturn]] void end_race(const char* what, int64_t at, size_t size, const Moment& other) const {
        end_launch(text("race: number %lld of %s: %s block %u, thread %u without a barrier between", (long long)(at / int64_t(size)),
            name, what, other.block, other.thread));
    }
};

template <class T> struct Unqualified { typedef T type; };
template <class T> struct Unqualified<const T> { typedef T type; };

/// One number of a region, as an lvalue.
template <class T> struct Place {
    typedef typename Unqualified<T>::type Value;
    Region* region;
    int64_t at;

    operator Value() const {
        region->note_read(at, sizeof(Value));
        Value value;
        memcpy(&value, &region->bytes[at], sizeof(Value));
        return value;
    }
    Value operator=(Value value) const {
        static_assert(!std::is_const<T>::value, "a kernel writes to numbers that it may only read");
        region->note_write(at, sizeof(Value));
        memcpy(&region->bytes[at], &value, sizeof(Value));
        return value;
    }
    Value operator=(const Place& other) const { return *this = Value(other); }
    Value operator+=(Value value) const { return *this = Value(*this) + value; }
    Value operator*=(Value value) const { return *this = Value(*this) * value; }
};

/// A pointer whose every access is checked.
template <class T> struct Pointer {
    Region* region = nullptr;
    int64_t at = 0;

    Pointer() = default;
    Pointer(Region* region, int64_t at) : region(region), at(at) {}
    template <class U> Pointer(const Pointer<U>& other) : region(other.region), at(other.at) {
        static_assert(sizeof(U) == sizeof(T), "a pointer keeps the size of its numbers");
    }
    Place<T> operator[](int64_t index) const {
        if (region == nullptr) end_launch("a null pointer is read or written");
        return Place<T>{region, at + index * int64_t(sizeof(T))};
    }
    Pointer operator+(int64_t count) const { return Pointer(region, at + count * int64_t(sizeof(T))); }
    explicit operator bool() const { return region != nullptr; }
};

/// The array of a number; ends the launch if it is not on the device.
Region* find_region(uint64_t id);

/// An address in a table: the number of an array, then the byte in it.
template <class T> Pointer<T> resolve(uint64_t address) {
    if (address == 0) return Pointer<T>();
    return Pointer<T>(find_region(address >> 32), int64_t(address & 0xffffffffu));
}

}  // namespace emulation

template <class T> using Global = emulation::Pointer<T>;
template <class T> using Shared = emulation::Pointer<T>;
