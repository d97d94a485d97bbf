// Bipartite soft matching (Bolya et al. 2022): the same partition as the CPU's, ties included.
//
// Norms and similarities are added up in the order the CPU adds them in, so that near ties fall the same way on both.
#include "attention/tiles.cuh"

constexpr unsigned STAYS = 0xffffffffu;

// 1 / |x|, zero where that is zero; the squares in 32 sums, one a lane, then what is left in order.
__device__ inline float inverse_norm(const float* x, unsigned dim) {
    unsigned lane = thread_in_block() % WARP, whole = dim / WARP * WARP;
    float sum = 0.0f, rest = 0.0f, last = 0.0f;
    for (unsigned i = lane; i < whole; i += WARP) sum = __fadd_rn(sum, __fmul_rn(x[i], x[i]));
    sum = warp_sum(sum);
    if (whole + lane < dim) rest = __fmul_rn(x[whole + lane], x[whole + lane]);
    for (unsigned i = 0; i < dim - whole; i++) last = __fadd_rn(last, __shfl_sync(FULL, rest, i));
    double norm = sqrt(double(__fadd_rn(sum, last)));
    return norm > 0.0 ? float(1.0 / norm) : 0.0f;
}

// Orders floats as f32::total_cmp does.
__device__ inline int total_order(float x) {
    int bits = __float_as_int(x);
    return bits ^ int(unsigned(bits >> 31) >> 1);
}

struct Match {
    float score;
    unsigned to;
};
__device__ inline void keep_better(Match& best, Match other) {
    if (other.score > best.score || (other.score == best.score && other.to < best.to)) best = other;
}

// target [tokens] of each image: one block an image. Even tokens (A) look for the most similar odd one (B); the `r`
// best matched join theirs; the first `shielded` tokens take no part. Shared memory, in floats from its start: rows of
// A at 0, of B at `right`, from `lists` on the norms [tokens], then orders and matches of the A tokens.
extern "C" __global__ void match_tokens(
    unsigned tokens, unsigned dim, unsigned r, unsigned shielded, unsigned tile, unsigned chunk, unsigned right, unsigned lists,
    const float* metric, unsigned* target) {
    SHARED_MEMORY(float, shared);
    unsigned thread = thread_in_block(), threads = LANES * blockDim.y;
    unsigned a_count = (tokens + 1) / 2, b_count = tokens / 2, a_first = (shielded + 1) / 2, b_first = shielded / 2;
    float* factor = shared + lists;
    int* order = reinterpret_cast<int*>(factor + tokens);
    unsigned* match = reinterpret_cast<unsigned*>(order + a_count);
    metric += blockIdx.x * tokens * dim;
    target += blockIdx.x * tokens;

    for (unsigned t = thread / WARP; t < tokens; t += threads / WARP) {
        float f = inverse_norm(metric + t * dim, dim);
        if (thread % WARP == 0) factor[t] = f;
    }
    __syncthreads();
    Matrix a{metric, 2 * dim, factor, 2}, b{metric + dim, 2 * dim, factor + 1, 2};
    for (unsigned from = a_first; from < a_count; from += tile) {
        unsigned rows = min(tile, a_count - from);
        // A NaN loses against everything, so that the choice is defined.
        Match best[ROWS];
#pragma unroll
        for (unsigned i = 0; i < ROWS; i++) best[i] = {-INFINITY, b_first};
        products(a.from(from, 0), rows, b.from(b_first, 0), b_count - b_first, dim, dim % 4 == 0, chunk, shared, shared + right,
                 [&](unsigned i, unsigned, unsigned col, float v) {
                     if (v > best[i].score) best[i] = {v, b_first + col};
                 });
#pragma unroll
        for (unsigned i = 0; i < ROWS; i++) {
            for (unsigned apart = LANES / 2; apart > 0; apart /= 2)
                keep_better(best[i], {__shfl_xor_sync(FULL, best[i].score, apart), __shfl_xor_sync(FULL, best[i].to, apart)});
            unsigned row = threadIdx.y + i * blockDim.y;
            if (threadIdx.x == 0 && row < rows) {
                order[from + row] = total_order(best[i].score);
                match[from + row] = best[i].to;
            }
        }
    }
    __syncthreads();
    // Who has fewer than r better ones joins; among equal ones the first are better. Matches of the others are
    // forgotten.
    for (unsigned i = a_first + thread; i < a_count; i += threads) {
        unsigned better = 0;
        for (unsigned k = a_first; k < a_count; k++) better += order[k] > order[i] || (order[k] == order[i] && k < i);
        if (better >= r) match[i] = STAYS;
    }
    __syncthreads();
    // What remains: the shielded in their places, then the A tokens that stay, then the B tokens.
    unsigned first_b = shielded + a_count - a_first - r - b_first;
    for (unsigned t = thread; t < tokens; t += threads) {
        unsigned place = t;
        if (t >= shielded) {
            if (t % 2 == 1) place = first_b + t / 2;
            else if (match[t / 2] != STAYS) place = first_b + match[t / 2];
            else {
                place = shielded;
                for (unsigned k = a_first; k < t / 2; k++) place += match[k] == STAYS;
            }
        }
        target[t] = place;
    }
}

// Every token of `count` stays where it is in its image.
extern "C" __global__ void match_nothing(unsigned count, unsigned tokens, unsigned* target) {
    for (unsigned i = first(); i < count; i += stride()) target[i] = i % tokens;
}
