#!/usr/bin/env python3
"""Times training steps against PyTorch in one run, interleaved, and prints the ratios.

    python3 framework/benches/peers.py [--threads 2] [--rounds 7] [NAME ...]

Builds our side in release mode (the example `steps`), installs PyTorch from PyPI into a virtual environment under target/ on first
use, then alternates between the two sides and takes medians. Writes target/bench/peers.json:
[{"name": ..., "ours_ms": ..., "peer_ms": ..., "ratio": ...}], ratio = peer / ours (larger is better for us).
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
PEERS = {"mlp": "MLP 784-50-30-10, batch 128, SGD with momentum, a 0/1 mask on every weight"}


def python():
    exe = VENV / "bin" / "python"
    if not exe.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    if subprocess.run([exe, "-c", "import torch"], capture_output=True).returncode:
        print("installing PyTorch into", VENV, file=sys.stderr)
        subprocess.run([exe, "-m", "pip", "install", "--quiet", "torch", "numpy"], check=True)
    return exe


def build():
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "secateur-bundle", "--example", "steps"], cwd=ROOT, check=True)
    return ROOT / "target" / "release" / "examples" / "steps"


def median_ms(command, threads):
    env = dict(os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    out = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    return float(out.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"what to time: {', '.join(PEERS)} (default: all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7, help="alternations; the median of their medians counts")
    args = parser.parse_args()
    unknown = set(args.names) - set(PEERS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PEERS)}")
    exe, ours = python(), build()
    theirs = pathlib.Path(__file__).with_name("peer_steps.py")
    rows = []
    print(f"{platform.processor() or platform.machine()}, {args.threads} threads, medians of {args.rounds} interleaved rounds")
    for name in args.names or PEERS:
        pairs = [(median_ms([ours, name], args.threads), median_ms([exe, theirs, name, str(args.threads)], args.threads)) for _ in range(args.rounds)]
        ours_ms, peer_ms = (statistics.median(side) for side in zip(*pairs))
        ratio = statistics.median(peer / own for own, peer in pairs)
        rows.append({"name": name, "ours_ms": ours_ms, "peer_ms": peer_ms, "ratio": ratio})
        print(f"{name:12} ours {ours_ms:9.3f} ms   PyTorch {peer_ms:9.3f} ms   {ratio:5.2f}x   ({PEERS[name]})", flush=True)
    target = ROOT / "target" / "bench" / "peers.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
