// One axis of x [outer, n, inner] summed up, in a fixed order: the same bits every time.
#include "runtime/common.cuh"

// The numbers are those of `Reduce` in Rust, in their order.
__device__ inline float reduce_start(unsigned how, float x) {
    switch (how) {
        case 1: case 4: return fabsf(x);
        case 2: return x * x;
        default: return x;
    }
}
__device__ inline float reduce_join(unsigned how, float a, float b) { return how == 4 ? (a > b ? a : b) : a + b; }
__device__ inline float reduce_finish(unsigned how, float v, unsigned n) {
    return how == 2 ? sqrtf(v) : how == 3 ? v / n : v;
}

// Neighbours in memory are reduced together: inner = 1, one block of 256 threads for each of `outer` rows.
extern "C" __global__ void reduce_rows(unsigned how, unsigned n, const float* x, float* y) {
    const float* row = x + size_t(blockIdx.x) * n;
    float v = 0.0f;
    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) v = reduce_join(how, v, reduce_start(how, row[i]));
    v = block_reduce(v, 0.0f, [=](float a, float b) { return reduce_join(how, a, b); });
    if (threadIdx.x == 0) y[blockIdx.x] = reduce_finish(how, v, n);
}

// Blocks of 32 x 8 threads, grid (inner / 32, outer): 32 neighbours, the axis by eight threads.
extern "C" __global__ void reduce_columns(unsigned how, unsigned n, unsigned inner, const float* x, float* y) {
    __shared__ float parts[8][WARP];
    unsigned column = blockIdx.x * WARP + threadIdx.x;
    const float* from = x + size_t(blockIdx.y) * n * inner;
    float v = 0.0f;
    if (column < inner) {
        for (unsigned i = threadIdx.y; i < n; i += 8) {
            v = reduce_join(how, v, reduce_start(how, from[size_t(i) * inner + column]));
        }
    }
    parts[threadIdx.y][threadIdx.x] = v;
    __syncthreads();
    if (threadIdx.y == 0 && column < inner) {
        for (unsigned i = 1; i < 8; i++) v = reduce_join(how, v, parts[i][threadIdx.x]);
        y[size_t(blockIdx.y) * inner + column] = reduce_finish(how, v, n);
    }
}

// to [cols] = sums of the columns of x [rows, cols], in the order of the rows; added where `add`. For few rows.
extern "C" __global__ void column_sums(unsigned rows, unsigned cols, const float* x, float* to, unsigned add) {
    unsigned col = first();
    if (col >= cols) return;
    float sum = 0.0f;
    for (unsigned row = 0; row < rows; row++) sum += x[row * cols + col];
    to[col] = add ? to[col] + sum : sum;
}
