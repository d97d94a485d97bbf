#!/bin/bash
# torch-pruning 1.6.1: a pruner that is asked for nearly everything of a layer prunes nothing of it, without a word.
#
# Of two hidden layers of 50 and 30 units, ratio .95 leaves 2 and 1. At .98 the first has 1 left, but the second, which
# would be left without one, has all its 30 again; at .99 and 1.0 both layers are as they were. There is no error and no
# warning. A curve of accuracy over sparsity that ends in such a point shows a dense layer where the sparsest should be.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.15.0 torch-pruning==1.6.1
"$dir/venv/bin/python" -W error::UserWarning - <<'PYTHON'
from importlib.metadata import version

import torch
import torch_pruning as tp
from torch import nn


def left(ratio):
    layers = [nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, 30), nn.ReLU(), nn.Linear(30, 10)]
    net = nn.Sequential(*layers)
    importance = tp.importance.MagnitudeImportance(p=2)
    pruner = tp.pruner.BasePruner(net, torch.ones(1, 20), importance, pruning_ratio=ratio, ignored_layers=[net[4]])
    pruner.step()
    return net[0].out_features, net[2].out_features


print("torch", torch.__version__, "torch-pruning", version("torch-pruning"))
found = {ratio: left(ratio) for ratio in (0.5, 0.95, 0.98, 0.99, 1.0)}
print(found)
expected = {0.5: (25, 15), 0.95: (2, 1), 0.98: (1, 30), 0.99: (50, 30), 1.0: (50, 30)}
assert found == expected, f"the behaviour has changed: {found}"
PYTHON
# Seen on 2026-11-28: {0.5: (25, 15), 0.95: (2, 1), 0.98: (1, 30), 0.99: (50, 30), 1.0: (50, 30)}
