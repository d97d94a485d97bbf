// Batch normalisation of [batch, channels, inner]: sums over a channel are first taken by pieces, each by a block of
// its own, and then put together in the order of the pieces.
#include "norm/channels.cuh"

// Mean and sum of squared distances from it for every piece: partial [pieces, channels, 2]. Grid (channels, pieces).
// The second reading of a piece finds it in a cache.
extern "C" __global__ void channel_moments(
    unsigned count, unsigned channels, unsigned inner, unsigned piece, const float* x, float* partial) {
    unsigned from = blockIdx.y * piece, end = min(from + piece, count);
    float sum = 0.0f, squares = 0.0f;
    walk_channel(channels, inner, blockIdx.x, from, end, [&](unsigned at, auto pack) {
        auto v = load_pack<sizeof pack / sizeof(float)>(x + at);
        for (float v : v.v) sum += v;
    });
    float mean = block_sum(sum) / (end - from);
    walk_channel(channels, inner, blockIdx.x, from, end, [&](unsigned at, auto pack) {
        auto v = load_pack<sizeof pack / sizeof(float)>(x + at);
        for (float v : v.v) squares += (v - mean) * (v - mean);
    });
    squares = block_sum(squares);
    if (threadIdx.x == 0) {
        float* to = partial + 2 * (blockIdx.y * channels + blockIdx.x);
        to[0] = mean;
        to[1] = squares;
    }
}

// Mean and biased variance of all pieces together (Chan, Golub & LeVeque 1979); one thread a channel.
extern "C" __global__ void channel_stats(
    unsigned count, unsigned channels, unsigned piece, unsigned pieces, const float* partial, float* mean, float* variance) {
    unsigned c = first();
    if (c >= channels) return;
    double sum = 0.0, squares = 0.0;
    for (unsigned p = 0; p < pieces; p++) {
        sum += double(partial[2 * (p * channels + c)]) * min(piece, count - p * piece);
    }
    double total = sum / count;
    for (unsigned p = 0; p < pieces; p++) {
        double apart = partial[2 * (p * channels + c)] - total;
        squares += partial[2 * (p * channels + c) + 1] + apart * apart * min(piece, count - p * piece);
    }
    mean[c] = float(total);
    variance[c] = float(squares / count);
}

// Moves running statistics towards those of a batch; `unbiased` is n / (n - 1).
extern "C" __global__ void running_stats(
    unsigned channels, float momentum, float unbiased, const float* old_mean, const float* old_variance, const float* mean,
    const float* variance, float* new_mean, float* new_variance) {
    unsigned c = first();
    if (c >= channels) return;
    new_mean[c] = old_mean[c] + momentum * (mean[c] - old_mean[c]);
    new_variance[c] = old_variance[c] + momentum * (variance[c] * unbiased - old_variance[c]);
}

// y = (x - mean) / sqrt(variance + eps) * gamma + beta
extern "C" __global__ void batch_norm(
    unsigned count, unsigned channels, unsigned inner, float eps, const float* x, const float* mean, const float* variance,
    const float* gamma, const float* beta, float* y) {
    walk_all(count, channels, inner, [=](unsigned at, unsigned c, auto pack) {
        constexpr unsigned N = sizeof pack / sizeof(float);
        auto v = load_pack<N>(x + at);
        float scale = gamma[c] / sqrtf(variance[c] + eps), middle = mean[c], shift = beta[c];
        for (unsigned n = 0; n < N; n++) v.v[n] = fmaf(v.v[n] - middle, scale, shift);
        store_pack<N>(y + at, v);
    });
}

// Sums of dy and dy (x - mean) for every piece: partial [pieces, channels, 2]. Grid (channels, pieces).
extern "C" __global__ void batch_norm_sums(
    unsigned count, unsigned channels, unsigned inner, unsigned piece, const float* x, const float* dy, const float* mean,
    float* partial) {
    unsigned from = blockIdx.y * piece;
    float sum = 0.0f, products = 0.0f, middle = mean[blockIdx.x];
    walk_channel(channels, inner, blockIdx.x, from, min(from + piece, count), [&](unsigned at, auto pack) {
        constexpr unsigned N = sizeof pack / sizeof(float);
        auto v = load_pack<N>(x + at), d = load_pack<N>(dy + at);
        for (unsigned n = 0; n < N; n++) {
            sum += d.v[n];
            products = fmaf(d.v[n], v.v[n] - middle, products);
        }
    });
    sum = block_sum(sum);
    products = block_sum(products);
    if (threadIdx.x == 0) {
        float* to = partial + 2 * (blockIdx.y * channels + blockIdx.x);
        to[0] = sum;
        to[1] = products;
    }
}

// From these sums: dgamma and dbeta, where wanted, added where `add_...`; and what dx is made of, factors [channels,
// 4]: dx = scale dy + slope (x - mean) + shift, where slope and shift are zero unless the statistics are the batch's
// own.
extern "C" __global__ void batch_norm_factors(
    unsigned count, unsigned channels, unsigned pieces, float eps, unsigned of_batch, const float* partial, const float* mean,
    const float* variance, const float* gamma, float* dgamma, unsigned add_gamma, float* dbeta, unsigned add_beta, float* factors) {
    unsigned c = first();
    if (c >= channels) return;
    double sum = 0.0, products = 0.0;
    for (unsigned p = 0; p < pieces; p++) {
        sum += partial[2 * (p * channels + c)];
        products += partial[2 * (p * channels + c) + 1];
    }
    float inverse = 1.0f / sqrtf(variance[c] + eps), scale = gamma[c] * inverse;
    if (dgamma) dgamma[c] = (add_gamma ? dgamma[c] : 0.0f) + float(products) * inverse;
    if (dbeta) dbeta[c] = (add_beta ? dbeta[c] : 0.0f) + float(sum);
    float slope = of_batch ? -scale * inverse * inverse * float(products / count) : 0.0f;
    float shift = of_batch ? -scale * float(sum / count) : 0.0f;
    store4(factors + 4 * c, make_float4(scale, slope, mean[c], shift));
}

extern "C" __global__ void batch_norm_backward(
    unsigned count, unsigned channels, unsigned inner, const float* x, const float* dy, const float* factors, float* dx,
    unsigned add) {
    walk_all(count, channels, inner, [=](unsigned at, unsigned c, auto pack) {
        constexpr unsigned N = sizeof pack / sizeof(float);
        auto v = load_pack<N>(x + at), d = load_pack<N>(dy + at);
        float4 f = load4(factors + 4 * c);
        for (unsigned n = 0; n < N; n++) d.v[n] = fmaf(f.x, d.v[n], fmaf(f.y, v.v[n] - f.z, f.w));
        if (add) {
            auto old = load_pack<N>(dx + at);
            for (unsigned n = 0; n < N; n++) d.v[n] += old.v[n];
        }
        store_pack<N>(dx + at, d);
    });
}
