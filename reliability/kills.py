#!/usr/bin/env python3
"""SIGKILL at random moments of ten kinds of run and of a sweep: what follows must be what would have followed.

    python3 reliability/kills.py 500

Each run is killed up to six times, gone on with by the command that its own messages name, and compared at its end with one that
was left alone: every bit of its files, every figure, every event. Nothing stale may be left, and every run has one folder.
"""

import random
import time
from collections import Counter

from common import KINDS, SWEEP, Place, Tally, arguments, command, differences, digest, go_on, result, stale

MOST_KILLS_OF_A_RUN = 6


def reference(program, kind):
    """What a run of a kind leaves when it is left alone, and how long it takes."""
    with Place(program) as place:
        began = time.monotonic()
        code, text = place.run("run", *command(kind))
        assert code == 0, f"{kind}: {text}"
        return result(place.only_run()), time.monotonic() - began


def killed(place, words, after):
    """Starts the program and kills it after so long; whether it was still running."""
    child = place.start(*words)
    try:
        child.communicate(timeout=after)
        return False, child.returncode
    except Exception:
        child.kill()
        child.communicate()
        return True, None


def one_run(program, kind, expected, seconds, draws, tally):
    """Kills a run a few times; how often."""
    with Place(program) as place:
        kills, starts = 0, 0
        wanted = draws.randint(1, MOST_KILLS_OF_A_RUN)
        while True:
            found = place.runs()
            words = go_on(found[0] if found else None, kind)
            starts += 1
            if kills < wanted:
                was_running, code = killed(place, words, draws.uniform(0, seconds / 1.5))
                kills += was_running
                if was_running:
                    continue
                wanted = kills
            else:
                code, text = place.run(*words)
            if not tally.check(code == 0, f"{kind}: exit code {code} after {kills} kills"):
                return kills
            break
        run = place.only_run()
        others = differences(result(run), expected)
        tally.check(not others, f"{kind}, {kills} kills: {others}")
        left = stale(place.path)
        tally.check(not left, f"{kind}, {kills} kills: {left} left")
        logged = sum('"event":"start"' in line for line in (run / "events.jsonl").read_text().splitlines())
        tally.check(1 <= logged <= starts, f"{kind}: {logged} beginnings in the log of {starts} starts")
        return kills


def cells(place):
    """The bits of every cell of a sweep, by its folder's name."""
    folder = place.path / "runs/s"
    return {run.name: digest(run / "model.safetensors") for run in folder.iterdir() if (run / "model.safetensors").exists()}


def one_sweep(program, expected, seconds, draws, tally):
    """Kills a sweep a few times; how often."""
    with Place(program) as place:
        (place.path / "s.toml").write_text(SWEEP)
        words, kills = ["sweep", "s.toml", "--quiet", "--jobs", "2"], 0
        for _ in range(draws.randint(1, MOST_KILLS_OF_A_RUN)):
            was_running, code = killed(place, words, draws.uniform(0, seconds / 2))
            kills += was_running
            if not was_running:
                break
        code, text = place.run(*words)
        tally.check(code == 0, f"sweep after {kills} kills: {text}")
        tally.check(cells(place) == expected, f"sweep after {kills} kills: other bits")
        left = stale(place.path)
        tally.check(not left, f"sweep after {kills} kills: {left} left")
        return kills


def main():
    chosen = arguments(__doc__.splitlines()[0], kills=(50, "kills in all"))
    draws, tally, counts = random.Random(chosen.seed), Tally(), Counter()
    expected = {kind: reference(chosen.program, kind) for kind in KINDS}
    with Place(chosen.program) as place:
        (place.path / "s.toml").write_text(SWEEP)
        began = time.monotonic()
        code, text = place.run("sweep", "s.toml", "--quiet", "--jobs", "2")
        assert code == 0, text
        whole, seconds = cells(place), time.monotonic() - began
    kinds = [*KINDS, "sweep"]
    nth = 0
    while sum(counts.values()) < chosen.kills:
        kind = kinds[nth % len(kinds)]
        nth += 1
        if kind == "sweep":
            counts[kind] += one_sweep(chosen.program, whole, seconds, draws, tally)
        else:
            counts[kind] += one_run(chosen.program, kind, *expected[kind], draws, tally)
    tally.end(f"{sum(counts.values())} kills of {nth} runs and sweeps: " + ", ".join(f"{kind} {counts[kind]}" for kind in kinds))


if __name__ == "__main__":
    main()
