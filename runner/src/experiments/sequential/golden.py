"""Writes golden.json: levels of repeated t-tests, found without the recursion that the program uses.

    python3 golden.py > golden.json        # NumPy and SciPy; a minute

Small cases are exact: the direction of three normal differences is uniform on the sphere, and what is rejected at two and three
pairs are regions of it, whose area one integral tells. Larger ones are counted among many drawn paths, look by look, with the
standard error of each level. Two looks at many pairs are those of a known variance: an integral of the bivariate normal.
"""

import json
import math

import numpy as np
from scipy import integrate, optimize, stats


def spent(error, fraction):
    return error * math.log1p((math.e - 1) * fraction)


def sphere(most, error):
    """Two-sided levels at two and three pairs of `most`."""
    first = spent(error, 2 / most)
    t = stats.t.isf(first / 2, 1)
    c1 = t / math.sqrt(t * t + 1)  # |r| of two pairs

    def missed(c2):
        # The azimuth a is uniform, so is z; r of two is sin(a + pi/4), r of three (z + sqrt(1 - z^2) sqrt 2 sin(a + pi/4)) / sqrt 3.
        def at(r2):
            s = math.sqrt(2) * r2
            # z + s sqrt(1 - z^2) = A cos(arccos z - atan s) with A = sqrt(1 + s^2): above k within an angle around atan s.
            total = 0.0
            for s_ in (s, -s):
                a, k = math.hypot(1, s_), math.sqrt(3) * c2
                if k >= a:
                    continue
                half, middle = math.acos(k / a), math.atan2(s_, 1)
                low, high = max(0.0, middle - half), min(math.pi, middle + half)
                if high > low:
                    total += (math.cos(low) - math.cos(high)) / 2
            return total

        # Both signs of r of three by symmetry: the other sign is that of -s; each azimuth counts once.
        inside = math.asin(c1)
        value, _ = integrate.quad(lambda b: at(math.sin(b)), -inside, inside, limit=400, epsabs=1e-12)
        return value / math.pi

    spend = spent(error, 3 / most) - first
    c2 = optimize.brentq(lambda c: missed(c) - spend, 0.05, 1 - 1e-12, xtol=1e-14)
    return [first, 2 * stats.t.sf(c2 * math.sqrt(2 / (1 - c2 * c2)), 2)]


def drawn(looks, most, error, sides, paths, rng):
    """Levels by counting, and their standard errors."""
    crossed = [0] * len(looks)
    ps = [[] for _ in looks]
    for _ in range(paths // 500_000):
        d = rng.standard_normal((500_000, looks[-1]))
        sums, squares = np.cumsum(d, axis=1), np.cumsum(d * d, axis=1)
        for i, n in enumerate(looks):
            mean = sums[:, n - 1] / n
            std = np.sqrt((squares[:, n - 1] - n * mean * mean) / (n - 1))
            t = mean * math.sqrt(n) / std
            p = 2 * stats.t.sf(np.abs(t), n - 1) if sides == 2 else stats.t.sf(t, n - 1)
            ps[i].append(p.astype(np.float32))
    ps = [np.concatenate(p) for p in ps]
    alive, found, before = np.ones(len(ps[0]), bool), [], 0.0
    for n, p in zip(looks, ps):
        now = spent(error, n / most)
        count = round((now - before) * len(p))
        here = np.sort(p[alive])
        level = float(here[count])
        # The count is binomial; the density of p there turns it into an error of the level.
        width = max(count // 10, 1)
        density = 2 * width / len(p) / float(here[count + width] - here[count - width])
        found.append([level, math.sqrt(count) / len(p) / density])
        alive &= p > level
        before = now
    return found


def normal(fraction, error):
    """Two looks with a known variance, two-sided."""
    first = spent(error, fraction)
    c1 = stats.norm.isf(first / 2)

    def missed(c2):
        def at(z):
            rest = math.sqrt(1 - fraction)
            inside = stats.norm.cdf((c2 - z * math.sqrt(fraction)) / rest) - stats.norm.cdf((-c2 - z * math.sqrt(fraction)) / rest)
            return stats.norm.pdf(z) * (1 - inside)

        return integrate.quad(at, -c1, c1, epsabs=1e-12)[0]

    c2 = optimize.brentq(lambda c: missed(c) - (error - first), 1, 8)
    return [first, 2 * stats.norm.sf(c2)]


def main():
    rng = np.random.default_rng(7)
    cases = {"exact": [], "drawn": [], "normal": []}
    for most, error in [(3, 0.05), (3, 0.2), (10, 0.05), (10, 0.3), (40, 0.5)]:
        cases["exact"].append({"looks": [2, 3], "most": most, "error": error, "levels": sphere(most, error)})
    for looks, most, error, sides in [
        ([5, 8, 11, 14, 17, 20], 20, 0.05, 2),
        ([5, 10, 15, 20, 25, 30, 35, 40], 40, 0.05, 2),
        ([3, 4, 5, 6], 12, 0.05, 2),
        ([5, 8, 11, 14], 40, 0.05, 1),
        ([5, 8, 11, 14, 17, 20], 20, 0.005, 2),
    ]:
        found = drawn(looks, most, error, sides, 4_000_000, rng)
        cases["drawn"].append({"looks": looks, "most": most, "error": error, "sides": sides, "levels": found})
    for first, most, error in [(100, 200, 0.05), (60, 200, 0.01)]:
        cases["normal"].append({"looks": [first, most], "most": most, "error": error, "levels": normal(first / most, error)})
    print(json.dumps(cases, indent=1))


main()
