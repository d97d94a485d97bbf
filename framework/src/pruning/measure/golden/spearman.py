"""Rank correlations by SciPy, for the test in ../foretold.rs: python3 spearman.py > spearman.json"""

import json
import warnings

import numpy as np
from scipy.stats import spearmanr

warnings.simplefilter("ignore")
rng = np.random.default_rng(7)
cases = [(rng.normal(size=n), rng.normal(size=n)) for n in (4, 9, 30)]
cases += [(a, a**3 + 0.5 * rng.normal(size=a.size)) for a in (rng.normal(size=12), rng.uniform(size=20))]
# Ties on one side, on both, and values that do not vary.
cases += [(rng.integers(0, 4, 15).astype(float), rng.normal(size=15))]
cases += [(rng.integers(0, 3, 25).astype(float), rng.integers(0, 5, 25).astype(float))]
cases += [(np.full(6, 0.1), rng.normal(size=6))]


def rho(a, b):
    found = float(spearmanr(a, b).statistic)
    return None if np.isnan(found) else found


print(json.dumps([{"a": a.tolist(), "b": b.tolist(), "rho": rho(a, b)} for a, b in cases], indent=1))
