#!/usr/bin/env python3
"""The tests that use processes, locks and signals, many times over on a machine that is far too busy.

    python3 reliability/repeat.py 50 --at-once 8

Builds the tests, and runs each of their programs so many times, eight at once, which is a load of about twenty: they are each other's. What fails, or does not end, is named
with a file of what it printed; every one of the runs must pass.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import REPOSITORY, Tally

# By target and package: the tests of a program that start processes, take locks or send signals, by parts of their names.
TESTS = {
    ("cluster", "secateur-runner"): [""],
    ("faults", "secateur-runner"): ["signals::", "identity::"],
    ("resume", "secateur-runner"): [""],
    ("sweep", "secateur-runner"): ["was_killed", "ctrl_c", "was_stopped", "can_be_frozen"],
    ("scripts", "secateur-runner"): ["worker", "endless", "killed"],
    ("secateur", "secateur-runner"): ["run::folder", "run::interrupt", "run::event_log", "experiments::cluster", "experiments::index",
                                      "experiments::watch", "experiments::sweep::cell"],
    ("secateur", "secateur"): ["boundary"],
}
MOST_SECONDS = 3600


def programs():
    """The test program of each target, built."""
    built = subprocess.run(
        ["cargo", "test", "--workspace", "--no-run", "--message-format=json"], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True
    )
    found = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["profile"]["test"] and message.get("executable"):
            folder = Path(message["manifest_path"]).parent
            package = {"framework": "secateur", "runner": "secateur-runner"}.get(folder.name, folder.name)
            found[message["target"]["name"], package] = (folder, message["executable"])
    missing = TESTS.keys() - found.keys()
    assert not missing, f"no such test program: {sorted(missing)}"
    return {key: found[key] for key in TESTS}


def passed(folder, program, names, kept):
    """Runs the tests of a program that have one of these parts in their names: how many passed, and whether all did."""
    words = [program, *names]
    try:
        done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=MOST_SECONDS)
        code, text = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        code, text = None, f"{late.stdout}\nnot over after {MOST_SECONDS} s"
    count = text.count(" ... ok\n")
    if code != 0 or count == 0:
        kept.write_text(text)
        return count, False
    return count, True


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("times", type=int)
    parser.add_argument("--at-once", type=int, default=8)
    asked = parser.parse_args()
    tests = programs()
    tally, lock, loads, counts = Tally(), threading.Lock(), [], []
    kept = Path(tempfile.mkdtemp(prefix="repeat-"))
    jobs = iter([(nth, key) for nth in range(asked.times) for key in tests])
    began = time.monotonic()

    def work():
        while True:
            with lock:
                job = next(jobs, None)
            if job is None:
                return
            nth, (name, package) = job
            output = kept / f"{package}-{name}-{nth}.txt"
            count, fine = passed(*tests[name, package], TESTS[name, package], output)
            with lock:
                counts.append(count)
                loads.append(os.getloadavg()[0])
                tally.check(fine, f"{package} {name}, time {nth + 1} of {asked.times}: {output}")
                print(f"\r{len(counts)} of {asked.times * len(tests)} programs, load {loads[-1]:.1f}  ", end="", file=sys.stderr, flush=True)

    workers = [threading.Thread(target=work) for _ in range(asked.at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    loads.sort()
    tally.end(
        f"\n{sum(counts)} tests passed in {time.monotonic() - began:.0f} s; the load stood between {loads[0]:.0f} and {loads[-1]:.0f}, "
        f"half of the time above {loads[len(loads) // 2]:.0f}"
    )


if __name__ == "__main__":
    main()
