"""The best of all sequential tests that go by t alone: what no choice of looks, levels and giving up can be better than.

    python3 best.py        (numpy and scipy; some minutes)

t after n pairs says everything that a test which does not depend on the unit of the differences can know of their mean in
deviations (Cox 1952), and r = t / sqrt(n - 1 + t^2) is a Markov chain where the mean is zero (levels.rs). So the test with
the least mean number of pairs at a mean of one deviation, for its level and its power, looks after every pair from `least` on
and stops where that costs least: by induction from the last pair backwards, with a price on each kind of error, and prices
that give the level and the power. A fixed design of equal power is counted in fractions of a pair.

2026-11-29, level 0.05 / comparisons, looks from 5 pairs on:

    comparisons  at most  power  mean pairs  fixed  share
              1       12   0.75        7.39   9.06   0.81
              1       12   0.80        8.02   9.92   0.81
              1       12   0.85        9.05  11.04   0.82
              8       20   0.75       11.98  15.41   0.78
              8       20   0.80       12.99  16.59   0.78
              8       20   0.85       14.22  18.04   0.79
              1       20   0.80        7.85   9.94   0.79
              1       20   0.90        9.17  12.62   0.73
"""

import numpy as np
from scipy import stats

POINTS = 401
phi = np.linspace(-np.pi / 2, np.pi / 2, POINTS)
r = np.sin(phi)


def step(n):
    """The chance of each r after n + 1 pairs, by the one after n."""
    theta = phi
    weight = np.maximum(np.cos(theta), 0) ** (n - 1)
    weight /= weight.sum()
    to = np.clip((np.sqrt(n) * r[:, None] * np.cos(theta) + np.sin(theta)) / np.sqrt(n + 1), -1, 1)
    place = (np.arcsin(to) + np.pi / 2) / (phi[1] - phi[0])
    low = np.minimum(place.astype(int), POINTS - 2)
    part, rows = place - low, np.repeat(np.arange(POINTS), POINTS)
    chances = np.zeros((POINTS, POINTS))
    np.add.at(chances, (rows, low.ravel()), (weight * (1 - part)).ravel())
    np.add.at(chances, (rows, low.ravel() + 1), (weight * part).ravel())
    return chances


def ratio(n):
    """How much likelier r after n pairs is with a mean of one deviation, up or down, than with none."""
    u = np.linspace(0, 3 * np.sqrt(n) + 8, 3000)[1:]
    log = (n - 1) * np.log(u) - u * u / 2
    radius = np.exp(log - log.max())
    one = lambda r: np.exp(-n / 2) * (radius * np.exp(np.sqrt(n) * r[:, None] * u)).sum(1) / radius.sum()
    return (one(r) + one(-r)) / 2


def best(most, least, wrong, missed, steps, ratios):
    """Level, power and mean pairs of the best test, by the prices of a wrong claim and of a missed difference."""
    # Two pairs: every direction is as likely.
    start = np.full(POINTS, 1 / (POINTS - 1))
    start[[0, -1]] /= 2
    for n in range(most, 1, -1):
        reject, accept = ratios[n] * n + wrong, ratios[n] * (n + missed)
        claims = (reject < accept).astype(float)
        stop = np.minimum(reject, accept), claims, claims * ratios[n], ratios[n] * n
        if n == most:
            found = stop
            continue
        on = [steps[n] @ values for values in found]
        here = (stop[0] < on[0]) & (n >= least)
        found = [np.where(here, a, b) for a, b in zip(stop, on)]
    return [start @ values for values in found[1:]]


def with_level(level, power, most, least, steps, ratios):
    low, high = 0.5, 400.0
    for _ in range(16):
        missed = np.sqrt(low * high)
        a, b = 1e-2, 1e7
        for _ in range(22):
            wrong = np.sqrt(a * b)
            found = best(most, least, wrong, missed, steps, ratios)
            a, b = (wrong, b) if found[0] > level else (a, wrong)
        low, high = (missed, high) if found[1] < power else (low, missed)
    return found


def of_fixed(pairs, level):
    bound, shift = stats.t.ppf(1 - level / 2, pairs - 1), np.sqrt(pairs)
    return stats.nct.sf(bound, pairs - 1, shift) + stats.nct.cdf(-bound, pairs - 1, shift)


def fixed(power, level):
    n = 3
    while of_fixed(n, level) < power:
        n += 1
    below, above = of_fixed(n - 1, level), of_fixed(n, level)
    return n - 1 + (power - below) / (above - below)


if __name__ == "__main__":
    steps = {n: step(n) for n in range(2, 20)}
    ratios = {n: ratio(n) for n in range(2, 21)}
    print("comparisons  at most  power  mean pairs  fixed  share")
    for comparisons, most, powers in [(1, 12, (0.75, 0.8, 0.85)), (8, 20, (0.75, 0.8, 0.85)), (1, 20, (0.8, 0.9))]:
        for power in powers:
            level = 0.05 / comparisons
            _, reached, mean = with_level(level, power, most, 5, steps, ratios)
            seeds = fixed(reached, level)
            print(f"{comparisons:11}  {most:7}  {reached:5.2f}  {mean:10.2f}  {seeds:5.2f}  {mean / seeds:5.2f}", flush=True)
