"""Writes golden.json: feature maps by autograd, and what they cost by PyTorch's own counter of operations, in double precision.

    SECATEUR_ORACLES="$PWD/inputs.json" cargo test -p secateur-bundle --test oracles -- --ignored
    python3 make.py "$PWD/inputs.json"

The counter gives two operations for every multiplication of a layer. The paper (Molchanov et al. 2017, appendix) adds two
for the bias of each value of a convolution's map, and takes one off each value of a linear layer.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import best, write


def megaflops(net, x):
    """Of one unit of every layer, for one example."""
    sizes, counts = {}, {}
    layers = {n: m for n, m in net.named_modules() if n.startswith(("conv", "fc")) and hasattr(m, "weight")}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda m, args, y, name=name: sizes.update({name: y[0].numel()}))
    with FlopCounterMode(display=False) as counter:
        net(x)
    found = counter.get_flop_counts()
    for name, layer in layers.items():
        values = sizes[name]
        products = sum(found[f"{type(net).__name__}.{name}"].values()) / len(x)
        more = 2 * values if layer.weight.dim() == 4 else -values
        counts[name] = (products + more) / len(layer.weight) / 1e6
    return counts


def maps(net, inputs, case):
    """|mean of z dC/dz| of every example, averaged over examples and steps, by layer."""
    seen, total, steps = {}, {}, case.get("steps", 1)

    def keep(name):
        def hook(module, args, output):
            output.retain_grad()
            seen[name] = output

        return hook

    for name, module in net.named_modules():
        if name.startswith(("conv_relu", "relu")):
            module.register_forward_hook(keep(name.replace("conv_relu", "conv").replace("relu", "fc")))
    for _ in range(steps):
        net.zero_grad()
        F.cross_entropy(net(inputs.x), inputs.classes).backward()
        for name, z in seen.items():
            change = len(inputs.x) * z.detach() * z.grad
            mean = change.flatten(2).mean(2) if change.dim() > 2 else change
            total[name] = total.get(name, 0) + mean.abs().mean(0) / steps
        with torch.no_grad():
            for p in net.parameters():
                p -= case.get("train", {}).get("lr", 0.0) * p.grad
    return total


def answer(inputs, name, case):
    cost = megaflops(inputs.network(case["network"]).eval(), inputs.x)
    found = maps(inputs.network(case["network"]), inputs, case)
    scores = {n: s / s.norm() - case["criterion"]["flops"] * cost[n] for n, s in found.items()}
    kept = best({n: s.tolist() for n, s in scores.items()}, case["sparsity"])
    free = best({n: (s / s.norm()).tolist() for n, s in found.items()}, case["sparsity"])
    print(name, {n: f"{cost[n]:.2e}" for n in scores}, kept != free)
    return scores, kept


write("flops", answer)
