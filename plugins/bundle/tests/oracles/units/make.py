"""Writes golden.json: what PyTorch's autograd, scikit-learn and NumPy find for the cases of cases.toml.

    SECATEUR_ORACLES="$PWD/inputs.json" cargo test -p secateur-bundle --test oracles -- --ignored
    python3 make.py "$PWD/inputs.json"

Penalties are part of the loss, so that autograd finds their gradients, and the scores after some steps are those of a trained
trajectory. Channels: scikit-learn's Lasso, whose objective is that of He et al. 2017 over n = samples times outputs values,
1/(2n) |y - A b|^2 + alpha |b|_1, so that alpha is lambda / n of 1/2 |.|^2 + lambda; then NumPy's lstsq. Needs Python 3.11, PyTorch 2
and scikit-learn 1.9.1.
"""

import sys
from pathlib import Path

import numpy as np
import sklearn  # noqa: F401, for its version
import torch
from sklearn.linear_model import Lasso
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import best, train, write

STEPS, FIRST = 73, 1e-3


def by_layer(scores, sparsity):
    kept = {}
    for n, s in scores.items():
        kept |= best({n: list(map(float, s))}, sparsity)
    return kept


def slimming(net, inputs, case):
    s = case["criterion"]["s"]
    norms = {n: m for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    train(net, inputs, case, lambda net: s * sum(m.weight.abs().sum() for m in norms.values()))
    scores = {n.replace("norm", "conv"): m.weight.detach().abs() for n, m in norms.items()}
    return scores, best({n: v.tolist() for n, v in scores.items()}, case["sparsity"])


def group_lasso(net, inputs, case):
    hidden = [n for n, m in net.named_modules() if hasattr(m, "weight")][:-1]
    weights = lambda net: {n: net.get_submodule(n).weight.flatten(1) for n in hidden}

    def penalty(net):
        rows = weights(net).values()
        return case["criterion"]["lambda"] * sum(r.shape[1] ** 0.5 * r.norm(dim=1).sum() for r in rows)

    train(net, inputs, case, penalty)
    rows = {n: w.detach() for n, w in weights(net).items()}
    return {f"{n}.weight": r.abs() for n, r in rows.items()}, by_layer({n: r.norm(dim=1) for n, r in rows.items()}, case["sparsity"])


def reads(net, x):
    """What every output of every layer is computed from: [samples, columns], columns in the order of the weights."""
    seen = {}

    def hook(name):
        def take(module, args, out):
            x = args[0]
            if isinstance(module, nn.Conv2d):
                patches = nn.functional.unfold(x, module.kernel_size, padding=module.padding, stride=module.stride)
                x = patches.transpose(1, 2).flatten(0, 1)
            seen[name] = x.detach().numpy()

        return take

    for name, module in net.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(hook(name))
    with torch.no_grad():
        net(x)
    return seen


def path(a, y, keep):
    """Scores of the columns of a: the last step of the penalty at which each is there, plus |b| / (1 + |b|) then."""
    most, n = np.abs(a.T @ y).max(), len(y)
    scores, b = np.zeros(a.shape[1]), None
    for step in range(1, STEPS + 1):
        penalty = most * FIRST ** ((STEPS - step) / (STEPS - 1))
        b = Lasso(alpha=penalty / n, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(a, y).coef_
        there = b != 0
        scores[there] = step + np.abs(b[there]) / (1 + np.abs(b[there]))
        if there.sum() <= keep:
            break
    return scores


def lasso(net, inputs, case):
    x = reads(net, inputs.x)
    names = list(x)
    weights = {n: net.get_submodule(n).weight.detach().flatten(1).numpy() for n in names}
    scores = {}
    for name, reader in zip(names, names[1:]):
        units = len(weights[name])
        columns = np.arange(x[reader].shape[1]).reshape(units, -1)
        a = np.stack([(x[reader][:, c] @ weights[reader][:, c].T).ravel() for c in columns], 1)
        y = (x[reader] @ weights[reader].T).ravel()
        scores[name] = path(a, y, units - int(case["sparsity"] * units + 1e-9))
    kept = by_layer(scores, case["sparsity"])
    fitted = {}
    for name, reader in zip(names, names[1:]):
        columns = np.arange(x[reader].shape[1]).reshape(len(weights[name]), -1)[kept[name]].ravel()
        w = np.zeros_like(weights[reader])
        # What the samples leave open (a unit that is dead in all of them) changes as little as it can.
        before, read = weights[reader][:, columns], x[reader][:, columns]
        missing = x[reader] @ weights[reader].T - read @ before.T
        w[:, columns] = before + np.linalg.lstsq(read, missing, rcond=None)[0].T
        gone = [i for i in range(len(w)) if reader in kept and i not in kept[reader]]
        w[gone] = 0
        fitted[f"{reader}.weight"] = w
    return scores, kept, fitted


def answer(inputs, name, case):
    net = inputs.network(case["network"])
    method = {"network-slimming": slimming, "group-lasso": group_lasso, "lasso-channel": lasso}
    return method[case["criterion"]["name"]](net, inputs, case)


write("units", answer)
