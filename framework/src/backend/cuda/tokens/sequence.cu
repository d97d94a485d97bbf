// What happens to token sequences [batch, tokens, dim] around the transformer's blocks.
#include "runtime/vectors.cuh"

// y: patches of side x side, row by row, of images x [batch, channels, height, width]; element order: image, patch row,
// patch column, channel, row in the patch, column. V neighbours of a row at a time.
template <unsigned V>
__device__ void copy_patches(unsigned n, unsigned channels, unsigned height, unsigned width, unsigned side, const float* x, float* y) {
    unsigned across = width / side, down = height / side;
    for (unsigned i = first(); i < n / V; i += stride()) {
        unsigned col = i * V % side, rest = i * V / side;
        unsigned row = rest % side;
        rest /= side;
        unsigned channel = rest % channels;
        rest /= channels;
        unsigned px = rest % across;
        rest /= across;
        unsigned py = rest % down, image = rest / down;
        write<V>(y + i * V, read<V>(x + ((image * channels + channel) * height + py * side + row) * width + px * side + col));
    }
}
extern "C" __global__ void patches(
    unsigned n, unsigned channels, unsigned height, unsigned width, unsigned side, const float* x, float* y) {
    if (side % 4 == 0) copy_patches<4>(n, channels, height, width, side, x, y);
    else copy_patches<1>(n, channels, height, width, side, x, y);
}

// y = a class token, where there is one, then x [batch, tokens, dim]; plus positions, where there are any.
template <unsigned V>
__device__ void embed_tokens(
    unsigned n, unsigned tokens, unsigned dim, const float* x, const float* class_token, const float* position, float* y) {
    unsigned head = class_token ? dim : 0, len = tokens * dim + head;
    for (unsigned i = first(); i < n / V; i += stride()) {
        unsigned image = i * V / len, rest = i * V % len;
        float4 v = read<V>(rest < head ? class_token + rest : x + image * tokens * dim + rest - head);
        write<V>(y + i * V, position ? plus(v, read<V>(position + rest)) : v);
    }
}
extern "C" __global__ void embed(
    unsigned n, unsigned tokens, unsigned dim, const float* x, const float* class_token, const float* position, float* y) {
    if (dim % 4 == 0) embed_tokens<4>(n, tokens, dim, x, class_token, position, y);
    else embed_tokens<1>(n, tokens, dim, x, class_token, position, y);
}

// Gradients of `embed`, each optional: of x, and sums over the images for class token and positions. dy [batch, len],
// where the first `head` columns are the class token. Blocks of 32 columns x 8 threads that share the images.
extern "C" __global__ void embed_backward(
    unsigned batch, unsigned len, unsigned head, const float* dy, float* dx, unsigned add_x, float* dclass, unsigned add_class,
    float* dposition, unsigned add_position) {
    __shared__ float parts[8][WARP];
    unsigned col = blockIdx.x * WARP + threadIdx.x;
    float sum = 0.0f;
    if (col < len) {
#pragma unroll 4
        for (unsigned image = threadIdx.y; image < batch; image += 8) {
            float v = dy[image * len + col];
            sum += v;
            if (!dx || col < head) continue;
            float* to = dx + image * (len - head) + col - head;
            *to = add_x ? *to + v : v;
        }
    }
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || col >= len) return;
    for (unsigned i = 1; i < 8; i++) sum += parts[i][threadIdx.x];
    if (dclass && col < head) dclass[col] = add_class ? dclass[col] + sum : sum;
    if (dposition) dposition[col] = add_position ? dposition[col] + sum : sum;
}

// What the weights of an image's tokens add up to; called by whole warps.
__device__ inline float total_size(const float* sizes, unsigned tokens) {
    if (!sizes) return float(tokens);
    float sum = 0.0f;
    for (unsigned t = threadIdx.x % WARP; t < tokens; t += WARP) sum += sizes[t];
    return warp_sum(sum);
}

// y [batch, dim] = mean over the tokens, weighted by `sizes` [batch, tokens] if given. Blocks of 32 columns x 8 threads
// that share the tokens; grid (batch, dim / 32).
extern "C" __global__ void mean_tokens(unsigned tokens, unsigned dim, const float* x, const float* sizes, float* y) {
    __shared__ float parts[8][WARP];
    unsigned image = blockIdx.x, col = blockIdx.y * WARP + threadIdx.x;
    if (sizes) sizes += image * tokens;
    float total = total_size(sizes, tokens), sum = 0.0f;
    if (col < dim) {
#pragma unroll 4
        for (unsigned t = threadIdx.y; t < tokens; t += 8) sum = fmaf(sizes ? sizes[t] : 1.0f, x[(image * tokens + t) * dim + col], sum);
    }
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || col >= dim) return;
    for (unsigned i = 1; i < 8; i++) sum += parts[i][threadIdx.x];
    y[image * dim + col] = sum / total;
}

// d x of `mean_tokens`: a warp a token.
template <unsigned V>
__device__ void spread_mean(unsigned all, unsigned tokens, unsigned dim, const float* sizes, const float* dy, float* dx, bool add) {
    unsigned token = first() / WARP, image = token / tokens;
    if (token >= all) return;
    float share = (sizes ? sizes[token] : 1.0f) / total_size(sizes ? sizes + image * tokens : nullptr, tokens);
    for (unsigned c = threadIdx.x % WARP * V; c < dim; c += WARP * V)
        write<V>(dx + token * dim + c, times(share, read<V>(dy + image * dim + c)), add);
}
extern "C" __global__ void mean_tokens_backward(
    unsigned all, unsigned tokens, unsigned dim, const float* sizes, const float* dy, float* dx, unsigned add) {
    if (dim % 4 == 0) spread_mean<4>(all, tokens, dim, sizes, dy, dx, add);
    else spread_mean<1>(all, tokens, dim, sizes, dy, dx, add);
}

// y [batch, dim] = token `index` of x.
extern "C" __global__ void take_token(unsigned n, unsigned tokens, unsigned dim, unsigned index, const float* x, float* y) {
    for (unsigned i = first(); i < n; i += stride()) y[i] = x[(i / dim * tokens + index) * dim + i % dim];
}

// d x [n] of `take_token`: zero for the other tokens.
extern "C" __global__ void take_token_backward(
    unsigned n, unsigned tokens, unsigned dim, unsigned index, const float* dy, float* dx) {
    for (unsigned i = first(); i < n; i += stride()) {
        unsigned row = i / dim;
        dx[i] = row % tokens == index ? dy[row / tokens * dim + i % dim] : 0.0f;
    }
}

// dx += what `take_token_backward` writes; n elements of dy.
extern "C" __global__ void take_token_backward_add(
    unsigned n, unsigned tokens, unsigned dim, unsigned index, const float* dy, float* dx) {
    for (unsigned i = first(); i < n; i += stride()) dx[(i / dim * tokens + index) * dim + i % dim] += dy[i];
}
