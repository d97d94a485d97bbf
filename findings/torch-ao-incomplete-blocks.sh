#!/bin/bash
# torch 2.15.0: WeightNormSparsifier on a layer whose width its pattern does not divide keeps the padding, not the weights.
#
# With sparse_block_shape (1, 4) and zeros_per_block 2 (2:4) a row of 6 weights has one group of four and one of two. step() fills
# the second up with NaN, which ranks above every number: both real weights are marked for removal and both fillers are kept. step()
# returns without a word, and the mask that it leaves is as wide as the filled-up row, so that the next forward pass raises. Whoever
# takes kept sets from it as an oracle for n:m must leave such layers out, and count from what the pattern divides.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.15.0
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from torch import nn
from torch.ao.pruning import WeightNormSparsifier

print("torch", torch.__version__)


def two_of_four(row):
    layer = nn.Linear(len(row), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([row]))
    net = nn.Sequential(layer)
    sparsifier = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    sparsifier.prepare(net, [{"tensor_fqn": "0.weight"}])
    sparsifier.step()
    mask = net[0].parametrizations.weight[0].mask[0].int().tolist()
    try:
        net(torch.ones(1, len(row)))
        return mask, "forward runs"
    except AssertionError:
        return mask, "forward raises"


whole, rest = two_of_four([4.0, 1, 3, 2]), two_of_four([4.0, 1, 3, 2, 9, 8])
print("of 4 weights:", *whole)
print("of 6 weights:", *rest)
assert whole == ([1, 0, 1, 0], "forward runs"), "it no longer keeps the two largest of four"
assert rest == ([1, 0, 1, 0, 0, 0, 1, 1], "forward raises"), "the behaviour has changed"
PYTHON
# Seen on 2026-11-28: of 4 weights [1, 0, 1, 0], forward runs; of 6 weights (4 1 3 2 9 8) [1, 0, 1, 0, 0, 0, 1, 1], forward raises.
