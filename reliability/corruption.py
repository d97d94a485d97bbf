#!/usr/bin/env python3
"""Every byte of a small checkpoint, of a config, of a summary and of the index, changed: it is noticed, or changes nothing.

    python3 reliability/corruption.py

Of every byte one bit is turned; and each file is cut at some places. A checkpoint and a config are then gone on from, a summary and an
index are compared by. With a number every so manieth byte is tried.
"""

import json
import shutil
import signal
import sqlite3
from collections import Counter

from common import Place, Tally, arguments, digest, state, wait_until

TINY = ["run", "experiment/spiral-magnitude", "--quiet", "--set=data.cubist-spiral.per_class=100", "--set=model.hidden=[2]", "--set=train.epochs=12",
        "--set=train.batch_size=50", "--set=schedule.every=8", "--set=output.pictures=0"]


def damaged(whole, step):
    """A file with one bit of each byte turned, and cut."""
    for at in range(0, len(whole), step):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        yield f"byte {at}", bytes(changed)
    for end in sorted({0, 1, len(whole) // 2, len(whole) - 1}):
        yield f"cut to {end}", whole[:end]


def left_unfinished(place):
    """A run that was stopped by a signal between two epochs."""
    child = place.start(*TINY, "--set=output.checkpoint_every=1")
    assert wait_until(child, "a checkpoint", lambda: any(state(run).exists() for run in place.runs())), "it ended before"
    child.send_signal(signal.SIGTERM)
    child.communicate()
    return place.only_run()


def gone_on_from(program, step, file, tally, counts):
    """Damages a file of an unfinished run, and goes on."""
    with Place(program) as whole, Place(program) as place:
        code, text = whole.run(*TINY, "--set=output.checkpoint_every=1")
        assert code == 0, text
        expected = digest(whole.only_run() / "model.safetensors")
        shutil.rmtree(whole.path / "runs")
        run = left_unfinished(whole)
        for what, content in damaged((run / file).read_bytes(), step):
            shutil.rmtree(place.path / "runs", ignore_errors=True)
            shutil.copytree(whole.path / "runs", place.path / "runs")
            copy = place.path / "runs" / run.name
            (copy / file).write_bytes(content)
            code, text = place.run("run", "--quiet", "--resume", str(copy))
            if code == 0:
                same = all(digest(run / "model.safetensors") == expected for run in place.runs())
                tally.check(same, f"{file}, {what}: other bits, and nothing was said")
                counts[f"{file}: harmless"] += 1
            else:
                told = code in (1, 2) and "panicked" not in text and text.strip()
                tally.check(told, f"{file}, {what}: exit code {code}: {text}")
                counts[f"{file}: noticed"] += 1


def compared_by(program, step, tally, counts):
    """Damages what a comparison reads."""
    with Place(program) as place:
        for seed in (0, 1):
            for criterion in ("magnitude", "random"):
                code, text = place.run(*TINY, f"--set=criterion.name={criterion}", f"--set=seed={seed}")
                assert code == 0, text
        compare = ["compare", "runs", "--json", "c.json"]

        def compared():
            (place.path / "c.json").unlink(missing_ok=True)
            code, text = place.run(*compare)
            found = place.path / "c.json"
            return code, text, json.loads(found.read_text()) if found.exists() else None

        code, text, expected = compared()
        assert code == 0, text
        run = place.runs()[0]
        index = place.path / "runs/index.sqlite"
        assert sqlite3.connect(index).execute("select count(*) from runs").fetchone() == (4,)
        for name, path in [("summary.json", run / "summary.json"), ("config.toml", run / "config.toml"), ("index.sqlite", index)]:
            whole = path.read_bytes()
            # The index is mostly empty pages.
            every = step if path is not index else max(step, 3)
            for what, content in damaged(whole, every):
                path.write_bytes(content)
                code, text, found = compared()
                if code == 0 and found == expected:
                    counts[f"{name} of a comparison: harmless"] += 1
                    tally.check(True, "")
                else:
                    told = "damaged" in text or code in (1, 2) and "panicked" not in text
                    tally.check(told, f"{name}, {what}: other figures, and nothing was said: exit code {code}: {text}")
                    counts[f"{name} of a comparison: noticed"] += 1
                path.write_bytes(whole)
                for end in ("-journal", "-wal", "-shm"):
                    index.with_name(index.name + end).unlink(missing_ok=True)
            code, text, found = compared()
            assert code == 0 and found == expected, text


def main():
    chosen = arguments(__doc__.splitlines()[0], every=(1, "one in so many bytes"))
    tally, counts = Tally(), Counter()
    for file in ("checkpoint/state.safetensors", "config.toml"):
        gone_on_from(chosen.program, chosen.every, file, tally, counts)
    compared_by(chosen.program, chosen.every, tally, counts)
    tally.end(*(f"{what} {count}" for what, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
