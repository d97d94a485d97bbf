// Attention over short sequences: a block has one head of one image and a tile of its queries, and all their scores in
// shared memory. A row of qkv is q | k | v, each head after head.
#include "attention/tiles.cuh"

// What the blocks of one head have in common.
struct Head {
    unsigned image, head, width;

    __device__ Head(unsigned heads, unsigned dim) : image(blockIdx.x / heads), head(blockIdx.x % heads), width(heads * dim) {}

    // Queries (0), keys (1) or values (2) from one token on.
    __device__ unsigned part(unsigned which, unsigned tokens, unsigned dim, unsigned token) const {
        return (image * tokens + token) * 3 * width + which * width + head * dim;
    }
    // The output of one token.
    __device__ unsigned out(unsigned tokens, unsigned dim, unsigned token) const {
        return (image * tokens + token) * width + head * dim;
    }
};

// Writes weights z to rows of `pitch` floats at `to`, times `scale`.
__device__ inline void write_weighted(
    const float* weights, unsigned ld, unsigned rows, Matrix z, unsigned tokens, unsigned dim, unsigned chunk, float* a, float scale,
    float* to, unsigned pitch, bool add) {
    bool vectors = dim % 4 == 0;
    auto put = [=](unsigned row, unsigned col, float4 v) {
        put4(to + row * pitch + col, times(scale, v), dim - col, vectors, add);
    };
    if (dim <= 4 * LANES) weighted_rows<1>(weights, ld, rows, z, tokens, dim, vectors, chunk, a, put);
    else weighted_rows<2>(weights, ld, rows, z, tokens, dim, vectors, chunk, a, put);
}

// y = softmax(scale q k^T + log sizes) v for `tile` queries a block: grid (batch * heads, tiles). Shared memory, in
// floats from its start: queries or values at 0, keys at `keys`, scores at `scores` in rows of `ld` (where the keys
// are, if they come in one chunk), logarithms at `logs`. Sizes and probabilities may be missing.
extern "C" __global__ void attention(
    unsigned tokens, unsigned heads, unsigned dim, float scale, unsigned tile, unsigned chunk, unsigned keys, unsigned scores,
    unsigned ld, unsigned logs, const float* qkv, const float* sizes, float* y, float* probabilities) {
    SHARED_MEMORY(float, shared);
    Head at(heads, dim);
    unsigned query = blockIdx.y * tile, rows = min(tile, tokens - query), pitch = 3 * at.width;
    float *s = shared + scores, *bias = shared + logs;
    if (sizes)
        for (unsigned i = thread_in_block(); i < tokens; i += LANES * blockDim.y) bias[i] = logf(sizes[at.image * tokens + i]);
    Matrix q{qkv + at.part(0, tokens, dim, query), pitch}, k{qkv + at.part(1, tokens, dim, 0), pitch};
    products(q, rows, k, tokens, dim, dim % 4 == 0, chunk, shared, shared + keys, [=](unsigned, unsigned row, unsigned col, float v) {
        s[row * ld + col] = sizes ? fmaf(scale, v, bias[col]) : scale * v;
    });
    // A row's scores were written by the eight threads that go on with them, all of one warp.
    __syncwarp();
    for (unsigned row = threadIdx.y; row < ROWS * blockDim.y; row += blockDim.y) {
        float *mine = s + row * ld, most = -INFINITY, total = 0.0f;
        for (unsigned i = threadIdx.x; i < tokens; i += LANES) most = mine[i] > most ? mine[i] : most;
        most = lanes_max(most);
        for (unsigned i = threadIdx.x; i < tokens; i += LANES) {
            float e = expf(mine[i] - most);
            mine[i] = e;
            total += e;
        }
        float share = 1.0f / lanes_sum(total);
        float* kept = probabilities && row < rows ? probabilities + (blockIdx.x * tokens + query + row) * tokens : nullptr;
        for (unsigned i = threadIdx.x; i < tokens; i += LANES) {
            float p = mine[i] * share;
            mine[i] = p;
            if (kept) kept[i] = p;
        }
        if (tokens + threadIdx.x < up_to_four(tokens)) mine[tokens + threadIdx.x] = 0.0f;
    }
    Matrix v{qkv + at.part(2, tokens, dim, 0), pitch};
    write_weighted(s, ld, rows, v, tokens, dim, chunk, shared, 1.0f, y + at.out(tokens, dim, query), at.width, false);
}

