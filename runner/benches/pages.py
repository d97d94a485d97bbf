#!/usr/bin/env python3
"""How long comparisons, pages and `watch` take where there are many runs.

    pages.py copies RUN OUT GROUPS SEEDS    copies of a finished run's folder: so many groups of so many seeds
    pages.py compare SECATEUR OUT           `compare` without an index, and twice with it
    pages.py page SECATEUR OUT              the size of the page, and when a headless Chromium has loaded it
    pages.py watch SECATEUR OUT CELLS       processor time of `watch` while so many runs write their logs (one minute each
                                            with nobody looking and with a page open; OUT is made)
"""
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request


def written(value):
    """JSON as the program seals it: without blanks, sorted, floats as Rust writes them."""
    if isinstance(value, dict):
        return "{" + ",".join(json.dumps(key, ensure_ascii=False) + ":" + written(value[key]) for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, float):
        return re.sub(r"e([+-])0*(\d)", lambda m: "e" + m[1].replace("+", "") + m[2], repr(value))
    return json.dumps(value, ensure_ascii=False)


def copies(run, out, groups, seeds):
    """Each group has a learning rate and a weight decay of its own; figures vary from seed to seed."""
    run, out = pathlib.Path(run), pathlib.Path(out)
    config = (run / "config.toml").read_text()
    summary = json.loads((run / "summary.json").read_text())
    rng = random.Random(0)
    out.mkdir(parents=True)
    for group in range(int(groups)):
        rate, decay = 0.001 * (1 + group // 25), 0.0001 * (1 + group % 25)
        for seed in range(int(seeds)):
            text = re.sub(r"(?m)^seed = \d+$", f"seed = {seed}", config)
            text = re.sub(r"(?m)^lr = .*$", f"lr = {rate:.6g}", text)
            text = re.sub(r"(?m)^weight_decay = .*$", f"weight_decay = {decay:.6g}", text)
            assert text.count(f"seed = {seed}\n") and f"lr = {rate:.6g}\n" in text and f"weight_decay = {decay:.6g}\n" in text
            told = {key: value for key, value in summary.items() if key not in ("sha256", "control", "control_of", "cell", "sweep")}
            told["seed"] = seed
            told["test_accuracy"] = round(min(1.0, 0.9 + 0.05 * (group % 25) / 25 + rng.gauss(0, 0.01)), 6)
            told["config_sha256"] = hashlib.sha256(text.encode()).hexdigest()
            told["sha256"] = hashlib.sha256(written(told).encode()).hexdigest()
            folder = out / f"copy-{group:04}-{seed:02}"
            folder.mkdir()
            (folder / "config.toml").write_text(text)
            (folder / "summary.json").write_text(json.dumps(told, ensure_ascii=False))
            for name in ("events.jsonl", "provenance.toml"):
                shutil.copyfile(run / name, folder / name)


def line(event):
    """One line of a log."""
    return json.dumps(event, separators=(",", ":")) + "\n"


def timed(command):
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - began, done.stdout


def compare(program, out):
    pathlib.Path(out, "index.sqlite").unlink(missing_ok=True)
    for what in ("without an index", "with it", "with it again"):
        print(f"compare {what}: {timed([program, 'compare', out, '--csv', os.devnull])[0]:.2f} s")


def page(program, out):
    with tempfile.TemporaryDirectory() as here:
        file = pathlib.Path(here, "page.html")
        print(f"compare --html: {timed([program, 'compare', out, '--html', str(file)])[0]:.2f} s")
        print(f"page: {file.stat().st_size / 1e6:.2f} MB")
        # What the browser itself measured, in milliseconds since it began to load, with everything laid out.
        noted = """<script>addEventListener("load", () => {
          const t = performance.getEntriesByType("navigation")[0], high = document.body.offsetHeight;
          document.body.setAttribute("data-times", [t.domInteractive, t.domContentLoadedEventEnd, performance.now()].map(Math.round).join(" "));
        })</script></body>"""
        text = file.read_text()
        file.write_text(text[: text.rindex("</body>")] + noted + text[text.rindex("</body>") + 7 :])
        browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={here}/profile", "--window-size=1400,1200",
                   "--dump-dom", f"file://{file}"]
        for _ in range(3):
            dom = subprocess.run(browser, capture_output=True, text=True).stdout
            times = re.search(r'data-times="([\d ]+)"', dom)
            assert times, dom[:500]
            print("parsed, scripts done, loaded and laid out (ms):", times[1])


def watch(program, out, cells):
    """Runs on another machine, as far as `watch` can see: their claims say so, and are renewed here."""
    out = pathlib.Path(out)
    folders = [out / f"cell-{number:03}" for number in range(int(cells))]
    owner = {"token": "x-0", "host": "elsewhere", "machine": "elsewhere", "pid": 1, "began": "1"}
    start = {"event": "start", "step": 0, "log": 2, "name": "cell", "steps": 100000, "steps_per_epoch": 100, "examples": 6000, "params": 9, "layers": []}
    for number, folder in enumerate(folders):
        (folder / ".claim").mkdir(parents=True)
        (folder / ".claim/owner.json").write_text(json.dumps(owner))
        (folder / "sweep.json").write_text(json.dumps({"sweep": "s", "cell": f"train.lr=0.1 seed={number}"}))
        (folder / "events.jsonl").write_text(line(start))
    logs = [open(folder / "events.jsonl", "a") for folder in folders]
    state = {"step": 0, "beat": 0.0}

    def go_on():
        """Two steps and an epoch of every run, as a run of two epochs a second writes them."""
        state["step"] += 100
        step = state["step"]
        for log in logs:
            for at in (step - 60, step - 10):
                log.write(line({"event": "step", "step": at, "epoch": step // 100, "split": "train", "loss": 1 / step, "accuracy": 0.5, "lr": 0.1}))
            log.write(line({"event": "epoch", "step": step - 1, "epoch": step // 100, "split": "train", "loss": 1 / step, "accuracy": 0.9 - 1 / step, "sparsity": 0.5, "seconds": 0.5}))
            log.write(line({"event": "eval", "step": step - 1, "epoch": step // 100, "split": "validation", "loss": 1 / step, "accuracy": 0.9 - 1 / step, "at": "epoch"}))
            log.flush()
        if time.monotonic() - state["beat"] > 15:
            state["beat"] = time.monotonic()
            for folder in folders:
                (folder / ".claim/beat.json").write_text(json.dumps({"step": step, "steps": 100000, "from": 0, "seconds": step / 200}))

    for _ in range(300):
        go_on()
    port = 18471
    process = subprocess.Popen([program, "watch", str(out), "--port", str(port)], stdout=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()

    def processor():
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def minute(look):
        began, before, looked = time.monotonic(), processor(), 0
        while (passed := time.monotonic() - began) < 60:
            go_on()
            # An open page asks every two seconds.
            if look and passed >= 2 * looked:
                looked += 1
                size = len(urllib.request.urlopen(address + "now").read())
            time.sleep(max(0.0, 0.5 - (time.monotonic() - began - passed)))
        used = 100 * (processor() - before) / (time.monotonic() - began)
        print(f"{cells} running cells, {'a page open' if look else 'nobody looking'}: {used:.2f} % of a core" + (f", answers of {size / 1e3:.0f} kB" if look else ""))

    try:
        urllib.request.urlopen(address).read()
        minute(False)
        minute(True)
    finally:
        process.kill()


if __name__ == "__main__":
    {"copies": copies, "compare": compare, "page": page, "watch": watch}[sys.argv[1]](*sys.argv[2:])
