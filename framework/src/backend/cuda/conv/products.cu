// Convolution, and its gradient with respect to the input, which is the transposed convolution: products of the weights
// [rows, depth] with the windows of images [depth, columns], read where they lie.
#include "activation/activation.cuh"
#include "conv/shape.cuh"
#include "conv/tile.cuh"

// What one block needs to know. A column is a pixel of the result; the image is read `apart` pixels further for each.
struct Windows {
    static constexpr bool BY_COLUMN = true;
    Source source;
    const float *weight, *mask;
    // Taps: depth = channels * taps, each with its weight at channel * by_channel + first + row * by_row + col *
    // by_col.
    unsigned depth, taps, taps_across, by_channel, first, by_row, by_col;
    int way;
    // Columns: images of down x across pixels, or where `pool` four for each of down x across windows of 2x2.
    unsigned columns, down, across, image, apart;
    int row_shift, col_shift;
    bool pool;
    // Rows: results' channels; where the result lies.
    unsigned rows, by_weight_row, plane, width, spread, first_row, first_col;
    // This block's, and this thread's column.
    unsigned row0, column0;
    int4 mine;

    __device__ int4 describe(unsigned k, unsigned end) const {
        if (k >= end) return make_int4(0, OUTSIDE, 0, -1);
        unsigned channel = k / taps, tap = k % taps, row = tap / taps_across, col = tap % taps_across;
        return tap_of(channel, row, col, way, source, channel * by_channel + first + row * by_row + col * by_col);
    }
    __device__ float left(int4 tap, unsigned r) const {
        r += row0;
        if (tap.w < 0 || r >= rows) return 0.0f;
        unsigned at = r * by_weight_row + unsigned(tap.w);
        return mask ? weight[at] * mask[at] : weight[at];
    }
    __device__ float right(int4 tap, unsigned) const { return source.at(tap, mine); }

    // Image, row and column of a column.
    __device__ void locate(unsigned column, unsigned& b, unsigned& row, unsigned& col) const {
        unsigned in_window = column % 4, i = pool ? column / 4 : column;
        b = i / (down * across);
        row = i / across % down;
        col = i % across;
        if (pool) {
            row = 2 * row + in_window / 2;
            col = 2 * col + in_window % 2;
        }
    }
    __device__ int4 pixel(unsigned column) const {
        if (column >= columns) return make_int4(0, OUTSIDE, 0, 0);
        unsigned b, u, v;
        locate(column, b, u, v);
        int row = int(u * apart) + row_shift, col = int(v * apart) + col_shift;
        return make_int4(int(b * image) + row * int(source.width) + col, row, col, 0);
    }
    // Where the result of a column lies, for row 0.
    __device__ unsigned place(unsigned column) const {
        unsigned b, u, v;
        if (pool) return column / 4 / (down * across) * rows * plane + column / 4 % (down * across);
        locate(column, b, u, v);
        return b * rows * plane + (first_row + spread * u) * width + first_col + spread * v;
    }
};

// The convolution itself.
__device__ inline Windows forward_of(const Shape& s, const float* x, const float* weight, const float* mask, bool pool) {
    Windows w;
    unsigned taps = s.tall * s.wide;
    w.source = {x, s.height, s.width};
    w.weight = weight, w.mask = mask;
    w.depth = s.channels * taps, w.taps = taps, w.taps_across = s.wide;
    w.by_channel = taps, w.first = 0, w.by_row = s.wide, w.by_col = 1, w.way = 1;
    w.pool = pool;
    w.down = pool ? s.down / 2 : s.down, w.across = pool ? s.across / 2 : s.across;
    w.columns = s.batch * w.down * w.across * (pool ? 4 : 1);
    w.image = s.channels * s.height * s.width, w.apart = s.step;
    w.row_shift = w.col_shift = -int(s.padding);
    w.rows = s.filters, w.by_weight_row = w.depth;
    w.plane = w.down * w.across, w.width = w.across, w.spread = 1, w.first_row = w.first_col = 0;
    return w;
}

// Pixels of an image that only every `step`th tap reaches: those whose row plus padding leaves `phase`.
struct Phase {
    unsigned taps, first, count;
    int shift;
    __device__ Phase(unsigned phase, unsigned kernel, unsigned step, unsigned padding, unsigned side) {
        taps = phase < kernel ? (kernel - phase + step - 1) / step : 0;
        first = (phase + step - padding % step) % step;
        count = first < side ? (side - first + step - 1) / step : 0;
        shift = (int(first + padding) - int(phase)) / int(step);
    }
};

// Its gradient with respect to the input, from `dy` [batch, filters, down, across]. With steps of two, a pixel sees
// only every second tap down and across: pixels of the same phase are computed together, so that no product with zero
// is.
__device__ inline Windows backward_of(const Shape& s, unsigned phase, const float* dy, const float* weight, const float* mask) {
    Windows w;
    Phase down(phase / s.step, s.tall, s.step, s.padding, s.height), across(phase % s.step, s.wide, s.step, s.padding, s.width);
    w.source = {dy, s.down, s.across};
    w.weight = weight, w.mask = mask;
    w.taps = max(down.taps * across.taps, 1u), w.taps_across = max(across.taps, 1u);
    w.depth = s.filters * down.taps * across.taps;
    w.by_channel = s.channels * s.tall * s.wide, w.first = phase / s.step * s.wide + phase % s.step;
    w.by_row = s.step * s.wide, w.by_col = s.step, w.way = -1;
    w.pool = false;
    w.down = down.count, w.across = across.count, w.columns = s.batch * down.count * across.count;
    w.image = s.filters * s.down * s.across, w.apart = 1;
    w.row_shift = down.shift, w.col_shift = across.shift;
    w.rows = s.channels, w.by_weight_row = s.tall * s.wide;
    w.plane = s.height * s.width, w.width = s.width, w.spread = s.step, w.first_row = down.first, w.first_col = across.first;
    return w;
}

