#!/usr/bin/env python3
"""What scoring costs: the share of the pruning steps in a run's time.

    python3 runner/benches/scoring.py DATA_DIR [--rounds 3]

DATA_DIR holds Fashion-MNIST's IDX files. The runs are short, so that scoring weighs more than in an experiment: four epochs, over all of
the data for LeNet-300-100 and over a quarter for the small convolutional network, with four pruning steps in the second and third
epoch. Weights go to 95 % zeros, units to 50 %; one thread, rounds interleaved, the shortest of each: other work on the machine only adds.
A share is of the time that a run says itself. What a criterion gathers in training steps is not in it: the training of equal
runs differed by up to 30 % where this was tried, whatever the criterion. Where units are cut out the network trains faster, alike
for all.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIGHTS = "magnitude gradient taylor movement obd lamp wanda awsc snip grasp synflow".split()
UNITS = "magnitude taylor contribution-rank taylor-feature-maps lrp fpgm group-lasso lasso-channel".split()
AT_INITIALISATION = {"snip", "grasp", "synflow"}


def seconds_of(data, model, granularity, criterion, schedule):
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
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (summary,) = pathlib.Path(out).glob("*/summary.json")
        said = json.loads(summary.read_text())
    return {part: said[f"seconds_{part}"] for part in ("train", "prune", "eval")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "secateur-runner"], cwd=ROOT, check=True)
    print("| criterion | model, granularity | pruning steps, s | of the run |\n|---|---|---|---|")
    for model, granularity, criteria in [
        ("lenet-300-100", "weight", WEIGHTS), ("lenet-300-100", "unit", UNITS), ("small-cnn", "unit", [*UNITS, "network-slimming"]),
    ]:
        runs = {criterion: [] for criterion in criteria}
        for _ in range(args.rounds):
            for criterion in criteria:
                schedule = "at-initialisation" if criterion in AT_INITIALISATION else "cubic"
                runs[criterion].append(seconds_of(args.data, model, granularity, criterion, schedule))
        for criterion, seconds in runs.items():
            least = {part: min(run[part] for run in seconds) for part in seconds[0]}
            print(f"| `{criterion}` | `{model}`, {granularity} | {least['prune']:.3f} | {least['prune'] / sum(least.values()):.1%} |", flush=True)


if __name__ == "__main__":
    main()
