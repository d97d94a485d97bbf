#!/bin/bash
# torch 2.15.0: one torch.save writes tensors in two ways, by their dtype, and counts the storage in two units.
#
# A state dict of float32, bfloat16 or int8 is pickled as calls of _rebuild_tensor_v2 over typed storages, whose length is given in
# elements. float8 and the wider unsigned integers (uint16, uint32, uint64) have no typed storage: beside the others, in the same file,
# they are calls of _rebuild_tensor_v3 over an UntypedStorage, whose length is given in bytes, with the dtype as an argument of its own.
# A reader of .pt files that knows the first way alone loses, or refuses, a quantised network's weights, and one that takes the length
# for elements where it is bytes finds every such tensor cut short.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.15.0
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
import io
import pickle
import zipfile

import torch

print("torch", torch.__version__)


def written(dtype):
    """The function that the pickle calls, its kind of storage, and the storage's length, for six numbers."""
    file = io.BytesIO()
    torch.save({"w": torch.ones(6).to(dtype)}, file)
    archive = zipfile.ZipFile(file)
    name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
    seen = {}

    class Reader(pickle.Unpickler):
        def find_class(self, module, name):
            if name.startswith("_rebuild_tensor"):
                seen["function"] = name
                return lambda *arguments: None
            return super().find_class(module, name)

        def persistent_load(self, number):
            seen["storage"], seen["length"] = number[1].__name__, number[4]

    Reader(io.BytesIO(archive.read(name))).load()
    return seen["function"], seen["storage"], seen["length"]


found = {dtype: written(getattr(torch, dtype)) for dtype in ["float32", "bfloat16", "int8", "float8_e4m3fn", "uint16", "uint32"]}
for dtype, how in found.items():
    print(f"{dtype:14}", *how)
assert found["float32"] == ("_rebuild_tensor_v2", "FloatStorage", 6)
assert found["bfloat16"] == ("_rebuild_tensor_v2", "BFloat16Storage", 6)
assert found["int8"] == ("_rebuild_tensor_v2", "CharStorage", 6)
assert found["float8_e4m3fn"] == ("_rebuild_tensor_v3", "UntypedStorage", 6), "it has a typed storage now"
assert found["uint16"] == ("_rebuild_tensor_v3", "UntypedStorage", 12), "six numbers are no longer twelve bytes"
assert found["uint32"] == ("_rebuild_tensor_v3", "UntypedStorage", 24), "six numbers are no longer 24 bytes"
PYTHON
# Seen on 2026-11-28:
# torch 2.15.0+cu132
# float32        _rebuild_tensor_v2 FloatStorage 6
# bfloat16       _rebuild_tensor_v2 BFloat16Storage 6
# int8           _rebuild_tensor_v2 CharStorage 6
# float8_e4m3fn  _rebuild_tensor_v3 UntypedStorage 6
# uint16         _rebuild_tensor_v3 UntypedStorage 12
# uint32         _rebuild_tensor_v3 UntypedStorage 24
