#!/usr/bin/env python3
"""What checkpoints cost: their share of the time by default, and the large network's beside what the disk can do.

    python3 reliability/figures.py 240

The network is the autoencoder of 85 million parameters (experiment/vae-rank) on images of noise; it trains for so many seconds, is
stopped by SIGTERM, and its checkpoint is compared with a plain file of that size that is written and synced.
"""

import os
import re
import signal
import statistics
import struct
import time
import zlib

from common import Place, Tally, arguments, state, wait_until

LARGE = ["run", "experiment/vae-rank", "--set=data.dir=images", "--set=data.validation=100", "--set=train.epochs=1000",
         "--set=train.eval_every=1000", "--set=output.pictures=0", "--set=schedule={first=900,every=1,count=1}", "-vv"]
TOOK = re.compile(r"a checkpoint of (\d+) bytes took ([\d.]+) s")


def images(folder, count=1000, side=64):
    """Noise as PNG files: what is learned does not matter here."""
    folder.mkdir()
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    for nth in range(count):
        rows = b"".join(b"\0" + os.urandom(3 * side) for _ in range(side))
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
        (folder / f"{nth:04}.png").write_bytes(png)


def plain_write(folder, size):
    """Seconds that a file of that size takes, synced."""
    block, path = os.urandom(1 << 24), folder / "plain"
    began = time.monotonic()
    with open(path, "wb") as file:
        left = size
        while left:
            left -= file.write(block[:left])
        file.flush()
        os.fsync(file.fileno())
    took = time.monotonic() - began
    path.unlink()
    return took


def main():
    chosen = arguments(__doc__.splitlines()[0], seconds=(240, "how long the large network trains"))
    tally = Tally()
    with Place(chosen.program) as place:
        images(place.path / "images")
        child = place.start(*LARGE)
        step = lambda: any('"event":"step"' in (run / "events.jsonl").read_text() for run in place.runs() if (run / "events.jsonl").exists())
        wait_until(child, "a step", step, 600)
        began = time.monotonic()
        time.sleep(chosen.seconds)
        asked = time.monotonic()
        child.send_signal(signal.SIGTERM)
        text = child.communicate(timeout=600)[0].decode(errors="replace")
        ended = time.monotonic()
        taken = [(int(size), float(seconds)) for size, seconds in TOOK.findall(text)]
        assert child.returncode == 143 and taken, text
        size, last = taken[-1]
        # The one at the end was asked for by the signal.
        share = sum(seconds for _, seconds in taken[:-1]) / (asked - began)
        plain = statistics.median(plain_write(place.path, size) for _ in range(3))
        step_ended = ended - asked - last
        tally.check(share < 0.02, f"checkpoints took {share:.2%} of the time")
        tally.check(step_ended < 1, f"the step ended after {step_ended:.2f} s")
        tally.check(plain / last >= 0.7, f"the checkpoint was written at {plain / last:.0%} of the disk's rate")
        tally.end(
            f"{len(taken) - 1} checkpoints in {asked - began:.0f} s took {share:.2%} of the time: {[seconds for _, seconds in taken]}",
            f"SIGTERM: {step_ended:.2f} s to the end of the step and of the program, {last:.2f} s for the checkpoint",
            f"{size / 1e6:.0f} MB in {last:.2f} s, a plain file in {plain:.2f} s: {plain / last:.0%} of the disk's synced rate ({size / plain / 1e6:.0f} MB/s)",
        )


if __name__ == "__main__":
    main()
