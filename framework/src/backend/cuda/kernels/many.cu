// One launch over many tensors: optimizer steps, the norm of all gradients, and values for the host.
#include "common.cuh"

// One tensor, or what belongs to one parameter. Laid out as `One` in Rust.
struct One {
    float* weight;
    const float* grad;
    float* first_state;
    float* second_state;
    const float* mask;
    unsigned n;
    // SGD: decay. Adam: step size, factor of the root of the second moment, decay in the gradient, factor of the weight.
    float size, root, decay, shrink;
};

// As many as fit into the 4 KB of a kernel's parameters.
struct Many {
    One each[56];
};

// v = momentum v + g; w -= lr (ahead g + along v), with g = scale grad + decay w. No velocity where momentum is zero. Where the mask
// is zero, so are weight and state. Grid (blocks, tensors).
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

// Sums of the squares of the gradients, one for each block: sums [tensors, blocks].
extern "C" __global__ void squares(Many many, double* sums) {
    const One& one = many.each[blockIdx.y];
    double sum = 0.0;
    for (unsigned i = first(); i < one.n; i += stride()) sum += double(one.grad[i]) * double(one.grad[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.y * gridDim.x + blockIdx.x] = sum;
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

// One block: all of some numbers added up.
extern "C" __global__ void total(unsigned n, const double* sums, double* to) {
    double sum = 0.0;
    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) sum += sums[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *to = sum;
}

// The tensors one after the other; each weight says where it goes. Grid (blocks, tensors).
extern "C" __global__ void gather(Many many) {
    const One& one = many.each[blockIdx.y];
    for (unsigned i = first(); i < one.n; i += stride()) one.weight[i] = one.grad[i];
}
