#pragma once
#include <cstddef>
#include <cstdint>

namespace emulated {
// Device memory that was allocated, and what is known of its words.
struct Region {
    uintptr_t start;
    size_t bytes;
    void* words = nullptr;
};
// The allocation whose pages hold an address.
Region* region_at(uintptr_t address);
// To be called when an allocation ends, and when one begins.
void forget(Region& region);
void forget_where();

// Where the running thread is. Intervals between barriers are counted on through all blocks and launches, warps' rounds
// between __syncwarp through a block; `launch` and `block` are the first intervals of these.
struct Moment {
    bool watched;
    uint32_t interval, launch, block;
    unsigned thread, round;
    uintptr_t stack;
    size_t stack_bytes, shared;
};
extern Moment moment;

// Ends the program, with the kernel, the thread and the place in the source.
[[noreturn]] void fail(const char* what);
[[noreturn]] void race(const char* what, unsigned other, const void* at);
}  // namespace emulated
