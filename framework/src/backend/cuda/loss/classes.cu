// Cross-entropy with its gradient.
#include "runtime/common.cuh"

// What a block's rows come to, in a fixed order: metrics [2] (the mean loss over the rows and the number of hits) where
// it has all of them, otherwise its part of `parts` [blocks, 2] for `loss_total`.
__device__ inline void leave_metrics(double loss, double hits, unsigned rows, double* parts, float* metrics) {
    loss = block_sum(loss);
    hits = block_sum(hits);
    if (threadIdx.x != 0) return;
    if (gridDim.x == 1) {
        metrics[0] = float(loss / rows);
        metrics[1] = float(hits);
    } else {
        parts[2 * blockIdx.x] = loss;
        parts[2 * blockIdx.x + 1] = hits;
    }
}

// A warp a row; a hit is where the largest logit, the first of equal ones, is the class's. `grad`, where wanted, is
// that of the mean over the rows. Targets are smoothed as in PyTorch.
template <class Ids>
__device__ void cross_entropy_of(
    unsigned rows, unsigned classes, float smoothing, const float* logits, Ids ids, double* parts, float* metrics, float* grad) {
    unsigned lane = threadIdx.x % WARP;
    double losses = 0.0, hits = 0.0;
    for (unsigned row = first() / WARP; row < rows; row += stride() / WARP) {
        const float* x = logits + row * classes;
        float most = -INFINITY;
        for (unsigned c = lane; c < classes; c += WARP) most = x[c] > most ? x[c] : most;
        most = warp_max(most);
        float total = 0.0f, spread = 0.0f;
        unsigned before = 0; // an equal logit in front of the class's
        unsigned id = ids(row);
        for (unsigned c = lane; c < classes; c += WARP) {
            total += expf(x[c] - most);
            before |= x[c] == most && c < id;
        }
        total = warp_sum(total);
        float log_total = most + logf(total);
        if (smoothing > 0.0f) {
            for (unsigned c = lane; c < classes; c += WARP) spread += log_total - x[c];
            spread = warp_sum(spread);
        }
        before = __ballot_sync(FULL, before);
        float uniform = smoothing / classes;
        if (lane == 0) {
            losses += (1.0f - smoothing) * (log_total - x[id]) + uniform * spread;
            hits += x[id] == most && !before;
        }
        if (!grad) continue;
        float mean = 1.0f / rows;
        for (unsigned c = lane; c < classes; c += WARP) {
            float p = expf(x[c] - most) / total;
            grad[row * classes + c] = mean * (p - uniform - (c == id ? 1.0f - smoothing : 0.0f));
        }
    }
    leave_metrics(losses, hits, rows, parts, metrics);
}

extern "C" __global__ void cross_entropy(
    unsigned rows, unsigned classes, float smoothing, const float* logits, const unsigned* ids, double* parts, float* metrics,
    float* grad) {
    cross_entropy_of(rows, classes, smoothing, logits, [=](unsigned row) { return ids[row]; }, parts, metrics, grad);
}

// Class ids that travel with the launch. Laid out as `Few` in Rust.
struct Few {
    unsigned ids[256];
};
extern "C" __global__ void cross_entropy_few(
    unsigned rows, unsigned classes, float smoothing, const float* logits, const __grid_constant__ Few few, double* parts,
    float* metrics, float* grad) {
    cross_entropy_of(rows, classes, smoothing, logits, [&](unsigned row) { return few.ids[row]; }, parts, metrics, grad);
}

// One value a row: -(t ln s + (1 - t) ln(1 - s)) with s = sigmoid(x) and class t, and `grad` of the mean.
extern "C" __global__ void binary_cross_entropy(
    unsigned rows, const float* logits, const unsigned* ids, double* parts, float* metrics, float* grad) {
    double losses = 0.0, hits = 0.0;
    for (unsigned i = first(); i < rows; i += stride()) {
        float x = logits[i], t = ids[i];
        losses += (x < 0.0f ? 0.0f : x) - x * t + log1pf(expf(-fabsf(x)));
        hits += (x > 0.0f) == (ids[i] == 1);
        if (grad) grad[i] = (1.0f / (1.0f + expf(-x)) - t) / rows;
    }
    leave_metrics(losses, hits, rows, parts, metrics);
}

// What the blocks left, put together; one block.
extern "C" __global__ void loss_total(unsigned blocks, unsigned rows, const double* parts, float* metrics) {
    double loss = 0.0, hits = 0.0;
    for (unsigned i = threadIdx.x; i < blocks; i += blockDim.x) {
        loss += parts[2 * i];
        hits += parts[2 * i + 1];
    }
    leave_metrics(loss, hits, rows, nullptr, metrics);
}
