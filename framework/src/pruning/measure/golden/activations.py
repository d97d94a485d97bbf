"""Writes activations.json: what neurons with made-up activations tell of the example and of its class, in bits.

    python3 activations.py

Counts by numpy.histogram and numpy.histogram2d, entropies by scipy.stats.entropy, corrected after Miller and Madow (1955). Needs NumPy and SciPy.
"""

import json
from pathlib import Path

import numpy as np
from scipy.stats import entropy

EXAMPLES, NEURONS, BINS = 200, 6, 30


def value(i, j):
    number = (i * 37 + j * 101 + i * i * (j + 1)) % 199
    if j == 0:
        return 0.0
    return max(number - 120, 0) / 64 if j == 1 else number / 128 - j / 4


def corrected(counts):
    """Entropy in bits, with (seen - 1) / (2 N ln 2) added."""
    return entropy(counts.ravel(), base=2) + (np.count_nonzero(counts) - 1) / (2 * counts.sum() * np.log(2))


values = np.array([[value(i, j) for j in range(NEURONS)] for i in range(EXAMPLES)])
classes = np.array([i * i % 7 % 4 for i in range(EXAMPLES)])
# Bins are those of the layer: of all neurons together.
edges = np.linspace(values.min(), values.max(), BINS + 1)
about_example, about_class = [], []
for column in values.T:
    bins, _ = np.histogram(column, edges)
    joint, _, _ = np.histogram2d(column, classes, (edges, np.arange(5) - 0.5))
    about_example.append(float(entropy(bins, base=2)))
    about_class.append(max(float(corrected(bins) + corrected(joint.sum(axis=0)) - corrected(joint)), 0.0))
found = {"about_example": about_example, "about_class": about_class}
Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
