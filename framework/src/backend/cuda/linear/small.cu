// Fully connected layers that are too small for a library's matrix product: what costs time there is the launches, so a
// layer is one launch forward and one backward, mask, bias, activation and residual included.
#include "activation/activation.cuh"

// A block has SIDE x SIDE results; its warps share what is summed over, CHUNK at a time, and their sums are put
// together at the end.
constexpr unsigned SIDE = 16, CHUNK = 32, WARPS = 8;
// Distance of rows in shared memory: eight lanes read four floats each from different banks.
constexpr unsigned PITCH = CHUNK + 4;

// One warp's part of both factors; afterwards its sums.
union Part {
    float factors[2][SIDE][PITCH];
    float sums[SIDE][SIDE];
};

// Brings SIDE rows of a factor, from..from + CHUNK of what is summed over. `along`: neighbours in memory follow each
// other along what is summed over, otherwise along the rows.
template <class F>
__device__ void bring(float (*to)[PITCH], unsigned row0, unsigned rows, unsigned from, unsigned inner, bool along, F value) {
    unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (unsigned i = 0; i < SIDE; i++) {
        unsigned row = along ? i : lane % SIDE, k = along ? lane : 2 * i + lane / SIDE;
        to[row][k] = row0 + row < rows && from + k < inner ? value(row0 + row, from + k) : 0.0f;
    }
}

// put(row, col, sum over k < inner of left(row, k) right(col, k)) for one tile of rows x cols results.
template <class L, class R, class F>
__device__ void small_product(
    Part* parts, unsigned tile, unsigned rows, unsigned cols, unsigned inner, bool left_along, bool right_along, L left, R right,
    F put) {
    unsigned across = (cols + SIDE - 1) / SIDE, row0 = tile / across * SIDE, col0 = tile % across * SIDE;
    unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, down = lane / 8, side = lane % 8;
    auto& mine = parts[warp];
    float sum[4][2] = {};
    for (unsigned from = warp * CHUNK; from < inner; from += WARPS * CHUNK) {
        bring(mine.factors[0], row0, rows, from, inner, left_along, left);
        bring(mine.factors[1], col0, cols, from, inner, right_along, right);
        __syncwarp();
#pragma unroll
        for (unsigned k = 0; k < CHUNK; k += 4) {
            float4 a[4], b[2];
#pragma unroll
            for (unsigned i = 0; i < 4; i++) a[i] = load4(&mine.factors[0][down + 4 * i][k]);
#pragma unroll
            for (unsigned j = 0; j < 2; j++) b[j] = load4(&mine.factors[1][side + 8 * j][k]);
#pragma unroll
            for (unsigned i = 0; i < 4; i++)
#pragma unroll
                for (unsigned j = 0; j < 2; j++)
                    sum[i][j] = fmaf(a[i].w, b[j].w, fmaf(a[i].z, b[j].z, fmaf(a[i].y, b[j].y, fmaf(a[i].x, b[j].x, sum[i][j]))));
        }
        __syncwarp(); // the factors have been read
    }
#pragma unroll
    for (unsigned i = 0; i < 4; i++)
#pragma unroll
        for (unsigned j = 0; j < 2; j++) mine.sums[down + 4 * i][side + 8 * j] = sum[i][j];
    __syncthreads();
    unsigned i = threadIdx.x / SIDE, j = threadIdx.x % SIDE;
    float total = 0.0f;
#pragma unroll
    for (unsigned w = 0; w < WARPS; w++) total += parts[w].sums[i][j];
    if (row0 + i < rows && col0 + j < cols) put(row0 + i, col0 + j, total);
}

// y [rows, outputs] = act(x [rows, inputs] (w mask)^T + bias) + residual; `pre` gets the value before the activation.
// All but x, w and y may be missing. Blocks of 256 threads, one a tile.
extern "C" __global__ void __launch_bounds__(256, 2) small_linear(
    unsigned act, unsigned rows, unsigned inputs, unsigned outputs, const float* x, const float* w, const float* mask, const float* bias,
    const float* residual, float* y, float* pre) {
    __shared__ __align__(16) Part parts[WARPS];
    auto weight = [=](unsigned out, unsigned in) { return mask ? w[out * inputs + in] * mask[out * inputs + in] : w[out * inputs + in]; };
    small_product(
        parts, blockIdx.x, rows, outputs, inputs, true, true, [=](unsigned row, unsigned in) { return x[row * inputs + in]; }, weight,
        [=](unsigned row, unsigned out, float v) {
            unsigned i = row * outputs + out;
            if (bias) v += bias[out];
            if (pre) pre[i] = v;
            v = act_value(act, v);
            y[i] = residual ? v + residual[i] : v;
        });
}

// With dpre = dy act'(kept), or dy where `kept` is missing: dw = dpre^T x, unmasked, and db by the first `weights`
// blocks, where x has a column of ones more for db; dx = dpre (w mask) by the others, where there are any. Each is
// added to where `add_...`.
extern "C" __global__ void __launch_bounds__(256, 2) small_linear_backward(
    unsigned act, unsigned is_pre, unsigned rows, unsigned inputs, unsigned outputs, unsigned weights, const float* x, const float* w,
    const float* mask, const float* dy, const float* kept, float* dx, unsigned add_x, float* dw, unsigned add_w, float* db,
    unsigned add_b) {
    __shared__ __align__(16) Part parts[WARPS];
    auto dpre = [=](unsigned row, unsigned out) {
        unsigned i = row * outputs + out;
        return kept ? dy[i] * act_slope_of(act, is_pre, kept[i]) : dy[i];
    };
    auto leave = [](float* to, float v, unsigned add) { *to = add ? *to + v : v; };
    if (blockIdx.x < weights) {
        small_product(
            parts, blockIdx.x, outputs, inputs + (db ? 1 : 0), rows, false, false, [=](unsigned out, unsigned row) { return dpre(row, out); },
            [=](unsigned in, unsigned row) { return in < inputs ? x[row * inputs + in] : 1.0f; },
            [=](unsigned out, unsigned in, float v) {
                if (in < inputs) leave(dw + out * inputs + in, v, add_w);
                else leave(db + out, v, add_b);
            });
    } else {
        small_product(
            parts, blockIdx.x - weights, rows, inputs, outputs, true, false, dpre,
            [=](unsigned in, unsigned out) {
                unsigned i = out * inputs + in;
                return mask ? w[i] * mask[i] : w[i];
            },
            [=](unsigned row, unsigned in, float v) { leave(dx + row * inputs + in, v, add_x); });
    }
}
