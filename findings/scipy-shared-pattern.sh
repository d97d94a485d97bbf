#!/bin/bash
# scipy 1.17.1: max(), abs() or > 0 of one sparse matrix moves the values of another that has the same pattern.
#
# Weights and their gradients, or their momentum, have one pattern, and csr_array((values, indices, indptr)) keeps the arrays that it is
# given, so that the pattern is stored once. Columns may stand in any order within a row, as they do in the product of two sparse
# matrices. But what only reads the weights sorts their columns in place, first: the weights' values move with them, the gradients'
# values do not, and each gradient now belongs to another weight, without a word. Of the reading operations below seven do it and five do
# not. It does not help to pass copies of the values: the pattern has to be copied (copy=True), or sorted before it is shared.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: numpy==2.4.6 scipy==1.17.1
"$dir/venv/bin/python" -W error - <<'PYTHON'
import numpy as np
import scipy
from scipy.sparse import csr_array
from scipy.sparse.linalg import norm

print("scipy", scipy.__version__, "numpy", np.__version__)
dense = np.array([[20.0, 0.0, 10.0], [0.0, 30.0, 0.0]])


def gradients_after(read, copy=False):
    columns, rows = np.array([2, 0, 1]), np.array([0, 2, 3])
    weights = csr_array((np.array([1.0, -2.0, 3.0]), columns, rows), shape=(2, 3), copy=copy)
    gradients = csr_array((np.array([10.0, 20.0, 30.0]), columns, rows), shape=(2, 3), copy=copy)
    assert np.array_equal(gradients.toarray(), dense)
    read(weights)
    return gradients.toarray()


reads = {
    "max()": lambda w: w.max(),
    "sum()": lambda w: w.sum(),
    "abs()": abs,
    "> 0": lambda w: w > 0,
    "power(2)": lambda w: w.power(2),
    "count_nonzero(axis=0)": lambda w: w.count_nonzero(axis=0),
    "norm()": norm,
    "w + w": lambda w: w + w,
    "w @ w.T": lambda w: w @ w.T,
    "w.multiply(w)": lambda w: w.multiply(w),
    "w[0, 2]": lambda w: w[0, 2],
    "tocsc()": lambda w: w.tocsc(),
}
moved = [name for name, read in reads.items() if not np.array_equal(gradients_after(read), dense)]
print("the gradients:                    ", dense.tolist())
print("after max() of the weights:       ", gradients_after(reads["max()"]).tolist())
print("after the same, both with copies: ", gradients_after(reads["max()"], copy=True).tolist())
print("changed by:", ", ".join(moved))
print("not by:    ", ", ".join(name for name in reads if name not in moved))
assert gradients_after(reads["max()"]).tolist() == [[10.0, 0.0, 20.0], [0.0, 30.0, 0.0]], "the behaviour has changed"
assert moved == list(reads)[:7], f"the behaviour has changed: {moved}"
assert all(np.array_equal(gradients_after(read, copy=True), dense) for read in reads.values()), "copies do not help"
PYTHON
# Seen on 2026-11-29:
#   the gradients:                     [[20.0, 0.0, 10.0], [0.0, 30.0, 0.0]]
#   after max() of the weights:        [[10.0, 0.0, 20.0], [0.0, 30.0, 0.0]]
#   after the same, both with copies:  [[20.0, 0.0, 10.0], [0.0, 30.0, 0.0]]
#   changed by: max(), sum(), abs(), > 0, power(2), count_nonzero(axis=0), norm()
#   not by:     w + w, w @ w.T, w.multiply(w), w[0, 2], tocsc()
