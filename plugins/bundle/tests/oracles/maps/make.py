"""Writes golden.json: what PyTorch gives for the cases of cases.toml.

    SECATEUR_ORACLES="$PWD/inputs.json" cargo test -p secateur-bundle --test oracles -- --ignored
    python3 make.py "$PWD/inputs.json"

HRank: torch.linalg.matrix_rank of every example's map after the activation, with the tolerance that it has for 32 bits (the
networks here are of 64), averaged over examples (Lin et al. 2020). RIA: (|w| over the sum of its row + |w| over that of its column)
times the root of the L2 norm of its input (Zhang et al. 2024). Needs Python 3.11 and PyTorch 2.
"""

import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import best, write


def by_layer(scores, sparsity):
    kept = {}
    for n, s in scores.items():
        kept |= best({n: s.flatten().tolist()}, sparsity)
    return kept


def maps(net, x):
    """What every activation gives, by the name of its layer."""
    seen = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.ReLU):
            layer = name.replace("conv_relu", "conv").replace("relu", "fc")
            module.register_forward_hook(lambda m, args, out, layer=layer: seen.__setitem__(layer, out))
    with torch.no_grad():
        net(x)
    return seen


def hrank(net, inputs, case):
    scores = {}
    for layer, out in maps(net, inputs.x).items():
        out = out if out.dim() == 4 else out[:, :, None, None]
        rtol = max(out.shape[-2:]) * torch.finfo(torch.float32).eps
        scores[layer] = torch.linalg.matrix_rank(out, rtol=rtol).double().mean(0)
    return scores, by_layer(scores, case["sparsity"])


def ria(net, inputs, case):
    seen, layers = {}, [(n, m) for n, m in net.named_modules() if hasattr(m, "weight") and m.weight.dim() > 1]
    for name, module in layers:
        module.register_forward_hook(lambda m, args, out, name=name: seen.__setitem__(name, args[0]))
    with torch.no_grad():
        net(inputs.x)
    scores = {}
    for name, module in layers[:-1]:
        w, x = module.weight.detach().abs(), seen[name].transpose(0, 1).flatten(1).norm(dim=1)
        rest = tuple(range(2, w.dim()))
        relative = w / w.sum((1, *rest), keepdim=True) + w / w.sum((0, *rest), keepdim=True)
        scores[f"{name}.weight"] = relative * x.reshape(1, -1, *[1] * len(rest)).sqrt()
    return scores, by_layer(scores, case["sparsity"])


def answer(inputs, name, case):
    return {"hrank": hrank, "ria": ria}[case["criterion"]["name"]](inputs.network(case["network"]), inputs, case)


write("maps", answer)
