#!/bin/bash
# thop 0.1.1.post2209072238: a transposed convolution costs four times what it does at stride 2, sixteen times at stride 4.
#
# A convolution multiplies once per kernel weight for each position of its output. A transposed one, the upsampling layer of decoders, does it
# for each position of its input: its stride spreads the results and adds no work. profile() has one formula for both, with the output.
# Doubling an image from 16 x 16 with a kernel of 4 x 4 comes out at 4 times the multiplications, so that a decoder outweighs its encoder
# on paper, and pruning it looks four times as good as it is. At stride 1 without padding the frame around the input is counted too. The
# by-hand numbers below are also those of torch's own counter.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: torch==2.15.0 numpy==2.4.6 thop==0.1.1.post2209072238
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from thop import profile
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

print("torch", torch.__version__, "thop", version("thop"))
channels, size = 8, 16
x = torch.randn(1, channels, size, size)


def counts(layer, positions):
    by_hand = positions * layer.weight.numel()
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == 2 * by_hand, (counter.get_total_flops(), by_hand)
    return by_hand, int(profile(layer, (x,), verbose=False)[0])


layers = {
    "down by 2": (nn.Conv2d(channels, 4, 4, stride=2, padding=1, bias=False), (size // 2) ** 2),
    "up by 1": (nn.ConvTranspose2d(channels, 4, 3, padding=1, bias=False), size**2),
    "up by 2": (nn.ConvTranspose2d(channels, 4, 4, stride=2, padding=1, bias=False), size**2),
    "up by 4": (nn.ConvTranspose2d(channels, 4, 4, stride=4, bias=False), size**2),
}
found = {name: counts(*layer) for name, layer in layers.items()}
for name, (by_hand, thop) in found.items():
    print(f"{name}: {by_hand} multiplications, thop says {thop}, {thop / by_hand:g} times")
ratios = [thop / by_hand for by_hand, thop in found.values()]
assert ratios[:2] == [1, 1], found
assert ratios[2:] == [4, 16], f"the behaviour has changed: {found}"
PYTHON
# Seen on 2026-11-29:
#   down by 2: 32768 multiplications, thop says 32768, 1 times
#   up by 1: 73728 multiplications, thop says 73728, 1 times
#   up by 2: 131072 multiplications, thop says 524288, 4 times
#   up by 4: 131072 multiplications, thop says 2097152, 16 times
