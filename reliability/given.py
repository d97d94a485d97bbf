#!/usr/bin/env python3
"""Takes networks of torchvision and timm through the program and back: begins with their weights, cuts half of the units out, exports what
is left to PyTorch and ONNX, and compares the logits of all three on 64 images.

    python reliability/given.py FOLDER --alone PYTHON [--program PROGRAM]

FOLDER has resnet18.pt, mobilenet-v2.pt and vit-tiny.pt, as plugins/bundle/tests/trajectory/given/make.py leaves them. The interpreter that runs this has
NumPy, Pillow and onnxruntime; PYTHON is one that has PyTorch and nothing else, in which the exported file must run.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import onnxruntime
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
#: Largest difference of a logit, in parts of the largest.
LOGITS = 1e-5
CLASSES, IMAGES = 1000, 64
NETWORKS = {"resnet18": "model/resnet18", "mobilenet-v2": "model/mobilenet-v2-imagenet", "vit-tiny": "model/vit-tiny"}

ALONE = """
import importlib.util, sys
import torch
from_outside = set(sys.modules)
spec = importlib.util.spec_from_file_location("network", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
images = torch.frombuffer(bytearray(open(sys.argv[2], "rb").read()), dtype=torch.uint8).reshape(-1, 3, 224, 224)
network = module.load()
with torch.no_grad():
    logits = torch.cat([network(module.preprocess(some.float())) for some in images.split(8)])
more = {name.split(".")[0] for name in set(sys.modules) - from_outside} - set(sys.stdlib_module_names) - {"torch"}
assert not more, f"the exported file needs {more}"
for absent in ["numpy", "secateur", "onnx", "torchvision"]:
    assert importlib.util.find_spec(absent) is None, f"{absent} is installed here: give an interpreter with PyTorch alone"
open(sys.argv[3], "wb").write(bytes(logits.contiguous().untyped_storage()))
"""


def pictures(folder):
    """Images of noise: 64 to compare on, and links to them for a data set with one of each class."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (IMAGES, 3, 224, 224), np.uint8)
    (folder / "shown").mkdir()
    for i in range(CLASSES):
        file = folder / "shown" / f"{i % IMAGES:02}.png"
        if i < IMAGES:
            Image.fromarray(images[i].transpose(1, 2, 0)).save(file, compress_level=1)
        for part in ("train", "test"):
            (folder / "images" / part / f"{i:04}").mkdir(parents=True)
            os.link(file, folder / "images" / part / f"{i:04}" / "0.png")
    return images


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--alone", required=True, help="an interpreter that has PyTorch and nothing else")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--program", default=target / "release/secateur")
    args = parser.parse_args()
    folder = args.folder.resolve()
    images = pictures(folder)
    (folder / "images.bin").write_bytes(images.tobytes())
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SECATEUR_")}

    def secateur(*words):
        command = [args.program, *map(str, words)]
        with_python = {**environment, "SECATEUR_PYTHON": sys.executable}
        return subprocess.run(command, cwd=folder, env=with_python, check=True, stdout=subprocess.PIPE, text=True).stdout

    for name, model in NETWORKS.items():
        out = folder / f"{name}-runs"
        half = ["criterion/magnitude", "schedule/at-initialisation", "schedule.sparsity=0.5", "prune.granularity=unit"]
        data = ["data.name=image-folder", f"data.dir={folder / 'images'}", "data.validation=0", "data.train_limit=8", "data.test_limit=8"]
        data += [f"data.normalize={{mean={mean},std={std}}}"]
        train = ["train.epochs=1", "train.batch_size=4", "train.lr=0.001", "train.eval_batch_size=8", "output.pictures=0"]
        given = [f"init.from={folder / f'{name}.pt'}", "prune.scope=layer", "prune.apply=shrink"]
        secateur("run", model, *half, *data, *given, *train, "--out", out, "--quiet")
        (run,) = (path.parent for path in out.glob("*/summary.json"))
        said = json.loads((run / "summary.json").read_text())

        lines = [json.loads(line) for line in secateur("predict", run, "--data", "shown", "--jsonl", "-").splitlines()]
        assert [line["example"] for line in lines] == [f"{i:02}.png" for i in range(IMAGES)]
        logits = {"the program": np.array([line["logits"] for line in lines], np.float32)}

        export = ["export", run, "--data", "shown"]
        print(secateur(*export, "--format", "torch", "--out", folder / f"{name}.py"), end="")
        found = folder / f"{name}.logits"
        command = [args.alone, "-I", "-c", ALONE, folder / f"{name}.py", folder / "images.bin", found]
        subprocess.run(command, cwd=folder, env=environment, check=True)
        logits["PyTorch alone"] = np.fromfile(found, np.float32).reshape(IMAGES, CLASSES)

        print(secateur(*export, "--format", "onnx", "--with-preprocessing", "--out", folder / f"{name}.onnx"), end="")
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        logits["onnxruntime"] = session.run(None, {"input": images.astype(np.float32)})[0]

        print(f"{name}: {said['params_kept']} of {said['params_dense']} parameters; onnxruntime {onnxruntime.__version__}")
        names = list(logits)
        for a, b in [(names[0], names[1]), (names[0], names[2]), (names[1], names[2])]:
            largest = max(np.abs(logits[a]).max(), np.abs(logits[b]).max())
            apart = np.abs(logits[a] - logits[b]).max() / largest
            print(f"  {a} and {b}: {apart:.1e} of the largest logit, {largest:.3f}", flush=True)
            assert apart <= LOGITS, f"{name}: {a} and {b}"


if __name__ == "__main__":
    main()
