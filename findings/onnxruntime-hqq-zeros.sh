#!/bin/bash
# onnxruntime 1.32.0: its HQQ quantizer leaves not one zero of a pruned layer, while its default quantizer keeps them all.
#
# Weights of 4 bits come after pruning (Han et al. 2015, in this order), and the quantizers that write MatMulNBits nodes are what is used
# for it: here on a product of 128 x 64 with half of the weights zero, in blocks of 32. With the default algorithm, symmetric or not, each
# of these zeros is exactly zero afterwards, since its zero points are whole numbers. HQQ (half-quadratic quantization) fits zero points
# that are fractions, so that zero need not be one of the 16 levels, and all that was pruned comes back as small weights. Whoever counts
# zeros, skips them or shares patterns after it has to put the mask on again, or stays with the default.
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
#   default, symmetric: of 4039 pruned weights 4039 are zero, the largest is 0.000; largest error 0.27
#   default, asymmetric: of 4039 pruned weights 4039 are zero, the largest is 0.000; largest error 0.18
#   HQQ: of 4039 pruned weights 0 are zero, the largest is 0.042; largest error 0.18
