// A convolution's shape, and where its factors lie.
#pragma once
#include "runtime/common.cuh"

// Images [batch, channels, height, width], windows of tall x wide pixels `step` apart with `padding` zeros around the
// image, down x across of them; weights [filters, channels, tall, wide]. The same numbers describe a transposed
// convolution, whose output is the image and whose input has a pixel for each window.
struct Shape {
    unsigned batch, channels, height, width, filters, tall, wide, step, padding, down, across;
};
#define SHAPE \
    unsigned batch, unsigned channels, unsigned height, unsigned width, unsigned filters, unsigned tall, unsigned wide, \
        unsigned step, unsigned padding, unsigned down, unsigned across
#define THE_SHAPE \
    Shape { batch, channels, height, width, filters, tall, wide, step, padding, down, across }

// A row that lies outside of every image, also after a pixel's and a tap's are added.
constexpr int OUTSIDE = -(1 << 29);

// Taps and pixels are described by four numbers: offset in memory, row, column, and one more. The value that tap meets
// at a pixel lies at the sum of their offsets, if the sums of their rows and columns lie in the image.
struct Source {
    const float* data;
    unsigned height, width;

    __device__ float at(int4 a, int4 b) const {
        bool inside = unsigned(a.y + b.y) < height && unsigned(a.z + b.z) < width;
        return inside ? data[a.x + b.x] : 0.0f;
    }
};

// Where a tap (a channel and a place in the window) leads, from the pixel where the window starts. `way` is 1 or -1.
__device__ inline int4 tap_of(unsigned channel, unsigned row, unsigned col, int way, const Source& s, unsigned weight) {
    int down = way * int(row), across = way * int(col);
    return make_int4(int(channel * s.height * s.width) + down * int(s.width) + across, down, across, int(weight));
}

// The largest of four, the first of equal ones, and its place.
__device__ inline float largest(float4 v, unsigned& place) {
    float top = v.y > v.x ? v.y : v.x, bottom = v.w > v.z ? v.w : v.z;
    place = bottom > top ? (v.w > v.z ? 3 : 2) : (v.y > v.x ? 1 : 0);
    return bottom > top ? bottom : top;
}
