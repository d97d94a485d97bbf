// CUDA's device language in plain C++, as far as the kernels use it. One thread of the host runs all threads of a block
// in turn, each on a stack of its own; a thread gives way only where it waits for others, and its accesses are held
// against theirs.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define SHARED_MEMORY(type, name) type* name = static_cast<type*>(emulated::dynamic_shared)

struct alignas(8) float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(4) uchar4 { unsigned char x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulated {
extern void* dynamic_shared;
enum Wait { BARRIER = 1, SHUFFLE, BALLOT, WARP };
// Waits until all threads concerned have come to the same place; what a warp exchanged is returned.
uint64_t wait(Wait kind, unsigned mask, uint64_t value, unsigned lane, const char* file, int line);
unsigned lane();

struct Kernel {
    void (*call)(void** args);
    std::vector<size_t> sizes;
};
void define(const char* name, Kernel kernel);

template <auto F, class... A, size_t... I>
void call(void (*)(A...), void** args, std::index_sequence<I...>) { F(*static_cast<A*>(args[I])...); }
template <auto F, class... A>
Kernel kernel(void (*)(A...)) {
    return {[](void** args) { call<F>(F, args, std::index_sequence_for<A...>()); }, {sizeof(A)...}};
}

template <class T>
T exchange(unsigned mask, T v, unsigned from, const char* file, int line) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
    uint64_t bits = 0;
    std::memcpy(&bits, &v, sizeof v);
    bits = wait(SHUFFLE, mask, bits, from, file, line);
    std::memcpy(&v, &bits, sizeof v);
    return v;
}
}  // namespace emulated

#define CALLER const char *file = __builtin_FILE(), int line = __builtin_LINE()
inline void __syncthreads(CALLER) { emulated::wait(emulated::BARRIER, ~0u, 0, 0, file, line); }
inline void __syncwarp(unsigned mask = ~0u, CALLER) { emulated::wait(emulated::WARP, mask, 0, 0, file, line); }
inline unsigned __ballot_sync(unsigned mask, int p, CALLER) {
    return unsigned(emulated::wait(emulated::BALLOT, mask, p != 0, 0, file, line));
}
inline int __any_sync(unsigned mask, int p, CALLER) { return __ballot_sync(mask, p, file, line) != 0; }
inline int __all_sync(unsigned mask, int p, CALLER) { return __ballot_sync(mask, !p, file, line) == 0; }
// Lanes exchange within groups of `width`; a lane outside its group gives back the caller's own value.
template <class T>
T __shfl_sync(unsigned mask, T v, int from, int width = 32, CALLER) {
    unsigned me = emulated::lane();
    return emulated::exchange(mask, v, me / width * width + unsigned(from) % width, file, line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int with, int width = 32, CALLER) {
    unsigned me = emulated::lane(), from = me ^ unsigned(with);
    return emulated::exchange(mask, v, from / width > me / width ? me : from, file, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32, CALLER) {
    unsigned me = emulated::lane();
    return emulated::exchange(mask, v, me % width + by < unsigned(width) ? me + by : me, file, line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32, CALLER) {
    unsigned me = emulated::lane();
    return emulated::exchange(mask, v, me % width >= by ? me - by : me, file, line);
}
#undef CALLER

// Not reported as reads and writes.
#define ATOMIC __attribute__((noinline, no_sanitize("thread")))
template <class T>
ATOMIC T atomicAdd(T* to, std::common_type_t<T> v) { T old = *to; *to = old + v; return old; }
template <class T>
ATOMIC T atomicMax(T* to, std::common_type_t<T> v) { T old = *to; *to = old > v ? old : v; return old; }
template <class T>
ATOMIC T atomicMin(T* to, std::common_type_t<T> v) { T old = *to; *to = old < v ? old : v; return old; }
template <class T>
ATOMIC T atomicOr(T* to, std::common_type_t<T> v) { T old = *to; *to = old | v; return old; }
template <class T>
ATOMIC T atomicExch(T* to, std::common_type_t<T> v) { T old = *to; *to = v; return old; }
template <class T>
ATOMIC T atomicCAS(T* to, std::common_type_t<T> expected, std::common_type_t<T> v) {
    T old = *to;
    if (old == expected) *to = v;
    return old;
}
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
T __ldg(const T* p) { return *p; }
template <class A, class B>
constexpr std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }
template <class A, class B>
constexpr std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
// Stores keep the compiler from joining a product and a sum.
inline float __fmul_rn(float a, float b) { volatile float product = a * b; return product; }
inline float __fadd_rn(float a, float b) { volatile float sum = a + b; return sum; }
inline float __fdiv_rn(float a, float b) { volatile float quotient = a / b; return quotient; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline int __float_as_int(float x) { int i; std::memcpy(&i, &x, 4); return i; }
inline unsigned __float_as_uint(float x) { unsigned i; std::memcpy(&i, &x, 4); return i; }
inline float __int_as_float(int i) { float x; std::memcpy(&x, &i, 4); return x; }
inline float __uint_as_float(unsigned i) { float x; std::memcpy(&x, &i, 4); return x; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }

#define DEFINE(name) static const bool defined_##name = (emulated::define(#name, emulated::kernel<&name>(&name)), true)
