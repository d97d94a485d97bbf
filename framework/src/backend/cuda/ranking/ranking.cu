// The exact k lowest scores over several lists, marked without leaving the device: the k-th lowest value digit by digit
// (radix select), then marks, where equal scores go in the order of their positions.
#include "runtime/common.cuh"

// Digits of 11, 11 and 10 bits: their counts fit into shared memory.
constexpr unsigned DIGITS = 2048;
// Elements that one block marks.
constexpr unsigned CHUNK = 2048;

// What the passes hand on: the digits found so far, and how many of the elements with these digits are among the k
// lowest.
struct Found {
    unsigned key, remaining;
};

// Finite floats as integers of the same order; -0 and 0 are the same score.
__device__ inline unsigned ordered(float score) {
    unsigned bits = __float_as_uint(score + 0.0f);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

__device__ inline bool is_alive(const float* alive, unsigned i) { return !alive || alive[i] != 0.0f; }

// Adds to `counts` how often each digit occurs among the elements that share the digits found so far.
extern "C" __global__ void ranking_count(
    unsigned shift, unsigned bits, unsigned n, const float* scores, const float* alive, const Found* found, unsigned* counts) {
    __shared__ unsigned local[DIGITS];
    for (unsigned i = threadIdx.x; i < DIGITS; i += blockDim.x) local[i] = 0;
    __syncthreads();
    // The first pass has nothing to share: a shift by all 32 bits is not defined.
    unsigned above = shift + bits;
    unsigned key = above < 32 ? found->key >> above : 0;
    for (unsigned i = first(); i < n; i += stride()) {
        unsigned score = ordered(scores[i]);
        bool shares = above >= 32 || score >> above == key;
        if (shares && is_alive(alive, i)) atomicAdd(&local[(score >> shift) & ((1u << bits) - 1)], 1u);
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < DIGITS; i += blockDim.x) {
        if (local[i]) atomicAdd(&counts[i], local[i]);
    }
}

// Finds the digit of the k-th lowest and clears the counts; in the first pass k is all that are alive but `total`. One
// block of 1024 threads.
extern "C" __global__ void ranking_digit(unsigned shift, unsigned is_first, unsigned total, Found* found, unsigned* counts) {
    __shared__ unsigned sums[1024];
    unsigned t = threadIdx.x, low = counts[2 * t], high = counts[2 * t + 1];
    counts[2 * t] = counts[2 * t + 1] = 0;
    sums[t] = low + high;
    __syncthreads();
    for (unsigned apart = 1; apart < 1024; apart *= 2) {
        unsigned before = t >= apart ? sums[t - apart] : 0;
        __syncthreads();
        sums[t] += before;
        __syncthreads();
    }
    unsigned all = sums[1023], k = is_first ? (all > total ? all - total : 0) : found->remaining;
    unsigned key = is_first ? 0 : found->key;
    // Everybody has read what is about to be replaced.
    __syncthreads();
    unsigned before = sums[t] - low - high;
    if (k == 0) {
        // Nothing goes: no score is below the lowest one, and no equal one counts.
        if (t == 0) *found = Found{0, 0};
    } else if (before < k && k <= before + low + high) {
        bool second = k > before + low;
        *found = Found{key | (2 * t + second) << shift, k - before - (second ? low : 0)};
    }
}

// How many elements of each chunk have exactly the score found; one block a chunk.
extern "C" __global__ void ranking_ties(
    unsigned n, const float* scores, const float* alive, const Found* found, unsigned* ties) {
    unsigned count = 0, end = min(n, (blockIdx.x + 1) * CHUNK);
    for (unsigned i = blockIdx.x * CHUNK + threadIdx.x; i < end; i += blockDim.x) {
        count += ordered(scores[i]) == found->key && is_alive(alive, i);
    }
    count = block_sum(count);
    if (threadIdx.x == 0) ties[blockIdx.x] = count;
}

// Counts become how many came before. One block.
extern "C" __global__ void ranking_before(unsigned chunks, unsigned* ties) {
    __shared__ unsigned sums[1024];
    unsigned t = threadIdx.x, so_far = 0;
    for (unsigned start = 0; start < chunks; start += blockDim.x) {
        unsigned own = start + t < chunks ? ties[start + t] : 0;
        sums[t] = own;
        __syncthreads();
        for (unsigned apart = 1; apart < blockDim.x; apart *= 2) {
            unsigned before = t >= apart ? sums[t - apart] : 0;
            __syncthreads();
            sums[t] += before;
            __syncthreads();
        }
        if (start + t < chunks) ties[start + t] = so_far + sums[t] - own;
        so_far += sums[blockDim.x - 1];
        __syncthreads();
    }
}

// One for what stays: higher scores, and equal ones beyond those that are still to go. One block of 256 threads a
// chunk.
extern "C" __global__ void ranking_marks(
    unsigned n, const float* scores, const float* alive, const Found* found, const unsigned* before, float* marks) {
    __shared__ unsigned tied[8];
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, rank = before[blockIdx.x];
    for (unsigned start = blockIdx.x * CHUNK; start < min(n, (blockIdx.x + 1) * CHUNK); start += 256) {
        unsigned i = start + threadIdx.x;
        bool alive_here = i < n && is_alive(alive, i);
        unsigned score = i < n ? ordered(scores[i]) : 0;
        bool tie = alive_here && score == found->key;
        unsigned ballot = __ballot_sync(FULL, tie);
        if (lane == 0) tied[warp] = __popc(ballot);
        __syncthreads();
        unsigned earlier = rank + __popc(ballot & ((1u << lane) - 1));
        for (unsigned w = 0; w < 8; w++) {
            if (w < warp) earlier += tied[w];
            rank += tied[w];
        }
        __syncthreads();
        if (i < n) marks[i] = alive_here && (score > found->key || (tie && earlier >= found->remaining)) ? 1.0f : 0.0f;
    }
}
