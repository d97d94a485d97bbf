"""What the commands of this folder share: the program, the runs that are disturbed, and what of them must be equal."""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]

# Small networks on data that is drawn in memory; each run takes a second or two and leaves a checkpoint after every epoch.
SHORT = [
    "train.epochs=60", "train.batch_size=50", "data.glyphs={train=500,test=100}", "output.checkpoint_every=1",
    "output.pictures=0",
]
UNITS = ["experiment/quickstart"]
WEIGHTS = UNITS + ["criterion/magnitude", "--set=prune={granularity=\"weight\",apply=\"mask\",scope=\"global\",rounding=\"floor-pruned\"}"]
CUBIC = ["--set=schedule={name=\"cubic\",every=20}"]

# Ten kinds of run: what they prune and how, what they keep between steps, what they write.
KINDS = {
    "units-cut": UNITS,
    "units-masked": UNITS + ["--set=prune.apply=mask"],
    "weights-adam": WEIGHTS + CUBIC + ["--set=train={optimizer=\"adam\",lr=0.003}"],
    "weights-return": WEIGHTS + CUBIC + ["--set=prune.regrow=true"],
    "weights-grow": WEIGHTS + ["grow/rigl", "--set=schedule={name=\"constant\",sparsity=0.8,every=25}"],
    "ticket": WEIGHTS + ["--set=schedule={name=\"lottery\",epochs_per_round=12,rewind_to=5}"],
    "phases": WEIGHTS + ["--set=schedule={name=\"ac-dc\",warmup=5,phase=5,last_dense=5,last_compressed=10}", "--set=prune.regrow=true"],
    "guided": WEIGHTS + ["--set=schedule={name=\"burden-guided\",every=20}"],
    "convolutions": ["experiment/quickstart", "model/cnn", "--set=model={channels=[4,6],hidden=[16,8],batch_norm=true}", "--set=train.epochs=30"],
    "tokens": ["experiment/quickstart", "model/vit", "compressor/token-merging", "--set=model={depth=2,dim=16,heads=2,patch=7}",
               "--set=train.epochs=30", "--set=output={survival=true,best=true,keep=3,tensorboard=true}"],
}

SWEEP = """
extends = ["experiment/quickstart"]
train = { epochs = 25, batch_size = 50 }
data = { glyphs = { train = 300, test = 100 } }
output = { checkpoint_every = 1, pictures = 0 }
[schedule]
first = 4
every = 4
count = 4
[sweep]
seeds = 2
controls = ["random", "unpruned"]
[sweep.axes]
criterion.name = ["contribution-rank", "magnitude"]
"""


def arguments(about, **counts):
    """The command line of one of the commands: the program, a seed, and counts with their defaults."""
    parser = argparse.ArgumentParser(description=about)
    for name, (default, meaning) in counts.items():
        parser.add_argument(name, nargs="?", type=int, default=default, help=f"{meaning} ({default})")
    default = REPOSITORY / "target/release/secateur"
    parser.add_argument("--program", type=Path, default=default, help="the program, built (target/release/secateur)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (0)")
    chosen = parser.parse_args()
    if not chosen.program.is_file():
        sys.exit(f"{chosen.program} is not there: cargo build --release, or name another with --program")
    chosen.program = chosen.program.resolve()
    return chosen


class Place:
    """A folder of its own, and the program in it."""

    def __init__(self, program, path=None):
        self.program = program
        self.made = path is None
        self.path = Path(path or tempfile.mkdtemp(prefix="secateur-reliability-"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.made:
            shutil.rmtree(self.path, ignore_errors=True)

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SECATEUR_")}
        return kept | {"HOME": str(self.path)}

    def start(self, *words, **more):
        return subprocess.Popen([self.program, *words], cwd=self.path, env=self.environment(), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, **more)

    def run(self, *words, **more):
        child = self.start(*words, **more)
        text = child.communicate(timeout=600)[0].decode(errors="replace")
        return child.returncode, text

    def runs(self):
        return sorted(path for path in (self.path / "runs").glob("*") if path.is_dir() and (path / "config.toml").exists())

    def only_run(self):
        found = self.runs()
        assert len(found) == 1, f"one run makes one folder: {found}"
        return found[0]


def command(kind):
    """The words after `secateur run` of a kind; what a kind sets itself counts more."""
    return [word for word in KINDS[kind] if not word.startswith("--")] + [f"--set={value}" for value in SHORT] + [
        word for word in KINDS[kind] if word.startswith("--")] + ["--quiet"]


def state(run):
    return run / "checkpoint/state.safetensors"


def go_on(run, kind):
    """The words with which a run goes on from wherever it was left."""
    if run is not None and state(run).exists():
        return ["run", "--quiet", "--resume", str(run)]
    return ["run", *command(kind)]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# What depends on the clock, on the machine's memory, and on what a run was called.
CLOCK = {"seconds_train", "seconds_prune", "seconds_eval", "peak_memory_bytes", "sha256", "config_sha256", "events_sha256"}


def result(run):
    """All of a finished run that must be the same however often it was disturbed."""
    summary = json.loads((run / "summary.json").read_text())
    events = []
    for line in (run / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "start":
            continue
        event.pop("seconds", None)
        event.pop("metrics", None)
        events.append(event)
    files = {name: digest(run / name) for name in ["model.safetensors", "best.safetensors", "survival.safetensors"] if (run / name).exists()}
    return {"summary": {key: value for key, value in summary.items() if key not in CLOCK}, "events": events, "files": files}


def stale(folder):
    """What a finished run or sweep should not have left."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*")
            if path.name.endswith(".unfinished") or path.name == "checkpoint" or path.name.startswith(".earlier-")]


def differences(found, expected):
    """What two results do not share, in words."""
    all_of_it = []
    for part in expected:
        if found[part] != expected[part]:
            if part == "events":
                pairs = [pair for pair in zip(found[part], expected[part]) if pair[0] != pair[1]]
                all_of_it.append(f"events: {len(found[part])} and {len(expected[part])}, the first other: {pairs[:1]}")
            else:
                keys = [key for key in {*found[part], *expected[part]} if found[part].get(key) != expected[part].get(key)]
                all_of_it.append(f"{part}: {keys}")
    return all_of_it


class Tally:
    """Counts what held and what did not; what did not is told at once, and at the end by the exit code."""

    def __init__(self):
        self.held = 0
        self.failed = 0

    def check(self, holds, what):
        if holds:
            self.held += 1
        else:
            self.failed += 1
            print(f"FAILED: {what}", flush=True)
        return holds

    def end(self, *figures):
        for line in figures:
            print(line)
        print(f"{self.held} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)


def wait_until(child, what, met, patience=120):
    """Waits for something to come about while a process runs; whether it did."""
    began = time.monotonic()
    while not met():
        if child.poll() is not None:
            return False
        assert time.monotonic() - began < patience, f"{what} never came"
        time.sleep(0.002)
    return True
