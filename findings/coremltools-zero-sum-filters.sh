#!/bin/bash
# coremltools 9.0: its report counts a filter as pruned when its weights sum to zero, and an edge detector's do.
#
# A pruner's report() gives three shares for each layer: of weights that are zero, of output channels all of whose weights are
# ("structured"), and of pairs of weights in neighbouring channels both of which are ("block2"). The first compares weights with zero. The
# other two add up the weights of a channel or a pair and compare the sum, signs and all. Four Sobel filters, of which no channel is
# empty, are "structured 1.0", though only a third of their weights is zero; a layer whose channels come in pairs of w and -w is "block2
# 1.0" without one zero in it. It goes into the line of the whole network too. Trained floats rarely sum to just zero, so that the report
# looks right until filters are fixed, binary or ternary.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: torch==2.15.0 coremltools==9.0 numpy==2.4.6
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
import logging

logging.disable(logging.ERROR)  # It warns of parts that are for macOS only, and that this torch is newer than those it was tested with.

import coremltools
import torch
from coremltools.optimize.torch.pruning import MagnitudePruner, MagnitudePrunerConfig, ModuleMagnitudePrunerConfig
from torch import nn

print("torch", torch.__version__, "coremltools", coremltools.__version__)
sobel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
torch.manual_seed(0)
pair = torch.randn(1, 1, 3, 3)
weights = {
    "Sobel filters": torch.stack([sobel, sobel.T, -sobel, -sobel.T])[:, None],
    "pairs of w and -w": torch.cat([pair, -pair, 2 * pair, -2 * pair]),
    "random weights": torch.randn(4, 1, 3, 3),
    "two of four empty": torch.cat([torch.zeros(2, 1, 3, 3), torch.randn(2, 1, 3, 3)]),
}
found, real = {}, {}
for name, weight in weights.items():
    net = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(weight)
    # Target 0: nothing is pruned, the report is of the layer as it is.
    everything = ModuleMagnitudePrunerConfig(target_sparsity=0.0)
    pruner = MagnitudePruner(net, MagnitudePrunerConfig(global_config=everything))
    pruner.prepare(inplace=True)
    report = pruner.report()["0"]
    kinds = ("unstructured", "structured", "block2")
    found[name] = [round(float(report[f"{kind}_weight_sparsity"]), 3) for kind in kinds]
    zero = weight == 0
    pairs = zero.reshape(2, 2, -1).all(1)
    real[name] = [round(float(share.float().mean()), 3) for share in (zero, zero.flatten(1).all(1), pairs)]
    print(f"{name}: " + ", ".join(f"{kind} {a} (in fact {b})" for kind, a, b in zip(kinds, found[name], real[name])))
for name in ("random weights", "two of four empty"):
    assert found[name] == real[name], f"{name}: {found[name]}"
assert found["Sobel filters"] == [0.333, 1.0, 0.333], f"the behaviour has changed: {found}"
assert found["pairs of w and -w"] == [0.0, 0.0, 1.0], f"the behaviour has changed: {found}"
assert real["Sobel filters"] == [0.333, 0.0, 0.111] and real["pairs of w and -w"] == [0.0, 0.0, 0.0], real
PYTHON
# Seen on 2026-11-29:
#   Sobel filters: unstructured 0.333 (in fact 0.333), structured 1.0 (in fact 0.0), block2 0.333 (in fact 0.111)
#   pairs of w and -w: unstructured 0.0 (in fact 0.0), structured 0.0 (in fact 0.0), block2 1.0 (in fact 0.0)
#   random weights: unstructured 0.0 (in fact 0.0), structured 0.0 (in fact 0.0), block2 0.0 (in fact 0.0)
#   two of four empty: unstructured 0.5 (in fact 0.5), structured 0.5 (in fact 0.5), block2 0.5 (in fact 0.5)
