#!/usr/bin/env python3
"""Times forward passes of pruned networks: the program's own, PyTorch eager's and onnxruntime's, in turns.

    python3 runner/benches/predict.py [--threads 2] [--rounds 5] [--batch 1,128] [NAME ...]

Half of the units of each network are cut out by a run of a moment on images of noise, and what is left is exported. Each round times all three,
one after the other, in processes of their own: the program with `secateur latency`, PyTorch the exported file under `inference_mode`, onnxruntime
the exported graph with its own defaults but for the threads. All read the clock for at least two milliseconds and take the median of what a second
gives. Ratios are medians of the rounds' own ratios, peer / ours: larger is better for us. At least 1.5 and 1 are asked for. Installs PyTorch and
onnxruntime into a virtual environment under target/ on first use, and writes target/bench/predict.json.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
VENV = TARGET / "bench-venv"
NETWORKS = {
    "mlp": ("784-300-100-10", ["model/lenet-300-100"], 1),
    "cnn": ("conv 16, 32, FC 256-128", ["model/cnn"], 3),
    "resnet": ("ResNet-20, batch normalisation", ["model/resnet"], 3),
    "vgg": ("VGG-16, batch normalisation", ["model/vgg"], 3),
    "mobilenet": ("MobileNetV2, batch normalisation", ["model/mobilenet-v2"], 3),
    "vit": ("ViT, 4 blocks, 64 tokens, dim 192", ["model/vit"], 3),
}
ASKED = {"PyTorch": 1.5, "onnxruntime": 1.0}

#: Times `one` as `secateur latency` does.
CLOCK = """
import json, statistics, sys, time
def median(one):
    def read(passes):
        start = time.perf_counter()
        for _ in range(passes):
            one()
        return (time.perf_counter() - start) / passes
    read(1)
    once = min(read(1), read(1))
    passes = max(1, round(0.002 / once + 0.5))
    return 1e3 * statistics.median(read(passes) for _ in range(min(101, max(11, int(1 / (once * passes)))) | 1))
file, threads, batches, shape = sys.argv[1], int(sys.argv[2]), *map(json.loads, sys.argv[3:])
"""
PEERS = {
    "PyTorch": ("network.py", CLOCK + """
import importlib.util
import torch
torch.set_num_threads(threads)
spec = importlib.util.spec_from_file_location("network", file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
network, found = module.load(), []
with torch.inference_mode():
    for batch in batches:
        x = torch.rand(batch, *shape)
        found.append(median(lambda: network(x)))
print(json.dumps(found))
"""),
    "onnxruntime": ("network.onnx", CLOCK + """
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
found = []
for batch in batches:
    x = {"input": numpy.random.rand(batch, *shape).astype("f4")}
    found.append(median(lambda: session.run(None, x)))
print(json.dumps(found))
"""),
}


def python():
    exe = VENV / "bin" / "python"
    if not exe.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    if subprocess.run([exe, "-c", "import torch, onnxruntime, numpy"], capture_output=True).returncode:
        print("installing PyTorch and onnxruntime into", VENV, file=sys.stderr)
        subprocess.run([exe, "-m", "pip", "install", "--quiet", "torch", "numpy", "onnxruntime"], check=True)
    return exe


def png(path, size, channels, seed):
    """An image of noise, without a library."""
    noise, rows = seed, b""
    for _ in range(size):
        rows += b"\0"
        for _ in range(size * channels):
            noise = (1103515245 * noise + 12345) % 2**31
            rows += bytes([noise >> 16 & 255])
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", size, size, 8, 0 if channels == 1 else 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def network(program, exe, folder, name):
    """The pruned network, exported: its folder and the shape of an image."""
    _, model, channels = NETWORKS[name]
    size = 28 if channels == 1 else 32
    for at in range(20):
        for part in ("train", "test"):
            png(folder / f"images-{channels}" / part / f"{at % 10}" / f"{at}.png", size, channels, at + 1)
    command = [program, "run", *model, "criterion/magnitude", "schedule/at-initialisation", "schedule.sparsity=0.5"]
    command += ["prune.granularity=unit", "prune.scope=layer", "prune.apply=shrink", "data.name=image-folder"]
    command += [f"data.dir={folder / f'images-{channels}'}", f"data.image-folder.grayscale={str(channels == 1).lower()}"]
    command += ["data.validation=0", "train.epochs=1", "train.batch_size=4", "train.lr=0.001", "output.pictures=0"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "env": {**os.environ, "SECATEUR_PYTHON": str(exe)}}
    subprocess.run([*command, "--out", folder / name, "--quiet"], **quiet)
    (run,) = (path.parent for path in (folder / name).glob("*/summary.json"))
    for form in ("torch", "onnx"):
        subprocess.run([program, "export", run, "--format", form], **quiet)
    return run, [channels, size, size]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"what to time: {', '.join(NETWORKS)} (default: all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", default="1,128")
    parser.add_argument("--program", type=pathlib.Path, help="our side, built already")
    parser.add_argument("--python", type=pathlib.Path, help="an interpreter that has PyTorch, onnxruntime and NumPy")
    args = parser.parse_args()
    unknown = set(args.names) - set(NETWORKS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(NETWORKS)}")
    exe, program = args.python or python(), args.program
    if program is None:
        subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "secateur-runner"], cwd=ROOT, check=True)
        program = TARGET / "release/secateur"
    batches = [int(size) for size in args.batch.split(",")]
    threads = {name: str(args.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}

    def said(*command):
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **threads}).stdout)

    def ours(run):
        # Beside itself, so that both sides are what is timed.
        timed = said(program, "latency", run, "--vs", run, "--batch", args.batch, "--threads", str(args.threads), "--json", "-")["timed"]
        return [statistics.mean(one[side]["median"] for side in ("network", "other")) for one in timed]

    def theirs(peer, run, shape):
        file, code = PEERS[peer]
        return said(exe, "-c", code, run / file, str(args.threads), json.dumps(batches), json.dumps(shape))

    rows = []
    print(f"{platform.processor() or platform.machine()}, {args.threads} threads, medians of {args.rounds} interleaved rounds, ms")
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.names or NETWORKS:
            run, shape = network(program, exe, pathlib.Path(temporary), name)
            rounds = [(ours(run), {peer: theirs(peer, run, shape) for peer in PEERS}) for _ in range(args.rounds)]
            for at, batch in enumerate(batches):
                row = {"name": name, "batch": batch, "ours_ms": statistics.median(own[at] for own, _ in rounds)}
                text = f"{name:7} batch {batch:4}  ours {row['ours_ms']:9.4f}"
                for peer in PEERS:
                    row[peer] = statistics.median(of[peer][at] for _, of in rounds)
                    ratio = row[f"{peer} ratio"] = statistics.median(of[peer][at] / own[at] for own, of in rounds)
                    text += f"   {peer} {row[peer]:9.4f}  {ratio:5.2f}x{'' if ratio >= ASKED[peer] else f' below {ASKED[peer]}'}"
                rows.append(row)
                print(f"{text}   ({NETWORKS[name][0]}, half cut out)", flush=True)
    target = TARGET / "bench" / "predict.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
