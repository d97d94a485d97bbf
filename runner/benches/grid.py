#!/usr/bin/env python3
"""Times sweep/mnist-criteria-small, controls left out, against the same grid in PyTorch, interleaved, and prints the ratios.

    python3 runner/benches/grid.py DATA_DIR [--rounds 3] [--cells 4]

DATA_DIR holds MNIST's IDX files. PyTorch comes from the virtual environment of framework/benches/peers.py. Every side runs two cells at
a time with one thread each and is timed from the outside, start-up and reading the data included. The plain PyTorch side starts a process
for each cell; only CELLS of its 20 cells are run, one of each criterion first, and their time is scaled. Ratios are taken round by round.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "framework" / "benches"))
import peers  # noqa: E402

GRID = [(criterion, str(seed)) for seed in range(5) for criterion in ("contribution-rank", "magnitude", "random", "worst")]


def timed(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ours(data):
    with tempfile.TemporaryDirectory() as out:
        command = [ROOT / "target/release/secateur", "sweep", "sweep/mnist-criteria-small", "--jobs", "2", "--quiet", "--out", out]
        command += ["--set", "sweep.controls=[]", "--set", f"data.dir={data}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def tuned(data, python):
    subprocess.run([python, HERE / "grid_tuned.py", data], check=True, stdout=subprocess.DEVNULL)


def naive(data, python, cells):
    for pair in zip(GRID[:cells:2], GRID[1:cells:2]):
        running = [subprocess.Popen([python, HERE / "grid_naive.py", data, *cell], stdout=subprocess.DEVNULL) for cell in pair]
        if any([process.wait() for process in running]):
            sys.exit("a PyTorch run failed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cells", type=int, default=4)
    args = parser.parse_args()
    python = peers.python()
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "secateur-runner"], cwd=ROOT, check=True)
    rows = []
    for _ in range(args.rounds):
        own = timed(lambda: ours(args.data))
        peer = timed(lambda: tuned(args.data, python))
        plain = timed(lambda: naive(args.data, python, args.cells)) * len(GRID) / args.cells
        rows.append((own, peer, plain))
        print(f"secateur {own:6.1f} s   PyTorch, tuned {peer:6.1f} s   PyTorch, DataLoader {plain:6.1f} s (scaled from {args.cells} cells)", flush=True)
    by_tuned, by_plain = (statistics.median(row[i] / row[0] for row in rows) for i in (1, 2))
    print(f"medians of {args.rounds} rounds: {by_tuned:.2f}x as fast as tuned PyTorch, {by_plain:.2f}x as fast as PyTorch with a DataLoader")


if __name__ == "__main__":
    main()