// d q, and the gradient of the scores (before their scale) for `attention_backward_keys`: [batch, heads, tokens,
// tokens]. Grid and shared memory are those of `attention`.
extern "C" __global__ void attention_backward_queries(
    unsigned tokens, unsigned heads, unsigned dim, float scale, unsigned tile, unsigned chunk, unsigned keys, unsigned scores,
    unsigned ld, const float* qkv, const float* probabilities, const float* dy, float* dscores, float* dqkv, unsigned add) {
    SHARED_MEMORY(float, shared);
    Head at(heads, dim);
    unsigned query = blockIdx.y * tile, rows = min(tile, tokens - query), pitch = 3 * at.width;
    float* s = shared + scores;
    Matrix d{dy + at.out(tokens, dim, query), at.width}, v{qkv + at.part(2, tokens, dim, 0), pitch};
    products(d, rows, v, tokens, dim, dim % 4 == 0, chunk, shared, shared + keys, [=](unsigned, unsigned row, unsigned col, float v) {
        s[row * ld + col] = v;
    });
    __syncwarp();
    for (unsigned row = threadIdx.y; row < ROWS * blockDim.y; row += blockDim.y) {
        bool real = row < rows;
        unsigned at_row = (blockIdx.x * tokens + query + (real ? row : 0)) * tokens;
        const float* p = probabilities + at_row;
        float *mine = s + row * ld, mean = 0.0f;
        for (unsigned i = threadIdx.x; i < tokens; i += LANES) mean = fmaf(mine[i], p[i], mean);
        mean = lanes_sum(mean);
        for (unsigned i = threadIdx.x; i < tokens; i += LANES) {
            float ds = (mine[i] - mean) * p[i];
            mine[i] = ds;
            if (real) dscores[at_row + i] = ds;
        }
        if (tokens + threadIdx.x < up_to_four(tokens)) mine[tokens + threadIdx.x] = 0.0f;
    }
    Matrix k{qkv + at.part(1, tokens, dim, 0), pitch};
    write_weighted(s, ld, rows, k, tokens, dim, chunk, shared, scale, dqkv + at.part(0, tokens, dim, query), pitch, add);
}

// to(row, col, four values) for m^T x: m [inner, height] and x [inner, depth] in global memory, rows of m `tokens`
// apart. Four rows of the product a thread, so that one read of m serves them. `a` holds 32 rows of x, `b` as many of
// m.
template <unsigned C, class F>
__device__ void transposed_product(
    const float* m, unsigned tokens, unsigned height, Matrix x, unsigned depth, bool vectors, float* a, float* b, F to) {
    constexpr unsigned WIDTH = 4 * LANES * C, CHUNK = 32;
    unsigned thread = thread_in_block(), warps = LANES * blockDim.y / WARP, tall = 4 * blockDim.y;
    for (unsigned left = 0; left < depth; left += WIDTH) {
        float4 sum[4][C];
#pragma unroll
        for (unsigned r = 0; r < 4; r++)
#pragma unroll
            for (unsigned c = 0; c < C; c++) sum[r][c] = make_float4(0, 0, 0, 0);
        for (unsigned from = 0; from < tokens; from += CHUNK) {
            unsigned count = min(CHUNK, tokens - from);
            __syncthreads(); // what was here before has been read
            load_rows(a, x.from(from, left), count, min(WIDTH, depth - left), vectors);
            for (unsigned row = thread / WARP; row < count; row += warps)
                for (unsigned i = thread % WARP; i < height; i += WARP) b[row * tall + i] = m[(from + row) * tokens + i];
            __syncthreads();
            const float *w = b + 4 * threadIdx.y, *v = a + 4 * threadIdx.x;
#pragma unroll 2
            for (unsigned i = 0; i < count; i++) {
                float4 four = load4(w + i * tall);
#pragma unroll
                for (unsigned c = 0; c < C; c++) {
                    float4 value = load4(v + i * PITCH + 4 * LANES * c);
                    sum[0][c] = plus_times(sum[0][c], four.x, value);
                    sum[1][c] = plus_times(sum[1][c], four.y, value);
                    sum[2][c] = plus_times(sum[2][c], four.z, value);
                    sum[3][c] = plus_times(sum[3][c], four.w, value);
                }
            }
        }
#pragma unroll
        for (unsigned r = 0; r < 4; r++) {
#pragma unroll
            for (unsigned c = 0; c < C; c++) {
                unsigned row = 4 * threadIdx.y + r, col = left + 4 * (threadIdx.x + LANES * c);
                if (row < height && col < depth) to(row, col, sum[r][c]);
            }
        }
    }
}

// d v = p^T dy (z = 0) and d k = scale ds^T q (z = 1) for `tile` keys a block: grid (batch * heads, tiles, 2).
extern "C" __global__ void attention_backward_keys(
    unsigned tokens, unsigned heads, unsigned dim, float scale, unsigned tile, const float* qkv, const float* probabilities,
    const float* dscores, const float* dy, float* dqkv, unsigned add) {
    SHARED_MEMORY(float, shared);
    Head at(heads, dim);
    unsigned key = blockIdx.y * tile, rows = min(tile, tokens - key), pitch = 3 * at.width;
    bool values = blockIdx.z == 0, vectors = dim % 4 == 0;
    Matrix dout{dy + at.out(tokens, dim, 0), at.width}, q{qkv + at.part(0, tokens, dim, 0), pitch};
    const float* m = (values ? probabilities : dscores) + blockIdx.x * tokens * tokens + key;
    float* to = dqkv + at.part(values ? 2 : 1, tokens, dim, key);
    auto put = [=](unsigned row, unsigned col, float4 v) {
        put4(to + row * pitch + col, times(values ? 1.0f : scale, v), dim - col, vectors, add);
    };
    Matrix x = values ? dout : q;
    if (dim <= 4 * LANES) transposed_product<1>(m, tokens, rows, x, dim, vectors, shared, shared + 32 * PITCH, put);
    else transposed_product<2>(m, tokens, rows, x, dim, vectors, shared, shared + 32 * PITCH, put);
}
