#!/usr/bin/env python3
"""What scoring costs: processor time of a run with each criterion against the same run with `random`, which has nothing to do.

    python3 runner/benches/scoring.py DATA_DIR [--rounds 3]

DATA_DIR holds Fashion-MNIST's IDX files. The runs are short, so that scoring weighs more than in an experiment: four epochs, over all of
the data for LeNet-300-100 and over a quarter for the small convolutional network, with four pruning steps in the second and third
epoch. Weights go to 95 % zeros, units to 50 %; one thread, rounds interleaved, the shortest of each: other work on the machine only adds.
Costs that a criterion has in every training step count, and so does what it asks of the network at pruning steps. Where units are cut out
the network trains faster, alike for all.
"""
import argparse
import pathlib
import resource
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIGHTS = "magnitude gradient taylor movement obd lamp wanda awsc snip grasp synflow".split()
UNITS = "magnitude taylor contribution-rank taylor-feature-maps lrp fpgm group-lasso lasso-channel".split()
AT_INITIALISATION = {"snip", "grasp", "synflow"}


def processor_seconds(data, model, granularity, criterion, schedule):
    small = model == "small-cnn"
    with tempfile.TemporaryDirectory() as out:
        command = [ROOT / "target/release/secateur", "run", "data/fashion-mnist", f"model/{model}", f"criterion/{criterion}"]
        if schedule == "at-initialisation":
            command += ["schedule/at-initialisation"]
        else:
            command += ["schedule/cubic", "--set", "schedule.from=0.3", "--set", "schedule.to=0.7", "--set", f"schedule.every={59 if small else 211}"]
        # Only what batch normalisation follows.
        exempt = ["--set", 'prune.exempt=["fc1"]'] if criterion == "network-slimming" else []
        scope = ["--set", "prune.scope=layer", "--set", "prune.apply=shrink"] if granularity == "unit" else []
        command += ["--set", f"prune.granularity={granularity}", *scope, *exempt, "--set", f"schedule.sparsity={0.95 if granularity == 'weight' else 0.5}"]
        command += ["--set", f"data.dir={data}", "--set", "threads=1", "--set", "train.epochs=4", "--set", "train.eval_every=4"]
        command += ["--set", "train.eval_prunes=0", "--out", out, *(["--set", "data.train_limit=15000"] if small else [])]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "secateur-runner"], cwd=ROOT, check=True)
    print("| criterion | model, granularity | seconds | of these for the criterion |\n|---|---|---|---|")
    for model, granularity, criteria in [
        ("lenet-300-100", "weight", WEIGHTS), ("lenet-300-100", "unit", UNITS), ("small-cnn", "unit", [*UNITS, "network-slimming"]),
    ]:
        cases = [(c, "at-initialisation" if c in AT_INITIALISATION else "cubic") for c in criteria]
        idle = [("random", schedule) for schedule in sorted({schedule for _, schedule in cases})]
        seconds = {case: [] for case in idle + cases}
        for _ in range(args.rounds):
            for case in seconds:
                seconds[case].append(processor_seconds(args.data, model, granularity, *case))
        for criterion, schedule in cases:
            own, base = (min(seconds[case, schedule]) for case in (criterion, "random"))
            print(f"| `{criterion}` | `{model}`, {granularity} | {own:.2f} | {100 * (own - base) / own:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
