// Maximum and mean over square windows of each channel; `count` windows or pixels of all channels together, a thread
// for each.
#include "runtime/common.cuh"

struct Range {
    unsigned from, end;
    // Pixels of window `w` that are in the image.
    static __device__ Range of_window(unsigned w, unsigned kernel, unsigned step, unsigned padding, unsigned side) {
        unsigned start = w * step;
        return {start < padding ? 0 : start - padding, min(start + kernel - padding, side)};
    }
    // Windows that pixel `p` is in.
    static __device__ Range of_pixel(unsigned p, unsigned kernel, unsigned step, unsigned padding, unsigned windows) {
        unsigned at = p + padding;
        return {at < kernel ? 0 : (at - kernel) / step + 1, min(at / step + 1, windows)};
    }
};

#define POOL \
    unsigned count, unsigned height, unsigned width, unsigned down, unsigned across, unsigned kernel, unsigned step, unsigned padding

extern "C" __global__ void pool_max(POOL, const float* x, float* y, unsigned* argmax) {
    for (unsigned i = first(); i < count; i += stride()) {
        Range rows = Range::of_window(i / across % down, kernel, step, padding, height);
        Range cols = Range::of_window(i % across, kernel, step, padding, width);
        const float* plane = x + i / (down * across) * height * width;
        unsigned place = rows.from * width + cols.from;
        float most = plane[place];
        for (unsigned row = rows.from; row < rows.end; row++) {
            for (unsigned at = row * width + cols.from; at < row * width + cols.end; at++) {
                float v = plane[at];
                // As PyTorch, a NaN wins.
                if (v > most || v != v) {
                    most = v;
                    place = at;
                }
            }
        }
        y[i] = most;
        argmax[i] = place;
    }
}

extern "C" __global__ void pool_mean(POOL, const float* x, float* y) {
    for (unsigned i = first(); i < count; i += stride()) {
        Range rows = Range::of_window(i / across % down, kernel, step, padding, height);
        Range cols = Range::of_window(i % across, kernel, step, padding, width);
        const float* plane = x + i / (down * across) * height * width;
        float sum = 0.0f;
        for (unsigned row = rows.from; row < rows.end; row++) {
            float line = 0.0f;
            for (unsigned col = cols.from; col < cols.end; col++) line += plane[row * width + col];
            sum += line;
        }
        y[i] = sum / (kernel * kernel);
    }
}

// dx: every pixel asks the windows it is in. So nothing is added to by two threads, and the order of the sums is fixed.
extern "C" __global__ void pool_max_backward(POOL, const float* dy, const unsigned* argmax, float* dx, unsigned add) {
    for (unsigned i = first(); i < count; i += stride()) {
        unsigned in_plane = i % (height * width), windows = i / (height * width) * down * across;
        Range rows = Range::of_pixel(in_plane / width, kernel, step, padding, down);
        Range cols = Range::of_pixel(in_plane % width, kernel, step, padding, across);
        float sum = add ? dx[i] : 0.0f;
        for (unsigned row = rows.from; row < rows.end; row++) {
            for (unsigned at = windows + row * across + cols.from; at < windows + row * across + cols.end; at++) {
                if (argmax[at] == in_plane) sum += dy[at];
            }
        }
        dx[i] = sum;
    }
}

extern "C" __global__ void pool_mean_backward(POOL, const float* dy, float* dx, unsigned add) {
    for (unsigned i = first(); i < count; i += stride()) {
        unsigned in_plane = i % (height * width), windows = i / (height * width) * down * across;
        Range rows = Range::of_pixel(in_plane / width, kernel, step, padding, down);
        Range cols = Range::of_pixel(in_plane % width, kernel, step, padding, across);
        float sum = add ? dx[i] : 0.0f;
        for (unsigned row = rows.from; row < rows.end; row++) {
            for (unsigned col = cols.from; col < cols.end; col++) {
                sum += dy[windows + row * across + col] / (kernel * kernel);
            }
        }
        dx[i] = sum;
    }
}
