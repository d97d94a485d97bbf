#!/bin/bash
# torch 2.15.0: its FLOP counter finds that attention costs nothing at inference.
#
# FlopCounterMode counts matrix products as they are dispatched. A TransformerEncoderLayer or a MultiheadAttention in eval mode, when
# no gradient is recorded, calls one fused operation for all of it, for which the counter has no formula: 0 FLOPs, without a word. The
# same layer with the same input in training mode, or in eval mode without no_grad, has 1,114,112, which is right (two for each of the
# 557,056 multiplications and additions). Whoever measures what pruning saves, under no_grad as one does, divides 0 by 0, or counts
# the rest of the network only. torch.backends.mha.set_fastpath_enabled(False) brings the right number back.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.15.0
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

print("torch", torch.__version__)
tokens, width, hidden = 16, 64, 128
x = torch.randn(1, tokens, width)
encoder = nn.TransformerEncoderLayer(width, 4, hidden, dropout=0.0, batch_first=True)
attention = nn.MultiheadAttention(width, 4, batch_first=True)


def flops(net, training, gradients, *inputs):
    net.train(training)
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(gradients):
        net(*inputs)
    return counter.get_total_flops()


projections, products = 4 * tokens * width * width, 2 * tokens * tokens * width
by_hand = {"encoder layer": 2 * (projections + products + 2 * tokens * width * hidden), "attention": 2 * (projections + products)}
for name, net, inputs in (("encoder layer", encoder, (x,)), ("attention", attention, (x, x, x))):
    found = {(training, gradients): flops(net, training, gradients, *inputs) for training in (True, False) for gradients in (True, False)}
    print(f"{name}: by hand {by_hand[name]}")
    for (training, gradients), count in found.items():
        print(f"  {'train' if training else 'eval '} mode, {'gradients' if gradients else 'no_grad  '}: {count}")
    inference = found.pop((False, False))
    assert set(found.values()) == {by_hand[name]}, found
    assert inference == 0, f"the behaviour has changed: {inference}"
    torch.backends.mha.set_fastpath_enabled(False)
    assert flops(net, False, False, *inputs) == by_hand[name], "without the fused operation it is wrong too"
    torch.backends.mha.set_fastpath_enabled(True)
PYTHON
# Seen on 2026-11-28: 0 in eval mode under no_grad, for the encoder layer and for attention; 1114112 and 589824 in the other three cases.
