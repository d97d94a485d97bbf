// The parts of a variational loss (Kingma & Welling 2014): one pass over the elements for a sum and its gradients.
#include "activation/activation.cuh"

// Leaves the sum of this block in `sums`; with one block it is the result, scaled.
__device__ inline void leave_sum(float sum, float scale, double* sums, float* result) {
    double total = block_sum(double(sum));
    if (threadIdx.x == 0) {
        if (gridDim.x == 1) *result = float(scale * total);
        else sums[blockIdx.x] = total;
    }
}

// scale times the sum of what the blocks left; one block.
extern "C" __global__ void sum_of_blocks(unsigned blocks, float scale, const double* sums, float* result) {
    double total = 0.0;
    for (unsigned i = threadIdx.x; i < blocks; i += blockDim.x) total += sums[i];
    total = block_sum(total);
    if (threadIdx.x == 0) *result = float(scale * total);
}

// sum of -(t ln s + (1 - t) ln(1 - s)) with s = sigmoid(x); dx = scale (s - t) where wanted.
extern "C" __global__ void bce_logits(
    unsigned n, float scale, const float* x, const float* target, double* sums, float* result, float* dx) {
    float sum = 0.0f;
    for (unsigned i = first(); i < n; i += stride()) {
        float v = x[i], t = target[i];
        sum += (v < 0.0f ? 0.0f : v) - v * t + log1pf(expf(-fabsf(v)));
        if (dx) dx[i] = scale * (sigmoid(v) - t);
    }
    leave_sum(sum, scale, sums, result);
}

// sum of -1/2 (1 + l - m^2 - e^l); dm = scale m and dl = scale (e^l - 1) / 2 where wanted.
extern "C" __global__ void gaussian_kld(
    unsigned n, float scale, const float* mu, const float* logvar, double* sums, float* result, float* dmu, float* dlogvar) {
    float sum = 0.0f;
    for (unsigned i = first(); i < n; i += stride()) {
        float m = mu[i], l = logvar[i], variance = expf(l);
        sum += -0.5f * (1.0f + l - m * m - variance);
        if (dmu) dmu[i] = scale * m;
        if (dlogvar) dlogvar[i] = 0.5f * scale * (variance - 1.0f);
    }
    leave_sum(sum, scale, sums, result);
}

// z = mu + e^(l / 2) noise
extern "C" __global__ void reparametrise(unsigned n, const float* mu, const float* logvar, const float* noise, float* z) {
    for (unsigned i = first(); i < n; i += stride()) z[i] = mu[i] + expf(0.5f * logvar[i]) * noise[i];
}

// dl = dz e^(l / 2) noise / 2
extern "C" __global__ void reparametrise_backward(
    unsigned n, const float* logvar, const float* noise, const float* dz, float* dlogvar) {
    for (unsigned i = first(); i < n; i += stride()) dlogvar[i] = dz[i] * 0.5f * expf(0.5f * logvar[i]) * noise[i];
}
