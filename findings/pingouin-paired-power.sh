#!/bin/bash
# pingouin 0.7.0: the power of a paired t-test is that of a test that does not use the pairs.
#
# Two models with the same eight seeds are compared seed by seed, since the seeds vary more than the models differ. ttest(paired=True)
# does so and finds t = 6.03, p = .0005. Beside it stands "power", the probability that such a comparison finds the difference: .17. It
# puts the mean difference over the spread of the scores (.40, which it also reports as cohen_d, a fair measure of the effect) into the
# formula for pairs, which wants the mean over the spread of the differences, 2.13; that gives .9991, by statsmodels' formula and by
# simulation. The better the pairing, the further it is off, and who plans the next comparison by cohen_d trains thirteen times too many:
# for a power of .8 it asks for 52 pairs where 4 are enough.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: pingouin==0.7.0 numpy==2.4.6 scipy==1.17.1 pandas==3.1.1 statsmodels==0.15.0
MPLCONFIGDIR="$dir" "$dir/venv/bin/python" -W ignore - <<'PYTHON'
from math import ceil

import numpy as np
import pingouin
from statsmodels.stats.power import TTestPower

print("pingouin", pingouin.__version__, "numpy", np.__version__)
a = np.array([0.807, 0.816, 0.807, 0.774, 0.817, 0.754, 0.835, 0.788])
b = np.array([0.820, 0.823, 0.823, 0.776, 0.823, 0.769, 0.847, 0.801])
difference = b - a
test = pingouin.ttest(b, a, paired=True).iloc[0]
t, p, d, power = (float(test[name]) for name in ("T", "p_val", "cohen_d", "power"))
of_pairs = difference.mean() / difference.std(ddof=1)
right = TTestPower().power(effect_size=of_pairs, nobs=len(a), alpha=0.05)
print(f"t {t:.2f}, p {p:.5f}, d {d:.3f}, power {power:.4f}")
print(f"mean over spread of the differences {of_pairs:.3f}, power with it {right:.4f}")

# How often the test finds the difference, in 20,000 draws of eight pairs with the means, spreads and correlation of these.
draws = np.random.default_rng(0).multivariate_normal([a.mean(), b.mean()], np.cov(a, b), size=(20000, len(a)))
apart = draws[..., 1] - draws[..., 0]
statistic = apart.mean(1) / (apart.std(1, ddof=1) / np.sqrt(len(a)))
drawn = float((abs(statistic) > 2.3646).mean())
print(f"found in {drawn:.4f} of 20,000 simulated comparisons")
pairs = [ceil(pingouin.power_ttest(d=size, power=0.8, contrast="paired")) for size in (d, of_pairs)]
print(f"pairs for a power of .8: with its d {pairs[0]}, with the differences' {pairs[1]}")
assert abs(right - drawn) < 0.005, "the simulation does not agree with the formula"
assert round(power, 3) == 0.165, f"the behaviour has changed: {power}"
assert pairs == [52, 4], f"the behaviour has changed: {pairs}"
PYTHON
# Seen on 2026-11-29:
#   t 6.03, p 0.00053, d 0.399, power 0.1651
#   mean over spread of the differences 2.131, power with it 0.9991
#   found in 0.9989 of 20,000 simulated comparisons
#   pairs for a power of .8: with its d 52, with the differences' 4
