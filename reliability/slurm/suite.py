#!/usr/bin/env python3
"""Sweeps through a real Slurm that fails in every way that clusters do: each ends with the bits of a local sweep, and no cell is finished twice.

    python3 reliability/slurm/suite.py PROGRAM [--only NAME ...] [--overhead CELLS]

PROGRAM is a build of `secateur`. Slurm is started on loopback by `local.sh` beside this file, which installs Debian's packages where they are
missing; where that cannot be, the suite says so and ends with 0. It needs root, a C compiler, and four minutes for most of its cases.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATIENCE = 420

# Cells that take their time without the processor: the criterion waits. Checkpoints after every epoch, so that a kill costs one.
CONFIG = """
extends = ["experiment/quickstart"]
plugins = [{{ path = "{plugin}" }}]
criterion.name = "square"
data.glyphs = {{ train = 300, test = 60 }}
train = {{ epochs = {epochs}, batch_size = 60 }}
prune = {{ granularity = "weight", apply = "mask" }}
schedule = {{ first = 1, every = 1, fraction = 0.01, count = {prunes} }}
output = {{ pictures = 0, checkpoint_every = 1 }}

[sweep]
seeds = {seeds}
controls = []
{more}
"""


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)


def must(*command, **options):
    done = run(*command, **options)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def wait(what, met, patience=PATIENCE):
    began = time.monotonic()
    while True:
        found = met()
        if found:
            return found
        if time.monotonic() - began > patience:
            raise AssertionError(f"{what} never came\n{run('squeue', '--array').stdout}")
        time.sleep(0.2)


class Cluster:
    """Slurm on loopback, for as long as a `with` lasts."""

    def __init__(self, folder, **settings):
        self.folder, self.settings, self.since = folder, settings, {}

    def script(self, action, **more):
        return run(HERE / "local.sh", action, self.folder, env={**os.environ, **self.settings, **more})

    def __enter__(self):
        started = self.script("start")
        if started.returncode:
            print(f"SKIPPED: Slurm does not start here, so that no sweep ran through it\n{started.stderr}", file=sys.stderr)
            sys.exit(0)
        os.environ["SLURM_CONF"] = f"{self.folder}/slurm.conf"
        return self

    def __exit__(self, *_):
        self.script("stop")

    def kill(self, daemon):
        os.kill(int((self.folder / f"{daemon}.pid").read_text()), signal.SIGKILL)

    def hurry(self):
        """Jobs that were put back into the queue wait two minutes otherwise; those of a controller that died are held."""
        waiting = run("squeue", "--array", "--noheader", "--states=PENDING", "--format=%F_%K").stdout.split()
        self.since = {line: self.since.get(line, time.monotonic()) for line in waiting}
        for line, since in self.since.items():
            # Not at once: the message that its first start has ended would be taken for the end of the second.
            if time.monotonic() - since < 4:
                continue
            run("scontrol", "update", f"jobid={line}", "StartTime=now")
            run("scontrol", "release", line)
        for line in run("sinfo", "--Node", "--noheader", "--format=%N %T").stdout.splitlines():
            if "drain" in line:
                run("scontrol", "update", f"nodename={line.split()[0]}", "state=resume")

    @staticmethod
    def states():
        lines = run("squeue", "--array", "--noheader", "--format=%F_%K %T").stdout.splitlines()
        return dict(line.split() for line in lines)


class Sweep:
    """A sweep in a folder of its own."""

    def __init__(self, program, plugin, folder, *, slow, epochs=24, seeds=4, more=""):
        self.program, self.folder = program, folder
        folder.mkdir()
        prunes = epochs - 2
        config = CONFIG.format(plugin=plugin, epochs=epochs, prunes=prunes, seeds=seeds, more=more)
        (folder / "s.toml").write_text(config)
        self.environment = {**{k: v for k, v in os.environ.items() if not k.startswith("SECATEUR_")}, "SLOW_MS": str(slow)}

    def __call__(self, *arguments, fails=False):
        command = [self.program, "sweep", "s.toml", *arguments]
        call = run if fails else must
        return call(*command, cwd=self.folder, env=self.environment)

    def runs(self):
        return sorted(path for path in (self.folder / "runs/s").glob("s-*") if path.is_dir())

    def networks(self):
        return {path.name: (path / "model.safetensors").read_bytes() for path in self.finished()}

    def finished(self):
        done = [path for path in self.runs() if (path / "summary.json").is_file()]
        return [path for path in done if json.loads((path / "summary.json").read_text()).get("status") == "finished"]

    def under_way(self, epochs=3):
        logs = [path / "events.jsonl" for path in self.runs() if not (path / "summary.json").is_file()]
        return [log.parent for log in logs if log.is_file() and log.read_text().count('"event":"epoch"') >= epochs]

    def submit(self, *flags, options=()):
        said = self(*options, "--slurm", *(("--", *flags) if flags else ()))
        return re.findall(r"submitted (\d+)", said)

    def status(self):
        return self("--status")

    def until_over(self, cluster):
        def over():
            cluster.hurry()
            return not cluster.states()

        wait("the end of all tasks", over)

    def starts(self):
        """How often each cell was brought to its end, by the logs of all tasks."""
        ends = {}
        for log in (self.folder / "runs/s/slurm").glob("*/logs/*.log"):
            for label in re.findall(r"gone +[\d.]+ s  (.+)$", log.read_text(), re.M):
                ends[label] = ends.get(label, 0) + 1
        return ends

    def is_like(self, reference, cells):
        assert len(self.finished()) == cells, f"{self.status()}"
        assert self.networks() == reference, "other bits than those of a local sweep"
        ends = self.starts()
        assert len(ends) == cells and set(ends.values()) == {1}, f"a cell was finished twice: {ends}"
        left = [path for run in self.runs() for path in run.glob(".*")]
        assert not left, f"{left} were left"


def again(sweep):
    """Submits what is missing with the command that `--status` says."""
    said = sweep.status()
    command = [line.split(": ", 1)[1] for line in said.splitlines() if line.startswith("submit the")]
    assert command, said
    words = command[0].split()
    assert words[:3] == ["secateur", "sweep", "s.toml"], words
    sweep(*words[3:])
    return said


def cancelled(cluster, sweep):
    """A task is cancelled, and what is missing submitted again."""
    (job,) = sweep.submit()
    wait("two cells under way", lambda: len(sweep.under_way()) > 1)
    running = [task for task, state in cluster.states().items() if state == "RUNNING"]
    must("scancel", running[0])
    wait("its end", lambda: running[0] not in cluster.states())
    said = again(sweep)
    assert "1 stopped" in said and "not in the queue any more" in said and "submit the cell that is missing" in said, said
    assert job and "at step" in said, said


def warned(cluster, sweep):
    """The time limit: a warning before it, and each task goes back into the queue alone, as often as it takes."""
    # Slurm looks at its limits twice a minute, and may warn so much earlier.
    sweep.submit("--time=2", "--signal=B:USR1@75")
    sweep.until_over(cluster)
    logs = "".join(log.read_text() for log in (sweep.folder / "runs/s/slurm/1/logs").glob("*.log"))
    assert logs.count("requeued as ") >= 1, logs


def timed_out(cluster, sweep):
    """The time limit without a warning: the signal that comes before it means nothing, and what ends a cell is SIGTERM."""
    sweep.submit("--time=1", "--signal=B:CONT@5")
    sweep.until_over(cluster)
    assert "stopped" in again(sweep)
    sweep.until_over(cluster)
    if len(sweep.finished()) < 4:
        again(sweep)


def under_srun(cluster, sweep):
    """The time limit under `srun`, which sends every signal twice within milliseconds."""
    sweep("--freeze", "plan.toml")
    share = f"exec srun {sweep.program} sweep --plan plan.toml --task $SLURM_ARRAY_TASK_ID/4"
    (sweep.folder / "own.sh").write_text(f"#!/bin/sh\n{share}\n")
    must("sbatch", "--parsable", "--array=1-4", "--time=1", "own.sh", cwd=sweep.folder, env=sweep.environment)
    wait("four cells", lambda: len(sweep.runs()) == 4)
    sweep.until_over(cluster)
    said = again(sweep)
    assert "stopped" in said and "at step" in said, said


def preempted(cluster, sweep):
    """Other jobs take the place of the tasks, which go back into the queue."""
    sweep.submit()
    wait("four cells under way", lambda: len(sweep.under_way()) == 4)
    must("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--wrap=sleep 3", cwd=sweep.folder)
    wait("the tasks back in the queue", lambda: "RUNNING" not in {s for t, s in cluster.states().items() if not t.endswith("N/A")})


def node_lost(cluster, sweep):
    """A node's daemon dies, its programs live on, and Slurm starts them a second time elsewhere."""
    sweep.submit()
    wait("four cells under way", lambda: len(sweep.under_way()) == 4)
    cluster.kill("n2")
    wait("tasks that are started again", lambda: "PENDING" in cluster.states().values())
    # Where the lost node's tasks are started again, others make place for them.
    running = [task for task, state in cluster.states().items() if state == "RUNNING"]
    must("scancel", *running)
    wait("a second copy", lambda: cluster.hurry() or restarted())
    logs = sweep.folder / "runs/s/slurm/1/logs"
    wait("first copies that see it", lambda: "left to other processes" in "".join(log.read_text() for log in logs.glob("*")))
    cluster.script("start")
    sweep.until_over(cluster)
    again(sweep)


