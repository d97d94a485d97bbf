"""The guide's page "From PyTorch and back": its script, what begins with its weights, and its commands and code on what comes of that."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

import secateur

image = pytest.importorskip("PIL.Image")
torch = pytest.importorskip("torch")

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "src"
PAGE = (GUIDE / "from-pytorch.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The script, and images in ten classes in the place of CIFAR-10's."""
    folder, draw = tmp_path_factory.mktemp("page"), numpy.random.default_rng(0)
    shutil.copy(GUIDE / "from-pytorch.py", folder)
    for part, count in [("train", 60), ("test", 20)]:
        for i in range(count):
            place = folder / "images" / part / f"{i % 10}"
            place.mkdir(parents=True, exist_ok=True)
            pixels = draw.integers(0, 100, (32, 32, 3)) + 15 * (i % 10)
            image.fromarray(pixels.astype("uint8")).save(place / f"{i:02}.png")
    return folder


def shell(line, folder):
    """A line of the page, with the programs that are tested."""
    words = line.split("#")[0].split()
    words[0] = {"python": sys.executable, "secateur": secateur.program()}[words[0]]
    environment = {**os.environ, "SECATEUR_PYTHON": sys.executable}
    found = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, f"{line}: {found.stdout}{found.stderr}"
    return found.stdout


@pytest.fixture(scope="module")
def run(folder):
    """What an experiment of the page makes of the weights that its script leaves."""
    (line,) = [line for block in blocks("") for line in block.splitlines() if "resnet8.pt" in line]
    shell(line, folder)
    pictures = {"name": "image-folder", "dir": str(folder / "images"), "validation": 0}
    sets = {"data": pictures, "data.train_limit": 60, "data.test_limit": 20, "train.batch_size": 20}
    sets |= {"train.epochs": 1, "init.from": str(folder / "resnet8.pt"), "output.dir": folder / "runs", "output.pictures": 0}
    return secateur.run("experiment/finetune-resnet20-cifar10-small", sets=sets, progress=False)


def test_every_experiment_of_the_page_is_there():
    named = set(re.findall(r"experiment/finetune-[\w-]+", PAGE))
    there = {f"experiment/{path.stem}" for path in (GUIDE.parents[1] / "configs/experiment").glob("finetune-*.toml")}
    assert named == there


def test_weights_of_the_script_are_those_that_the_run_began_with(folder, run):
    assert run.summary["status"] == "finished" and run.summary["params_kept"] < run.summary["params_dense"]
    # A small rate for one epoch moves weights a little.
    before = torch.load(folder / "resnet8.pt")["fc.weight"].numpy()
    network = run.load()
    (name,) = [name for name in network if name.endswith("weight") and network[name].shape[0] == 10]
    assert network[name].shape[1] < before.shape[1]
    for column in network[name].T:
        assert min(numpy.abs(before - column[:, None]).max(0)) < 0.02


def test_its_exports_are_made_and_used_as_it_says(folder, run):
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("secateur export")]
    assert [line.split()[-1] for line in lines] == ["torch", "onnx", "safetensors"]
    for line in lines:
        assert "largest difference" in shell(line.replace("runs/NAME-HASH", str(run.folder)), folder)
    (code,) = [block for block in blocks("python") if "from network import" in block]
    files = sorted((folder / "images/test").glob("*/*.png"))
    images = torch.tensor(numpy.stack([numpy.asarray(image.open(file)).transpose(2, 0, 1) for file in files])).float()
    names = {"images": images}
    before = sys.path[:]
    sys.path.insert(0, str(run.folder))
    try:
        exec(code, names)
    finally:
        sys.path[:] = before
        sys.modules.pop("network", None)
    lines = shell(f"secateur predict {run.folder} --jsonl -", folder).splitlines()
    expected = numpy.array([json.loads(line)["logits"] for line in lines])
    assert numpy.abs(names["logits"].detach().numpy() - expected).max() <= 1e-5 * numpy.abs(expected).max()
