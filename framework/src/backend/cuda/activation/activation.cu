// Activation functions, alone.
#include "activation/activation.cuh"

extern "C" __global__ void activation(unsigned act, unsigned n, const float* x, float* y) {
    map(n, x, y, [=](float x) { return act_value(act, x); });
}

extern "C" __global__ void activation_backward(unsigned act, unsigned n, const float* x, const float* dy, float* dx) {
    map(n, x, dy, dx, [=](float x, float dy) { return dy * act_slope(act, x); });
}
