#!/bin/bash
# safetensors 0.8.0: load() hands out the tensors in another order each time, load_file() in the order of the names as text.
#
# A dict in Python has an order, and much relies on it: masks zipped with layers, one draw of random numbers per tensor, a sum over
# layers. Twelve layers go in as 0 to 11. The bytes that come out are the same each time, but load() of the same bytes returns the layers
# in an order that differs from call to call, in one process, whatever PYTHONHASHSEED says; so a seeded run over its items is not
# reproducible. load_file() has an order, but neither that of the dict nor that of the numbers: 10 and 11 come between 1 and 2. The
# functions of safetensors.torch do the same. Take tensors by name, or sort the names.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: safetensors==0.8.0 numpy==2.4.6
PYTHONHASHSEED=0 "$dir/venv/bin/python" - "$dir/layers.safetensors" <<'PYTHON'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, load_file, save, save_file

print("safetensors", safetensors.__version__, "numpy", np.__version__)
layers = {f"layers.{i}.weight": np.full(2, i, np.float32) for i in range(12)}
data = save(layers)
assert all(save(layers) == data for _ in range(20)), "the bytes differ too"
save_file(layers, sys.argv[1])


def order(tensors):
    return tuple(int(name.split(".")[1]) for name in tensors)


from_bytes, from_file = [order(load(data)) for _ in range(20)], [order(load_file(sys.argv[1])) for _ in range(20)]
print("saved:       ", *order(layers))
print("load():      ", *from_bytes[0])
print("load() again:", *from_bytes[1])
print("load_file(): ", *from_file[0])
print(f"orders in 20 calls: load() {len(set(from_bytes))}, load_file() {len(set(from_file))}")
assert all(sorted(found) == list(range(12)) for found in from_bytes), "not the same layers"
assert len(set(from_bytes)) > 1, "the behaviour has changed: load() has an order"
assert set(from_file) == {(0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)}, f"the behaviour has changed: {from_file[0]}"
PYTHON
# Seen on 2026-11-29 (the second and third line differ each time):
#   saved:        0 1 2 3 4 5 6 7 8 9 10 11
#   load():       1 2 4 6 8 10 5 7 0 9 11 3
#   load() again: 11 6 9 3 1 4 5 0 10 8 7 2
#   load_file():  0 1 10 11 2 3 4 5 6 7 8 9
#   orders in 20 calls: load() 20, load_file() 1