def restarted():
    said = run("scontrol", "show", "job", "--oneliner").stdout
    return [line for line in said.splitlines() if re.search(r"JobState=RUNNING.* Restarts=[1-9]|Restarts=[1-9].*JobState=RUNNING", line)]


def controller_lost(cluster, sweep):
    """The controller dies soon after the tasks began, and comes back with a state that is older."""
    sweep.submit()
    wait("four cells under way", lambda: len(sweep.under_way(1)) == 4)
    cluster.kill("slurmctld")
    wait("cells that end meanwhile", lambda: len(sweep.finished()) >= 2)
    cluster.script("start")
    sweep.until_over(cluster)
    if len(sweep.finished()) < 4:
        again(sweep)


def over_the_limit(cluster, sweep):
    """More tasks than an array may have."""
    jobs = sweep.submit()
    assert len(jobs) == 3, jobs


def folder_gone(cluster, sweep):
    """The folder of the output is removed while the tasks wait."""
    (job,) = sweep.submit("--hold")
    shutil.rmtree(sweep.folder / "runs")
    must("scontrol", "release", job)
    sweep.until_over(cluster)
    said = sweep.status()
    assert "4 waiting" in said, said
    sweep("--slurm")


def fails(cluster, sweep):
    """A cell that fails: the others finish, and the status names it with its log."""
    sweep.submit()
    sweep.until_over(cluster)
    said = sweep.status()
    assert "4 done, 4 failed" in said and "fc9" in said, said
    log = re.search(r"log: (.+)", said).group(1)
    assert "fc9" in (sweep.folder / log).read_text(), said


