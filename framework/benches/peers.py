#!/usr/bin/env python3
"""Times training steps against PyTorch in one run, interleaved, and prints the ratios.

    python3 framework/benches/peers.py [--threads 2] [--rounds 7] [--device cpu] [--peer eager] [NAME ...]

Builds our side in release mode (the example `steps`), installs PyTorch from PyPI into a virtual environment under target/ on first
use, then alternates between the two sides and takes medians. Writes target/bench/peers.json:
[{"name": ..., "peer": ..., "ours_ms": ..., "peer_ms": ..., "ratio": ...}], ratio = peer / ours (larger is better for us);
against our own step on a CPU also "memory", ours / theirs in weights, masks, gradients, optimizer and patterns.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / "target" / "bench-venv"
# What is timed against PyTorch eager: the same step on both sides, batch 128, a 0/1 mask on every weight, unless it says otherwise.
PEERS = {
    "mlp": "MLP 784-50-30-10, SGD with momentum",
    "cnn": "conv 32, 32 with pooling, FC 2048-512-128-10, SGD with momentum",
    "vit192": "ViT, 4 blocks, 64 tokens, dim 192, MLP ratio 2, Adam",
    "vit128": "ViT, 4 blocks, 64 tokens, dim 128, MLP ratio 2, Adam",
    "vae": "VAE of 85.2 M parameters, 64x64 images, batch 64, no masks, Adam",
}
# What is timed in bf16, against our own step in f32 and against PyTorch under autocast to bfloat16.
BF16 = [f"{name}-bf16" for name in PEERS]
# What is timed against our own dense step.
OWN = {
    "cnn-half": ("cnn", "half of all units cut out"),
    "vit192-half": ("vit192", "half of all units cut out"),
    "vit192-merge": ("vit192", "token merging before the encoder at ratio 0.4"),
    **{
        f"{base}-{percent}": (f"{base}-{percent}-dense", f"{percent} % of the prunable weights held at zero")
        for percent in (95, 90)
        for base in ("vit192", "mlp300", "vae", "cnn")
    },
}


def python():
    exe = VENV / "bin" / "python"
    if not exe.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    if subprocess.run([exe, "-c", "import torch"], capture_output=True).returncode:
        print("installing PyTorch into", VENV, file=sys.stderr)
        subprocess.run([exe, "-m", "pip", "install", "--quiet", "torch", "numpy"], check=True)
    return exe


def build(device):
    features = ["--features", "cuda"] if device.startswith("cuda") else []
    command = ["cargo", "build", "--release", "--quiet", "-p", "secateur-bundle", "--example", "steps", *features]
    subprocess.run(command, cwd=ROOT, check=True)
    return ROOT / "target" / "release" / "examples" / "steps"


def median_ms(command, threads):
    """The median, and the other figures by name."""
    env = dict(os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    out = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    *figures, median = out.strip().splitlines()
    return float(median), dict(line.split() for line in figures if len(line.split()) == 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*PEERS, *BF16, *OWN]
    parser.add_argument("names", nargs="*", help=f"what to time: {', '.join(known)} (default: all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda:N for both sides (f32, no TF32)")
    parser.add_argument("--peer", default="eager", choices=["eager", "compile"], help="how PyTorch runs")
    parser.add_argument("--steps", type=pathlib.Path, help="our side, built already (the example `steps`)")
    parser.add_argument("--python", type=pathlib.Path, help="an interpreter that has PyTorch")
    parser.add_argument("--rounds", type=int, default=7, help="alternations; the median of their medians counts")
    args = parser.parse_args()
    unknown = set(args.names) - set(known)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    exe, ours = args.python or python(), args.steps or build(args.device)
    theirs = pathlib.Path(__file__).with_name("peer_steps.py")

    def against(name):
        """The other sides of a comparison: the command of each, who it is, and what is compared."""
        base = name.removesuffix("-bf16")
        if base in PEERS:
            yield [exe, theirs, name, str(args.threads), args.device, args.peer], "PyTorch", PEERS[base]
            if base != name:
                yield [ours, base, args.device], "ours f32", f"{base}: products in bf16"
        else:
            dense, what = OWN[name]
            yield [ours, dense, args.device], "ours dense", f"{dense}: {what}"

    rows = []
    print(f"{platform.processor() or platform.machine()}, {args.device}, {args.threads} threads, PyTorch {args.peer}, medians of {args.rounds} interleaved rounds")
    for name, (other, who, what) in ((name, side) for name in args.names or known for side in against(name)):
        pairs = [(median_ms([ours, name, args.device], args.threads), median_ms(other, args.threads)) for _ in range(args.rounds)]
        ours_ms, peer_ms = (statistics.median(ms for ms, _ in side) for side in zip(*pairs))
        ratio = statistics.median(peer / own for (own, _), (peer, _) in pairs)
        rows.append({"name": name, "peer": who, "ours_ms": ours_ms, "peer_ms": peer_ms, "ratio": ratio})
        told = f"{name:12} ours {ours_ms:9.3f} ms   {who:10} {peer_ms:9.3f} ms   {ratio:5.2f}x   ({what})"
        bytes_of = [[int(figures["resident_bytes"]) for _, figures in side if "resident_bytes" in figures] for side in zip(*pairs)]
        if who.startswith("ours") and all(bytes_of):
            mine, other_side = map(statistics.median, bytes_of)
            rows[-1]["memory"] = mine / other_side
            told += f"   {mine / 1e6:.0f} of {other_side / 1e6:.0f} MB"
        print(told, flush=True)
    target = ROOT / "target" / "bench" / "peers.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
