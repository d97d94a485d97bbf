import json
import struct

import pytest

numpy = pytest.importorskip("numpy")

import secateur  # noqa: E402


def file(path, tensors, metadata=None):
    """Writes a file in the safetensors format: name, dtype, shape and bytes of each tensor."""
    header, body = {}, b""
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    if metadata is not None:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def test_the_network_of_a_run_has_its_sizes(run):
    network = run.load()
    units, summary = network.structure["units"], run.summary
    assert units == summary["units"] and not network.masks
    assert network["fc1.weight"].shape == (units["fc1"], 784) and network["fc2.weight"].shape == (
        units["fc2"],
        units["fc1"],
    )
    assert sum(array.size for array in network.values()) == summary["params_kept"]
    assert list(network) == sorted(network, key=lambda name: (name[:3], "bias" in name)), "as the model calls them"
    assert network["fc1.weight"].dtype == numpy.float32 and "fc1.weight [" in repr(network)


def test_masks_are_beside_the_weights_that_they_hold_at_zero(masked):
    network = masked.load()
    assert "fc1.weight" in network.masks and not any(name.endswith(".mask") for name in network)
    for name, mask in network.masks.items():
        assert mask.dtype == bool and mask.shape == network[name].shape
        assert not network[name][~mask].any()
    kept = {**{name: numpy.ones_like(array, bool) for name, array in network.items()}, **network.masks}
    assert sum(int(mask.sum()) for name, mask in kept.items() if name.endswith("weight")) == masked.summary["nnz"]


def test_arrays_can_be_changed_and_the_file_stays(run):
    network = secateur.load(run.folder / "model.safetensors")
    network["fc1.weight"][:] = 0
    assert secateur.load(run.folder)["fc1.weight"].any()


def test_files_of_others_are_read_too(tmp_path):
    numbers = numpy.array([1.0, -2.5, 0.0], "<f4")
    bf16 = (numbers.view("<u4") >> 16).astype("<u2").tobytes()
    tensors = [
        ("a", "F16", [3], numbers.astype("<f2").tobytes()),
        ("b", "BF16", [3], bf16),
        ("c.mask", "U8", [1], b"\1"),
    ]
    network = secateur.load(file(tmp_path / "x.safetensors", tensors))
    assert numpy.array_equal(network["a"], numbers) and numpy.array_equal(network["b"], numbers)
    assert network.structure == {} and network.masks == {} and list(network["c.mask"]) == [1]


def test_what_is_no_network_is_refused_with_its_name(run, tmp_path):
    whole = (run.folder / "model.safetensors").read_bytes()
    damaged = [b"", b"\0" * 7, b"PK\3\4" * 20, whole[:-1], whole[:100], struct.pack("<Q", 2) + b"[]"]
    damaged.append(file(tmp_path / "y", [("a", "F7", [1], b"1234")]).read_bytes())
    damaged.append(file(tmp_path / "y", [("a", "F32", [2], b"1234")]).read_bytes())
    for content in damaged:
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(secateur.SecateurError, match="model.safetensors: this is no safetensors file"):
            secateur.load(tmp_path)
    with pytest.raises(secateur.SecateurError, match="No such file"):
        secateur.load(tmp_path / "absent")
