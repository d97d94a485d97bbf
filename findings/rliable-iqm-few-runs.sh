#!/bin/bash
# rliable 1.2.0: the interquartile mean of three runs is their plain mean, and of five the mean of three fifths.
#
# aggregate_iqm discards the lowest and the highest quarter of the scores, so that one outlier among the runs does not count. What is
# cut is rounded down to whole scores: of three runs nothing, of five one at each end, of seven one (5 of 7 are left, not half). The
# definition for numbers that four does not divide gives the scores at the edges a part of their weight: 1.5 of three, 2.5 of five.
# With the usual three seeds of one task an "IQM" in a table is the mean, outliers and all.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet rliable==1.2.0 arch==7.2.0 numpy==2.3.5 pandas==2.3.3 scipy==1.16.3
MPLCONFIGDIR="$dir" "$dir/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from rliable.metrics import aggregate_iqm

print("rliable", version("rliable"), "numpy", np.__version__, "scipy", version("scipy"))


def by_definition(scores):
    scores, n = sorted(scores), len(scores)
    # Each score covers the n-th part of the line from 0 to 1; its weight is how much of it lies between a quarter and three quarters.
    return sum(max(0.0, min(i + 1, 0.75 * n) - max(i, 0.25 * n)) * x for i, x in enumerate(scores)) / (0.5 * n)


found = {}
for scores in ([0.1, 0.8, 0.9], [0.1, 0.7, 0.8, 0.9], [0.1, 0.6, 0.7, 0.8, 0.9]):
    iqm = float(aggregate_iqm(np.array(scores).reshape(-1, 1)))
    found[len(scores)] = round(iqm, 4)
    print(f"{scores}: mean {np.mean(scores):.4f}, the library's IQM {iqm:.4f}, by the definition {by_definition(scores):.4f}")
assert found == {3: 0.6, 4: 0.75, 5: 0.7}, f"the behaviour has changed: {found}"
PYTHON
# Seen on 2026-11-28:
#   [0.1, 0.8, 0.9]: mean 0.6000, the library's IQM 0.6000, by the definition 0.7000
#   [0.1, 0.7, 0.8, 0.9]: mean 0.6250, the library's IQM 0.7500, by the definition 0.7500
#   [0.1, 0.6, 0.7, 0.8, 0.9]: mean 0.6200, the library's IQM 0.7000, by the definition 0.7000
