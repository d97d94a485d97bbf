// Reads and writes of four neighbours at a time, or of one where rows are not multiples of four.
#pragma once
#include "runtime/common.cuh"

template <unsigned V>
__device__ float4 read(const float* p) {
    if constexpr (V == 4) return load4(p);
    else return make_float4(*p, 0.0f, 0.0f, 0.0f);
}

// p = v, or p += v where `add`.
template <unsigned V>
__device__ void write(float* p, float4 v, bool add = false) {
    if constexpr (V == 4) {
        if (add) {
            float4 old = load4(p);
            v = make_float4(old.x + v.x, old.y + v.y, old.z + v.z, old.w + v.w);
        }
        store4(p, v);
    } else {
        *p = add ? *p + v.x : v.x;
    }
}

__device__ inline float4 plus(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }
__device__ inline float4 times(float f, float4 v) { return make_float4(f * v.x, f * v.y, f * v.z, f * v.w); }
// sum + f v
__device__ inline float4 plus_times(float4 sum, float f, float4 v) {
    return make_float4(fmaf(f, v.x, sum.x), fmaf(f, v.y, sum.y), fmaf(f, v.z, sum.z), fmaf(f, v.w, sum.w));
}
