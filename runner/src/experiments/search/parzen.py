"""Densities of optuna's TPE sampler, to which parzen.rs is compared.

python3 -m venv venv && venv/bin/pip install optuna && venv/bin/python parzen.py > parzen.json
"""

import inspect
import json

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters


def parameters():
    """As many as this version asks for."""
    known = {
        "prior_weight": 1.0,
        "consider_prior": True,
        "consider_magic_clip": True,
        "consider_endpoints": True,
        "weights": lambda n: np.ones(n),
        "multivariate": False,
        "categorical_distance_func": {},
    }
    fields = inspect.signature(_ParzenEstimatorParameters).parameters
    return _ParzenEstimatorParameters(**{name: known[name] for name in fields})


def main():
    random = np.random.default_rng(0)
    at = np.linspace(0.01, 0.99, 9)
    spans = []
    for count in [0, 1, 2, 5, 20, 120]:
        places = random.uniform(size=count)
        of = _ParzenEstimator({"x": places}, {"x": FloatDistribution(0.0, 1.0)}, parameters())
        spans.append({"places": places.tolist(), "at": at.tolist(), "log_density": of.log_pdf({"x": at}).tolist()})
    choices = []
    for taken in [[], [0], [2, 2, 1], [0, 0, 0, 0, 3]]:
        of = _ParzenEstimator(
            {"x": np.array(taken, dtype=float)}, {"x": CategoricalDistribution(["a", "b", "c", "d"])}, parameters()
        )
        choices.append({"taken": taken, "log_density": of.log_pdf({"x": np.arange(4.0)}).tolist()})
    print(json.dumps({"optuna": optuna.__version__, "spans": spans, "choices": choices}))


if __name__ == "__main__":
    main()
