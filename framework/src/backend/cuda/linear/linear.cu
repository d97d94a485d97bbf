// What surrounds the matrix products of a fully connected layer.
#include "activation/activation.cuh"

// y = act(y + bias) + residual in rows of `cols`; `pre` gets the value before the activation. All but y may be missing.
extern "C" __global__ void linear_finish(
    unsigned act, unsigned n, unsigned cols, float* y, const float* bias, const float* residual, float* pre) {
    auto one = [=](float v, float b, float r, float& kept) {
        kept = v + b;
        return act_value(act, kept) + r;
    };
    // Rows that four divides keep the four elements of a vector in one row.
    unsigned whole = cols % 4 == 0 ? n / 4 : 0;
    for (unsigned i = first(); i < whole; i += stride()) {
        float4 zero = make_float4(0, 0, 0, 0), v = load4(y + 4 * i), kept;
        float4 b = bias ? load4(bias + 4 * i % cols) : zero, r = residual ? load4(residual + 4 * i) : zero;
        v = make_float4(one(v.x, b.x, r.x, kept.x), one(v.y, b.y, r.y, kept.y), one(v.z, b.z, r.z, kept.z),
                        one(v.w, b.w, r.w, kept.w));
        store4(y + 4 * i, v);
        if (pre) store4(pre + 4 * i, kept);
    }
    for (unsigned i = 4 * whole + first(); i < n; i += stride()) {
        float kept;
        y[i] = one(y[i], bias ? bias[i % cols] : 0.0f, residual ? residual[i] : 0.0f, kept);
        if (pre) pre[i] = kept;
    }
}

// dpre = dy act'(kept), and sums of its columns over the rows of one piece: sums [pieces, cols].
// Blocks of 32 x 8 threads, grid (cols / 32, pieces). Nothing is written to `dpre` or `sums` where they are missing;
// with one piece `sums` is the bias's gradient itself, added to where `add`.
extern "C" __global__ void linear_backward(
    unsigned act, unsigned pre, unsigned rows, unsigned cols, unsigned piece, const float* dy, const float* kept, float* dpre,
    float* sums, unsigned add) {
    __shared__ float parts[8][WARP];
    unsigned col = blockIdx.x * WARP + threadIdx.x;
    unsigned end = min(rows, (blockIdx.y + 1) * piece);
    float sum = 0.0f;
    if (col < cols) {
        for (unsigned row = blockIdx.y * piece + threadIdx.y; row < end; row += 8) {
            unsigned i = row * cols + col;
            float v = dy[i];
            if (kept) v *= act_slope_of(act, pre, kept[i]);
            if (dpre) dpre[i] = v;
            sum += v;
        }
    }
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && col < cols && sums) {
        for (unsigned i = 1; i < 8; i++) sum += parts[i][threadIdx.x];
        float* to = sums + blockIdx.y * cols + col;
        *to = add ? *to + sum : sum;
    }
}
