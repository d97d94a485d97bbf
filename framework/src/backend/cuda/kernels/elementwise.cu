// Functions of one element or of a pair.
#include "activation.cuh"

// The numbers are those of `Unary` and `Binary` in Rust, in their order.
extern "C" __global__ void unary(unsigned op, float factor, unsigned n, const float* x, float* y) {
    switch (op) {
        case 0: return map(n, x, y, [](float x) { return fabsf(x); });
        case 1: return map(n, x, y, [](float x) { return x * x; });
        // Zero has no sign, and a NaN stays one.
        case 2: return map(n, x, y, [](float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x == 0.0f ? 0.0f : x; });
        default: return map(n, x, y, [=](float x) { return factor * x; });
    }
}

extern "C" __global__ void binary(unsigned op, unsigned n, const float* a, const float* b, float* y) {
    switch (op) {
        case 0: return map(n, a, b, y, [](float a, float b) { return a + b; });
        case 1: return map(n, a, b, y, [](float a, float b) { return a - b; });
        case 2: return map(n, a, b, y, [](float a, float b) { return a * b; });
        default: return map(n, a, b, y, [](float a, float b) { return a > b ? a : b; });
    }
}

extern "C" __global__ void activation(unsigned act, unsigned n, const float* x, float* y) {
    map(n, x, y, [=](float x) { return act_value(act, x); });
}

extern "C" __global__ void activation_backward(unsigned act, unsigned n, const float* x, const float* dy, float* dx) {
    map(n, x, dy, dx, [=](float x, float dy) { return dy * act_slope(act, x); });
}

// y [outer, kept, inner] = x [outer, n, inner] at the indices `keep` of the middle axis.
extern "C" __global__ void select_indices(
    unsigned count, unsigned n, unsigned kept, unsigned inner, const float* x, const unsigned* keep, float* y) {
    for (unsigned i = first(); i < count; i += stride()) {
        unsigned rest = i / inner;
        y[i] = x[(rest / kept * n + keep[rest % kept]) * inner + i % inner];
    }
}
