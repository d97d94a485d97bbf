#!/bin/bash
# safetensors 0.8.0: a transposed NumPy array is saved with its values in the wrong places.
#
# A layer's weight turned from outputs x inputs to inputs x outputs, `w.T`, is a view of the same memory. safetensors.numpy writes its
# memory as it lies under the shape of the view, and what is loaded has the right shape, type, sum and number of zeros, but a scrambled
# pattern: a mask with whole rows kept comes back with none. There is no error and no warning, from save() or from save_file(). Version
# 0.7.0 wrote such arrays in the right order, and safetensors.torch refuses them ("non contiguous"); the documentation asks for
# contiguous tensors, which an array in Fortran's order (out of LAPACK or scikit-learn, say) is in NumPy's terms. The maintainers' tracker
# has it as issue 825. np.ascontiguousarray(w.T) is saved right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for version in 0.7.0 0.8.0; do
  python3 -m venv "$dir/$version"
  "$dir/$version/bin/pip" install --quiet --only-binary :all: safetensors==$version numpy==2.4.6
  "$dir/$version/bin/python" -W error - "$dir/mask.safetensors" <<'PYTHON'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, load_file, save, save_file

# Two of four inputs are kept, for each of three outputs.
mask = np.array([[1, 0, 0, 1]] * 3, np.int8).T
assert mask.flags.f_contiguous and mask.shape == (4, 3)
found = load(save({"mask": mask}))["mask"]
save_file({"mask": mask}, sys.argv[1])
assert np.array_equal(load_file(sys.argv[1])["mask"], found), "save() and save_file() differ"
print(f"safetensors {safetensors.__version__}: saved {mask.tolist()}, loaded {found.tolist()}")
assert found.shape == mask.shape and found.sum() == mask.sum()
assert np.array_equal(load(save({"mask": np.ascontiguousarray(mask)}))["mask"], mask), "the copy is wrong too"
scrambled = [[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]]
expected = mask.tolist() if safetensors.__version__ == "0.7.0" else scrambled
assert found.tolist() == expected, f"the behaviour has changed: {found.tolist()}"
PYTHON
done
# Seen on 2026-11-29, of [[1, 1, 1], [0, 0, 0], [0, 0, 0], [1, 1, 1]]:
#   0.7.0 loaded [[1, 1, 1], [0, 0, 0], [0, 0, 0], [1, 1, 1]]
#   0.8.0 loaded [[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]]
