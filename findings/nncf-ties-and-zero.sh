#!/bin/bash
# nncf 3.4.0: prune() at ratio 0 removes a weight, and a layer of equal weights loses all of them at any ratio.
#
# The mask keeps what is larger than a threshold, and the threshold is itself a weight, so that one more than the share goes, with all
# that tie with it: of nine weights of different size 1 at ratio 0 and 3 at .25, where 0 and 2 would be expected; of eight weights of size 1
# all eight at .25. Weights with few levels (signs, a shared codebook, a fresh layer of ones) are such layers. There is no warning, and
# the forward pass gives zeros. Whoever compares "at the same sparsity" must count the masks.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.15.0 nncf==3.4.0
cd "$dir"
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import nncf
import torch
from nncf.parameters import PruneMode
from torch import nn

print("torch", torch.__version__, "nncf", version("nncf"))


class Net(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.layer = nn.Linear(len(weights), 1, bias=False)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([weights]))

    def forward(self, x):
        return self.layer(x)


def gone(weights, ratio):
    # Each input alone tells whether its weight still acts.
    inputs = torch.eye(len(weights))
    net = nncf.prune(Net(weights), mode=PruneMode.UNSTRUCTURED_MAGNITUDE_LOCAL, ratio=ratio, examples_inputs=inputs)
    return int((net(inputs) == 0).sum())


different, equal = [float(i) for i in range(1, 10)], [1.0, -1.0] * 4
found = {ratio: (gone(different, ratio), gone(equal, ratio)) for ratio in (0.0, 0.25, 0.5)}
for ratio, (of_different, of_equal) in found.items():
    print(f"ratio {ratio}: {of_different} of 9 different weights, {of_equal} of 8 weights of size 1")
assert found == {0.0: (1, 8), 0.25: (3, 8), 0.5: (5, 8)}, f"the behaviour has changed: {found}"
PYTHON
# Seen on 2026-11-28:
#   ratio 0.0: 1 of 9 different weights, 8 of 8 weights of size 1
#   ratio 0.25: 3 of 9 different weights, 8 of 8 weights of size 1
#   ratio 0.5: 5 of 9 different weights, 8 of 8 weights of size 1
