// Optimizer steps, and the factor that clips gradients: one launch for many parameters.
#include "tensor/multi_tensor.cuh"

// v = momentum v + g; w -= lr (ahead g + along v), with g = scale grad + decay w. No velocity where momentum is zero.
// Where the mask is zero, so are weight and state. Grid (blocks, tensors).
extern "C" __global__ void sgd(Many many, float lr, float momentum, float ahead, float along, const float* scale) {
    const One& one = many.each[blockIdx.y];
    float factor = scale ? *scale : 1.0f;
    for (unsigned i = first(); i < one.n; i += stride()) {
        float w = one.weight[i], g = fmaf(one.decay, w, factor * one.grad[i]), keep = one.mask ? one.mask[i] : 1.0f, step = g;
        if (one.first_state) {
            float v = fmaf(momentum, one.first_state[i], g);
            one.first_state[i] = v * keep;
            step = fmaf(along, v, ahead * g);
        }
        one.weight[i] = (w - lr * step) * keep;
    }
}

// m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2; w = shrink w - size m / (root sqrt(v) + eps).
extern "C" __global__ void adam(
    Many many, float one_minus_beta1, float beta2, float one_minus_beta2, float eps, const float* scale) {
    const One& one = many.each[blockIdx.y];
    float factor = scale ? *scale : 1.0f;
    for (unsigned i = first(); i < one.n; i += stride()) {
        float w = one.weight[i], g = fmaf(one.decay, w, factor * one.grad[i]), keep = one.mask ? one.mask[i] : 1.0f;
        float m = one.first_state[i], v = one.second_state[i];
        m = fmaf(one_minus_beta1, g - m, m);
        v = fmaf(beta2, v, one_minus_beta2 * g * g);
        one.first_state[i] = m * keep;
        one.second_state[i] = v * keep;
        one.weight[i] = (one.shrink * w - one.size * m / fmaf(sqrtf(v), one.root, eps)) * keep;
    }
}

// What gradients are multiplied by so that their norm does not exceed `limit`, and that norm. One block.
extern "C" __global__ void clip_scale(unsigned n, const double* sums, double limit, float* scale) {
    double sum = 0.0;
    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) sum += sums[i];
    double norm = sqrt(block_sum(sum));
    // A norm that is no number must not pass for a small one.
    if (threadIdx.x == 0) scale[0] = norm <= limit ? 1.0f : float(limit / norm);
    if (threadIdx.x == 0) scale[1] = float(norm);
}
