#!/usr/bin/env python3
"""Faults of the machine: a full disk, one that is read-only, a folder that goes, too little memory, too few open files.

    python3 reliability/machine.py

Each ends with a sentence for a person or with the result; and where there is room again, the same command ends with the bits of a run
that nothing happened to. What needs a file system of its own (a small tmpfs) is skipped, loudly, where none may be mounted.
"""

import resource
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from common import Place, Tally, arguments, command, differences, go_on, result, stale, state, wait_until
from kills import reference

KIND = "units-cut"


def told(code, text):
    """Whether an end is one that a person can do something with."""
    return code in (1, 2) and "panicked" not in text and "fix:" in text


class SmallDisk:
    """A file system of so many kilobytes; `None` where none may be mounted."""

    def __init__(self, kilobytes):
        self.kilobytes = kilobytes
        self.path = Path(tempfile.mkdtemp(prefix="secateur-disk-"))

    def __enter__(self):
        options = f"size={self.kilobytes}k"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.path], capture_output=True).returncode == 0
        return self if mounted else None

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], capture_output=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def again(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)


def ends_well(place, expected, tally, what):
    """Goes on where there is room again."""
    found = place.runs()
    code, text = place.run(*go_on(found[0] if found else None, KIND))
    tally.check(code == 0, f"{what}: it does not go on: {text}")
    if code == 0:
        others = differences(result(place.only_run()), expected)
        tally.check(not others, f"{what}: {others}")
        tally.check(not stale(place.path), f"{what}: {stale(place.path)} left")


def full_disks(program, expected, tally, counts):
    for kilobytes in [4, 16, 64, 200, 400, 600, 800, 1200, 2000, 4000]:
        with SmallDisk(kilobytes) as disk:
            if disk is None:
                return print("SKIPPED: no file system may be mounted here, so that no disk is full")
            place = Place(program, disk.path)
            code, text = place.run("run", *command(KIND))
            counts["a full disk: " + ("the result all the same" if code == 0 else "told")] += 1
            tally.check(code == 0 or told(code, text) and "the disk is full" in text, f"{kilobytes} kB: exit code {code}: {text}")
            disk.again("size=64m")
            ends_well(place, expected, tally, f"a disk of {kilobytes} kB")


def read_only_disks(program, expected, tally, counts):
    with SmallDisk(64_000) as disk:
        if disk is None:
            return print("SKIPPED: no file system may be mounted here, so that none is read-only")
        place = Place(program, disk.path)
        disk.again("ro")
        code, text = place.run("run", *command(KIND))
        tally.check(told(code, text) and "read-only" in text, f"read-only: exit code {code}: {text}")
        counts["a read-only disk: told"] += 1
        disk.again("rw")
        # A file that is open for writing keeps a disk from becoming read-only, so that this happens between two starts only.
        ends_well(place, expected, tally, "a disk that was read-only")


def folder_gone(program, expected, tally, counts):
    for nth in range(5):
        with Place(program) as place:
            child = place.start("run", *command(KIND))
            wait_until(child, "a checkpoint", lambda: any(state(run).exists() for run in place.runs()))
            time.sleep(0.05 * nth)
            shutil.rmtree(place.path / "runs", ignore_errors=True)
            text = child.communicate(timeout=600)[0].decode(errors="replace")
            tally.check(told(child.returncode, text) or child.returncode == 0, f"its folder went: exit code {child.returncode}: {text}")
            counts["a folder that went: " + ("told" if child.returncode else "the end came first")] += 1
            shutil.rmtree(place.path / "runs", ignore_errors=True)
            ends_well(place, expected, tally, "a folder that went")


def limited(what, limit, values, text_of, program, expected, tally, counts):
    """Runs under each limit of a resource, then without it."""
    for value in values:
        with Place(program) as place:
            code, text = place.run("run", *command(KIND), preexec_fn=lambda: resource.setrlimit(limit, (value, value)))
            # There is no way to say so where there is no memory to say it with: the system's own end of a process is as good as any.
            ended = "the result all the same" if code == 0 else "told" if code in (1, 2) else f"ended by signal {-code}" if code < 0 else f"exit code {code}"
            counts[f"{what}: {ended}"] += 1
            tally.check(code <= 2 and "panicked" not in text, f"{what} of {text_of(value)}: exit code {code}: {text}")
            ends_well(place, expected, tally, f"{what} of {text_of(value)}")


def main():
    chosen = arguments(__doc__.splitlines()[0])
    tally, counts = Tally(), Counter()
    expected, _ = reference(chosen.program, KIND)
    full_disks(chosen.program, expected, tally, counts)
    read_only_disks(chosen.program, expected, tally, counts)
    folder_gone(chosen.program, expected, tally, counts)
    both = (chosen.program, expected, tally, counts)
    megabytes = [40, 60, 80, 100, 120, 150, 200, 300, 500, 1000]
    limited("memory", resource.RLIMIT_AS, [m << 20 for m in megabytes], lambda value: f"{value >> 20} MB", *both)
    limited("open files", resource.RLIMIT_NOFILE, [4, 5, 6, 7, 8, 10, 12, 16, 20, 32], str, *both)
    limited("the size of a file", resource.RLIMIT_FSIZE, [1 << 10, 10 << 10, 100 << 10, 300 << 10], lambda value: f"{value >> 10} kB", *both)
    tally.end(*(f"{what} {count}" for what, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
