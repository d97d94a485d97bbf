#!/bin/bash
# deepsig 1.2.8: the more comparisons are announced, the easier a model is called better.
#
# Bonferroni's correction for n comparisons divides the error by n: confidence .95 becomes .975 for two, .995 for ten. aso() adds to
# the level what Bonferroni leaves over, .05 / n: it is .975 for two as well, but .955 for ten, and tends to the uncorrected .95.
# So eps_min (the less, the surer; below .2 is the usual threshold for "better") rises once and then falls with n. One pair of models,
# five scores each, one seed: not better when two comparisons are announced, better when ten are. multi_aso() corrects in the same way.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: deepsig==1.2.8 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from deepsig import aso
from scipy.stats import norm

print("deepsig", version("deepsig"), "numpy", np.__version__, "scipy", version("scipy"))
a = [0.8225, 0.8174, 0.8328, 0.8221, 0.8093]
b = [0.8072, 0.8261, 0.8189, 0.7859, 0.7747]
found = {n: float(aso(a, b, num_comparisons=n, seed=1, num_jobs=1, show_progress=False)) for n in (1, 2, 3, 10)}
print("eps_min:", {n: round(value, 4) for n, value in found.items()})

# eps_min is linear in the normal quantile of the level, so that two values of it tell the level of the others.
slope = (found[2] - found[1]) / (norm.ppf(0.975) - norm.ppf(0.95))
levels = {n: float(norm.cdf(norm.ppf(0.95) + (value - found[1]) / slope)) for n, value in found.items()}
print("level used:      ", {n: round(value, 4) for n, value in levels.items()})
print("level, Bonferroni:", {n: round(1 - 0.05 / n, 4) for n in found})
assert found[2] > 0.2 > found[10] > found[1], f"the behaviour has changed: {found}"
assert abs(levels[3] - 0.9667) < 1e-3 and abs(levels[10] - 0.955) < 1e-3, f"the behaviour has changed: {levels}"
PYTHON
# Seen on 2026-11-28:
#   eps_min: {1: 0.1865, 2: 0.2222, 3: 0.2079, 10: 0.1922}
#   level used:       {1: 0.95, 2: 0.975, 3: 0.9667, 10: 0.955}
#   level, Bonferroni: {1: 0.95, 2: 0.975, 3: 0.9833, 10: 0.995}
