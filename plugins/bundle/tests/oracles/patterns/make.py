"""Writes golden.json: what PyTorch's WeightNormSparsifier keeps for the cases of cases.toml.

    SECATEUR_ORACLES="$PWD/inputs.json" cargo test -p secateur-bundle --test oracles -- --ignored
    python3 make.py "$PWD/inputs.json"

Needs Python 3.11 and PyTorch 2; golden.json says which version made it. Only layers that the pattern divides are
compared: the sparsifier fills an incomplete group up with values that are never the lowest, so that of two weights left
over 2:4 zeroes both, and ours keep their share. A convolution is handed to it as the matrix that each pattern is defined
on.
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.ao.pruning import WeightNormSparsifier

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import write


def mask(matrix, **options):
    """The sparsifier's mask of a matrix."""
    layer = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
    layer.weight = nn.Parameter(matrix.contiguous())
    model = nn.Sequential(layer)
    sparsifier = WeightNormSparsifier(**options)
    sparsifier.prepare(model, [{"tensor_fqn": "0.weight"}])
    sparsifier.step()
    return model[0].parametrizations.weight[0].mask


def answer(inputs, name, case):
    net = inputs.network(case["network"])
    layers = [(n, m.weight.detach()) for n, m in net.named_modules() if hasattr(m, "weight") and m.weight.dim() > 1]
    prune, kept = case["prune"], {}
    for n, weight in layers[:-1]:
        if prune["granularity"] == "block":
            rows, columns = prune["block"]
            matrix = weight.flatten(1)
            if matrix.shape[0] % rows or matrix.shape[1] % columns:
                continue
            options = {"sparsity_level": case["sparsity"], "sparse_block_shape": (rows, columns)}
            norm = 2 if prune.get("reduce") == "l2" else 1
            found = mask(matrix, zeros_per_block=rows * columns, norm=norm, **options)
        else:
            stay, of = map(int, prune["granularity"].split(":"))
            if weight.shape[1] % of:
                continue
            # Input channels last: [out, rows, columns, in].
            order = (0, *range(2, weight.dim()), 1)
            matrix = weight.permute(order)
            options = {"sparsity_level": 1.0, "sparse_block_shape": (1, of), "zeros_per_block": of - stay}
            found = mask(matrix.reshape(-1, weight.shape[1]), **options).reshape(matrix.shape)
            found = found.permute(0, weight.dim() - 1, *range(1, weight.dim() - 1))
        kept[f"{n}.weight"] = found.flatten().nonzero().flatten().tolist()
    return {}, kept


write("patterns", answer)
