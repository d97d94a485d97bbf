// Gradient of a convolution with respect to its weight: the product of the output's gradient [filters, pixels of all
// images] with the windows of the images [pixels, channels * tall * wide], read where they lie.
#include "conv/shape.cuh"
#include "conv/tile.cuh"

struct Gradient {
    static constexpr bool BY_COLUMN = false;
    Shape shape;
    Source source;
    const float* dy;
    const int4* taps; // of this block's columns
    unsigned plane, image, row0;

    __device__ int4 describe(unsigned k, unsigned end) const {
        if (k >= end) return make_int4(0, OUTSIDE, 0, -1);
        unsigned b = k / plane, at = k % plane;
        int row = int(at / shape.across * shape.step) - int(shape.padding);
        int col = int(at % shape.across * shape.step) - int(shape.padding);
        int offset = int(b * image) + row * int(shape.width) + col;
        return make_int4(offset, row, col, int(b * shape.filters * plane + at));
    }
    __device__ float left(int4 pixel, unsigned r) const {
        r += row0;
        return pixel.w < 0 || r >= shape.filters ? 0.0f : dy[unsigned(pixel.w) + r * plane];
    }
    __device__ float right(int4 pixel, unsigned column) const { return source.at(pixel, taps[column]); }
};

// Grid (tiles, shares of the pixels). With more than one share each leaves its sums in `partial` [shares, weights];
// otherwise the gradient is written, or added where `add`.
template <class T>
__device__ __forceinline__ void weight_gradient(
    const Shape& s, unsigned add, unsigned share, const float* x, const float* dy, float* dw, float* partial) {
    __shared__ int4 taps[T::COLS];
    Gradient g{s, {x, s.height, s.width}, dy, taps, s.down * s.across, s.channels * s.height * s.width, 0};
    unsigned area = s.tall * s.wide, columns = s.channels * area, row_tiles = (s.filters + T::ROWS - 1) / T::ROWS;
    unsigned column0 = blockIdx.x / row_tiles * T::COLS;
    g.row0 = blockIdx.x % row_tiles * T::ROWS;
    for (unsigned i = threadIdx.x; i < T::COLS; i += T::THREADS) {
        unsigned column = column0 + i, tap = column % area;
        taps[i] = column < columns ? tap_of(column / area, tap / s.wide, tap % s.wide, 1, g.source, 0)
                                   : make_int4(0, OUTSIDE, 0, 0);
    }
    float sum[T::TALL][T::WIDE];
    unsigned pixels = s.batch * g.plane, from = min(blockIdx.y * share, pixels);
    multiply<T>(g, from, min(from + share, pixels), sum);

    float* to = partial ? partial + size_t(blockIdx.y) * s.filters * columns : dw;
    bool adds = add && !partial, in_fours = columns % 4 == 0;
#pragma unroll
    for (unsigned i = 0; i < T::TALL; i++) {
        unsigned row = g.row0 + T::row(i);
        if (row >= s.filters) continue;
#pragma unroll
        for (unsigned j = 0; j < T::WIDE; j += 4) {
            unsigned column = column0 + T::col(j);
            float* at = to + row * columns + column;
            if (in_fours && column < columns) {
                float4 v = adds ? load4(at) : make_float4(0, 0, 0, 0);
                store4(at, make_float4(v.x + sum[i][j], v.y + sum[i][j + 1], v.z + sum[i][j + 2], v.w + sum[i][j + 3]));
                continue;
            }
#pragma unroll
            for (unsigned n = 0; n < 4; n++)
                if (column + n < columns) at[n] = adds ? at[n] + sum[i][j + n] : sum[i][j + n];
        }
    }
}

#define WEIGHT SHAPE, unsigned add, unsigned share, const float *x, const float *dy, float *dw, float *partial

extern "C" __global__ void __launch_bounds__(256, 2) conv_weight_128(WEIGHT) {
    weight_gradient<Tile<128, 128, 8, 8>>(THE_SHAPE, add, share, x, dy, dw, partial);
}
extern "C" __global__ void __launch_bounds__(128, 4) conv_weight_64(WEIGHT) {
    weight_gradient<Tile<64, 128, 8, 8>>(THE_SHAPE, add, share, x, dy, dw, partial);
}
extern "C" __global__ void __launch_bounds__(128, 5) conv_weight_32(WEIGHT) {
    weight_gradient<Tile<32, 128, 4, 8>>(THE_SHAPE, add, share, x, dy, dw, partial);
}
// For images of one to three channels, whose windows have few elements.
extern "C" __global__ void __launch_bounds__(128, 8) conv_weight_narrow(WEIGHT) {
    weight_gradient<Tile<64, 32, 4, 4>>(THE_SHAPE, add, share, x, dy, dw, partial);
}
