// One launch over many tensors: the norm of all gradients, and values for the host.
#include "tensor/multi_tensor.cuh"

// Sums of the squares of the gradients, one for each block: sums [tensors, blocks].
extern "C" __global__ void squares(Many many, double* sums) {
    const One& one = many.each[blockIdx.y];
    double sum = 0.0;
    for (unsigned i = first(); i < one.n; i += stride()) sum += double(one.grad[i]) * double(one.grad[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// One block: all of some numbers added up.
extern "C" __global__ void total(unsigned n, const double* sums, double* to) {
    double sum = 0.0;
    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) sum += sums[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *to = sum;
}

// The tensors one after the other; each weight says where it goes. Grid (blocks, tensors).
extern "C" __global__ void gather(Many many) {
    const One& one = many.each[blockIdx.y];
    for (unsigned i = first(); i < one.n; i += stride()) one.weight[i] = one.grad[i];
}
