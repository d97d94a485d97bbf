#pragma once
#include "shim.h"

namespace emulated {
struct Launch {
    const char* name;
    void (*call)(void** args);
    void** args;
    dim3 grid, block;
    size_t shared;
};
// Runs all blocks of a launch, one after the other.
void run(const Launch& what);
}  // namespace emulated
