"""k-means of weights by scikit-learn 1.9.1, from the linear initialisation: writes kmeans.json.

Only cases in which no cluster runs empty: scikit-learn moves an empty cluster, Lloyd's algorithm does not.
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.cluster import KMeans


def runs_empty(x, centroids):
    """Whether a cluster has no member at any of Lloyd's iterations."""
    labels = None
    while True:
        now = np.abs(x[:, None] - centroids[None]).argmin(1)
        if len(np.unique(now)) < len(centroids):
            return True
        if labels is not None and (now == labels).all():
            return False
        labels = now
        centroids = np.array([x[labels == k].mean() for k in range(len(centroids))])


def case(name, x, clusters):
    x = x.astype(np.float32)
    wide = x.astype(np.float64)
    init = np.linspace(wide.min(), wide.max(), clusters)
    assert not runs_empty(wide, init), name
    found = KMeans(clusters, init=init[:, None], n_init=1, algorithm="lloyd", tol=0, max_iter=100_000).fit(wide[:, None])
    print(name, found.n_iter_, "iterations")
    # The shortest decimals that are the same f32.
    weights = [float(str(w)) for w in x]
    return {"name": name, "weights": weights, "centroids": found.cluster_centers_[:, 0].tolist(), "labels": found.labels_.tolist()}


rng = np.random.default_rng(0)
normal = rng.normal(0, 0.05, 400)
cases = [
    case("uniform, 31 clusters", rng.uniform(-1, 1, 500), 31),
    case("uniform, 7 clusters", rng.uniform(-0.2, 0.4, 200), 7),
    case("normal, pruned to the larger half, 9 clusters", normal[np.abs(normal) > 0.034], 9),
    case("normal, 4 clusters", rng.normal(0.01, 0.1, 300), 4),
    case("one cluster", rng.normal(0.5, 0.1, 20), 1),
    case("two lumps, 2 clusters", np.concatenate([rng.uniform(-1, -0.3, 60), rng.uniform(0.2, 1, 90)]), 2),
    case("uniform, 100 clusters", rng.uniform(-0.1, 0.1, 900), 100),
]
assert sklearn.__version__ == "1.9.1"
Path(__file__).with_name("kmeans.json").write_text(json.dumps(cases) + "\n")
