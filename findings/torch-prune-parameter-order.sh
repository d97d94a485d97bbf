#!/bin/bash
# torch 2.15.0: pruning a layer moves its weight behind its bias, and a checkpoint of the optimizer then gives each the other's momentum.
#
# An optimizer's state_dict names parameters by their place in the list that it was given, nothing else. prune.l1_unstructured() on a
# BatchNorm's weight (its scales, as network slimming prunes them) takes the parameter out and puts weight_orig in at the end, behind
# the bias, and prune.remove() leaves it there. So a network that was pruned, and is no longer, has the same names, shapes and state_dict as a fresh
# one, but not the same order. Both checkpoints load without a word into a fresh network, and the scale's momentum is the bias's, so
# that the next step moves both wrongly. Shapes are not compared when loading; where they differ (a convolution's weight and bias) it is
# the next step that raises.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: torch==2.15.0
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
from copy import deepcopy

import torch
from torch import nn
from torch.nn.utils import prune

print("torch", torch.__version__)
torch.manual_seed(0)
x, target = torch.randn(16, 4), torch.randn(16, 2)


def build():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    return net, lambda: torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)


def step(net, optimizer):
    optimizer.zero_grad()
    (net(x) - target).square().mean().backward()
    optimizer.step()


def momentum(net, optimizer):
    return {name: optimizer.state[p]["momentum_buffer"].clone() for name, p in net.named_parameters() if name.startswith("1.")}


def stopped_and_resumed(prune_it):
    """The momentum of the BatchNorm when stopped and when resumed, and whether the next step of both is the same."""
    torch.manual_seed(1)
    net, optimizer = build()
    if prune_it:
        prune.l1_unstructured(net[1], "weight", amount=1)
    optimizer = optimizer()
    for _ in range(3):
        step(net, optimizer)
    if prune_it:
        prune.remove(net[1], "weight")
    fresh, fresh_optimizer = build()
    fresh_optimizer = fresh_optimizer()
    # Copies, as from a file.
    fresh.load_state_dict(deepcopy(net.state_dict()))
    fresh_optimizer.load_state_dict(deepcopy(optimizer.state_dict()))
    before, after = momentum(net, optimizer), momentum(fresh, fresh_optimizer)
    order = [name for name, _ in net.named_parameters() if name.startswith("1.")]
    step(net, optimizer)
    step(fresh, fresh_optimizer)
    same = all(torch.equal(value, fresh.state_dict()[name]) for name, value in net.state_dict().items())
    return order, before, after, same


for prune_it in (False, True):
    order, before, after, same = stopped_and_resumed(prune_it)
    print("pruned and made permanent:" if prune_it else "never pruned:", *order)
    for name in ("1.weight", "1.bias"):
        shown = [[round(value, 3) for value in momenta[name].tolist()] for momenta in (before, after)]
        print(f"  momentum of {name}: {shown[0]}, after resuming {shown[1]}")
    print("  the next step is the same:", same)
    swapped = torch.equal(before["1.weight"], after["1.bias"]) and torch.equal(before["1.bias"], after["1.weight"])
    assert swapped == prune_it and same != prune_it, "the behaviour has changed"
    assert order == (["1.bias", "1.weight"] if prune_it else ["1.weight", "1.bias"]), f"the behaviour has changed: {order}"

net = nn.Conv2d(1, 2, 3)
prune.l1_unstructured(net, "weight", amount=1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
image = torch.ones(1, 1, 5, 5)
net(image).sum().backward()
optimizer.step()
fresh = nn.Conv2d(1, 2, 3)
fresh_optimizer = torch.optim.SGD(fresh.parameters(), lr=0.1, momentum=0.9)
fresh_optimizer.load_state_dict(deepcopy(optimizer.state_dict()))
fresh(image).sum().backward()
try:
    fresh_optimizer.step()
    outcome = "steps"
except RuntimeError as error:
    outcome = f"raises: {error}"
print("a convolution: loads, then", outcome)
assert outcome.startswith("raises"), "the behaviour has changed"
PYTHON
# Seen on 2026-11-29:
#   never pruned: 1.weight 1.bias
#     momentum of 1.weight: [-0.19, -0.03, 0.062, -0.009], after resuming [-0.19, -0.03, 0.062, -0.009]
#     momentum of 1.bias: [0.132, 0.038, -0.123, -0.111], after resuming [0.132, 0.038, -0.123, -0.111]
#     the next step is the same: True
#   pruned and made permanent: 1.bias 1.weight
#     momentum of 1.weight: [-0.186, 0.02, -0.0, -0.136], after resuming [0.126, 0.04, -0.144, -0.113]
#     momentum of 1.bias: [0.126, 0.04, -0.144, -0.113], after resuming [-0.186, 0.02, -0.0, -0.136]
#     the next step is the same: False
#   a convolution: loads, then raises: The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 3
