"""A network that a run left, as NumPy arrays."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._program import SecateurError

if TYPE_CHECKING:
    import numpy

#: NumPy's names of the types in a file; bf16 has none, and becomes f32.
_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


class Network(Mapping[str, "numpy.ndarray"]):
    """The parameters of a network by name, as its forward pass uses them: pruned weights are zero.

    Weights have PyTorch's order: ``[out, in]`` of a linear layer, ``[out, in, rows, columns]`` of a convolution.

    Attributes:
        masks: For each parameter that has one, which of its entries are kept.
        structure: What a reader must know beside the arrays: the model and its options, ``units`` in use in each group,
            ``input`` and ``classes``, ``normalization``, and the ``layers`` in the order of their calls; empty for a
            file that does not say.
    """

    def __init__(
        self, arrays: dict[str, numpy.ndarray], masks: dict[str, numpy.ndarray], structure: dict[str, Any]
    ) -> None:
        self._arrays = arrays
        self.masks = masks
        self.structure = structure

    def __getitem__(self, name: str) -> numpy.ndarray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in self.items())
        return f"Network({shapes})"


def load(path: str | os.PathLike[str]) -> Network:
    """Reads the network of a run, with NumPy alone.

    Args:
        path: The run's folder, or a file in the safetensors format: ``model.safetensors``, ``best.safetensors``.

    Raises:
        SecateurError: There is none, or it is damaged.
    """
    import numpy

    file = Path(path)
    if file.is_dir():
        file /= "model.safetensors"
    try:
        # Writable, so that arrays can be changed without a copy of their own.
        data = bytearray(file.read_bytes())
    except OSError as error:
        raise SecateurError(f"{file}: {error.strerror}\n  fix: give the folder of a finished run") from None
    try:
        (size,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + size])
        metadata = header.pop("__metadata__", {})
        structure = json.loads(metadata.get("secateur", "{}"))
        body = memoryview(data)[8 + size :]
        arrays = {}
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            array = numpy.frombuffer(body[start:end], _TYPES[entry["dtype"]]).reshape(entry["shape"])
            if entry["dtype"] == "BF16":
                array = (array.astype("<u4") << 16).view("<f4")
            arrays[name] = array
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise SecateurError(f"{file}: this is no safetensors file, or a damaged one: {error}") from None
    masks = {name: arrays.pop(f"{name}.mask") != 0 for name in list(arrays) if f"{name}.mask" in arrays}
    # In the model's order; a file has its own.
    order = [f"{layer['name']}.{part}" for layer in structure.get("layers", ()) for part in ("weight", "bias")]
    named = {name: arrays.pop(name) for name in order if name in arrays}
    return Network({**named, **arrays}, masks, structure)
