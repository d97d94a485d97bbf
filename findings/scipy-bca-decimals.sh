#!/bin/bash
# scipy 1.17.1: the BCa interval of three accuracies depends on whether they are written as .7 .8 .9 or as 70 80 90.
#
# The bias-corrected bootstrap interval of a mean moves with the data: ten times the scores, ten times the interval. For the mean of
# 70, 80 and 90 scipy.stats.bootstrap gives 70 to 90. For .7, .8 and .9 it gives .7 to .867, with every seed tried. The correction
# asks how many resampled means lie below the observed one and counts ties as half. Of the 27 resamples of three values 7 have just the
# observed mean, and in binary fractions 5 of these come out one rounding above it. So the interval of a few seeds is lopsided, wrong in
# the second digit, and changes with the unit. Counts of right answers instead of shares avoid it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: numpy==2.4.6 scipy==1.17.1
"$dir/venv/bin/python" - <<'PYTHON'
import numpy as np
import scipy
from scipy.stats import bootstrap

print("scipy", scipy.__version__, "numpy", np.__version__)


def interval(scores, seed):
    found = bootstrap((scores,), np.mean, method="BCa", rng=np.random.default_rng(seed)).confidence_interval
    return round(float(found.low), 4), round(float(found.high), 4)


for seed in range(5):
    whole, share = interval([70, 80, 90], seed), interval([0.7, 0.8, 0.9], seed)
    print(f"seed {seed}: 70 80 90 gives {whole}, .7 .8 .9 gives {share}")
    assert whole == (70.0, 90.0), "the interval of whole numbers has changed"
    assert share == (0.7, 0.8667), "the behaviour has changed"
PYTHON
# Seen on 2026-11-28, for each of the seeds 0 to 4: 70 80 90 gives (70.0, 90.0), .7 .8 .9 gives (0.7, 0.8667)
