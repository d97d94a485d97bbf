"""Writes golden.json: what other implementations find for the cases of cases.toml.

    SECATEUR_ORACLES="$PWD/inputs.json" cargo test -p secateur-bundle --test oracles -- --ignored
    python3 make.py "$PWD/inputs.json"

Needs Python 3.11, PyTorch 2 and torch-pruning 1.6.1; golden.json says which versions made it. torch-pruning's FPGMImportance is
no oracle: it takes distances between squared weights, so that the sign is lost. FPGM is taken from the paper's formula instead, and
dynamic network surgery, which no library has, is a plain loop with the constants of the authors' code.
"""

import sys
from pathlib import Path

import torch
import torch.nn.utils.prune as prune
import torch_pruning as tp

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import best, train, write


def importance_of(net, x, layer, importance):
    graph = tp.DependencyGraph().build_dependency(net, x)
    prune_out = tp.prune_linear_out_channels if isinstance(layer, torch.nn.Linear) else tp.prune_conv_out_channels
    return importance(graph.get_pruning_group(layer, prune_out, idxs=list(range(len(layer.weight)))))


def heads(inputs, block):
    """Rows of queries, keys and values, by head and by dimension of the heads, and of the MLP by neuron."""
    options, weights = inputs.options["vit"], inputs.weights["vit"]
    count, name = options["heads"], f"blocks.{block}."
    get = lambda n: torch.tensor(weights[name + n]["data"]).reshape(weights[name + n]["shape"])
    qkv = get("attn.qkv.weight").reshape(3, count, options["dim"] // count, options["dim"])
    return {
        name + "heads": qkv.transpose(0, 1).flatten(1),
        name + "head_dim": qkv.permute(2, 0, 1, 3).flatten(1),
        name + "mlp": get("mlp.fc1.weight"),
    }


def surgery(net, inputs, case):
    thresholds = {}
    for name, w in net.named_parameters():
        if w.dim() > 1:
            size = w.detach().abs()
            std = ((size * size).mean() - size.mean() ** 2).sqrt()
            thresholds[name] = max(size.mean() + case["criterion"]["c_rate"] * std, 0)
    train(net, inputs, case)
    kept = {}
    for name, w in list(net.named_parameters())[:-2]:
        if name in thresholds:
            mask = [1] * w.numel()
            for k, value in enumerate(w.detach().flatten().abs().tolist()):
                if mask[k] == 1 and value <= 0.9 * thresholds[name]:
                    mask[k] = 0
                elif mask[k] == 0 and value > 1.1 * thresholds[name]:
                    mask[k] = 1
            kept[name] = [k for k, m in enumerate(mask) if m]
    return {}, kept


def answer(inputs, name, case):
    if name == "fpgm-of-heads":
        rows = {n: r for block in range(inputs.options["vit"]["depth"]) for n, r in heads(inputs, block).items()}
        scores = {n: torch.cdist(r, r).sum(1) for n, r in rows.items()}
        kept = {}
        for n, s in scores.items():
            kept |= best({n: s.tolist()}, case["sparsity"])
        return scores, kept
    net = inputs.network(case["network"])
    layers = [(n, m) for n, m in net.named_modules() if hasattr(m, "weight") and m.weight.dim() > 1][:-1]
    if name == "magnitude":
        prune.global_unstructured([(m, "weight") for _, m in layers], prune.L1Unstructured, amount=case["sparsity"])
        kept = {f"{n}.weight": m.weight_mask.flatten().nonzero().flatten().tolist() for n, m in layers}
        return {f"{n}.weight": m.weight_orig.abs() for n, m in layers}, kept
    if name.startswith("magnitude-l"):
        importance = tp.importance.MagnitudeImportance(p=int(name[11]), group_reduction="first", normalizer=None)
        kept = {}
        for n, m in layers:
            kept |= best({n: importance_of(net, inputs.x, m, importance).tolist()}, case["sparsity"])
        return {}, kept
    if name == "lamp":
        shares = tp.importance.LAMPImportance()._lamp
        scores = {f"{n}.weight": shares(m.weight.detach().square().flatten()) for n, m in layers}
        return scores, best({n: s.tolist() for n, s in scores.items()}, case["sparsity"])
    if name == "lamp-of-units":
        importance = tp.importance.LAMPImportance(p=2, group_reduction="first")
        # It gathers in single precision whatever the network's, and then raises unless that is the default.
        torch.set_default_dtype(torch.float32)
        scores = {n: importance_of(net.float(), inputs.x.float(), m, importance) for n, m in layers}
        torch.set_default_dtype(torch.float64)
        return scores, best({n: s.tolist() for n, s in scores.items()}, case["sparsity"])
    if name == "fpgm":
        rows = {n: m.weight.detach().flatten(1) for n, m in layers}
        scores, kept = {n: torch.cdist(r, r).sum(1) for n, r in rows.items()}, {}
        for n, s in scores.items():
            kept |= best({n: s.tolist()}, case["sparsity"])
        return scores, kept
    if name == "surgery":
        return surgery(net, inputs, case)
    raise ValueError(name)


write("weights", answer)
