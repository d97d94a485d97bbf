// A tile of a matrix product whose factors are read through functions, so that a convolution needs no columns in
// memory.
#pragma once
#include "runtime/common.cuh"

// What is summed over goes through shared memory in steps of this many. Eight consecutive floats are one sector of
// memory, and both factors of two steps, one read while the other is filled, take 17 KB at the largest tile.
constexpr unsigned STEP = 8;

// ROWS x COLS results; each thread holds TALL x WIDE of them in registers, in groups of 4 x 4 so that it reads shared
// memory in vectors. 8 x 8 are 64 multiplications for four such reads; a thread cannot hold more without halving the
// warps of a multiprocessor.
template <unsigned ROWS_, unsigned COLS_, unsigned TALL_, unsigned WIDE_>
struct Tile {
    static constexpr unsigned ROWS = ROWS_, COLS = COLS_, TALL = TALL_, WIDE = WIDE_;
    static constexpr unsigned THREADS = ROWS / TALL * (COLS / WIDE);
    static_assert(THREADS % WARP == 0 && COLS / WIDE % 8 == 0, "a warp is 8 threads wide and 4 tall");

    // Position of this thread. A warp of 8 x 4 reads no more than 32 words of a row at once.
    static __device__ unsigned across() { return threadIdx.x / WARP % (COLS / WIDE / 8) * 8 + threadIdx.x % 8; }
    static __device__ unsigned down() { return threadIdx.x / WARP / (COLS / WIDE / 8) * 4 + threadIdx.x % WARP / 8; }
    // Row and column of its result (i, j).
    static __device__ unsigned row(unsigned i) { return i / 4 * (ROWS / (TALL / 4)) + 4 * down() + i % 4; }
    static __device__ unsigned col(unsigned j) { return j / 4 * (COLS / (WIDE / 4)) + 4 * across() + j % 4; }
};

// sum[i][j] = sum over k in from..end of left(k, row(i)) right(k, col(j)).
//
// `Factors` has `describe(k, end)`: what its other functions want to know of a k, computed once for the block; all of
// them give zero for the description of a k that is not below `end`. `left(description, row)`. `right(description,
// column)`; with BY_COLUMN a thread always asks for the same column, and neighbours ask for neighbouring ones,
// otherwise neighbours ask for neighbouring k.
template <class T, class Factors>
__device__ __forceinline__ void multiply(const Factors& factors, unsigned from, unsigned end, float (&sum)[T::TALL][T::WIDE]) {
    // Four floats more a row: eight k of one column then lie in different banks.
    __shared__ __align__(16) float left[2][STEP][T::ROWS + 4];
    __shared__ __align__(16) float right[2][STEP][T::COLS + 4];
    __shared__ int4 descriptions[2][STEP];
    constexpr unsigned LEFT = T::ROWS * STEP / T::THREADS, RIGHT = T::COLS * STEP / T::THREADS;
    const unsigned t = threadIdx.x;
    float next_left[LEFT], next_right[RIGHT];

    auto describe = [&](unsigned slot, unsigned k) {
        if (t < STEP) descriptions[slot][t] = factors.describe(k + t, end);
    };
    auto fetch = [&](unsigned slot) {
        int4 mine = descriptions[slot][t % STEP];
#pragma unroll
        for (unsigned i = 0; i < LEFT; i++) next_left[i] = factors.left(mine, t / STEP + i * (T::THREADS / STEP));
#pragma unroll
        for (unsigned i = 0; i < RIGHT; i++) {
            if constexpr (Factors::BY_COLUMN) {
                int4 its = descriptions[slot][t / T::COLS + i * (T::THREADS / T::COLS)];
                next_right[i] = factors.right(its, t % T::COLS);
            } else {
                next_right[i] = factors.right(mine, t / STEP + i * (T::THREADS / STEP));
            }
        }
    };
    auto put = [&](unsigned slot) {
#pragma unroll
        for (unsigned i = 0; i < LEFT; i++) left[slot][t % STEP][t / STEP + i * (T::THREADS / STEP)] = next_left[i];
#pragma unroll
        for (unsigned i = 0; i < RIGHT; i++) {
            if constexpr (Factors::BY_COLUMN) {
                right[slot][t / T::COLS + i * (T::THREADS / T::COLS)][t % T::COLS] = next_right[i];
            } else {
                right[slot][t % STEP][t / STEP + i * (T::THREADS / STEP)] = next_right[i];
            }
        }
    };

#pragma unroll
    for (unsigned i = 0; i < T::TALL; i++)
#pragma unroll
        for (unsigned j = 0; j < T::WIDE; j++) sum[i][j] = 0.0f;
    describe(0, from);
    describe(1, from + STEP);
    __syncthreads();
    fetch(0);
    put(0);
    __syncthreads();
    unsigned slot = 0;
    for (unsigned k = from; k < end; k += STEP, slot ^= 1) {
        // Reading the next step from memory takes as long as computing this one: it starts before and is stored behind
        // it.
        bool more = k + STEP < end;
        if (more) fetch(slot ^ 1);
        describe(slot, k + 2 * STEP);
#pragma unroll
        for (unsigned s = 0; s < STEP; s++) {
            float a[T::TALL], b[T::WIDE];
#pragma unroll
            for (unsigned i = 0; i < T::TALL; i += 4) {
                float4 v = load4(&left[slot][s][T::row(i)]);
                a[i] = v.x, a[i + 1] = v.y, a[i + 2] = v.z, a[i + 3] = v.w;
            }
#pragma unroll
            for (unsigned j = 0; j < T::WIDE; j += 4) {
                float4 v = load4(&right[slot][s][T::col(j)]);
                b[j] = v.x, b[j + 1] = v.y, b[j + 2] = v.z, b[j + 3] = v.w;
            }
#pragma unroll
            for (unsigned i = 0; i < T::TALL; i++)
#pragma unroll
                for (unsigned j = 0; j < T::WIDE; j++) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
        }
        if (more) put(slot ^ 1);
        __syncthreads();
    }
}
