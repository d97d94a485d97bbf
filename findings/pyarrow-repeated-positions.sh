#!/bin/bash
# pyarrow 26.0.1: where a sparse matrix names a position twice, Arrow's tensor has the last of the values and SciPy's their sum.
#
# In the COO format a position may occur more than once, and the values add up: so gradients of an embedding are collected, and so SciPy,
# PyTorch, JAX and pydata's sparse read it. Arrow takes such matrices from SciPy, and its format has a flag that says whether positions are
# sorted and unique. to_tensor() does not look at it: each value overwrites the one before. Of 1 and -1 it makes -1 where it should be 0,
# of 2 and 3 it makes 3. The same object handed back by to_scipy() still has the sums, and CSR does as COO does. There is no error and
# no warning. sum_duplicates() before the hand-over avoids it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: pyarrow==26.0.1 numpy==2.4.6 scipy==1.17.1 sparse==0.19.3
"$dir/venv/bin/python" -W error - <<'PYTHON'
import numpy as np
import pyarrow
import scipy
import sparse
from pyarrow import SparseCOOTensor, SparseCSRMatrix
from scipy.sparse import coo_array, csr_array

print("pyarrow", pyarrow.__version__, "scipy", scipy.__version__, "sparse", sparse.__version__)
values, rows, columns = np.array([1.0, -1.0, 2.0, 3.0]), np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])


def as_coo():
    return coo_array((values.copy(), (rows, columns)), shape=(2, 2))


def as_csr():
    return csr_array((values.copy(), columns.copy(), np.array([0, 2, 4])), shape=(2, 2))


sums, last = [[0.0, 0.0], [0.0, 5.0]], [[-1.0, 0.0], [0.0, 3.0]]
print("the sums:       scipy", as_coo().toarray().tolist(), "sparse", sparse.COO((rows, columns), values, (2, 2)).todense().tolist())
assert as_coo().toarray().tolist() == as_csr().toarray().tolist() == sums
assert sparse.COO((rows, columns), values, (2, 2)).todense().tolist() == sums
for name, matrix, kind in (("COO", as_coo, SparseCOOTensor), ("CSR", as_csr, SparseCSRMatrix)):
    tensor = kind.from_scipy(matrix())
    dense, back = tensor.to_tensor().to_numpy().tolist(), tensor.to_scipy().toarray().tolist()
    clean = matrix()
    clean.sum_duplicates()
    cleaned = kind.from_scipy(clean).to_tensor().to_numpy().tolist()
    print(f"{name} through Arrow: to_tensor() {dense}, to_scipy() {back}, to_tensor() after sum_duplicates() {cleaned}")
    assert back == cleaned == sums, (back, cleaned)
    assert dense == last, f"the behaviour has changed: {dense}"
assert not SparseCOOTensor.from_scipy(as_coo()).has_canonical_format, "the flag says that positions are unique"
PYTHON
# Seen on 2026-11-29, in COO and in CSR: to_tensor() [[-1.0, 0.0], [0.0, 3.0]], to_scipy() and, after sum_duplicates(), to_tensor()
# [[0.0, 0.0], [0.0, 5.0]].
