"""Writes bootstrap.json: what scipy.stats.bootstrap makes (BCa) of the resamples that the program draws.

    python3 bootstrap.py > bootstrap.json        # NumPy and SciPy
"""

import json

import numpy as np
from scipy import stats

RESAMPLES, MASK = 9999, (1 << 64) - 1


def draws(count, n):
    """SplitMix64 from a counter, as in bootstrap.rs."""
    z = (np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) & np.uint64(MASK)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (((z ^ (z >> np.uint64(31))) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32)


def main():
    rng, cases = np.random.default_rng(5), []
    for n, shift in [(3, 0.0), (5, 0.0), (5, 0.8), (5, 2.0), (8, 0.3), (10, 1.0), (20, 0.4), (40, -0.3), (6, -1.5), (12, 0.0)]:
        values = rng.standard_normal(n) + shift if n != 12 else rng.exponential(size=n) - 1
        values = np.round(values, 9)
        means = values[draws(RESAMPLES * n, n).astype(int)].reshape(RESAMPLES, n).mean(axis=1)
        # The same values in another order have the same mean.
        means[np.abs(means - values.mean()) <= 1e-12 * np.abs(values).max()] = values.mean()
        intervals = []
        for missed in (0.5, 0.2, 0.1, 0.05, 0.01, 0.05 / 7):
            first = stats.bootstrap((values,), np.mean, n_resamples=2, method="BCa", confidence_level=1 - missed, rng=rng)
            first.bootstrap_distribution = means
            found = stats.bootstrap(
                (values,), np.mean, n_resamples=0, bootstrap_result=first, method="BCa", confidence_level=1 - missed, rng=rng
            ).confidence_interval
            intervals.append({"missed": missed, "low": found.low, "high": found.high})
        cases.append({"values": values.tolist(), "intervals": intervals})
    print(json.dumps(cases, indent=1))


main()
