// Batches drawn out of a pool of examples on the device: normalised, cropped and mirrored.
#include "runtime/common.cuh"

// Laid out as `Pick` in Rust.
struct Pick {
    unsigned index;
    int down, right;
    unsigned flip;
};

template <class T>
__device__ void draw(
    unsigned n, unsigned channels, unsigned height, unsigned width, const T* pool, const Pick* picks, const float2* maps, float* out) {
    unsigned plane = height * width, item = channels * plane;
    for (unsigned i = first(); i < n; i += stride()) {
        Pick pick = picks[i / item];
        unsigned within = i % item, channel = within / plane, x = within % width;
        int row = int(within % plane / width) + pick.down;
        int column = int(pick.flip ? width - 1 - x : x) + pick.right;
        bool inside = row >= 0 && row < int(height) && column >= 0 && column < int(width);
        size_t at = size_t(pick.index) * item + channel * plane + unsigned(row) * width + unsigned(column);
        float2 map = maps[channel];
        out[i] = (inside ? float(pool[at]) : 0.0f) * map.x + map.y;
    }
}

extern "C" __global__ void draw_bytes(
    unsigned n, unsigned channels, unsigned height, unsigned width, const unsigned char* pool, const Pick* picks,
    const float2* maps, float* out) {
    draw(n, channels, height, width, pool, picks, maps, out);
}

extern "C" __global__ void draw_floats(
    unsigned n, unsigned channels, unsigned height, unsigned width, const float* pool, const Pick* picks, const float2* maps,
    float* out) {
    draw(n, channels, height, width, pool, picks, maps, out);
}
