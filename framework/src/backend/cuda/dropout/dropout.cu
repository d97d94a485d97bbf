// Dropout whose mask is computed from a seed and the element's index: the same elements as on the CPU.
#include "runtime/common.cuh"

// SplitMix64 (Steele et al. 2014).
__device__ inline unsigned long long splitmix(unsigned long long z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

// y = scale x where the generator's output, in 24 bits, reaches the threshold; zero elsewhere. `start`: its scrambled
// seed.
extern "C" __global__ void dropout(
    unsigned n, unsigned long long start, unsigned threshold, float scale, const float* x, float* y) {
    auto one = [=](unsigned i, float x) {
        unsigned drawn = unsigned(splitmix(start + i * 0x9E3779B97F4A7C15ull) >> 40);
        return drawn >= threshold ? scale * x : 0.0f;
    };
    for (unsigned i = first(); i < n / 4; i += stride()) {
        float4 v = load4(x + 4 * i);
        store4(y + 4 * i, make_float4(one(4 * i, v.x), one(4 * i + 1, v.y), one(4 * i + 2, v.z), one(4 * i + 3, v.w)));
    }
    unsigned i = n / 4 * 4 + first();
    if (i < n) y[i] = one(i, x[i]);
}
