"""Writes golden.json: what the papers' formulas give in PyTorch for the cases of cases.toml.

    SECATEUR_ORACLES="$PWD/inputs.json" cargo test -p secateur-bundle --test oracles -- --ignored
    python3 make.py "$PWD/inputs.json"

Wanda: |w| times the L2 norm of its input (Sun et al. 2023). torchao's WandaSparsifier is no oracle: it lacks the root, and ranks whole
layers. AWSC: E|a_i w_ij| / sum_k E|a_k w_kj| (Dong et al. 2017). Needs Python 3.11 and PyTorch 2.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import best, write


def inputs_of(net, x):
    """What every layer with a weight reads, [samples, inputs]: of a convolution the channels at every position."""
    seen = {}

    def hook(name):
        return lambda module, args, out: seen.__setitem__(
            name, args[0].transpose(0, 1).flatten(1).T if args[0].dim() == 4 else args[0]
        )

    for name, module in net.named_modules():
        if hasattr(module, "weight") and module.weight.dim() > 1:
            module.register_forward_hook(hook(name))
    with torch.no_grad():
        net(x)
    return seen


def ranks(scores):
    """Ranks within each output, as parts of 1."""
    rows = scores.flatten(1)
    order = rows.argsort(dim=1, stable=True)
    found = torch.empty_like(rows)
    found.scatter_(1, order, (torch.arange(rows.shape[1]) + 1.0).expand_as(rows) / rows.shape[1])
    return found


def by_layer(scores, sparsity):
    kept = {}
    for n, s in scores.items():
        kept |= best({n: s.flatten().tolist()}, sparsity)
    return kept


def answer(inputs, name, case):
    net = inputs.network(case["network"])
    seen = inputs_of(net, inputs.x)
    layers = [(n, m.weight.detach()) for n, m in net.named_modules() if n in seen][:-1]
    scores = {}
    for n, w in layers:
        if name.startswith("wanda"):
            x = seen[n].norm(dim=0)
            s = w.abs() * x.reshape(1, -1, *[1] * (w.dim() - 2))
        else:
            x = seen[n].abs().mean(0)
            s = w.abs() * x.reshape(1, -1, *[1] * (w.dim() - 2))
            s = s / s.flatten(1).sum(1).reshape(-1, *[1] * (w.dim() - 1))
        scores[f"{n}.weight"] = s
    if name.endswith("-in-layers"):
        return scores, by_layer(scores, case["sparsity"])
    if name.endswith("-of-units"):
        return scores, by_layer({n.removesuffix(".weight"): s.flatten(1).sum(1) for n, s in scores.items()}, case["sparsity"])
    scores = {n: ranks(s) for n, s in scores.items()}
    return scores, best({n: s.flatten().tolist() for n, s in scores.items()}, case["sparsity"])


write("activations", answer)
