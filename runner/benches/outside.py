#!/usr/bin/env python3
"""What runs spend outside of training: a quickstart's time beside training, pruning and evaluation, and a sweep of short cells.

    python3 runner/benches/outside.py [--rounds 9] [--program target/release/secateur] [--sweep]

A quickstart is timed from the outside, from the start of the process to its end; what its summary.json says of training, pruning and
evaluation is taken off. With --sweep, 40 cells of a second each are run as well, two at a time; the sweep itself says which share of
their time went elsewhere, and here start-up and the reading of the data are counted too.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WITHIN = ("seconds_train", "seconds_prune", "seconds_eval")
CELLS = """
extends = ["experiment/quickstart"]

[sweep]
seeds = 10
controls = []
axes.criterion = ["criterion/contribution-rank", "criterion/magnitude", "criterion/random", "criterion/worst-contribution"]
"""


def within(folder):
    """Seconds of training, pruning and evaluation of the runs below a folder."""
    summaries = [json.loads(path.read_text()) for path in folder.glob("**/summary.json")]
    return sum(summary[key] for summary in summaries for key in WITHIN)


def timed(command):
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/secateur")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sweep", action="store_true")
    args = parser.parse_args()
    program = ROOT / args.program
    outside = []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as out:
            took, _ = timed([program, "run", "experiment/quickstart", "--quiet", "--out", out])
            outside.append(took - within(pathlib.Path(out)))
    outside.sort()
    print(f"a quickstart outside of training: {1e3 * statistics.median(outside):.0f} ms ({1e3 * outside[0]:.0f} to {1e3 * outside[-1]:.0f}, {args.rounds} runs)")
    if args.sweep:
        with tempfile.TemporaryDirectory() as folder:
            config, out = pathlib.Path(folder) / "short.toml", pathlib.Path(folder) / "out"
            config.write_text(CELLS)
            took, said = timed([program, "sweep", config, "--quiet", "--jobs", "2", "--out", out])
            print(said.strip())
            print(f"with start-up and data: {100 * (1 - within(out) / (2 * took)):.1f} % of {2 * took:.1f} worker-seconds")


if __name__ == "__main__":
    main()
