#!/usr/bin/env python3
"""What a criterion in Python costs: |w g| of a 784-512-256-10 network by NumPy, beside the same by the program itself.

    python3 runner/benches/python_criterion.py [--rounds 5]

Runs of both in turns on the program's own images, one thread, with a pruning step every few updates; both must leave the same network. A pruning
step in Python takes as long as one in Rust, plus what NumPy computes, which the script itself measures, plus the way there and back: shared memory is
filled, a message goes and comes, scores are read. The last is what is to stay below 5 % of the step. What Rust's own scoring takes counts as
none of it: it is a part of the step in Rust, so that the true cost is larger by at most that. Medians over all pruning steps of a run, then over the rounds.
SECATEUR_PYTHON names the interpreter with NumPy; that which runs this, unless set. Writes target/bench/python_criterion.json.
"""
import argparse
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
ASKED = 0.05
SCRIPT = '''"""|w g|, which says how long NumPy took for it."""
import time

import numpy

needs = "gradients"
#: Steps and seconds, in memory that outlives the worker: writing them takes no time worth counting.
took, told = None, 0


def score(view):
    global took, told
    if took is None:
        took = numpy.memmap("took", float, "w+", shape=(100000, 2))
    start = time.perf_counter()
    scores = numpy.abs(view.weight * view.grad)
    took[told] = view.step, time.perf_counter() - start
    told += 1
    return scores
'''
WEIGHTS = ["experiment/quickstart", "schedule/cubic", "prune.granularity=weight", "prune.apply=mask", "prune.scope=global"]
NETWORK = ["model.hidden=[512,256]", "model.bias=true", "schedule.sparsity=0.9", "schedule.every=5", "data.glyphs={train=4000,test=100}"]
SHORT = ["train.epochs=4", "train.batch_size=100", "train.eval_every=4", "train.eval_prunes=0", "output.pictures=0", "threads=1"]


def run(program, folder, words):
    """Seconds of each pruning step, and the network."""
    python = os.environ.get("SECATEUR_PYTHON", sys.executable)
    command = [program, "run", *WEIGHTS, *NETWORK, *SHORT, *words, "--out", "runs", "--quiet"]
    subprocess.run(command, cwd=folder, env={**os.environ, "SECATEUR_PYTHON": python}, check=True, stdout=subprocess.DEVNULL)
    (events,) = folder.glob("runs/*/events.jsonl")
    found = [json.loads(line) for line in events.read_text().splitlines()]
    seconds = [event["seconds"] for event in found if event["event"] == "prune"]
    assert len(seconds) >= 20, f"{len(seconds)} pruning steps"
    return seconds, events.with_name("model.safetensors").read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--program", type=pathlib.Path, help="built already")
    args = parser.parse_args()
    program = args.program
    if program is None:
        subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "secateur-runner"], cwd=ROOT, check=True)
        program = TARGET / "release/secateur"
    rounds = []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as rust, tempfile.TemporaryDirectory() as python:
            rust, python = pathlib.Path(rust), pathlib.Path(python)
            (python / "mine.py").write_text(SCRIPT)
            in_rust, expected = run(program, rust, ["criterion=taylor", "criterion.window=last-step"])
            in_python, found = run(program, python, ["criterion.name=python:mine.py"])
            assert found == expected, "the networks differ"
            steps = {}
            for step, seconds in struct.iter_unpack("dd", (python / "took").read_bytes()):
                if seconds > 0:
                    steps[step] = steps.get(step, 0.0) + seconds
            numpy = list(steps.values())
            assert len(numpy) == len(in_python) == len(in_rust)
            rounds.append([1e3 * statistics.median(of) for of in (in_rust, in_python, numpy)])
    rust, python, numpy = (statistics.median(of) for of in zip(*rounds))
    share = statistics.median((p - r - n) / p for r, p, n in rounds)
    print(f"a pruning step: {rust:.3f} ms in Rust, {python:.3f} ms in Python, of which NumPy computes {numpy:.3f} ms; the same network")
    print(f"beyond NumPy's own: {python - rust - numpy:.3f} ms, {share:.1%} of the step{'' if share <= ASKED else f', above {ASKED:.0%}'}")
    target = TARGET / "bench" / "python_criterion.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"rust_ms": rust, "python_ms": python, "numpy_ms": numpy, "share": share}, indent=2) + "\n")


if __name__ == "__main__":
    main()
