#!/bin/bash
# torch 2.15.0: a second pruning with torch.nn.utils.prune ranks the weights as they were before the last optimizer step.
#
# A pruned layer keeps weight_orig and weight_mask; `weight` is their product, computed by a hook of the forward pass. The optimizer
# changes weight_orig, and nothing computes `weight` again before the next forward pass. The pruning functions rank `weight`. So in the
# usual loop (backward, step, every so often prune) every pruning but the first goes by scores one step old. Here a step takes the
# largest weight, 4, down to .1; pruning one more should take that one, but takes the 2. With any forward pass in between, even one
# whose result is dropped, it takes the .1. global_unstructured does the same.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.15.0
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from torch import nn
from torch.nn.utils import prune

print("torch", torch.__version__)


def one(layer):
    prune.l1_unstructured(layer, "weight", amount=1)


def one_globally(layer):
    prune.global_unstructured([(layer, "weight")], prune.L1Unstructured, amount=1)


def mask_after(prune_one, forward_between):
    layer = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[4.0, 3.0, 2.0, 1.0]]))
    prune_one(layer)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    x = torch.tensor([[3.9, 0.0, 0.0, 0.0]])
    layer(x).sum().backward()
    optimizer.step()
    if forward_between:
        layer(x)
    prune_one(layer)
    return [round(w, 1) for w in layer.weight_orig[0].tolist()], layer.weight_mask[0].int().tolist()


for prune_one in (one, one_globally):
    (weights, stale), (_, fresh) = mask_after(prune_one, False), mask_after(prune_one, True)
    print(f"{prune_one.__name__}: weights {weights}, mask {stale}; with a forward pass in between {fresh}")
    assert weights == [0.1, 3.0, 2.0, 1.0] and fresh == [0, 1, 1, 0], (weights, fresh)
    assert stale == [1, 1, 0, 0], f"the behaviour has changed: {stale}"
PYTHON
# Seen on 2026-11-28:
#   one: weights [0.1, 3.0, 2.0, 1.0], mask [1, 1, 0, 0]; with a forward pass in between [0, 1, 1, 0]
#   one_globally: weights [0.1, 3.0, 2.0, 1.0], mask [1, 1, 0, 0]; with a forward pass in between [0, 1, 1, 0]
