// Products of the small matrices of one image, for attention and matching.
//
// A block has 8 x height threads. In a product of rows with rows the eight stride over its columns, the others over its
// rows, three rows a thread: one four-float read of a row then serves up to nine columns and one of a column three
// rows, so that arithmetic takes longer than shared memory does. Strides of eight and three fit the lengths of
// sequences (64 patches and a class token are 65: nine columns of eight) better than tiles of powers of two do.
#pragma once
#include "runtime/vectors.cuh"

constexpr unsigned LANES = 8;
constexpr unsigned ROWS = 3;
// Columns of an operand in shared memory at once: most heads are as wide, or half as wide.
constexpr unsigned DEPTH = 64;
// Distance of rows there: eight neighbours read four floats each from different banks.
constexpr unsigned PITCH = DEPTH + 4;

// Rows in global memory, `pitch` floats apart. `factor`, where there is one, multiplies each row; it has one for every
// `step`th.
struct Matrix {
    const float* at;
    unsigned pitch;
    const float* factor = nullptr;
    unsigned step = 0;

    __device__ Matrix from(unsigned row, unsigned col) const {
        return {at + row * pitch + col, pitch, factor ? factor + row * step : nullptr, step};
    }
};

__device__ inline unsigned up_to_four(unsigned n) { return (n + 3) / 4 * 4; }
__device__ inline unsigned thread_in_block() { return threadIdx.y * LANES + threadIdx.x; }

// Combines the values of eight neighbouring threads; each of them gets the result.
template <class F>
__device__ float lanes_reduce(float v, F f) {
    for (unsigned apart = LANES / 2; apart > 0; apart /= 2) v = f(v, __shfl_xor_sync(FULL, v, apart));
    return v;
}
__device__ inline float lanes_sum(float v) {
    return lanes_reduce(v, [](float a, float b) { return a + b; });
}
__device__ inline float lanes_max(float v) {
    return lanes_reduce(v, [](float a, float b) { return a > b ? a : b; });
}

// to [rows, PITCH] = `depth` columns of `rows` rows, with zeros up to the next multiple of four in both directions.
// `vectors`: rows start where four floats can be read at once.
__device__ inline void load_rows(float* to, Matrix from, unsigned rows, unsigned depth, bool vectors) {
    unsigned all = up_to_four(rows), threads = LANES * blockDim.y;
    if (vectors) {
#pragma unroll 4
        for (unsigned i = thread_in_block(); i < all * (DEPTH / 4); i += threads) {
            unsigned row = i / (DEPTH / 4), col = i % (DEPTH / 4) * 4;
            if (col >= depth) continue;
            float4 v = row < rows ? load4(from.at + row * from.pitch + col) : make_float4(0, 0, 0, 0);
            if (from.factor && row < rows) v = times(from.factor[row * from.step], v);
            store4(to + row * PITCH + col, v);
        }
        return;
    }
#pragma unroll 1
    for (unsigned i = thread_in_block(); i < all * DEPTH; i += threads) {
        unsigned row = i / DEPTH, col = i % DEPTH;
        if (col >= up_to_four(depth)) continue;
        float v = row < rows && col < depth ? from.at[row * from.pitch + col] : 0.0f;
        if (from.factor && row < rows) v *= from.factor[row * from.step];
        to[row * PITCH + col] = v;
    }
}

