#!/bin/bash
# torchao 0.18.0: WandaSparsifier ranks by the square of the input's norm, and over the whole layer instead of row by row.
#
# Wanda (Sun et al. 2023, arXiv 2306.11695) scores a weight by its size times the L2 norm of its input over the calibration set, and
# compares scores within one output only, which its authors found to matter. The class names that paper and says that it multiplies by
# the norm, but its observer adds up squares and nobody takes the root. First: weights 4 and 1, inputs 1 and 3; the scores are 4 and 3,
# the library's 4 and 9, so it removes the larger. Second: rows (1, 2) and (30, 40), equal inputs, half to go: the paper removes one of
# each row, the library the whole first row, which leaves an output without inputs.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.15.0 torchao==0.18.0
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from torch import nn
from torchao.sparsity.wanda import WandaSparsifier

print("torch", torch.__version__, "torchao", version("torchao"))


def masks(weight, inputs):
    weight, inputs = torch.tensor(weight), torch.tensor(inputs)
    net = nn.Sequential(nn.Linear(*weight.T.shape, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(weight)
    sparsifier = WandaSparsifier(sparsity_level=0.5)
    sparsifier.prepare(net, [{"tensor_fqn": "0.weight"}])
    net(inputs)
    sparsifier.step()
    scores = weight.abs() * inputs.norm(dim=0)
    paper = (scores > scores.median(dim=1, keepdim=True).values).int()
    return paper.tolist(), net[0].parametrizations.weight[0].mask.int().tolist()


root, rows = masks([[4.0, 1.0]], [[1.0, 3.0]]), masks([[1.0, 2.0], [30.0, 40.0]], [[1.0, 1.0]])
print("kept of (4, 1):              paper %s, library %s" % root)
print("kept of (1, 2) and (30, 40): paper %s, library %s" % rows)
assert root == ([[1, 0]], [[0, 1]]), f"the behaviour has changed: {root}"
assert rows == ([[0, 1], [0, 1]], [[0, 0], [1, 1]]), f"the behaviour has changed: {rows}"
PYTHON
# Seen on 2026-11-28:
#   kept of (4, 1):              paper [[1, 0]], library [[0, 1]]
#   kept of (1, 2) and (30, 40): paper [[0, 1], [0, 1]], library [[0, 0], [1, 1]]
