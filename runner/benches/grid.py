#!/usr/bin/env python3
"""Times sweep/mnist-criteria-small (without controls) against the same grid in PyTorch, in one run.

    python3 runner/benches/grid.py DATA_DIR [--python PYTHON] [--cells N]

DATA_DIR holds MNIST's IDX files; PYTHON has torch and numpy. The plain PyTorch side runs one process a cell, two at a time; only
N of its cells are run (default 4, one of each criterion) and the time is scaled to all 20.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CRITERIA = ["contribution-rank", "magnitude", "random", "worst"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--cells", type=int, default=4)
    args = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as out:
        start = time.time()
        command = [ROOT / "target/release/secateur", "sweep", "sweep/mnist-criteria-small", "--jobs", "2", "--quiet", "--out", out]
        command += ["--set", "sweep.controls=[]", "--set", f"data.dir={args.data}"]
        subprocess.run(command, check=True)
        ours = time.time() - start
    start = time.time()
    subprocess.run([args.python, HERE / "grid_tuned.py", args.data], check=True, stdout=subprocess.DEVNULL)
    tuned = time.time() - start
    start = time.time()
    jobs = [(CRITERIA[i % 4], str(i // 4)) for i in range(args.cells)]
    for pair in zip(jobs[::2], jobs[1::2]):
        running = [subprocess.Popen([args.python, HERE / "grid_naive.py", args.data, *job], stdout=subprocess.DEVNULL) for job in pair]
        if any(process.wait() for process in running):
            sys.exit("a PyTorch run failed")
    naive = (time.time() - start) * 20 / args.cells
    print(f"secateur {ours:.1f} s   PyTorch, tuned {tuned:.1f} s ({tuned / ours:.2f}x)   PyTorch, DataLoader {naive:.1f} s ({naive / ours:.2f}x)")


if __name__ == "__main__":
    main()
