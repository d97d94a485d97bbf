// Shares of units in what the next layer receives: what surrounds two matrix products, and the largest share as a
// product over (max, times). Nowhere do the shares [samples, fed, units] themselves exist.
#include "runtime/common.cuh"

// x = 1 / (x + eps sign(x)); 0 where that is not a number worth dividing by.
extern "C" __global__ void contribution_invert(unsigned n, float eps, float* x) {
    map(n, x, x, [=](float x) {
        x += x > 0.0f ? eps : x < 0.0f ? -eps : 0.0f;
        return fabsf(x) >= 1.17549435e-38f ? 1.0f / x : 0.0f;
    });
}

// parts [pieces, units] = sums of a b over the samples of a piece. Blocks of 32 x 8 threads, grid (pieces, units / 32).
// A silent unit contributes nothing, even where its weight over a tiny denominator overflowed.
extern "C" __global__ void contribution_sums(
    unsigned samples, unsigned units, unsigned piece, const float* a, const float* b, float* parts) {
    __shared__ float sums[8][WARP];
    unsigned unit = blockIdx.y * WARP + threadIdx.x, end = min(samples, (blockIdx.x + 1) * piece);
    float sum = 0.0f;
    if (unit < units) {
        for (unsigned f = blockIdx.x * piece + threadIdx.y; f < end; f += 8) {
            float v = a[size_t(f) * units + unit];
            if (v != 0.0f) sum += v * b[size_t(f) * units + unit];
        }
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && unit < units) {
        for (unsigned i = 1; i < 8; i++) sum += sums[i][threadIdx.x];
        parts[blockIdx.x * units + unit] = sum;
    }
}

constexpr unsigned TILE = 64, DEPTH = 16;

// parts [pieces, units] = largest a_fk w_jk r_fj over the 64 samples f of a piece and all fed units j. Blocks of 16 x
// 16 threads, each with 4 x 4 of the tile's (sample, unit) pairs; grid (samples / 64, units / 64). A negative
// activation turns the smallest factor into the largest share; `is_signed` says that there are such.
extern "C" __global__ void contribution_max(
    unsigned samples, unsigned units, unsigned fed, unsigned is_signed, const float* a, const float* w, const float* r,
    float* parts) {
    __shared__ float ws[DEPTH][TILE], rs[DEPTH][TILE + 1];
    unsigned tx = threadIdx.x, ty = threadIdx.y, thread = ty * 16 + tx;
    unsigned unit0 = blockIdx.y * TILE, sample0 = blockIdx.x * TILE;
    float high[4][4], low[4][4];
    for (auto& row : high) for (float& v : row) v = -INFINITY;
    for (auto& row : low) for (float& v : row) v = INFINITY;
    for (unsigned j0 = 0; j0 < fed; j0 += DEPTH) {
        unsigned depth = min(DEPTH, fed - j0);
        for (unsigned i = thread; i < DEPTH * TILE; i += 256) {
            // Neighbouring threads read neighbours in memory: along units of w, along fed units of r.
            unsigned j = i / TILE, k = i % TILE;
            ws[j][k] = j < depth && unit0 + k < units ? w[size_t(j0 + j) * units + unit0 + k] : 0.0f;
            unsigned f = i / DEPTH, jr = i % DEPTH;
            rs[jr][f] = jr < depth && sample0 + f < samples ? r[size_t(sample0 + f) * fed + j0 + jr] : 0.0f;
        }
        __syncthreads();
        for (unsigned j = 0; j < depth; j++) {
            float wk[4], rf[4];
            for (unsigned i = 0; i < 4; i++) {
                wk[i] = ws[j][tx + 16 * i];
                rf[i] = rs[j][ty + 16 * i];
            }
            for (unsigned f = 0; f < 4; f++) {
                for (unsigned k = 0; k < 4; k++) {
                    float v = wk[k] * rf[f];
                    high[f][k] = v > high[f][k] ? v : high[f][k];
                    if (is_signed) low[f][k] = v < low[f][k] ? v : low[f][k];
                }
            }
        }
        __syncthreads();
    }
    // The tile's samples are reduced: four by each thread, then the sixteen threads of a column.
    for (unsigned k = 0; k < 4; k++) {
        unsigned unit = unit0 + tx + 16 * k;
        float most = -INFINITY;
        for (unsigned f = 0; f < 4; f++) {
            unsigned sample = sample0 + ty + 16 * f;
            if (unit >= units || sample >= samples) continue;
            float v = a[size_t(sample) * units + unit];
            float share = v == 0.0f ? 0.0f : v * (v > 0.0f ? high[f][k] : low[f][k]);
            most = share > most ? share : most;
        }
        ws[ty][tx + 16 * k] = most;
    }
    __syncthreads();
    if (thread < TILE && unit0 + thread < units) {
        float most = ws[0][thread];
        for (unsigned i = 1; i < 16; i++) most = ws[i][thread] > most ? ws[i][thread] : most;
        parts[blockIdx.x * units + unit0 + thread] = most;
    }
}

// to [units] = largest of the pieces.
extern "C" __global__ void contribution_most(unsigned pieces, unsigned units, const float* parts, float* to) {
    unsigned unit = first();
    if (unit >= units) return;
    float most = -INFINITY;
    for (unsigned i = 0; i < pieces; i++) most = parts[i * units + unit] > most ? parts[i * units + unit] : most;
    to[unit] = most;
}