// Grid (tiles, shares of the depth, phases). With more than one share each leaves its sums in `partial`, [shares] of
// the result's shape (times four before a pooling); otherwise the result is written, or added where `add`.
template <class T>
__device__ __forceinline__ void convolve(
    Windows& w, unsigned act, unsigned add, unsigned share, const float* bias, float* y, unsigned char* argmax, float* partial,
    unsigned count) {
    unsigned row_tiles = (w.rows + T::ROWS - 1) / T::ROWS;
    // Blocks that read the same images follow each other; the weights stay in the cache anyway.
    w.row0 = blockIdx.x % row_tiles * T::ROWS;
    w.column0 = blockIdx.x / row_tiles * T::COLS;
    if (w.column0 >= w.columns) return;
    w.mine = w.pixel(w.column0 + threadIdx.x % T::COLS);
    float sum[T::TALL][T::WIDE];
    unsigned from = min(blockIdx.y * share, w.depth);
    multiply<T>(w, from, min(from + share, w.depth), sum);

    bool in_fours = w.pool || (w.plane % 4 == 0 && w.spread == 1);
#pragma unroll
    for (unsigned j = 0; j < T::WIDE; j += 4) {
        unsigned column = w.column0 + T::col(j);
        if (column >= w.columns) continue;
        // Four columns are a window of the pooling, or lie next to each other, or are looked up one by one.
        unsigned place[4];
#pragma unroll
        for (unsigned n = 0; n < 4; n++) place[n] = n == 0 || (!in_fours && column + n < w.columns) ? w.place(column + n) : 0;
#pragma unroll
        for (unsigned i = 0; i < T::TALL; i++) {
            unsigned row = w.row0 + T::row(i);
            if (row >= w.rows) continue;
            float4 v = make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]);
            if (partial) {
                float* to = partial + size_t(blockIdx.y) * count + row * w.plane * (w.pool ? 4 : 1);
                if (in_fours) {
                    store4(to + place[0] * (w.pool ? 4 : 1), v);
                } else {
                    float all[4] = {v.x, v.y, v.z, v.w};
                    for (unsigned n = 0; n < 4 && column + n < w.columns; n++) to[place[n]] = all[n];
                }
                continue;
            }
            float b = bias ? bias[row] : 0.0f;
            float* to = y + row * w.plane;
            if (w.pool) {
                // Every activation here is monotone, so it can follow the maximum.
                unsigned in_window, at = place[0];
                to[at] = act_value(act, largest(v, in_window) + b);
                if (argmax) argmax[row * w.plane + at] = in_window;
                continue;
            }
            v = make_float4(act_value(act, v.x + b), act_value(act, v.y + b), act_value(act, v.z + b), act_value(act, v.w + b));
            if (in_fours) {
                to += place[0];
                if (add) {
                    float4 old = load4(to);
                    v = make_float4(old.x + v.x, old.y + v.y, old.z + v.z, old.w + v.w);
                }
                store4(to, v);
            } else {
                float all[4] = {v.x, v.y, v.z, v.w};
                for (unsigned n = 0; n < 4 && column + n < w.columns; n++) {
                    to[place[n]] = add ? to[place[n]] + all[n] : all[n];
                }
            }
        }
    }
}

// 128 x 128 is the least traffic for a result; fewer rows for few filters, which would leave the rest of a tile empty.
using Large = Tile<128, 128, 8, 8>;
using Half = Tile<64, 128, 8, 8>;
using Small = Tile<32, 128, 4, 8>;

#define FORWARD \
    SHAPE, unsigned act, unsigned add, unsigned pool, unsigned share, unsigned count, const float *x, const float *weight, const float *mask, \
        const float *bias, float *y, unsigned char *argmax, float *partial
#define BACKWARD \
    SHAPE, unsigned act, unsigned add, unsigned share, unsigned count, const float *dy, const float *weight, const float *mask, \
        const float *bias, float *dx, float *partial

extern "C" __global__ void __launch_bounds__(256, 2) conv_128(FORWARD) {
    Windows w = forward_of(THE_SHAPE, x, weight, mask, pool);
    convolve<Large>(w, act, add, share, bias, y, argmax, partial, count);
}
extern "C" __global__ void __launch_bounds__(128, 4) conv_64(FORWARD) {
    Windows w = forward_of(THE_SHAPE, x, weight, mask, pool);
    convolve<Half>(w, act, add, share, bias, y, argmax, partial, count);
}
extern "C" __global__ void __launch_bounds__(128, 6) conv_32(FORWARD) {
    Windows w = forward_of(THE_SHAPE, x, weight, mask, pool);
    convolve<Small>(w, act, add, share, bias, y, argmax, partial, count);
}
extern "C" __global__ void __launch_bounds__(256, 2) conv_transposed_128(BACKWARD) {
    Windows w = backward_of(THE_SHAPE, blockIdx.z, dy, weight, mask);
    convolve<Large>(w, act, add, share, bias, dx, nullptr, partial, count);
}
extern "C" __global__ void __launch_bounds__(128, 4) conv_transposed_64(BACKWARD) {
    Windows w = backward_of(THE_SHAPE, blockIdx.z, dy, weight, mask);
    convolve<Half>(w, act, add, share, bias, dx, nullptr, partial, count);
}
extern "C" __global__ void __launch_bounds__(128, 5) conv_transposed_32(BACKWARD) {
    Windows w = backward_of(THE_SHAPE, blockIdx.z, dy, weight, mask);
    convolve<Small>(w, act, add, share, bias, dx, nullptr, partial, count);
}
