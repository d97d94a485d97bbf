#!/usr/bin/env python3
"""Do two halves of the data rank units alike? The contribution-rank paper's signed average against absolute values.

    secateur run data/fashion-mnist model/lenet-300-100 --set schedule.name=never --set train.epochs=3
    python3 runner/benches/signed_contributions.py RUN_FOLDER DATA_DIR

Both halves are 10,000 images, four times drawn anew; what is printed is which part of the units that the one half ranks in the lower
half the other does too: .5 is chance. Needs NumPy and safetensors.
"""
import gzip
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file

BATCH, EPS = 500, 1e-6


def contributions(inputs, weight, signed):
    """Mean share of each input in what the outputs receive, w a / sum of w a, or of their absolute values."""
    total = np.zeros(inputs.shape[1])
    for start in range(0, len(inputs), BATCH):
        parts = inputs[start : start + BATCH, None, :] * weight  # [examples, outputs, inputs]
        parts = parts if signed else np.abs(parts)
        whole = parts.sum(2, keepdims=True)
        whole = np.where(np.abs(whole) < EPS, np.where(whole < 0, -EPS, EPS), whole)
        total += (parts / whole).mean(1).sum(0)
    return total


def main():
    weights = load_file(next(pathlib.Path(sys.argv[1]).glob("model.safetensors")))
    with gzip.open(pathlib.Path(sys.argv[2]) / "train-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784) / 127.5 - 1
    hidden = [images]
    for name in ("fc1", "fc2"):
        hidden.append(np.maximum(hidden[-1] @ weights[f"{name}.weight"].T + weights[f"{name}.bias"], 0))
    draw = np.random.default_rng(0)
    halves = [np.split(draw.permutation(len(images))[:20000], 2) for _ in range(4)]
    for signed in (True, False):
        for layer, reader in (("fc1", "fc2"), ("fc2", "fc3")):
            inputs, shared = hidden[int(layer[2:])], []
            for pair in halves:
                one, other = (np.argsort(contributions(inputs[half], weights[f"{reader}.weight"], signed)) for half in pair)
                low = len(one) // 2
                shared.append(len(set(one[:low]) & set(other[:low])) / low)
            print("signed  " if signed else "absolute", layer, " ".join(f"{share:.2f}" for share in shared))


if __name__ == "__main__":
    main()
