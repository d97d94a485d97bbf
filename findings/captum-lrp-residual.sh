#!/bin/bash
# captum 0.9.0: LRP through a plain residual x + f(x) neither keeps nor shares out the relevance.
#
# Relevance is conserved by its definition: without biases what arrives at the inputs sums to the output that was
# explained. Through `x + f(x)` written with the operator, the library hands all of it to both branches on their own
# scales: here the output is -.31 and the relevance of the inputs sums to -2.11. There is no warning. With its
# Addition_Module in place of the operator the sum is right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.15.0 captum==0.9.0
"$dir/venv/bin/python" - <<'PYTHON'
import warnings
from importlib.metadata import version

import torch
from captum.attr import LRP
from captum.attr._utils.custom_modules import Addition_Module
from torch import nn

warnings.simplefilter("ignore")
print("torch", torch.__version__, "captum", version("captum"))


class Residual(nn.Module):
    def __init__(self, add):
        super().__init__()
        self.a, self.relu, self.b, self.c = nn.Linear(4, 4, False), nn.ReLU(), nn.Linear(4, 4, False), nn.Linear(4, 1, False)
        self.add = add

    def forward(self, x):
        return self.c(self.add(x, self.b(self.relu(self.a(x)))))


def sums(add):
    torch.manual_seed(0)
    net, x = Residual(add).double(), torch.randn(1, 4).double()
    return net(x).item(), LRP(net).attribute(x, target=0).sum().item()


operator, module = sums(lambda x, y: x + y), sums(Addition_Module())
print("output, sum of relevance: operator", operator, "module", module)
assert abs(module[0] - module[1]) < 1e-4, f"the module does not keep it either: {module}"
assert abs(operator[1] / operator[0] - 6.878) < 0.01, f"the behaviour has changed: {operator}"
PYTHON
# Seen on 2026-11-28: output -.3065; sum of relevance -2.108 with the operator, -.3065 with the module.
