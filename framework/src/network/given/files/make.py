"""Writes the files beside it with PyTorch (2.15.0), and what PyTorch reads from them: python make.py"""

import collections
import io
import json
import os
import struct
import zipfile
from pathlib import Path

import torch

HERE = Path(__file__).parent


def save(what, name, **how):
    """The name of the stream becomes a folder in the archive: without one the bytes do not depend on the file's name."""
    stream = io.BytesIO()
    torch.save(what, stream, **how)
    (HERE / name).write_bytes(stream.getvalue())


def rewritten(source, name, change, how=zipfile.ZIP_STORED):
    """A copy of an archive with changed files."""
    with zipfile.ZipFile(HERE / source) as old, zipfile.ZipFile(HERE / name, "w", how) as new:
        for entry in old.infolist():
            content = change(entry.filename, old.read(entry))
            new.writestr(zipfile.ZipInfo(entry.filename, (1980, 1, 1, 0, 0, 0)), content, how)


def zip64(source, name):
    """The same archive as one of more than 4 GiB would be: every size and place among the extras, with 64 bits."""
    all_ones, body, directory = 0xFFFFFFFF, b"", b""
    with zipfile.ZipFile(HERE / source) as old:
        entries = [(entry.filename.encode(), old.read(entry)) for entry in old.infolist()]
    for path, content in entries:
        at = len(body)
        sizes = struct.pack("<HHQQ", 1, 16, len(content), len(content))
        body += struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, 0, 0, 0, 0, all_ones, all_ones, len(path), len(sizes))
        body += path + sizes + content
        extra = struct.pack("<HHQQQ", 1, 24, len(content), len(content), at)
        head = struct.pack("<4s6H3I", b"PK\1\2", 45, 45, 0, 0, 0, 0, 0, all_ones, all_ones)
        directory += head + struct.pack("<5H2I", len(path), len(extra), 0, 0, 0, 0, all_ones) + path + extra
    count, start = len(entries), len(body)
    end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, start + len(directory), 1)
    last = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, all_ones, all_ones, 0)
    (HERE / name).write_bytes(body + directory + end + locator + last)


base = torch.arange(12, dtype=torch.float32) / 8 - 0.5
views = collections.OrderedDict(
    plain=base.reshape(3, 4),
    transposed=base.reshape(3, 4).t(),
    slice=base.reshape(3, 4)[1:, 1:3],
    repeated=base[2:3].expand(5),
    scalar=torch.tensor(0.375),
    half=torch.tensor([1.0, -2.5, 2.0**-24, 65504.0]).half(),
    brain=torch.tensor([1.0, -3.0, 2.0**-133]).bfloat16(),
    double=torch.tensor([0.1, -1e30, 1.0 / 3.0], dtype=torch.float64),
    num_batches_tracked=torch.tensor(7),
)
kinds = {"half": "f16", "brain": "bf16", "double": "f64", "num_batches_tracked": "long"}
expected = {
    name: {"numbers": kinds.get(name, "f32"), "shape": list(t.shape), "values": t.double().flatten().tolist()}
    for name, t in views.items()
}
(HERE / "views.json").write_text(json.dumps(expected, indent=1) + "\n")
save(views, "views.pt")
save(views, "protocol-4.pt", pickle_protocol=4)
zip64("views.pt", "zip64.pt")
assert torch.load(HERE / "zip64.pt").keys() == views.keys()
script = {
    "epoch": 3,
    "args": {"lr": 0.1, "names": ["a", "b"], "sizes": (1, 2**70), "deterministic": True, "resume": None},
    "state_dict": {"module." + name: torch.nn.Parameter(t, False) for name, t in list(views.items())[:2]},
    "optimizer": {"state": {0: {"momentum_buffer": base}}, "param_groups": [{"params": [0]}]},
}
save(script, "script.pt")


def swapped(name, content):
    if name.endswith("byteorder"):
        return b"big"
    if "/data/" in name:
        widths = {6: 2, 8: 2, 24: 8, 4: 4, 48: 4}
        width = widths[len(content)]
        return b"".join(content[i : i + width][::-1] for i in range(0, len(content), width))
    return content


del views["num_batches_tracked"]
save(views, "big-endian.pt")
rewritten("big-endian.pt", "big-endian.pt.new", swapped)
os.replace(HERE / "big-endian.pt.new", HERE / "big-endian.pt")
rewritten("script.pt", "compressed.pt", lambda name, content: content, zipfile.ZIP_DEFLATED)


class Runs:
    def __reduce__(self):
        return os.system, ("echo run",)


save({"weight": base, "extra": Runs()}, "code.pt")
save(torch.nn.Linear(2, 1), "module.pt")
save({"weight": base, "names": {"a", "b"}}, "set.pt")
save({"weight": base}, "before-zip.pt", _use_new_zipfile_serialization=False)
