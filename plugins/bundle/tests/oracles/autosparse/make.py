"""Writes golden.json, the scores of the cases of cases.toml, and fits.json, coefficients fitted to made-up survivors, with the correlation
of scores and survivors on each network by the coefficients of each (numpy.corrcoef).

    SECATEUR_ORACLES="$PWD/inputs.json" cargo test -p secateur-bundle --test oracles -- --ignored
    python3 make.py "$PWD/inputs.json"

Gradients by autograd; the coefficients by numpy.linalg.lstsq and by scikit-learn's LinearRegression, which must agree. Needs Python
3.11, PyTorch 2, NumPy and scikit-learn.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LinearRegression
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import HERE, Inputs, best, write

TERMS = ["weight", "gradient", "weight_squared", "gradient_squared", "product", "product_size"]


def terms(inputs, network):
    """{parameter: [terms, *shape]} of every weight but those of the output layer, and the weights themselves."""
    net = inputs.network(network)
    nn.functional.cross_entropy(net(inputs.x), inputs.classes).backward()
    layers = [(n, m) for n, m in net.named_modules() if hasattr(m, "weight") and m.weight.dim() > 1]
    found, weights = {}, {}
    for name, module in layers[:-1]:
        w, g = module.weight.detach(), module.weight.grad
        weights[f"{name}.weight"] = w
        w, g = w / w.square().mean().sqrt(), g / g.square().mean().sqrt()
        found[f"{name}.weight"] = torch.stack([w.abs(), g.abs(), w**2, g**2, w * g, (w * g).abs()])
    return found, weights


def answer(inputs, name, case):
    found, _ = terms(inputs, case["network"])
    coefficients = torch.tensor([case["criterion"].get(term, 0.0) for term in TERMS])
    scores = {n: torch.tensordot(coefficients, t, dims=1) for n, t in found.items()}
    lists = {n: s.flatten().tolist() for n, s in scores.items()}
    if case.get("prune", {}).get("scope") != "layer":
        return scores, best(lists, case["sparsity"])
    kept = {}
    for n, s in lists.items():
        kept |= best({n: s}, case["sparsity"])
    return scores, kept


def rows_and_shares(inputs, network):
    found, weights = terms(inputs, network)
    rows = np.concatenate([t.flatten(1).numpy().T for t in found.values()])
    # The shares of survived steps that fits.rs makes up.
    share = lambda w: [min(int(abs(v) * 10) + i % 3, 8) / 8 for i, v in enumerate(w.flatten().tolist())]
    return rows, np.concatenate([share(weights[n]) for n in found])


def fit(rows, shares):
    ours = np.linalg.lstsq(np.column_stack([rows, np.ones(len(rows))]), shares, rcond=None)[0]
    theirs = LinearRegression().fit(rows, shares)
    assert np.allclose(ours[:-1], theirs.coef_, rtol=1e-9) and np.isclose(ours[-1], theirs.intercept_, rtol=1e-9)
    return {"coefficients": ours[:-1].tolist(), "intercept": ours[-1], "r_squared": theirs.score(rows, shares)}


write("autosparse", answer)
inputs = Inputs(sys.argv[1])
tables = {network: rows_and_shares(inputs, network) for network in ["mlp", "cnn", "cnn-plain"]}
fits = {network: fit(*table) for network, table in tables.items()}
for network, (rows, shares) in tables.items():
    score = {other: rows @ np.array(fits[other]["coefficients"]) for other in fits}
    fits[network]["correlations"] = {other: float(np.corrcoef(s, shares)[0, 1]) for other, s in score.items()}
(HERE / "autosparse" / "fits.json").write_text(json.dumps(fits, indent=1) + "\n")
