// Cross-entropy with its gradient.
#include "common.cuh"

// One warp a row: loss [rows] and hit [rows] (1 where the largest logit, the first of equal ones, is the class's); `grad`, where
// wanted, is that of the mean over the rows. Targets are smoothed as in PyTorch.
extern "C" __global__ void cross_entropy(
    unsigned rows, unsigned classes, float smoothing, const float* logits, const unsigned* ids, float* loss, float* hit, float* grad) {
    unsigned row = first() / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    const float* x = logits + row * classes;
    float most = -INFINITY;
    for (unsigned c = lane; c < classes; c += WARP) most = x[c] > most ? x[c] : most;
    most = warp_max(most);
    float total = 0.0f, spread = 0.0f;
    unsigned before = 0; // an equal logit in front of the class's
    unsigned id = ids[row];
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
        loss[row] = (1.0f - smoothing) * (log_total - x[id]) + uniform * spread;
        hit[row] = x[id] == most && !before;
    }
    if (!grad) return;
    float mean = 1.0f / rows;
    for (unsigned c = lane; c < classes; c += WARP) {
        float p = expf(x[c] - most) / total;
        grad[row * classes + c] = mean * (p - uniform - (c == id ? 1.0f - smoothing : 0.0f));
    }
}

// One value a row: -(t ln s + (1 - t) ln(1 - s)) with s = sigmoid(x) and class t, and `grad` of the mean.
extern "C" __global__ void binary_cross_entropy(
    unsigned rows, const float* logits, const unsigned* ids, float* loss, float* hit, float* grad) {
    for (unsigned i = first(); i < rows; i += stride()) {
        float x = logits[i], t = ids[i];
        loss[i] = (x < 0.0f ? 0.0f : x) - x * t + log1pf(expf(-fabsf(x)));
        hit[i] = (x > 0.0f) == (ids[i] == 1);
        if (grad) grad[i] = (1.0f / (1.0f + expf(-x)) - t) / rows;
    }
}

// One block: the mean loss over the rows and the number of hits, summed up in a fixed order; figures [2].
extern "C" __global__ void loss_total(unsigned rows, const float* loss, const float* hit, float* figures) {
    double sum = 0.0, hits = 0.0;
    for (unsigned i = threadIdx.x; i < rows; i += blockDim.x) {
        sum += loss[i];
        hits += hit[i];
    }
    sum = block_sum(sum);
    hits = block_sum(hits);
    if (threadIdx.x == 0) {
        figures[0] = float(sum / rows);
        figures[1] = float(hits);
    }
}
