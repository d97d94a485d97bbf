// Functions of one element or of a pair.
#include "runtime/common.cuh"

// The numbers are those of `Unary` and `Binary` in Rust, in their order.
extern "C" __global__ void unary(unsigned op, float factor, unsigned n, const float* x, float* y) {
    switch (op) {
        case 0: return map(n, x, y, [](float x) { return fabsf(x); });
        case 1: return map(n, x, y, [](float x) { return x * x; });
        // Zero has no sign, and a NaN stays one.
        case 2: return map(n, x, y, [](float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x == 0.0f ? 0.0f : x; });
        default: return map(n, x, y, [=](float x) { return factor * x; });
    }
}

extern "C" __global__ void binary(unsigned op, unsigned n, const float* a, const float* b, float* y) {
    switch (op) {
        case 0: return map(n, a, b, y, [](float a, float b) { return a + b; });
        case 1: return map(n, a, b, y, [](float a, float b) { return a - b; });
        case 2: return map(n, a, b, y, [](float a, float b) { return a * b; });
        case 3: return map(n, a, b, y, [](float a, float b) { return a > b ? a : b; });
        // Correctly rounded, as on the CPU, whatever the compiler is told of divisions.
        default: return map(n, a, b, y, [](float a, float b) { return __fdiv_rn(a, b); });
    }
}

// y = x times the one value of `factor`.
extern "C" __global__ void scale_by(unsigned n, const float* x, const float* factor, float* y) {
    float by = *factor;
    map(n, x, y, [=](float x) { return by * x; });
}

// Matrices [rows, columns] transposed, each by the blocks of one row of the grid: tiles of 32 x 32 by blocks of 32 x 8
// threads. A row of the tile has 33 places, so that a column lies in 32 banks.
extern "C" __global__ void transpose(unsigned rows, unsigned columns, const float* x, float* y) {
    __shared__ float tile[32][33];
    size_t matrix = size_t(blockIdx.y) * rows * columns;
    unsigned across = (columns + 31) / 32, row = blockIdx.x / across * 32, column = blockIdx.x % across * 32;
    for (unsigned i = threadIdx.y; i < 32; i += 8) {
        if (row + i < rows && column + threadIdx.x < columns) {
            tile[i][threadIdx.x] = x[matrix + (row + i) * columns + column + threadIdx.x];
        }
    }
    __syncthreads();
    for (unsigned i = threadIdx.y; i < 32; i += 8) {
        if (column + i < columns && row + threadIdx.x < rows) {
            y[matrix + (column + i) * rows + row + threadIdx.x] = tile[threadIdx.x][i];
        }
    }
}

// y [outer, kept, inner] = x [outer, n, inner] at the indices `keep` of the middle axis.
extern "C" __global__ void select_indices(
    unsigned count, unsigned n, unsigned kept, unsigned inner, const float* x, const unsigned* keep, float* y) {
    for (unsigned i = first(); i < count; i += stride()) {
        unsigned rest = i / inner;
        y[i] = x[(rest / kept * n + keep[rest % kept]) * inner + i % inner];
    }
}
