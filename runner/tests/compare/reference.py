#!/usr/bin/env python3
"""Writes reference.json: random tables of runs and what a comparison of them must say, worked out slowly and plainly with
scipy and statsmodels. The tables hold equal values, single seeds, missing pairs, failed cells, copies, controls, and up to
40 groups."""
import itertools
import json
import pathlib
import random

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW


def table(number):
    rng = random.Random(number)
    criteria = ["magnitude", "rank", "snip", "fpgm", "worst", "taylor", "lamp", "grasp"][: rng.randint(2, 6)]
    if rng.random() < 0.3:
        criteria = criteria[1:] + ["zeta"]
    rates = rng.choice([["0.1"], ["0.1"], ["0.1", "0.01"], ["0.5", "0.05", "0.005"]])
    seeds = list(range(rng.choice([1, 2, 3, 5, 5, 8])))
    if number == 0:
        criteria, rates, seeds = [f"c{i:02}" for i in range(40)], ["0.1"], [0, 1, 2]
    holes, failing, copying = rng.choice([0, 0, 0.1, 0.3, 0.6]), rng.choice([0, 0, 0.15]), rng.choice([0, 0, 0.2])
    controlled, equal = rng.random() < 0.5, rng.random() < 0.25
    coarse = rng.random() < 0.3
    runs = []
    for place, (criterion, rate) in enumerate(itertools.product(criteria, rates)):
        # Some groups are all alike, some differ from others by a constant.
        flat, level = equal and rng.random() < 0.5, rng.uniform(0.85, 0.95)
        kept = 1000 if coarse else 1000 + place
        for seed in seeds:
            if rng.random() < holes and not (criterion == criteria[0] and seed == 0):
                continue
            accuracy = 0.7 + 0.01 * seed if flat else round(level + rng.gauss(0, 0.004), 2 if coarse else 6)
            run = {
                "folder": f"{criterion}-{rate}-{seed}", "criterion": criterion, "lr": rate, "seed": seed,
                "accuracy": accuracy, "sparsity": rng.choice([0.9, 0.9, 0.95]), "params": kept, "failed": False,
            }
            if rng.random() < failing and not (criterion == criteria[0] and seed == 0):
                run["failed"] = True
            runs.append(run)
            if rng.random() < copying:
                runs.append(run | {"folder": "copy-of-" + run["folder"]})
            if controlled and not run["failed"] and rng.random() < 0.9:
                control = run | {"folder": "control-of-" + run["folder"], "control": "random", "of": run["folder"]}
                runs.append(control | {"accuracy": round(accuracy - rng.uniform(0, 0.05), 6), "place": place})
    by = rng.choice([None, None, "criterion.name"])
    return {"runs": runs, "by": by, "margin": rng.choice([0.5, 2.0, 8.0])}


def settled(values, size):
    """Values that are equal but for rounding are one value."""
    found = []
    for value in values:
        near = [other for other in found if abs(abs(other) - abs(value)) <= 1e-12 * size]
        value = float(np.copysign(abs(near[0]), value)) if near else value
        found.append(0.0 if abs(value) <= 1e-12 * size else value)
    return found


def even(cells):
    """Every setting with every seed: what lacks most goes, of equals the last, seeds after settings."""
    cells = set(cells)
    while True:
        settings, seeds = sorted({s for s, _ in cells}), sorted({t for _, t in cells}, key=str)
        if len(cells) == len(settings) * len(seeds):
            return cells
        lacks = [((len(seeds) - sum(s == x for s, _ in cells)) / len(seeds), (0, x)) for x in settings]
        lacks += [((len(settings) - sum(t == x for _, t in cells)) / len(settings), (1, x)) for x in seeds]
        most = max(lack for lack, _ in lacks)
        axis, gone = [which for lack, which in lacks if lack == most][-1]
        cells = {cell for cell in cells if cell[axis] != gone}


def compare(ours, theirs):
    """Both are accuracies by (setting, seed)."""
    cells = even(set(ours) & set(theirs))
    seeds = sorted({seed for _, seed in cells}, key=str)
    pairs = []
    for seed in seeds:
        a = [ours[c] for c in sorted(cells) if c[1] == seed]
        b = [theirs[c] for c in sorted(cells) if c[1] == seed]
        pairs.append((float(np.mean(a)), float(np.mean(b))))
    if not pairs:
        return None
    size = max(max(abs(a), abs(b)) for a, b in pairs)
    d = settled([a - b for a, b in pairs], size)
    found = {"n": len(d), "settings": len({s for s, _ in cells}), "mean": float(np.mean(d)), "d": d}
    found["tested"] = len(d) > 1 and len(set(d)) > 1
    if found["tested"]:
        found["p_t"] = float(stats.ttest_1samp(d, 0).pvalue)
        found["p_wilcoxon"] = float(stats.wilcoxon(d).pvalue)
        found["std"] = float(np.std(d, ddof=1))
    return found


