// Convolutions whose filters see a part of the channels: filters and channels lie in as many runs as there are groups, and
// each run of filters sees its run of channels. Weights [filters, channels / groups, tall, wide].
#include "activation/activation.cuh"
#include "conv/shape.cuh"

// Channels and filters of one group.
struct Each {
    unsigned inputs, outputs;
    __device__ Each(const Shape& s, unsigned groups) : inputs(s.channels / groups), outputs(s.filters / groups) {}
};

__device__ inline float weight_at(const float* weight, const float* mask, unsigned at) {
    return mask ? weight[at] * mask[at] : weight[at];
}

// What a filter makes of the window that begins at a place in image `b`.
__device__ inline float at_window(
    const Shape& s, const Each& each, const float* x, const float* weight, const float* mask, unsigned b, unsigned filter,
    unsigned row, unsigned col) {
    unsigned area = s.tall * s.wide, first = filter / each.outputs * each.inputs;
    float sum = 0.0f;
    for (unsigned i = 0; i < each.inputs; i++) {
        const float* plane = x + (b * s.channels + first + i) * s.height * s.width;
        unsigned w = (filter * each.inputs + i) * area;
        for (unsigned ky = 0; ky < s.tall; ky++) {
            unsigned y = row * s.step + ky - s.padding; // below zero it is large
            if (y >= s.height) continue;
            for (unsigned kx = 0; kx < s.wide; kx++) {
                unsigned at = col * s.step + kx - s.padding;
                if (at < s.width) sum = fmaf(plane[y * s.width + at], weight_at(weight, mask, w + ky * s.wide + kx), sum);
            }
        }
    }
    return sum;
}

// y = act(x * w + bias); where `pool` the largest of every 2x2 windows, and its place in `argmax` where that is wanted.
extern "C" __global__ void conv_grouped(
    SHAPE, unsigned groups, unsigned act, unsigned pool, unsigned count, const float* x, const float* weight, const float* mask,
    const float* bias, float* y, unsigned char* argmax) {
    Shape s = THE_SHAPE;
    Each each(s, groups);
    unsigned rows = pool ? down / 2 : down, cols = pool ? across / 2 : across;
    for (unsigned i = first(); i < count; i += stride()) {
        unsigned col = i % cols, row = i / cols % rows, filter = i / (cols * rows) % filters, b = i / (cols * rows) / filters;
        float sum;
        if (pool) {
            float v[4];
            for (unsigned n = 0; n < 4; n++)
                v[n] = at_window(s, each, x, weight, mask, b, filter, 2 * row + n / 2, 2 * col + n % 2);
            unsigned place;
            sum = largest(make_float4(v[0], v[1], v[2], v[3]), place);
            if (argmax) argmax[i] = place;
        } else {
            sum = at_window(s, each, x, weight, mask, b, filter, row, col);
        }
        y[i] = act_value(act, sum + (bias ? bias[filter] : 0.0f));
    }
}

// dx, or what is there and dx where `add`: a pixel meets an element of the kernel in the window that it began there.
extern "C" __global__ void conv_grouped_input(
    SHAPE, unsigned groups, unsigned add, unsigned count, const float* dy, const float* weight, const float* mask, float* dx) {
    Shape s = THE_SHAPE;
    Each each(s, groups);
    unsigned area = tall * wide;
    for (unsigned i = first(); i < count; i += stride()) {
        unsigned col = i % width, row = i / width % height, channel = i / (width * height) % channels;
        unsigned b = i / (width * height) / channels, of = channel / each.inputs * each.outputs;
        float sum = 0.0f;
        for (unsigned f = of; f < of + each.outputs; f++) {
            const float* plane = dy + (b * filters + f) * down * across;
            unsigned w = (f * each.inputs + channel % each.inputs) * area;
            for (unsigned ky = 0; ky < tall; ky++) {
                unsigned from = row + padding - ky; // below zero it is large
                if (from % step != 0 || from / step >= down || row + padding < ky) continue;
                for (unsigned kx = 0; kx < wide; kx++) {
                    unsigned left = col + padding - kx;
                    if (left % step != 0 || left / step >= across || col + padding < kx) continue;
                    float d = plane[from / step * across + left / step];
                    sum = fmaf(d, weight_at(weight, mask, w + ky * wide + kx), sum);
                }
            }
        }
        dx[i] = add ? dx[i] + sum : sum;
    }
}

// The gradient of one element of the weight in each block: the sum over images and windows. The order of the sum is fixed
// by the shape: the same bits every time.
extern "C" __global__ void conv_grouped_weight(
    SHAPE, unsigned groups, unsigned add, const float* x, const float* dy, float* dw) {
    Shape s = THE_SHAPE;
    Each each(s, groups);
    unsigned kx = blockIdx.x % wide, ky = blockIdx.x / wide % tall, of = blockIdx.x / (wide * tall);
    unsigned filter = of / each.inputs, channel = filter / each.outputs * each.inputs + of % each.inputs;
    unsigned plane = down * across, count = batch * plane;
    float sum = 0.0f;
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
        unsigned b = i / plane, row = i % plane / across * step + ky - padding, col = i % across * step + kx - padding;
        if (row >= height || col >= width) continue;
        float d = dy[(b * filters + filter) * plane + i % plane];
        sum = fmaf(d, x[((b * channels + channel) * height + row) * width + col], sum);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) dw[blockIdx.x] = add ? dw[blockIdx.x] + sum : sum;
}
