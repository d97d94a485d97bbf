// Activation functions; the numbers are those that `code` in Rust gives.
#pragma once
#include "runtime/common.cuh"

enum Act : unsigned { NONE, RELU, GELU, GELU_EXACT, TANH, SIGMOID, RELU6 };

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// 2 sqrt(2 / pi): x / 2 (1 + tanh(u)) = x sigmoid(2 u).
constexpr float GELU_SCALE = 1.5957691216057308f;
constexpr float GELU_CUBIC = 0.044715f;
constexpr float SQRT_HALF = 0.70710678118654752f;

__device__ inline float act_value(unsigned act, float x) {
    switch (act) {
        case RELU: return x < 0.0f ? 0.0f : x; // NaN stays NaN
        case GELU: return x * sigmoid(GELU_SCALE * x * fmaf(GELU_CUBIC * x, x, 1.0f));
        case GELU_EXACT: return 0.5f * x * (1.0f + erff(x * SQRT_HALF));
        case TANH: return tanhf(x);
        case SIGMOID: return sigmoid(x);
        case RELU6: return x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x;
        default: return x;
    }
}

// Derivative at the input x.
__device__ inline float act_slope(unsigned act, float x) {
    switch (act) {
        case RELU: return x > 0.0f ? 1.0f : 0.0f;
        case GELU: {
            float square = x * x;
            float s = sigmoid(GELU_SCALE * x * fmaf(GELU_CUBIC, square, 1.0f));
            return fmaf(x * (1.0f - s) * GELU_SCALE * fmaf(3.0f * GELU_CUBIC, square, 1.0f), s, s);
        }
        case GELU_EXACT: {
            float density = 0.3989422804014327f * expf(-0.5f * x * x);
            return fmaf(x, density, 0.5f * (1.0f + erff(x * SQRT_HALF)));
        }
        case TANH: {
            float y = tanhf(x);
            return 1.0f - y * y;
        }
        case SIGMOID: {
            float y = sigmoid(x);
            return y * (1.0f - y);
        }
        case RELU6: return x > 0.0f && x < 6.0f ? 1.0f : 0.0f;
        default: return 1.0f;
    }
}

// Derivative where the output is y, for functions whose output tells.
__device__ inline float act_slope_from_out(unsigned act, float y) {
    switch (act) {
        case RELU: return y > 0.0f ? 1.0f : 0.0f;
        case TANH: return 1.0f - y * y;
        case SIGMOID: return y * (1.0f - y);
        case RELU6: return y > 0.0f && y < 6.0f ? 1.0f : 0.0f;
        default: return 1.0f;
    }
}

// Derivative from what the forward pass kept: the input where `pre`, the output otherwise.
__device__ inline float act_slope_of(unsigned act, unsigned pre, float kept) {
    return pre ? act_slope(act, kept) : act_slope_from_out(act, kept);
}
