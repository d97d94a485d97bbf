#!/bin/bash
# torch-pruning 1.6.1: FPGMImportance ranks filters by the distances between their SQUARED weights.
#
# Filter pruning via geometric median (He et al. 2019, arXiv 1811.00250, equation 4) removes the filter whose sum of
# distances to all other filters of its layer is least. Of three filters of one weight each, 1, -1 and 2, these sums are
# 3, 5 and 4. The library answers 3, 3 and 6, the distances between 1, 1 and 4: a filter and its negative count as equal.
# So it is no oracle for FPGM, and a comparison "with FPGM" that uses it compares with another method.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.15.0 torch-pruning==1.6.1
"$dir/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import torch
import torch_pruning as tp
from torch import nn

net = nn.Sequential(nn.Conv2d(1, 3, 1, bias=False), nn.Conv2d(3, 2, 1, bias=False))
with torch.no_grad():
    net[0].weight.copy_(torch.tensor([1.0, -1.0, 2.0]).reshape(3, 1, 1, 1))
graph = tp.DependencyGraph().build_dependency(net, torch.ones(1, 1, 4, 4))
group = graph.get_pruning_group(net[0], tp.prune_conv_out_channels, idxs=[0, 1, 2])
found = tp.importance.FPGMImportance(p=2, group_reduction="first", normalizer=None)(group).tolist()
filters = net[0].weight.flatten(1)
paper = torch.cdist(filters, filters).sum(1).tolist()
print("torch", torch.__version__, "torch-pruning", version("torch-pruning"))
print("sums of distances by the paper:", paper)
print("the library's importance:      ", found)
assert paper == [3.0, 5.0, 4.0], paper
assert found == [3.0, 3.0, 6.0], f"the behaviour has changed: {found}"
PYTHON
# Seen on 2026-11-28:
#   sums of distances by the paper: [3.0, 5.0, 4.0]
#   the library's importance:       [3.0, 3.0, 6.0]
