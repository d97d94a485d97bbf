#!/usr/bin/env python3
"""Signals at random moments, most of them twice within milliseconds: a checkpoint is left, and soon.

    python3 reliability/signals.py 20

A scheduler's step sends SIGTERM twice. Whatever comes, and whenever: the program ends with 128 and the signal's number, leaves a
checkpoint once it has made a step, and goes on from there to the same bits.
"""

import random
import time

from common import KINDS, SIGNALS, Place, Tally, arguments, command, differences, go_on, result, stale, state
from kills import reference


def main():
    chosen = arguments(__doc__.splitlines()[0], signals=(20, "runs that are signalled"))
    draws, tally, waits, left, early, over, nth = random.Random(chosen.seed), Tally(), [], 0, 0, 0, -1
    kinds = list(KINDS)
    expected = {}
    while left + early < chosen.signals and not tally.failed:
        nth += 1
        kind = kinds[nth % len(kinds)]
        if kind not in expected:
            expected[kind] = reference(chosen.program, kind)
        bits, seconds = expected[kind]
        signal = SIGNALS[nth % len(SIGNALS)]
        with Place(chosen.program) as place:
            child = place.start("run", *command(kind))
            time.sleep(draws.uniform(0.05, seconds * 0.9))
            began = time.monotonic()
            for _ in range(2):
                child.send_signal(signal)
                time.sleep(draws.uniform(0, 0.005))
            text = child.communicate(timeout=600)[0].decode(errors="replace")
            waits.append(time.monotonic() - began)
            if child.returncode == 0:
                # It came to its end before it heard of it, and counts for nothing.
                over += 1
                tally.check(over <= 10 * chosen.signals, f"{over} runs were over before they heard of a signal: this machine is too fast for them")
                continue
            heard = tally.check(child.returncode == 128 + signal, f"{kind}, {signal.name}: exit code {child.returncode}: {text}")
            if not heard:
                continue
            found = place.runs()
            steps = found and '"event":"step"' in (found[0] / "events.jsonl").read_text() if found and (found[0] / "events.jsonl").exists() else False
            if steps:
                left += tally.check(state(found[0]).exists(), f"{kind}, {signal.name}: no checkpoint: {text}")
            else:
                early += 1
            code, text = place.run(*go_on(found[0] if found else None, kind))
            tally.check(code == 0, f"{kind}, {signal.name}: it does not go on: {text}")
            others = differences(result(place.only_run()), bits)
            tally.check(not others, f"{kind}, {signal.name}: {others}")
            tally.check(not stale(place.path), f"{kind}, {signal.name}: {stale(place.path)} left")
    tally.end(f"{left + early} of {len(waits)} runs heard two signals ({over} were over before): {left} left a checkpoint, {early} had made no step; the longest took {max(waits):.2f} s to end")


if __name__ == "__main__":
    main()
