"""Writes golden.json: Friedman's test by SciPy, mean ranks and critical differences by autorank.

    python3 -m venv venv && venv/bin/pip install autorank && venv/bin/python golden.py > golden.json
"""

import contextlib
import json
import sys

import numpy as np
import pandas as pd
from autorank import autorank
from scipy import stats


def main():
    rng, tables = np.random.default_rng(3), []
    for blocks, treatments, effect, decimals in [
        (5, 3, 0.0, 6), (5, 3, 2.0, 6), (6, 4, 1.0, 1), (8, 5, 0.5, 6), (10, 6, 1.0, 1), (12, 3, 0.3, 0), (20, 8, 0.4, 6), (7, 10, 1.0, 2),
        (30, 4, 0.2, 6),
    ]:
        values = rng.standard_normal((blocks, treatments)) + effect * np.arange(treatments)
        values = np.round(values, decimals) + 0.0
        found = stats.friedmanchisquare(*values.T)
        ranks = stats.rankdata(values, axis=1).mean(axis=0)
        # autorank gives the highest value rank 1.
        frame = pd.DataFrame(-values, columns=[f"t{i}" for i in range(treatments)])
        with contextlib.redirect_stdout(sys.stderr):  # it prints its result
            ranked = autorank(frame, alpha=0.05, force_mode="nonparametric", verbose=False)
        theirs = ranked.rankdf["meanrank"]
        assert np.allclose([theirs[f"t{i}"] for i in range(treatments)], ranks), (theirs, ranks)
        q = stats.studentized_range.isf(0.05, treatments, np.inf) / np.sqrt(2)
        critical = q * np.sqrt(treatments * (treatments + 1) / (6 * blocks))
        if ranked.omnibus == "friedman" and ranked.cd is not None and ranked.pvalue < 0.05:
            assert abs(ranked.cd / critical - 1) < 2e-3, (ranked.cd, critical)
            assert np.isclose(ranked.pvalue, found.pvalue), (ranked.pvalue, found.pvalue)
        tables.append({
            "values": values.tolist(), "chi_square": found.statistic, "p": found.pvalue, "ranks": ranks.tolist(),
            "critical_difference": critical, "autorank": None if ranked.cd is None else float(ranked.cd),
        })
    quantiles = [
        {"k": k, "level": level, "q": stats.studentized_range.isf(level, k, np.inf)}
        for k in (2, 3, 5, 10, 20, 40) for level in (0.1, 0.05, 0.01)
    ]
    print(json.dumps({"tables": tables, "quantiles": quantiles}, indent=1))


main()