# What a cell lasts: a step of pruning waits two thirds of `slow` milliseconds, once an epoch.
SECONDS_10, SECONDS_25, SECONDS_45, SECONDS_110 = (
    {"slow": slow, "epochs": epochs} for slow, epochs in [(700, 24), (600, 60), (1200, 60), (1700, 100)]
)

CASES = {
    "scancel": (cancelled, SECONDS_25),
    "time-limit": (warned, SECONDS_45),
    "time-limit-without-warning": (timed_out, SECONDS_110),
    "time-limit-under-srun": (under_srun, SECONDS_110),
    "preemption": (preempted, SECONDS_45),
    "node-daemon": (node_lost, SECONDS_110),
    "controller": (controller_lost, SECONDS_10),
    "array-limit": (over_the_limit, {"slow": 0, "seeds": 12}),
    "folder-gone": (folder_gone, {"slow": 0}),
    "failing-cell": (fails, {"slow": 0, "more": 'axes.prune.exempt = [[], ["fc9"]]'}),
}


def overhead(program, plugin, folder, cells):
    """Seconds of a local sweep and of the same through Slurm, with as many workers."""
    more = {"slow": 700, "epochs": 4, "seeds": cells}
    local = Sweep(program, plugin, folder / "local", **more)
    began = time.monotonic()
    local("--jobs", "16", "--quiet")
    alone = time.monotonic() - began
    slurm = Sweep(program, plugin, folder / "slurm", **more)
    # Some cells that say how long one takes.
    slurm("--task", f"1/{cells // 10}", "--jobs", "16", "--quiet")
    began = time.monotonic()
    slurm.submit(options=("--max-parallel", "16"))
    wait("the last cell", lambda: not Cluster.states(), 3600)
    through = time.monotonic() - began
    assert slurm.networks() == local.networks()
    done = cells - 10
    share = through / (alone * done / cells) - 1
    print(f"{cells} cells, 16 at a time: {alone:.1f} s here, {done} of them in {through:.1f} s through Slurm: {share:+.1%}")
    assert share <= 0.15, "more than 15 %"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--overhead", type=int, default=1000, metavar="CELLS")
    args = parser.parse_args()
    program = args.program.resolve(strict=True)
    if os.geteuid() != 0 or not shutil.which("cc"):
        print("SKIPPED: no root or no C compiler `cc` here, so that no sweep ran through Slurm", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="slurm-") as place:
        place = pathlib.Path(place)
        plugin = place / "square.so"
        source = (ROOT / "framework/examples/plugins/square.c").read_text()
        waits = '  const float *w = target->weight.data;\n  const char *slow = getenv("SLOW_MS");\n  if (slow) usleep(1000 * atoi(slow) / 3);'
        (place / "square.c").write_text("#include <unistd.h>\n" + source.replace("  const float *w = target->weight.data;", waits))
        must("cc", "-shared", "-fPIC", "-o", plugin, place / "square.c", "-I", ROOT / "framework/include")
        references = {}
        failed = []
        with Cluster(place / "a", MAX_ARRAY="6") as cluster:
            for name in args.only:
                case, settings = CASES[name]
                began = time.monotonic()
                kind = json.dumps({k: v for k, v in settings.items() if k != "slow"})
                if kind not in references:
                    local = Sweep(program, plugin, place / f"local-{len(references)}", **{**settings, "slow": 0})
                    local("--quiet", fails=True)
                    references[kind] = local.networks()
                sweep = Sweep(program, plugin, place / name, **settings)
                try:
                    case(cluster, sweep)
                    sweep.until_over(cluster)
                    sweep.is_like(references[kind], len(references[kind]))
                    print(f"{name}: the bits of a local sweep, {time.monotonic() - began:.0f} s", flush=True)
                except AssertionError as error:
                    failed.append(name)
                    print(f"{name}: FAILED: {error}", flush=True)
                    for log in sorted((place / name / "runs/s/slurm").glob("*/logs/*.log")):
                        print(f"--- {log.name}\n{log.read_text()[-2000:]}")
                    run("scancel", "--partition=main")
                    run("scancel", "--partition=urgent")
                    wait("an empty queue", lambda: not cluster.states())
                    cluster.script("start")
        if args.overhead:
            with Cluster(place / "b", CPUS="8", PORT="26917"):
                overhead(program, plugin, place, args.overhead)
        if failed:
            sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
