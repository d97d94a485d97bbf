"""Writes weights.json: what other implementations find for the cases of weights.toml.

    SECATEUR_ORACLES="$PWD/inputs.json" cargo test -p secateur-bundle --test oracles -- --ignored
    python3 weights.py "$PWD/inputs.json"

Needs Python 3.11, PyTorch 2 and torch-pruning 1.6.1; weights.json says which versions made it.
"""

import torch
import torch.nn.utils.prune as prune
import torch_pruning as tp

from networks import best, write


def answer(inputs, name, case):
    net = inputs.network(case["network"])
    layers = [(n, m) for n, m in net.named_modules() if hasattr(m, "weight") and m.weight.dim() > 1][:-1]
    if name == "magnitude":
        prune.global_unstructured([(m, "weight") for _, m in layers], prune.L1Unstructured, amount=case["sparsity"])
        kept = {f"{n}.weight": m.weight_mask.flatten().nonzero().flatten().tolist() for n, m in layers}
        return {f"{n}.weight": m.weight_orig.abs() for n, m in layers}, kept
    if name.startswith("magnitude-l"):
        graph = tp.DependencyGraph().build_dependency(net, inputs.x)
        importance = tp.importance.MagnitudeImportance(p=int(name[11]), group_reduction="first", normalizer=None)
        kept = {}
        for n, m in layers:
            prune_out = tp.prune_linear_out_channels if isinstance(m, torch.nn.Linear) else tp.prune_conv_out_channels
            group = graph.get_pruning_group(m, prune_out, idxs=list(range(len(m.weight))))
            kept |= best({n: importance(group).tolist()}, case["sparsity"])
        return {}, kept
    raise ValueError(name)


write("weights", answer)
