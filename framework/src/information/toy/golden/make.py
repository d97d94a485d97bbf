"""Masks of every data set of small toys, by plain enumeration: each ordered data set is trained by itself, with PyTorch's
autograd in double precision, and nothing is counted but masks. Writes masks.json beside this file.

    python make.py
"""

import itertools
import json
import math
import pathlib
from collections import Counter

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
SIZES = [12, 4, 4, 1]


def corner(c):
    return [1.0 if c >> i & 1 else -1.0 for i in range(3)]


def networks(w, x):
    """Outputs [networks, points] of weights [networks, 21] for inputs [networks, points, 3]."""
    w1, b1, w2, b2 = torch.split(w, SIZES, dim=1)
    hidden = torch.relu(torch.einsum("nji,npi->npj", w1.reshape(-1, 4, 3), x) + b1[:, None])
    return torch.einsum("nj,npj->np", w2, hidden) + b2


def losses(w, x, y):
    return ((networks(w, x) - y) ** 2).mean(dim=1).sum()


def gradient(w, x, y, create_graph=False):
    w = w.requires_grad_()
    return torch.autograd.grad(losses(w, x, y), w, create_graph=create_graph)[0]


def trained(start, mask, x, y, steps, lr):
    w = start * mask
    for _ in range(steps):
        w = (w - lr * gradient(w, x, y) * mask).detach()
    return w


def best(scores, mask, count):
    """The highest scores among those that the mask keeps; of equal ones the earlier."""
    kept = np.zeros_like(mask)
    for n, row in enumerate(scores):
        row = np.where(mask[n] > 0, row, -np.inf)
        kept[n, np.argsort(-row, kind="stable")[:count]] = 1
    return kept


def masks(pruner, start, x, y, steps, lr, nnz, rate):
    n = len(x)
    w = torch.tensor(start).repeat(n, 1)
    everything = np.ones((n, 21))
    if pruner == "magnitude":
        return best(trained(w, torch.ones(n, 21), x, y, steps, lr).abs().numpy(), everything, nnz)
    if pruner == "imp":
        mask, kept = everything, 21
        while kept > nnz:
            after = trained(w, torch.tensor(mask), x, y, steps, lr)
            kept = max(nnz, kept - max(1, math.floor(rate * kept)))
            mask = best(after.abs().numpy(), mask, kept)
        return mask
    if pruner == "snip":
        return best((w * gradient(w.clone(), x, y)).abs().detach().numpy(), everything, nnz)
    if pruner == "grasp":
        w = w.requires_grad_()
        g = torch.autograd.grad(losses(w, x, y), w, create_graph=True)[0]
        hg = torch.autograd.grad((g * g.detach()).sum(), w)[0]
        return best((w * hg).detach().numpy(), everything, nnz)
    assert pruner == "synflow"
    mask = everything
    for k in range(1, 101):
        flow = (w.detach().abs() * torch.tensor(mask)).requires_grad_()
        out = networks(flow, torch.ones(n, 1, 3)).sum()
        scores = (flow * torch.autograd.grad(out, flow)[0]).detach().numpy()
        mask = best(scores, mask, max(nnz, round(21 * (nnz / 21) ** (k / 100))))
    return mask


def case(points, draw, seed, steps, lr, nnz, rate):
    if draw == "independent":
        data = list(itertools.product(range(16), repeat=points))
    else:
        data = [
            [2 * c + label for c, label in zip(corners, labels)]
            for corners in itertools.combinations(range(8), points)
            for labels in itertools.product((0, 1), repeat=points)
        ]
    x = torch.tensor([[corner(atom // 2) for atom in one] for one in data])
    y = torch.tensor([[2.0 * (atom % 2) - 1 for atom in one] for one in data])
    rng = np.random.default_rng(seed)
    fan_in = np.array([3] * 16 + [4] * 5)
    start = rng.uniform(-1, 1, 21) / np.sqrt(fan_in)
    found = {"points": points, "draw": draw, "start": start.tolist(), "steps": steps, "lr": lr, "nnz": nnz, "rate": rate}
    found |= {"data": [list(one) for one in data], "masks": {}, "entropy": {}}
    for pruner in ["magnitude", "imp", "snip", "grasp", "synflow"]:
        bits = masks(pruner, start, x, y, steps, lr, nnz, rate) @ (1 << np.arange(21))
        found["masks"][pruner] = [int(b) for b in bits]
        share = np.array(list(Counter(found["masks"][pruner]).values())) / len(data)
        found["entropy"][pruner] = float(-(share * np.log2(share)).sum())
        print(points, draw, pruner, len(share), found["entropy"][pruner])
    return found


if __name__ == "__main__":
    cases = [case(2, "independent", 1, 200, 0.05, 7, 0.2), case(3, "distinct", 2, 100, 0.1, 5, 0.3)]
    text = json.dumps({"torch": torch.__version__, "cases": cases}, separators=(",", ":"))
    (pathlib.Path(__file__).parent / "masks.json").write_text(text + "\n")
