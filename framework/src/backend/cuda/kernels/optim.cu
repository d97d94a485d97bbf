// Optimizer updates in place, one pass over memory; formulas of PyTorch. Where the mask is zero, so are weight and state.
#include "common.cuh"

// v = momentum v + g; w -= lr (ahead g + along v), with g = scale grad + decay w. No velocity where momentum is zero.
extern "C" __global__ void sgd(
    unsigned n, float lr, float momentum, float ahead, float along, float decay, float scale, float* weight, const float* grad,
    float* velocity, const float* mask) {
    for (unsigned i = first(); i < n; i += stride()) {
        float w = weight[i], g = fmaf(decay, w, scale * grad[i]), keep = mask ? mask[i] : 1.0f;
        float step = g;
        if (velocity) {
            float v = fmaf(momentum, velocity[i], g);
            velocity[i] = v * keep;
            step = fmaf(along, v, ahead * g);
        }
        weight[i] = (w - lr * step) * keep;
    }
}

// m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2; w = shrink w - size m / (root sqrt(v) + eps).
extern "C" __global__ void adam(
    unsigned n, float one_minus_beta1, float beta2, float one_minus_beta2, float size, float root, float eps, float decay,
    float shrink, float scale, float* weight, const float* grad, float* first_moment, float* second_moment, const float* mask) {
    for (unsigned i = first(); i < n; i += stride()) {
        float w = weight[i], g = fmaf(decay, w, scale * grad[i]), keep = mask ? mask[i] : 1.0f;
        float m = first_moment[i], v = second_moment[i];
        m = fmaf(one_minus_beta1, g - m, m);
        v = fmaf(beta2, v, one_minus_beta2 * g * g);
        first_moment[i] = m * keep;
        second_moment[i] = v * keep;
        weight[i] = (shrink * w - size * m / fmaf(sqrtf(v), root, eps)) * keep;
    }
}
