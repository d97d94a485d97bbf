// Layer normalisation: a warp a row, whose values it reads again from the cache rather than keeping them.
#include "runtime/vectors.cuh"

// The sum over a row of f(column, how many of the four columns from there on exist); the same in every lane.
template <class F>
__device__ float row_sum(unsigned n, F f) {
    float sum = 0.0f;
    for (unsigned c = threadIdx.x % WARP * 4; c < n; c += 4 * WARP) sum += f(c, min(4u, n - c));
    return warp_sum(sum);
}

// f(element) + ... of the first `count`.
template <class F>
__device__ float sum4(float4 v, unsigned count, F f) {
    float sum = f(v.x);
    if (count > 1) sum += f(v.y);
    if (count > 2) sum += f(v.z);
    if (count > 3) sum += f(v.w);
    return sum;
}

// Up to four neighbours, zero beyond `count`; four at once where rows are multiples of four.
__device__ inline float4 some(const float* p, unsigned n, unsigned count) {
    if (n % 4 == 0) return load4(p);
    return make_float4(p[0], count > 1 ? p[1] : 0.0f, count > 2 ? p[2] : 0.0f, count > 3 ? p[3] : 0.0f);
}
__device__ inline void put_some(float* p, unsigned n, unsigned count, float4 v, bool add) {
    if (n % 4 == 0) return write<4>(p, v, add);
    write<1>(p, v, add);
    if (count > 1) p[1] = add ? p[1] + v.y : v.y;
    if (count > 2) p[2] = add ? p[2] + v.z : v.z;
    if (count > 3) p[3] = add ? p[3] + v.w : v.w;
}
template <class F>
__device__ float4 map4(float4 a, float4 b, float4 c, F f) {
    return make_float4(f(a.x, b.x, c.x), f(a.y, b.y, c.y), f(a.z, b.z, c.z), f(a.w, b.w, c.w));
}

// y = (x - mean) / sqrt(variance + eps) gamma + beta; stats [rows, 2] = mean, 1 / sqrt(variance + eps).
extern "C" __global__ void layer_norm(
    unsigned rows, unsigned n, float eps, const float* x, const float* gamma, const float* beta, float* y, float* stats) {
    unsigned row = first() / WARP;
    if (row >= rows) return;
    x += row * n;
    y += row * n;
    float mean = row_sum(n, [=](unsigned c, unsigned count) {
        return sum4(some(x + c, n, count), count, [](float x) { return x; });
    }) / n;
    float variance = row_sum(n, [=](unsigned c, unsigned count) {
        return sum4(some(x + c, n, count), count, [=](float x) { return (x - mean) * (x - mean); });
    }) / n;
    float inverse = 1.0f / sqrtf(variance + eps);
    if (threadIdx.x % WARP == 0) {
        stats[2 * row] = mean;
        stats[2 * row + 1] = inverse;
    }
    for (unsigned c = threadIdx.x % WARP * 4; c < n; c += 4 * WARP) {
        unsigned count = min(4u, n - c);
        float4 v = map4(some(x + c, n, count), some(gamma + c, n, count), some(beta + c, n, count), [=](float x, float g, float b) {
            return fmaf((x - mean) * inverse, g, b);
        });
        put_some(y + c, n, count, v, false);
    }
}

// d x of the rows of one piece (a block), and sums over them for gamma and beta: sums [pieces, 2, n]. Either may be
// missing. Shared memory: such sums for each warp, [2, n] in rows of a multiple of four. A lane adds to its own columns
// alone.
extern "C" __global__ void layer_norm_backward(
    unsigned rows, unsigned n, unsigned piece, const float* x, const float* gamma, const float* stats, const float* dy, float* dx,
    unsigned add, float* sums) {
    SHARED_MEMORY(float, shared);
    unsigned warp = threadIdx.x / WARP, warps = blockDim.x / WARP, pitch = (n + 3) / 4 * 4;
    float *dgamma = shared + warp * 2 * pitch, *dbeta = dgamma + pitch;
    if (sums) {
        for (unsigned i = threadIdx.x; i < warps * 2 * pitch; i += blockDim.x) shared[i] = 0.0f;
        __syncthreads();
    }
    unsigned end = min(rows, (blockIdx.x + 1) * piece);
    for (unsigned row = blockIdx.x * piece + warp; row < end; row += warps) {
        float mean = stats[2 * row], inverse = stats[2 * row + 1], shift = 0.0f, slope = 0.0f;
        for (unsigned c = threadIdx.x % WARP * 4; c < n; c += 4 * WARP) {
            unsigned at = row * n + c, count = min(4u, n - c);
            // Beyond the row's end dy and gamma are zero, and so is what they add.
            float4 v = some(x + at, n, count), d = some(dy + at, n, count), g = some(gamma + c, n, count);
            float4 centred = make_float4(v.x - mean, v.y - mean, v.z - mean, v.w - mean);
            float4 s = map4(d, g, g, [](float d, float g, float) { return d * g; });
            shift += s.x + s.y + s.z + s.w;
            slope = fmaf(s.x, centred.x, fmaf(s.y, centred.y, fmaf(s.z, centred.z, fmaf(s.w, centred.w, slope))));
            if (sums) {
                float4 old = load4(dgamma + c);
                store4(dgamma + c, map4(d, centred, old, [=](float d, float x, float old) { return fmaf(d * inverse, x, old); }));
                store4(dbeta + c, plus(load4(dbeta + c), d));
            }
        }
        if (!dx) continue;
        shift = warp_sum(shift) / n;
        slope = warp_sum(slope) * inverse * inverse / n;
        for (unsigned c = threadIdx.x % WARP * 4; c < n; c += 4 * WARP) {
            unsigned at = row * n + c, count = min(4u, n - c);
            float4 v = map4(some(x + at, n, count), some(dy + at, n, count), some(gamma + c, n, count), [=](float x, float d, float g) {
                return inverse * (d * g - shift - (x - mean) * slope);
            });
            put_some(dx + at, n, count, v, add);
        }
    }
    if (!sums) return;
    __syncthreads();
    for (unsigned i = threadIdx.x; i < 2 * n; i += blockDim.x) {
        float sum = 0.0f;
        for (unsigned w = 0; w < warps; w++) sum += shared[w * 2 * pitch + i / n * pitch + i % n];
        sums[blockIdx.x * 2 * n + i] = sum;
    }
}

// d gamma and d beta from the sums of the pieces, added to what is there where asked; either may be missing.
// Blocks of 32 columns x 32 threads.
extern "C" __global__ void layer_norm_backward_sums(
    unsigned pieces, unsigned n, const float* sums, float* dgamma, unsigned add_gamma, float* dbeta, unsigned add_beta) {
    __shared__ float parts[WARP][WARP + 1];
    unsigned col = blockIdx.x * WARP + threadIdx.x;
    float sum = 0.0f;
    if (col < 2 * n)
        for (unsigned i = threadIdx.y; i < pieces; i += WARP) sum += sums[i * 2 * n + col];
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    // Each warp adds up one column.
    sum = warp_sum(parts[threadIdx.x][threadIdx.y]);
    col = blockIdx.x * WARP + threadIdx.y;
    if (threadIdx.x != 0 || col >= 2 * n) return;
    bool second = col >= n;
    float* to = second ? dbeta : dgamma;
    if (!to) return;
    to += second ? col - n : col;
    *to = (second ? add_beta : add_gamma) ? *to + sum : sum;
}
