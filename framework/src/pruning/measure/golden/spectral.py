"""Largest singular values by NumPy, for the test in ../lipschitz.rs: python3 spectral.py > spectral.json"""

import json

import numpy as np

rng = np.random.default_rng(11)
matrices = [rng.normal(size=shape) for shape in [(1, 1), (1, 7), (7, 1), (5, 5), (12, 30), (30, 12)]]
# Two equal singular values, masked weights, a rank of one, and no weight at all.
matrices += [np.diag([2.0, 2.0, 1.0]), rng.normal(size=(10, 8)) * (rng.random((10, 8)) < 0.15)]
matrices += [np.outer(rng.normal(size=6), rng.normal(size=4)), np.zeros((3, 4))]
matrices = [matrix.astype(np.float32).astype(np.float64) for matrix in matrices]
print(
    json.dumps(
        [
            {"rows": len(matrix), "values": matrix.ravel().tolist(), "norm": float(np.linalg.norm(matrix, 2))}
            for matrix in matrices
        ]
    )
)
