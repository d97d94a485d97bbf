// Many tensors in one launch.
#pragma once
#include "runtime/common.cuh"

// One tensor, or what belongs to one parameter. Laid out as `One` in Rust.
struct One {
    float* weight;
    const float* grad;
    float* first_state;
    float* second_state;
    const float* mask;
    unsigned n;
    // SGD: decay. Adam: step size, factor of the root of the second moment, decay in the gradient, factor of the
    // weight.
    float size, root, decay, shrink;
};

// As many as fit into the 4 KB of a kernel's parameters.
struct Many {
    One each[56];
};
