// The matrix products of libcublas, as plain loops: column-major, c = alpha op(a) op(b) + beta c.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {
enum { SUCCESS = 0, INVALID_VALUE = 7 };
thread_local uint64_t products;

void product(bool ta, bool tb, int m, int n, int k, float alpha, const float* a, int lda, const float* b, int ldb, float beta,
             float* c, int ldc) {
    std::vector<float> column(m);
    for (int j = 0; j < n; j++) {
        for (float& v : column) v = 0;
        for (int p = 0; p < k; p++) {
            float factor = tb ? b[j + size_t(p) * ldb] : b[p + size_t(j) * ldb];
            const float* from = ta ? a + p : a + size_t(p) * lda;
            size_t step = ta ? size_t(lda) : 1;
            for (int i = 0; i < m; i++) column[i] += from[i * step] * factor;
        }
        float* to = c + size_t(j) * ldc;
        // What is in c is not read where beta is zero: it may be NaN.
        for (int i = 0; i < m; i++) to[i] = alpha * column[i] + (beta == 0 ? 0 : beta * to[i]);
    }
}

// Counts a call; whether it is to compute something.
bool called() {
    static bool idle = getenv("EMULATED_CUDA_IDLE");
    products++;
    return !idle;
}

bool fits(int ta, int tb, int m, int n, int k, int lda, int ldb, int ldc) {
    auto at_least = [](int ld, int rows) { return ld >= (rows > 1 ? rows : 1); };
    return m >= 0 && n >= 0 && k >= 0 && at_least(lda, ta ? k : m) && at_least(ldb, tb ? n : k) && at_least(ldc, m);
}
}  // namespace

extern "C" {
// For tests: calls of the calling thread.
uint64_t emulated_products() { return products; }

int cublasCreate_v2(void** handle) { static int one; *handle = &one; return SUCCESS; }
int cublasDestroy_v2(void*) { return SUCCESS; }
int cublasSetStream_v2(void*, void*) { return SUCCESS; }
int cublasSetMathMode(void*, int) { return SUCCESS; }
int cublasSetWorkspace_v2(void*, void*, size_t) { return SUCCESS; }
int cublasSgemm_v2(void*, int ta, int tb, int m, int n, int k, const float* alpha, const float* a, int lda, const float* b, int ldb,
                   const float* beta, float* c, int ldc) {
    if (!fits(ta, tb, m, n, k, lda, ldb, ldc)) return INVALID_VALUE;
    if (called()) product(ta, tb, m, n, k, *alpha, a, lda, b, ldb, *beta, c, ldc);
    return SUCCESS;
}
int cublasSgemmStridedBatched(void*, int ta, int tb, int m, int n, int k, const float* alpha, const float* a, int lda, int64_t sa,
                              const float* b, int ldb, int64_t sb, const float* beta, float* c, int ldc, int64_t sc, int count) {
    if (!fits(ta, tb, m, n, k, lda, ldb, ldc)) return INVALID_VALUE;
    bool compute = called();
    for (int i = 0; compute && i < count; i++) product(ta, tb, m, n, k, *alpha, a + i * sa, lda, b + i * sb, ldb, *beta, c + i * sc, ldc);
    return SUCCESS;
}
int cublasSgemv_v2(void*, int ta, int m, int n, const float* alpha, const float* a, int lda, const float* x, int dx,
                   const float* beta, float* y, int dy) {
    if (dx != 1 || dy != 1 || lda < (m > 1 ? m : 1)) return INVALID_VALUE;
    int rows = ta ? n : m, inner = ta ? m : n;
    product(ta, false, rows, 1, inner, *alpha, a, lda, x, inner > 1 ? inner : 1, *beta, y, rows > 1 ? rows : 1);
    return SUCCESS;
}
}
