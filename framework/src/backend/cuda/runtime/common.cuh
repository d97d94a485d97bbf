// What every file of kernels starts from. The same files are compiled as C++ by the tests, where a shim stands in for
// CUDA: dynamic shared memory is declared with SHARED_MEMORY, and every warp function names the whole warp.
#pragma once

#ifdef EMULATED_CUDA
#include "shim.h"
#else
#define SHARED_MEMORY(type, name) \
    extern __shared__ __align__(16) unsigned char shared_memory[]; \
    type* name = reinterpret_cast<type*>(shared_memory)
#endif

constexpr unsigned WARP = 32;
constexpr unsigned FULL = 0xffffffffu;

__device__ inline float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ inline void store4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }

// First element of this thread and distance to its next one, where threads stride over everything.
__device__ inline unsigned first() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline unsigned stride() { return gridDim.x * blockDim.x; }

// y[i] = f(x[i]), four at a time. Tensors start where their memory does, so addresses are aligned.
template <class F>
__device__ void map(unsigned n, const float* x, float* y, F f) {
    for (unsigned i = first(); i < n / 4; i += stride()) {
        float4 v = load4(x + 4 * i);
        store4(y + 4 * i, make_float4(f(v.x), f(v.y), f(v.z), f(v.w)));
    }
    unsigned i = n / 4 * 4 + first();
    if (i < n) y[i] = f(x[i]);
}

// z[i] = f(x[i], y[i]); z may be x or y.
template <class F>
__device__ void map(unsigned n, const float* x, const float* y, float* z, F f) {
    for (unsigned i = first(); i < n / 4; i += stride()) {
        float4 a = load4(x + 4 * i), b = load4(y + 4 * i);
        store4(z + 4 * i, make_float4(f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w)));
    }
    unsigned i = n / 4 * 4 + first();
    if (i < n) z[i] = f(x[i], y[i]);
}

// Combines the values of a warp; every lane gets the result. The order is fixed: the same bits every time.
template <class T, class F>
__device__ T warp_reduce(T v, F f) {
    for (unsigned apart = WARP / 2; apart > 0; apart /= 2) v = f(v, __shfl_xor_sync(FULL, v, apart));
    return v;
}
template <class T>
__device__ T warp_sum(T v) {
    return warp_reduce(v, [](T a, T b) { return a + b; });
}
__device__ inline float warp_max(float v) {
    return warp_reduce(v, [](float a, float b) { return a > b ? a : b; });
}

// Combines the values of a block of whole warps; every thread gets the result. `none` leaves any value as it is.
template <class T, class F>
__device__ T block_reduce(T v, T none, F f) {
    __shared__ T parts[WARP];
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    v = warp_reduce(v, f);
    __syncthreads(); // the last use of `parts` may still be read
    if (lane == 0) parts[warp] = v;
    __syncthreads();
    return warp_reduce(lane < warps ? parts[lane] : none, f);
}
template <class T>
__device__ T block_sum(T v) {
    return block_reduce(v, T(0), [](T a, T b) { return a + b; });
}
