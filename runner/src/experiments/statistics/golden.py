#!/usr/bin/env python3
"""Writes golden.json: what scipy says about some small samples. Needs numpy and scipy."""
import json
import pathlib

import numpy as np
from scipy import stats

rng = np.random.default_rng(20240917)
cases = [np.array([0.013]), np.array([0.012, -0.003]), np.zeros(4), np.array([0.5, 0.5, 0.5, -0.5, 1.0])]
cases += [rng.normal(0.4, 1.0, n) for n in (2, 3, 5, 8, 13, 14, 20, 50, 51, 80, 400)]
cases += [np.round(rng.normal(0.3, 1.0, n), 1) for n in (5, 10, 13, 14, 30, 60)]
cases += [np.concatenate([np.zeros(2), rng.normal(0.3, 1.0, n)]) for n in (3, 9, 11, 12, 40)]


def number(x):
    return None if x is None or not np.isfinite(x) else float(x)


out = []
for d in cases:
    n, row = len(d), {"differences": d.tolist(), "mean": float(d.mean())}
    if n > 1:
        low, high = stats.t.interval(0.95, n - 1, loc=d.mean(), scale=stats.sem(d))
        row |= {"std": float(d.std(ddof=1)), "low": number(low), "high": number(high)}
        if d.std(ddof=1) > 0:
            row |= {"p_t": number(stats.ttest_1samp(d, 0).pvalue), "effect": float(d.mean() / d.std(ddof=1))}
        if (d != 0).any():
            row["p_wilcoxon"] = number(stats.wilcoxon(d).pvalue)
    out.append(row)
p = [0.01, 0.04, 0.03, 0.005, 0.6, 0.03]
order = np.argsort(p)
holm = np.empty(len(p))
holm[order] = np.minimum(1, np.maximum.accumulate(np.array(p)[order] * (len(p) - np.arange(len(p)))))
target = pathlib.Path(__file__).with_name("golden.json")
target.write_text(json.dumps({"cases": out, "holm": {"p": p, "corrected": holm.tolist()}}) + "\n")
