#!/usr/bin/env python3
"""Writes golden.json: what scipy and statsmodels say about some small samples. Needs numpy, scipy and statsmodels."""
import json
import pathlib

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

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


def further(d, margin, level):
    """The fewest further pairs, tried one by one, with which a paired t-test or two one-sided tests reach the level."""
    mean, std = abs(d.mean()), d.std(ddof=1)
    for n in range(len(d), 20000):
        error = std / np.sqrt(n)
        p = 2 * stats.t.sf(mean / error, n - 1)
        tost = stats.t.sf((margin - mean) / error, n - 1)
        if p < level or tost < level:
            return n - len(d)
    return None


margins = []
for number, d in enumerate(cases):
    if len(d) < 2 or d.std(ddof=1) == 0:
        continue
    for comparisons in (1, 3, 40):
        low, high = DescrStatsW(d).tconfint_mean(alpha=0.05 / comparisons)
        alone = stats.ttest_1samp(d, 0).pvalue
        p = multipletests([alone] + [1.0] * (comparisons - 1), method="bonferroni")[1][0]
        row = {"case": number, "comparisons": comparisons, "low": low, "high": high, "p": p, "margins": []}
        for margin in (0.1, 0.7, 2.5):
            tost = DescrStatsW(d).ttost_mean(-margin, margin)[0]
            tost = multipletests([tost] + [1.0] * (comparisons - 1), method="bonferroni")[1][0]
            different = "above" if d.mean() > 0 else "below"
            verdict = "same" if tost < 0.05 else different if p < 0.05 else "undecided"
            more = further(d, margin, 0.05 / comparisons) if verdict == "undecided" else None
            row["margins"].append({"margin": margin, "p": tost, "is": verdict, "more": more})
        margins.append(row)
target = pathlib.Path(__file__).with_name("golden.json")
target.write_text(json.dumps({"cases": out, "families": margins}) + "\n")
