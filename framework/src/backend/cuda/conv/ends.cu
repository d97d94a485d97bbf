// What surrounds the products of a convolution: sums of shares with bias, activation and pooling; and on the way back
// the gradient before pooling and activation.
#include "activation/activation.cuh"
#include "norm/channels.cuh"
#include "conv/shape.cuh"

// y = act(sum of the `shares` of partial [shares, count] + bias of the channel), added to y where `add`. The order of
// the shares is fixed: the same bits every time.
extern "C" __global__ void conv_finish(
    unsigned act, unsigned add, unsigned shares, unsigned count, unsigned channels, unsigned plane, const float* partial,
    const float* bias, float* y) {
    walk_all(count, channels, plane, [=](unsigned at, unsigned channel, auto pack) {
        constexpr unsigned N = sizeof pack / sizeof(float);
        auto sum = load_pack<N>(partial + at);
        for (unsigned s = 1; s < shares; s++) {
            auto more = load_pack<N>(partial + size_t(s) * count + at);
            for (unsigned n = 0; n < N; n++) sum.v[n] += more.v[n];
        }
        float b = bias ? bias[channel] : 0.0f;
        for (unsigned n = 0; n < N; n++) sum.v[n] = act_value(act, sum.v[n] + b);
        if (add) {
            auto old = load_pack<N>(y + at);
            for (unsigned n = 0; n < N; n++) sum.v[n] += old.v[n];
        }
        store_pack<N>(y + at, sum);
    });
}

// The same before a pooling: partial [shares, count, 4] has the four values of every window.
extern "C" __global__ void conv_finish_pooled(
    unsigned act, unsigned shares, unsigned count, unsigned channels, unsigned plane, const float* partial, const float* bias,
    float* y, unsigned char* argmax) {
    for (unsigned i = first(); i < count; i += stride()) {
        float4 sum = load4(partial + 4 * size_t(i));
        for (unsigned s = 1; s < shares; s++) {
            float4 more = load4(partial + 4 * (size_t(s) * count + i));
            sum = make_float4(sum.x + more.x, sum.y + more.y, sum.z + more.z, sum.w + more.w);
        }
        unsigned place;
        float most = largest(sum, place);
        y[i] = act_value(act, most + (bias ? bias[i / plane % channels] : 0.0f));
        if (argmax) argmax[i] = place;
    }
}

// dpre = dy act'(y), and its sum over a piece of a channel: sums [pieces, channels]. Grid (channels, pieces). Nothing
// is written to dpre or sums where they are missing, and dy itself is summed where y is.
extern "C" __global__ void conv_slopes(
    unsigned act, unsigned batch, unsigned channels, unsigned plane, unsigned piece, const float* dy, const float* y, float* dpre,
    float* sums) {
    unsigned from = blockIdx.y * piece;
    float sum = 0.0f;
    walk_channel(channels, plane, blockIdx.x, from, min(from + piece, batch * plane), [&](unsigned at, auto pack) {
        constexpr unsigned N = sizeof pack / sizeof(float);
        auto d = load_pack<N>(dy + at);
        if (y) {
            auto out = load_pack<N>(y + at);
            for (unsigned n = 0; n < N; n++) d.v[n] *= act_slope_from_out(act, out.v[n]);
        }
        if (dpre) store_pack<N>(dpre + at, d);
        for (unsigned n = 0; n < N; n++) sum += d.v[n];
    });
    sum = block_sum(sum);
    if (sums && threadIdx.x == 0) sums[blockIdx.y * channels + blockIdx.x] = sum;
}

// The same behind a pooling: dy, y and argmax are those of the 2x2 windows, dpre [batch, channels, down, across] that
// before it.
extern "C" __global__ void conv_slopes_pooled(
    unsigned act, unsigned batch, unsigned channels, unsigned down, unsigned across, unsigned piece, const float* dy,
    const float* y, const unsigned char* argmax, float* dpre, float* sums) {
    unsigned plane = down * across, windows = (down / 2) * (across / 2);
    unsigned from = blockIdx.y * piece, end = min(from + piece, batch * plane);
    float sum = 0.0f;
    for (unsigned i = from + threadIdx.x; i < end; i += blockDim.x) {
        unsigned image = i / plane * channels + blockIdx.x, row = i % plane / across, col = i % plane % across;
        // A last odd row or column is in no window.
        float d = 0.0f;
        if (row / 2 < down / 2 && col / 2 < across / 2) {
            unsigned window = image * windows + row / 2 * (across / 2) + col / 2;
            if (argmax[window] == 2 * (row % 2) + col % 2) d = dy[window] * act_slope_from_out(act, y[window]);
        }
        if (dpre) dpre[image * plane + i % plane] = d;
        sum += d;
    }
    sum = block_sum(sum);
    if (sums && threadIdx.x == 0) sums[blockIdx.y * channels + blockIdx.x] = sum;
}
