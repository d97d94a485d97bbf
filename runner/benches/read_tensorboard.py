#!/usr/bin/env python3
"""Reads a run's event file with TensorBoard's own reader, compares it with events.jsonl, and asks TensorBoard for its tab of
hyper-parameters: read_tensorboard.py RUN_FOLDER"""
import json
import pathlib
import re
import subprocess
import sys
import urllib.request

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])
events = EventAccumulator(str(run), size_guidance={"scalars": 0, "histograms": 0})
events.Reload()
times = set()
for line in map(json.loads, open(run / "events.jsonl")):
    if line["event"] == "epoch":
        found = [e for e in events.Scalars("train/loss") if e.step == line["step"]]
        assert len(found) == 1 and abs(found[0].value - line["loss"]) < 1e-6 * abs(line["loss"]), (line, found)
        times.add(found[0].wall_time)
print("epochs at", len(times), "times over", round(max(times) - min(times), 3), "s")
print("tags:", ", ".join(sorted(events.Tags()["scalars"])))
for tag in events.Tags()["histograms"]:
    print(tag, [(e.step, e.histogram_value.num) for e in events.Histograms(tag)])

# What the tab of hyper-parameters shows, as its own server answers.
server = subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir", str(run), "--port", "0", "--host", "127.0.0.1"], stderr=subprocess.PIPE, text=True)
try:
    address = next(found[0] for line in server.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+/", line)))
    ask = lambda what, body: json.load(urllib.request.urlopen(urllib.request.Request(f"{address}data/plugin/hparams/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"})))
    experiment = ask("experiment", {"experimentName": ""})
    status = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    groups = ask("session_groups", {"experimentName": "", "allowedStatuses": status, "colParams": [], "startIndex": 0, "sliceSize": 10})
    for group in groups["sessionGroups"]:
        print("session:", group["sessions"][0].get("status"), {key: value for key, value in sorted(group["hparams"].items())})
    print("columns:", len(experiment.get("hparamInfos", [])), "metrics:", len(experiment.get("metricInfos", [])))
finally:
    server.kill()
