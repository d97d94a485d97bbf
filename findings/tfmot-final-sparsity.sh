#!/bin/bash
# tensorflow-model-optimization 0.8.1: a pruning schedule ends at its final sparsity only if its frequency divides its length.
#
# PolynomialDecay takes begin_step, end_step, final_sparsity and frequency, how often masks are made anew; Zhu and Gupta (2017, arXiv
# 1710.01878) define begin and end as n steps of that frequency apart. Here any end goes, but masks are made at begin + k * frequency only,
# and not at the end or after it. So a ramp to .9 over 800 steps with new masks every 300 makes its last at 600 and stays at .886, whatever
# number of steps follow: of 10,000 weights 1,141 are left, 14 % more than the 1,000 asked for. There is no error and no warning. A
# frequency of one epoch and an end given as a share of all steps is a common way there.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: tensorflow-cpu==2.21.0 tf_keras==2.21.0 tensorflow-model-optimization==0.8.1 numpy==2.4.6
TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL=3 "$dir/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.sparsity.keras import PolynomialDecay, UpdatePruningStep, prune_low_magnitude, strip_pruning

print("tensorflow", tf.__version__, "tensorflow-model-optimization", version("tensorflow-model-optimization"))
steps, batch = 1200, 4
x = np.random.default_rng(0).normal(size=(steps * batch, 100)).astype("float32")


def left(frequency, end=800):
    """The weights of 10,000 that are left after 1,200 steps, and the last step with new masks."""
    schedule = PolynomialDecay(0.0, 0.9, begin_step=0, end_step=end, frequency=frequency)
    keras.utils.set_random_seed(0)
    net = keras.Sequential([prune_low_magnitude(keras.layers.Dense(100, use_bias=False), schedule, input_shape=(100,))])
    net.compile("sgd", "mse")
    net.fit(x, x, batch_size=batch, verbose=0, callbacks=[UpdatePruningStep()])
    last = max(step for step in range(steps) if bool(schedule(tf.constant(step, tf.int64))[0]))
    return int(np.count_nonzero(strip_pruning(net).get_weights()[0])), last


found = {frequency: left(frequency) for frequency in (100, 200, 300, 500)}
for frequency, (weights, last) in found.items():
    print(f"new masks every {frequency} steps, the last at {last}: {weights} of 10000 weights left")
assert found[100] == found[200] == (1000, 800), found
assert found[300] == (1141, 600) and found[500][1] == 500, f"the behaviour has changed: {found}"
PYTHON
# Seen on 2026-11-29:
#   new masks every 100 steps, the last at 800: 1000 of 10000 weights left
#   new masks every 200 steps, the last at 800: 1000 of 10000 weights left
#   new masks every 300 steps, the last at 600: 1141 of 10000 weights left
#   new masks every 500 steps, the last at 500: 1475 of 10000 weights left
