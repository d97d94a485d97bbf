// Walks over one channel of [batch, channels, inner].
#pragma once
#include "runtime/common.cuh"

// N floats that are read and written at once.
template <unsigned N>
struct alignas(4 * N) Pack {
    float v[N];
};
template <unsigned N>
__device__ Pack<N> load_pack(const float* p) {
    return *reinterpret_cast<const Pack<N>*>(p);
}
template <unsigned N>
__device__ void store_pack(float* p, Pack<N> v) {
    *reinterpret_cast<Pack<N>*>(p) = v;
}

// Calls f(where, Pack) for the elements from..end of channel c, counted over the batch: the block's threads share them,
// in packs of four where no pack straddles two images. `from` is a multiple of four.
template <class F>
__device__ void walk_channel(unsigned channels, unsigned inner, unsigned c, unsigned from, unsigned end, F f) {
    auto at = [=](unsigned i) { return (i / inner * channels + c) * inner + i % inner; };
    if (inner % 4 == 0) {
        for (unsigned i = from + 4 * threadIdx.x; i < end; i += 4 * blockDim.x) f(at(i), Pack<4>{});
    } else {
        for (unsigned i = from + threadIdx.x; i < end; i += blockDim.x) f(at(i), Pack<1>{});
    }
}

// Calls f(where, channel of the first, Pack) for all elements, strided over by all threads. One channel holds a whole
// pack.
template <class F>
__device__ void walk_all(unsigned count, unsigned channels, unsigned inner, F f) {
    if (inner % 4 == 0) {
        for (unsigned i = 4 * first(); i < count; i += 4 * stride()) f(i, i / inner % channels, Pack<4>{});
    } else {
        for (unsigned i = first(); i < count; i += stride()) f(i, i / inner % channels, Pack<1>{});
    }
}
