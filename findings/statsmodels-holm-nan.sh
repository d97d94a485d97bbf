#!/bin/bash
# statsmodels 0.15.0: Holm's correction rejects a comparison that has no p-value.
#
# A comparison without a p-value (the paired t-test of two models with equal scores gives nan) is no evidence. multipletests with "holm" or
# "holm-sidak" calls it significant if all the others are: its reject is True beside a corrected p of nan. "bonferroni" leaves it out
# of the rejected, but counts it; "fdr_bh" turns the corrected p-values of all the others into nan and rejects them nevertheless.
# "hommel" rejects nothing any more. There is no warning in any of them: drop such rows before.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: statsmodels==0.15.0 numpy==2.4.6 scipy==1.17.1 pandas==3.1.1
"$dir/venv/bin/python" -W error - <<'PYTHON'
from math import isnan, nan

import numpy as np
import statsmodels
from statsmodels.stats.multitest import multipletests

print("statsmodels", statsmodels.__version__, "numpy", np.__version__)
methods = ("holm", "holm-sidak", "bonferroni", "fdr_bh", "hommel")
found = {}
for method in methods:
    reject, corrected = multipletests([0.001, 0.002, nan], method=method)[:2]
    found[method] = reject.tolist()
    print(f"{method:10} rejects {reject.tolist()}, corrected p {[round(float(p), 4) for p in corrected]}")
    assert isnan(corrected[2]), f"{method} has found a p-value for nothing"
expected = {"holm": [True] * 3, "holm-sidak": [True] * 3, "bonferroni": [True, True, False], "fdr_bh": [True, True, False], "hommel": [False] * 3}
assert found == expected, f"the behaviour has changed: {found}"
PYTHON
# Seen on 2026-11-28:
#   holm       rejects [True, True, True], corrected p [0.003, 0.004, nan]
#   holm-sidak rejects [True, True, True], corrected p [0.003, 0.004, nan]
#   bonferroni rejects [True, True, False], corrected p [0.003, 0.006, nan]
#   fdr_bh     rejects [True, True, False], corrected p [nan, nan, nan]
#   hommel     rejects [False, False, False], corrected p [nan, nan, nan]
