// Merging of tokens that go together, by size-weighted means: a warp a token.
#include "runtime/vectors.cuh"

// Calls f(token) for the tokens of an image whose target is `kept`, in their order.
template <class F>
__device__ void each_member(const unsigned* target, unsigned tokens, unsigned kept, F f) {
    for (unsigned from = 0; from < tokens; from += WARP) {
        unsigned t = from + threadIdx.x % WARP;
        unsigned members = __ballot_sync(FULL, t < tokens && target[t] == kept);
        for (; members; members &= members - 1) f(from + __ffs(members) - 1);
    }
}

// A token's share of the one it is part of; exactly one where it is alone.
__device__ inline float share_of(float size, float kept) { return size == kept ? 1.0f : size / kept; }

template <unsigned V>
__device__ void merge_into(
    unsigned all, unsigned tokens, unsigned kept, unsigned dim, const unsigned* target, const float* x, const float* sizes, float* y,
    float* kept_sizes) {
    unsigned index = first() / WARP, lane = threadIdx.x % WARP;
    if (index >= all) return;
    unsigned image = index / kept, me = index % kept;
    target += image * tokens;
    sizes += image * tokens;
    x += image * tokens * dim;
    float size = 0.0f;
    each_member(target, tokens, me, [&](unsigned t) { size += sizes[t]; });
    if (lane == 0) kept_sizes[index] = size;
    // Every lane takes part in finding the members, also one that has no column.
    for (unsigned left = 0; left < dim; left += WARP * V) {
        unsigned c = left + lane * V;
        float4 sum = make_float4(0, 0, 0, 0);
        each_member(target, tokens, me, [&](unsigned t) {
            if (c >= dim) return;
            float4 v = read<V>(x + t * dim + c);
            sum = sizes[t] == size ? v : plus_times(sum, sizes[t] / size, v);
        });
        if (c < dim) write<V>(y + index * dim + c, sum);
    }
}

// y [batch, kept, dim] and its sizes [batch, kept]; `all` = batch * kept.
extern "C" __global__ void merge_tokens(
    unsigned all, unsigned tokens, unsigned kept, unsigned dim, const unsigned* target, const float* x, const float* sizes, float* y,
    float* kept_sizes) {
    if (dim % 4 == 0) merge_into<4>(all, tokens, kept, dim, target, x, sizes, y, kept_sizes);
    else merge_into<1>(all, tokens, kept, dim, target, x, sizes, y, kept_sizes);
}

template <unsigned V>
__device__ void spread_merged(
    unsigned all, unsigned tokens, unsigned kept, unsigned dim, const unsigned* target, const float* sizes, const float* kept_sizes,
    const float* dy, float* dx, bool add) {
    unsigned token = first() / WARP;
    if (token >= all) return;
    unsigned from = token / tokens * kept + target[token];
    float share = share_of(sizes[token], kept_sizes[from]);
    for (unsigned c = threadIdx.x % WARP * V; c < dim; c += WARP * V)
        write<V>(dx + token * dim + c, times(share, read<V>(dy + from * dim + c)), add);
}

// dx [batch, tokens, dim] from dy [batch, kept, dim]; `all` = batch * tokens.
extern "C" __global__ void merge_tokens_backward(
    unsigned all, unsigned tokens, unsigned kept, unsigned dim, const unsigned* target, const float* sizes, const float* kept_sizes,
    const float* dy, float* dx, unsigned add) {
    if (dim % 4 == 0) spread_merged<4>(all, tokens, kept, dim, target, sizes, kept_sizes, dy, dx, add);
    else spread_merged<1>(all, tokens, kept, dim, target, sizes, kept_sizes, dy, dx, add);
}