def expected(runs, by, margin):
    runs = sorted(runs, key=lambda run: run["folder"])
    once, stands_for = {}, {}
    # A finished run stands for one that failed; the first by name for the others.
    for run in sorted(runs, key=lambda run: run["failed"]):
        first = once.setdefault((run["criterion"], run["lr"], run["seed"], run.get("place"), run.get("control")), run)
        stands_for[run["folder"]] = first["folder"]
    copies = len(runs) - len(once)
    runs = sorted(once.values(), key=lambda run: run["folder"])
    names = {run["folder"]: run for run in runs}
    mains = [run for run in runs if "control" not in run]
    keys = ["criterion", "lr"] if by is None and len({run["lr"] for run in mains}) > 1 else ["criterion"]
    within = ["lr"] if "lr" not in keys and len({run["lr"] for run in mains}) > 1 else []
    groups = {}
    for run in mains:
        groups.setdefault(tuple(run[key] for key in keys), []).append(run)

    def order(values):
        return [[float(v) if key == "lr" else 0.0 for key, v in zip(keys, values)], values]

    def label(values):
        return ", ".join(v if key == "criterion" else f"lr {v}" for key, v in zip(keys, values))

    groups = {values: groups[values] for values in sorted(groups, key=order)}
    finished = {values: [run for run in all_ if not run["failed"]] for values, all_ in groups.items()}
    alive = [values[0] for values, cells in finished.items() if cells]
    baseline = "magnitude" if "magnitude" in alive else alive[0]
    rows = []
    for values, cells in finished.items():
        row = {"label": label(values), "n": len(cells), "failed": len(groups[values]) - len(cells)}
        if cells:
            accuracy = settled([run["accuracy"] for run in cells], max(run["accuracy"] for run in cells))
            row["mean"] = float(np.mean(accuracy))
            if len(set(accuracy)) > 1:
                row["std"] = float(np.std(accuracy, ddof=1))
            # Seeds are repetitions and settings are not: the interval is that of the means over settings, where each seed has all.
            seeds = sorted({run["seed"] for run in cells})
            per_seed = [[run for run in cells if run["seed"] == seed] for seed in seeds]
            settings = [sorted(tuple(run[key] for key in within) for run in some) for some in per_seed]
            means = [float(np.mean([run["accuracy"] for run in some])) for some in per_seed]
            means = settled(means, max(means))
            if all(some == settings[0] for some in settings) and len(set(means)) > 1:
                low, high = DescrStatsW(means).tconfint_mean()
                row |= {"low": max(low, 0.0), "high": min(high, 1.0)}
        rows.append(row)

    def by_place(cells, value):
        places = {}
        for run in cells:
            if value(run) is not None:
                places[(tuple(run[key] for key in within), run["seed"])] = value(run)
        return places

    main, control = [], []
    controls = {stands_for[run["of"]]: run for run in runs if "control" in run}
    shared = {}
    for run in runs:
        if "control" in run:
            owner = names[stands_for[run["of"]]]
            shared.setdefault((owner["lr"], owner["seed"], owner["params"]), run)
    for values, cells in finished.items():
        other = (baseline, *values[1:])
        if values != other and other in finished and (cells or finished[other]):
            found = compare(by_place(cells, lambda r: r["accuracy"]), by_place(finished[other], lambda r: r["accuracy"]))
            main.append({"group": label(values), "baseline": label(other), "found": found})

        def of(run):
            found = controls.get(run["folder"]) or shared.get((run["lr"], run["seed"], run["params"]))
            return found and found["accuracy"]

        if any(of(run) is not None for run in cells):
            found = compare(by_place(cells, lambda r: r["accuracy"]), by_place(cells, of))
            control.append({"group": label(values), "baseline": "", "found": found})
    for family in (main, control):
        tested = [pair["found"] for pair in family if pair["found"] and pair["found"]["tested"]]
        corrected = multipletests([f["p_t"] for f in tested], method="bonferroni")[1] if tested else []
        for found, p in zip(tested, corrected):
            low, high = DescrStatsW(found["d"]).tconfint_mean(alpha=0.05 / len(tested))
            # No two accuracies are more than 100 points apart.
            low, high = max(low, -1.0), min(high, 1.0)
            tost = min(1.0, DescrStatsW(found["d"]).ttost_mean(-margin / 100, margin / 100)[0] * len(tested))
            found |= {"p": float(p), "low": low, "high": high, "p_margin": tost}
            verdict = "better" if found["mean"] > 0 else "worse"
            found["verdict"] = "the same" if tost < 0.05 else verdict if p < 0.05 else "undecided"
        for pair in family:
            if pair["found"]:
                del pair["found"]["d"]
    return {"by": keys, "copies": copies, "groups": rows, "pairs": main, "control_pairs": control}


tables = []
for number in range(30):
    made = table(number)
    tables.append(made | {"expected": expected(made["runs"], made["by"], made["margin"])})
    assert len({run["criterion"] for run in made["runs"]}) > 1, "one criterion alone is another question"
target = pathlib.Path(__file__).with_name("reference.json")
lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in tables)
target.write_text(f"[\n{lines}\n]\n")
