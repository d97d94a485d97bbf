#!/usr/bin/env python3
"""Prints the tables of docs/src/methods.md from the run folders of sweep/methods-small.

    secateur sweep sweep/methods-small
    python3 runner/benches/methods_table.py runs/methods-small

A cell is the mean test accuracy over the seeds in per cent, with half its 95 % interval (Student's t). The random control has, in each
layer and at each pruning step, the counts of the criterion beside it. Then what the pruning steps take of each run's time (median), which
leaves out what a criterion gathers in training steps.
"""
import json
import math
import pathlib
import statistics
import sys
import tomllib
from collections import defaultdict

# Two-sided 95 % quantiles of Student's t by the number of values.
T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}


def read(folder):
    """(control, model, granularity, criterion, sparsity) -> accuracies; (model, granularity, criterion) -> shares of time."""
    runs, shares = defaultdict(list), defaultdict(list)
    for path in sorted(folder.glob("*/summary.json")):
        summary = json.loads(path.read_text())
        if "test_accuracy" not in summary:  # a cell that failed
            continue
        config = tomllib.loads((path.parent / "config.toml").read_text())
        model, granularity = config["model"]["name"], config["prune"]["granularity"]
        criterion, control = config["criterion"], summary.get("control")
        if control == "random":
            paired = tomllib.loads((folder / summary["control_of"] / "config.toml").read_text())
            criterion, config = paired["criterion"], paired
        name = "taylor-feature-maps" if criterion.get("of") == "feature-maps" else criterion["name"]
        sparsity = config["schedule"].get("sparsity") if control != "unpruned" else 0.0
        runs[control, model, granularity, name, sparsity].append(100 * summary["test_accuracy"])
        if control is None:
            parts = [summary[f"seconds_{part}"] for part in ("prune", "train", "eval")]
            shares[model, granularity, name].append(parts[0] / sum(parts))
    return runs, shares


def shown(values):
    if not values:
        return ""
    mean = statistics.fmean(values)
    if len(values) not in T:
        return f"{mean:.1f} ({len(values)} run)"
    return f"{mean:.1f} ± {T[len(values)] * statistics.stdev(values) / math.sqrt(len(values)):.1f}"


def main():
    runs, shares = read(pathlib.Path(sys.argv[1]))
    for granularity in ("weight", "unit"):
        columns = sorted({(m, s) for c, m, g, _, s in runs if c is None and g == granularity}, key=lambda c: (c[0] != "mlp", c[1]))
        print("| criterion |", " | ".join(f"`{model}`, {100 * sparsity:.0f} %" for model, sparsity in columns), "|")
        print("|---" * (len(columns) + 1) + "|")
        names = list(dict.fromkeys(n for c, _, g, n, _ in runs if c is None and g == granularity))
        for name in sorted(names):
            cells = []
            for model, sparsity in columns:
                own = shown(runs.get((None, model, granularity, name, sparsity), []))
                control = shown(runs.get(("random", model, granularity, name, sparsity), []))
                cells.append(f"{own} ({control})" if own and control else own)
            print(f"| `{name}` |", " | ".join(cells), "|")
        print()
    for (control, model, _, _, _), values in runs.items():
        if control == "unpruned":
            print(f"unpruned {model}: {shown(values)}")
    print("\n| criterion | `mlp`, weights | `mlp`, units | `cnn`, weights | `cnn`, units |\n|---|---|---|---|---|")
    for name in sorted({name for _, _, name in shares}):
        columns = [(model, granularity) for model in ("mlp", "cnn") for granularity in ("weight", "unit")]
        cells = [shares.get((*column, name)) for column in columns]
        print(f"| `{name}` |", " | ".join(f"{100 * statistics.median(cell):.1f} %" if cell else "" for cell in cells), "|")


if __name__ == "__main__":
    main()
