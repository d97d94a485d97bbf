#!/bin/bash
# optuna 5.0.0: the windows of its TPE sampler are as wide as the distance to their neighbours, and the prior is nobody's neighbour.
#
# Whoever writes the sampler of Bergstra et al. 2011 puts the prior's window, in the middle of the range, among the observations, so that
# those beside it measure their distance to it. optuna puts the prior into the mixture, but measures distances between observations and
# the ends of the range alone: one observation at 0.6 of a range from 0 to 1 gets a window of 0.6 (to the far end), where a prior in the
# middle would leave 0.4. It proposes other values from the first trial on.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet optuna==5.0.0 numpy==2.3.5 scipy==1.16.3
"$dir/venv/bin/python" - <<'PY'
import inspect
import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from scipy.stats import truncnorm

known = {
    "prior_weight": 1.0, "consider_prior": True, "consider_magic_clip": True, "consider_endpoints": True,
    "weights": lambda n: np.ones(n), "multivariate": False, "categorical_distance_func": {},
}
wanted = inspect.signature(_ParzenEstimatorParameters).parameters
parameters = _ParzenEstimatorParameters(**{name: known[name] for name in wanted})
at = np.linspace(0.05, 0.95, 7)
found = _ParzenEstimator({"x": np.array([0.6])}, {"x": FloatDistribution(0.0, 1.0)}, parameters).log_pdf({"x": at})


def mixture(width):
    part = lambda middle, width: truncnorm.pdf(at, -middle / width, (1 - middle) / width, middle, width)
    return np.log((part(0.6, width) + part(0.5, 1.0)) / 2)


apart = {width: float(np.abs(found - mixture(width)).max()) for width in (0.6, 0.4)}
print(f"optuna {optuna.__version__}: with a window of 0.6 off by {apart[0.6]:.1e}, with one of 0.4 by {apart[0.4]:.1e}")
assert apart[0.6] < 1e-9 and apart[0.4] > 1e-2, "the behaviour has changed"
PY
# Seen on 2026-11-29:
#   optuna 5.0.0: with a window of 0.6 off by 2.5e-16, with one of 0.4 by 1.5e-01
