#!/usr/bin/env python3
"""Reads a run's event file with TensorBoard's own reader and compares it with events.jsonl: read_tensorboard.py RUN_FOLDER"""
import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])
events = EventAccumulator(str(run), size_guidance={"scalars": 0})
events.Reload()
for line in map(json.loads, open(run / "events.jsonl")):
    if line["event"] == "epoch":
        found = [e.value for e in events.Scalars("train/loss") if e.step == line["step"]]
        assert len(found) == 1 and abs(found[0] - line["loss"]) < 1e-6 * abs(line["loss"]), (line, found)
print("tags:", ", ".join(sorted(events.Tags()["scalars"])))
