#!/bin/bash
# torch 2.15.0: the pruning frequency of CubicSL does not say how often it prunes, but how long.
#
# The schedule is that of Zhu and Gupta (2017, arXiv 1710.01878): n prunings, one every delta_t steps, and in between the sparsity stays.
# CubicSL cites it and calls delta_t "pruning frequency", used "to control how often the update of the sparsity level happens". But the level
# changes at every step, and delta_t and total_t come in as their product only: 2 prunings 50 steps apart, 10 that are 10 apart and 100 at each
# step are one and the same curve, where the paper has 2, 10 and 100 levels. A sparsifier that makes masks when the level has moved makes
# them at each step, and a network meant to recover for 50 steps between two prunings never does. total_t, "total number of pruning
# steps", is not the length of the ramp either: with 100 and the default delta_t it ends after 1,000.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: torch==2.15.0
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from torch import nn
from torch.ao.pruning import WeightNormSparsifier
from torch.ao.pruning.scheduler.cubic_scheduler import CubicSL

print("torch", torch.__version__)


def levels(steps, **schedule):
    """The level of sparsity at each step."""
    sparsifier = WeightNormSparsifier(sparsity_level=0.9, sparse_block_shape=(1, 1))
    sparsifier.prepare(nn.Sequential(nn.Linear(10, 10)), [{"tensor_fqn": "0.weight"}])
    scheduler = CubicSL(sparsifier, init_sl=0.0, init_t=0, **schedule)
    found = [scheduler.get_last_sl()[0]]
    for _ in range(steps):
        scheduler.step()
        found.append(scheduler.get_last_sl()[0])
    return [round(float(level), 10) for level in found]


def of_the_paper(steps, delta_t, total_t):
    ramp = delta_t * total_t
    return [round(0.9 - 0.9 * (1 - min(step - step % delta_t, ramp) / ramp) ** 3, 10) for step in range(steps + 1)]


found = {}
for delta_t, total_t in ((50, 2), (10, 10), (1, 100)):
    found[delta_t] = levels(100, delta_t=delta_t, total_t=total_t)
    paper = of_the_paper(100, delta_t, total_t)
    shown = [f"{step}: {found[delta_t][step]:.3f} (paper {paper[step]:.3f})" for step in (1, 5, 25, 49, 50, 99, 100)]
    print(f"{total_t} prunings every {delta_t} steps:", ", ".join(shown))
    print(f"  levels from 0 on: {len(set(found[delta_t]))}, paper {len(set(paper))}")
    if delta_t == 1:
        assert found[1] == paper, "it is not the paper's curve either"
ramp = levels(1100, total_t=100)
end = next(step for step, level in enumerate(ramp) if level == ramp[-1])
print("total_t 100: the final level is reached at step", end)
assert end == 1000, f"the behaviour has changed: {end}"
assert found[50] == found[10] == found[1] and len(set(found[50])) > 90, "the behaviour has changed"
PYTHON
# Seen on 2026-11-29, at the steps 1, 5, 25, 49, 50, 99 and 100, in all three .027 .128 .520 .781 .787 .900 .900 and 101 levels; the paper's:
#   2 prunings every 50 steps:  .000 .000 .000 .000 .787 .787 .900, 3 levels
#   10 prunings every 10 steps: .000 .000 .439 .706 .787 .899 .900, 11 levels
#   100 prunings, every step:   .027 .128 .520 .781 .787 .900 .900, 101 levels
#   total_t 100: the final level is reached at step 1000
