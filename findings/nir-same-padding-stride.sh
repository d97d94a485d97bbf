#!/bin/bash
# nir 1.0.8: a strided convolution with padding "same" keeps the size of its input, so that the right network is refused and a wrong one taken.
#
# The exchange format of spiking networks lets a convolution's padding be "same" or "valid". In TensorFlow, Keras and ONNX (SAME_UPPER) "same"
# means ceil(input / stride), and PyTorch refuses it with a stride. Here the stride is left out of the calculation: 8 x 8 with stride 2
# comes out as 8 x 8, in Conv1d as in Conv2d; the same convolution with its padding as a number, 1, is 4 x 4. Graphs are checked by these
# shapes: with a layer of 3 * 4 * 4 inputs behind it, which is what was trained, the graph is refused, and with 3 * 8 * 8, which fits no
# weights of that network, it is accepted. Write paddings as numbers.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: nir==1.0.8 numpy==2.4.6
"$dir/venv/bin/python" -W error - <<'PYTHON'
from importlib.metadata import version

import nir
import numpy as np

print("nir", version("nir"), "numpy", np.__version__)


def convolution(padding, stride=2):
    fixed = {"stride": stride, "padding": padding, "dilation": 1, "groups": 1}
    return nir.Conv2d(input_shape=(8, 8), weight=np.ones((3, 1, 3, 3)), bias=np.zeros(3), **fixed)


def network(padding, features):
    first = convolution(padding)
    flat = nir.Flatten(input_type={"input": first.output_type["output"]}, start_dim=0)
    try:
        nir.NIRGraph.from_list(nir.Input(np.array([1, 8, 8])), first, flat, nir.Linear(np.ones((10, features))))
        return "accepted"
    except ValueError as error:
        return "refused"


sizes = {(padding, stride): convolution(padding, stride).output_type["output"].tolist() for padding in ("same", 1) for stride in (1, 2)}
for (padding, stride), size in sizes.items():
    print(f"8 x 8, padding {padding}, stride {stride}: {size}")
line = nir.Conv1d(input_shape=8, weight=np.ones((3, 1, 3)), stride=2, padding="same", dilation=1, groups=1, bias=np.zeros(3))
print("8, Conv1d, padding same, stride 2:", line.output_type["output"].tolist())
checks = {(padding, features): network(padding, features) for padding in ("same", 1) for features in (48, 192)}
for (padding, features), outcome in checks.items():
    print(f"padding {padding}, stride 2, then a layer of {features} inputs: {outcome}")
assert sizes["same", 1] == sizes[1, 1] == [3, 8, 8] and sizes[1, 2] == [3, 4, 4], sizes
assert sizes["same", 2] == [3, 8, 8] and line.output_type["output"].tolist() == [3, 8], "the behaviour has changed"
assert (checks[1, 48], checks[1, 192]) == ("accepted", "refused"), checks
assert (checks["same", 48], checks["same", 192]) == ("refused", "accepted"), f"the behaviour has changed: {checks}"
PYTHON
# Seen on 2026-11-29:
#   8 x 8, padding same, stride 1: [3, 8, 8]
#   8 x 8, padding same, stride 2: [3, 8, 8]
#   8 x 8, padding 1, stride 1: [3, 8, 8]
#   8 x 8, padding 1, stride 2: [3, 4, 4]
#   8, Conv1d, padding same, stride 2: [3, 8]
#   padding same, stride 2, then a layer of 48 inputs: refused
#   padding same, stride 2, then a layer of 192 inputs: accepted
#   padding 1, stride 2, then a layer of 48 inputs: accepted
#   padding 1, stride 2, then a layer of 192 inputs: refused