// Adds the four products in their order.
__device__ inline float dot4(float4 a, float4 b, float sum) {
    return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

// put(r, row, col, value) for x z^T, x [rows, depth] and z [cols, depth]: at most ROWS * height rows, 8 N columns. `a`
// and `b` hold as many rows; `a` holds x already where `loaded` and all of its columns fit.
template <unsigned N, class F>
__device__ void one_product(
    Matrix x, unsigned rows, Matrix z, unsigned cols, unsigned depth, bool vectors, bool loaded, float* a, float* b, F put) {
    float sum[ROWS][N] = {};
    for (unsigned from = 0; from < depth; from += DEPTH) {
        unsigned part = min(DEPTH, depth - from);
        __syncthreads(); // what was here before has been read
        if (!loaded || depth > DEPTH) load_rows(a, x.from(0, from), rows, part, vectors);
        load_rows(b, z.from(0, from), cols, part, vectors);
        __syncthreads();
        const float* left = a + threadIdx.y * PITCH;
        const float* right = b + threadIdx.x * PITCH;
        for (unsigned d = 0; d < part; d += 4) {
            float4 v[ROWS];
#pragma unroll
            for (unsigned r = 0; r < ROWS; r++) v[r] = load4(left + r * blockDim.y * PITCH + d);
#pragma unroll
            for (unsigned j = 0; j < N; j++) {
                float4 w = load4(right + j * LANES * PITCH + d);
#pragma unroll
                for (unsigned r = 0; r < ROWS; r++) sum[r][j] = dot4(v[r], w, sum[r][j]);
            }
        }
    }
    __syncthreads(); // `put` may write where `b` is
#pragma unroll
    for (unsigned r = 0; r < ROWS; r++) {
#pragma unroll
        for (unsigned j = 0; j < N; j++) {
            unsigned row = threadIdx.y + r * blockDim.y, col = threadIdx.x + j * LANES;
            if (row < rows && col < cols) put(r, row, col, sum[r][j]);
        }
    }
}

// As `one_product`, for any number of columns: `chunk` of them at a time, at most 72.
template <class F>
__device__ void products(
    Matrix x, unsigned rows, Matrix z, unsigned cols, unsigned depth, bool vectors, unsigned chunk, float* a, float* b, F put) {
    for (unsigned from = 0; from < cols; from += chunk) {
        unsigned count = min(chunk, cols - from);
        auto shifted = [&](unsigned r, unsigned row, unsigned col, float v) { put(r, row, from + col, v); };
        Matrix part = z.from(from, 0);
        if (chunk <= 3 * LANES) one_product<3>(x, rows, part, count, depth, vectors, from > 0, a, b, shifted);
        else if (chunk <= 5 * LANES) one_product<5>(x, rows, part, count, depth, vectors, from > 0, a, b, shifted);
        else if (chunk <= 7 * LANES) one_product<7>(x, rows, part, count, depth, vectors, from > 0, a, b, shifted);
        else one_product<9>(x, rows, part, count, depth, vectors, from > 0, a, b, shifted);
    }
}

// to += v where `add`, to = v otherwise; the first `count` of the four.
__device__ inline void put4(float* to, float4 v, unsigned count, bool vectors, bool add) {
    if (vectors) return write<4>(to, v, add);
    float values[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (unsigned i = 0; i < 4; i++)
        if (i < count) to[i] = add ? to[i] + values[i] : values[i];
}

// put(row, col, four values) for weights z: weights [rows, pitch] in shared memory, zero up to the next multiple of
// four of `inner`, and z [inner, depth], `chunk` rows at a time. C: how many times four columns a thread has; 32 C
// columns are computed together.
template <unsigned C, class F>
__device__ void weighted_rows(
    const float* weights, unsigned pitch, unsigned rows, Matrix z, unsigned inner, unsigned depth, bool vectors, unsigned chunk,
    float* a, F put) {
    constexpr unsigned WIDTH = 4 * LANES * C;
    for (unsigned left = 0; left < depth; left += WIDTH) {
        float4 sum[ROWS][C];
#pragma unroll
        for (unsigned r = 0; r < ROWS; r++)
#pragma unroll
            for (unsigned c = 0; c < C; c++) sum[r][c] = make_float4(0, 0, 0, 0);
        for (unsigned from = 0; from < inner; from += chunk) {
            unsigned count = min(chunk, inner - from);
            __syncthreads(); // the weights are there, and `a` has been read
            load_rows(a, z.from(from, left), count, min(WIDTH, depth - left), vectors);
            __syncthreads();
            const float* w = weights + threadIdx.y * pitch + from;
            const float* v = a + 4 * threadIdx.x;
            for (unsigned k = 0; k < count; k += 4) {
                float4 four[ROWS];
#pragma unroll
                for (unsigned r = 0; r < ROWS; r++) four[r] = load4(w + r * blockDim.y * pitch + k);
#pragma unroll
                for (unsigned c = 0; c < C; c++) {
                    const float* column = v + k * PITCH + 4 * LANES * c;
                    float4 v0 = load4(column), v1 = load4(column + PITCH), v2 = load4(column + 2 * PITCH), v3 = load4(column + 3 * PITCH);
#pragma unroll
                    for (unsigned r = 0; r < ROWS; r++) {
                        sum[r][c] = plus_times(sum[r][c], four[r].x, v0);
                        sum[r][c] = plus_times(sum[r][c], four[r].y, v1);
                        sum[r][c] = plus_times(sum[r][c], four[r].z, v2);
                        sum[r][c] = plus_times(sum[r][c], four[r].w, v3);
                    }
                }
            }
        }
#pragma unroll
        for (unsigned r = 0; r < ROWS; r++) {
#pragma unroll
            for (unsigned c = 0; c < C; c++) {
                unsigned row = threadIdx.y + r * blockDim.y, col = left + 4 * (threadIdx.x + LANES * c);
                if (row < rows && col < depth) put(row, col, sum[r][c]);
            }
        }
    }
}
