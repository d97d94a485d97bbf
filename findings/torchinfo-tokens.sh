#!/bin/bash
# torchinfo 1.8.0: the multiplications of a linear layer do not grow with the number of tokens it is applied to.
#
# total_mult_adds of a convolution counts every position of its output. Of a linear layer it counts the weights and biases once for each
# sample of the batch, however many tokens a sample has: a layer of 64 x 128 is 8,320 for one row, and for a sequence of 16 or 1,000
# rows too. So in a network with both, such as a vision transformer, whose first layer is a convolution over patches, the layers are
# added up on different scales, and the shares of the parts, and what removing heads or hidden units saves, come out wrong.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.15.0 torchinfo==1.8.0
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from torch import nn
from torchinfo import summary

print("torch", torch.__version__, "torchinfo", version("torchinfo"))


def count(net, *size):
    return summary(net, input_size=size, verbose=0).total_mult_adds


# The same arithmetic on the same data, once as a layer for tokens and once as a convolution whose kernel covers one position.
linear, convolution = nn.Linear(64, 128), nn.Conv1d(64, 128, 1)
with torch.no_grad():
    convolution.weight.copy_(linear.weight[:, :, None])
    convolution.bias.copy_(linear.bias)
x = torch.randn(1, 16, 64)
assert torch.allclose(linear(x), convolution(x.mT).mT, atol=1e-5)

found = {n: (count(linear, 1, n, 64), count(convolution, 1, 64, n)) for n in (1, 16, 1000)}
for n, (as_linear, as_convolution) in found.items():
    print(f"{n:4} tokens: Linear {as_linear}, the same as Conv1d {as_convolution}")
assert [c for _, c in found.values()] == [8320, 16 * 8320, 1000 * 8320], found
assert {c for c, _ in found.values()} == {8320}, f"the behaviour has changed: {found}"
assert count(linear, 16, 64) == 16 * 8320, "rows of a batch are counted"
PYTHON
# Seen on 2026-11-28:
#      1 tokens: Linear 8320, the same as Conv1d 8320
#     16 tokens: Linear 8320, the same as Conv1d 133120
#   1000 tokens: Linear 8320, the same as Conv1d 8320000
