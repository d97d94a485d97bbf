"""Exported networks, computed by PyTorch and by onnxruntime beside the program's own predictions."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import secateur
from secateur._program import program

GLYPHS = {"data.glyphs": {"train": 120, "test": 64}, "data.validation": 0, "train.batch_size": 40}
HALVED = {
    "train.epochs": 3,
    "output.pictures": 0,
    "prune": {"granularity": "unit", "apply": "shrink"},
    "schedule": {"name": "one-shot", "sparsity": 0.5, "at": 0.5},
}
VIT = {"model": {"name": "vit", "dim": 32, "heads": 2, "depth": 3, "patch": 7}, "train.optimizer": "adam", "train.lr": 0.002}

#: A network of every kind, and what it is of.
NETWORKS = {
    "mlp": {"model.hidden": [64, 32]},
    "cnn": {"model": {"name": "cnn", "channels": [8, 12], "hidden": [32], "batch_norm": True}},
    "vit": VIT,
    "vit-merged": {**VIT, "compressor": {"name": "token-merging", "ratio": 0.5}},
    "vit-merged-in-blocks": {**VIT, "compressor": {"name": "token-merging", "at": "blocks", "r": 2}},
    "vae": {
        "model": {"name": "vae", "channels": [8, 12], "hidden": [32, 24], "latent": 6},
        "data.normalize": "unit",
        "train.optimizer": "adam",
        "train.lr": 0.001,
    },
    "vgg": {"model": {"name": "vgg", "width": 0.125}, "data": "images"},
    "mobilenet-v2": {"model": {"name": "mobilenet-v2", "width": 0.25, "stages": 4, "head": 64}, "data": "images"},
    "wide-resnet": {"model": {"name": "wide-resnet", "depth": 10, "widen": 2}, "data": "images"},
    "resnet": {"model": {"name": "resnet", "depth": 20, "width": 0.5}, "data": "images"},
    "resnet-projected": {"model": {"name": "resnet", "depth": 14, "width": 0.5, "shortcut": "project"}, "data": "images"},
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Images of 32x32 in three classes of colours."""
    image = pytest.importorskip("PIL.Image")
    folder, draw = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for part, count in [("train", 24), ("test", 22)]:
        for at, name in enumerate(["a", "b", "c"]):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = draw.integers(0, 160, (32, 32, 3))
                pixels[..., at] += 95
                image.fromarray(pixels.astype("uint8")).save(folder / part / name / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, pictures, tmp_path_factory):
    sets = {**GLYPHS, **NETWORKS[request.param], **HALVED}
    if sets.get("data") == "images":
        sets = {k: v for k, v in sets.items() if not k.startswith("data.")}
        sets["data"] = {"name": "image-folder", "dir": str(pictures)}
    sets["output.dir"] = tmp_path_factory.mktemp("runs")
    return secateur.run("experiment/quickstart", "criterion/magnitude", sets=sets, progress=False)


def command(*words):
    environment = {**os.environ, "SECATEUR_PYTHON": sys.executable}
    return subprocess.run([program(), *map(str, words)], check=True, capture_output=True, text=True, env=environment).stdout


def agree(found, expected, name):
    """To 1e-5 of the largest."""
    largest, difference = np.abs(expected).max(), np.abs(found - expected).max()
    print(f"{name}: {difference / largest:.1e} of the largest, {largest:.3f}")
    assert found.shape == expected.shape and difference <= 1e-5 * largest


def inputs(run):
    """The test examples as the program normalises them, and what it gives for them; of an autoencoder, nothing."""
    return [json.loads(line) for line in command("predict", run.folder, "--jsonl", "-").splitlines()]


def stored(run, pictures):
    """The test examples as they are stored."""
    image = pytest.importorskip("PIL.Image")
    files = sorted((pictures / "test").glob("*/*.png"))
    return np.stack([np.asarray(image.open(file)).transpose(2, 0, 1) for file in files]).astype(np.float32)


def test_torch_and_onnxruntime_give_the_logits(network, pictures, tmp_path):
    torch, onnxruntime = pytest.importorskip("torch"), pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    out = command("export", network.folder, "--format", "torch", "--out", tmp_path / "network.py", "--examples", 64)
    print(out)
    assert "PyTorch: largest difference" in out
    for more, name in [([], "network.onnx"), (["--with-preprocessing"], "raw.onnx")]:
        words = ["--format", "onnx", "--out", tmp_path / name, "--examples", 64, *more]
        out = command("export", network.folder, *words)
        print(out)
        assert "onnxruntime: largest difference" in out
        onnx.checker.check_model(onnx.load(tmp_path / name), full_check=True)
    out = command("export", network.folder, "--format", "safetensors", "--out", tmp_path / "network.safetensors")
    assert "read back and run: largest difference 0.0e0" in out
    if network.config["data"]["name"] != "image-folder":
        return

    # All three beside the program, from the files of the images on.
    spec = importlib.util.spec_from_file_location("network", tmp_path / "network.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    images = stored(network, pictures)
    expected = np.array([line["logits"] for line in inputs(network)], dtype=np.float32)
    given = module.preprocess(torch.from_numpy(images))
    with torch.no_grad():
        agree(module.load()(given).numpy(), expected, "torch")
    for name, value in [("network.onnx", given.numpy()), ("raw.onnx", images)]:
        session = onnxruntime.InferenceSession(tmp_path / name, providers=["CPUExecutionProvider"])
        for some in (value, value[:1]):
            agree(session.run(None, {"input": some})[0], expected[: len(some)], name)


def test_weights_that_were_cut_short_are_refused_by_name(tmp_path):
    torch = pytest.importorskip("torch")
    sets = {**GLYPHS, **NETWORKS["mlp"], **HALVED, "output.dir": tmp_path / "runs"}
    run = secateur.run("experiment/quickstart", "criterion/magnitude", sets=sets, progress=False)
    command("export", run.folder, "--format", "torch", "--out", tmp_path / "network.py", "--examples", 4)
    spec = importlib.util.spec_from_file_location("network", tmp_path / "network.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert isinstance(module.load(), torch.nn.Module)
    whole = (tmp_path / "network.bin").read_bytes()
    for data in [b"", whole[:5], whole[: len(whole) // 2], whole[:-1], whole + b"more"]:
        (tmp_path / "other.bin").write_bytes(data)
        with pytest.raises(ValueError, match=rf"other.bin has {len(data)} bytes, where these weights are {len(whole)}"):
            module.load(tmp_path / "other.bin")
