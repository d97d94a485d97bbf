#!/bin/bash
# onnxruntime 1.32.0: its HQQ quantizer leaves not one zero of a pruned layer, while its default quantizer keeps them all.
#
# Weights of 4 bits are meant to come after pruning (Han et al. 2015 in this order), and the quantizers that write MatMulNBits nodes, here of one
# 128 x 64 product of which half of the weights are zero, in blocks of 32, are used for it. With the default algorithm, symmetric or not, every zero is exactly zero afterwards: the
# zero point is a whole number. HQQ (half-quadratic quantization) fits zero points that are fractions and need not stand on any of the 16 levels, so that what was pruned comes back
# as small weights, all of it. Whoever reports sparsity, skips zeros or shares patterns after quantizing has to put the mask on again, or stay with the default.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: onnxruntime==1.32.0 onnx==1.23.2 onnx_ir numpy==2.4.6 torch==2.15.0
"$dir/venv/bin/python" - <<'PYTHON'
import logging

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import matmul_nbits_quantizer as nbits

logging.disable(logging.INFO)
print("onnxruntime", onnxruntime.__version__)
draws = np.random.default_rng(0)
weight = draws.normal(size=(128, 64)).astype(np.float32)
pruned = draws.random(weight.shape) < 0.5
weight[pruned] = 0
sides = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])] for name, size in (("x", 128), ("y", 64))]
graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "layer", *sides, [numpy_helper.from_array(weight, "w")])
layer = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


def after(algorithm):
    """The layer's weights as the quantized model multiplies by them."""
    quantizer = nbits.MatMulNBitsQuantizer(onnx.ModelProto.FromString(layer), algo_config=algorithm)
    quantizer.process()
    session = onnxruntime.InferenceSession(quantizer.model.model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.eye(128, dtype=np.float32)})[0]


algorithms = {
    "default, symmetric": nbits.DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=True),
    "default, asymmetric": nbits.DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=False),
    "HQQ": nbits.HQQWeightOnlyQuantConfig(block_size=32),
}
for name, algorithm in algorithms.items():
    found = after(algorithm)
    zeros, error = int((found[pruned] == 0).sum()), abs(found - weight).max()
    print(f"{name}: of {pruned.sum()} pruned weights {zeros} are zero, the largest is {abs(found[pruned]).max():.3f}; largest error {error:.2f}")
    assert error < 0.5, "this is no quantization of the layer"
    assert zeros == (0 if name == "HQQ" else pruned.sum()), "the behaviour has changed"
PYTHON
# Seen on 2026-11-29:
#   default, symmetric: of SEEN
