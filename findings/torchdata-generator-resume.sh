#!/bin/bash
# torchdata 0.11.0: a StatefulDataLoader that shuffles with a generator of its own resumes, but shuffles differently from then on.
#
# The loader's state_dict is there so that a run that is stopped sees the data as it would have. With shuffle=True this holds: after
# resuming in the middle of an epoch, or between two, all batches are those of the uninterrupted run. With generator=torch.Generator() in
# addition, as one writes for a shuffle with a seed of its own, the rest of the current epoch is right and every later epoch is in
# another order; saved between two epochs, the very next one is. It looks like success, since the first batches match. The generator's state
# is in the checkpoint, but the loader draws its workers' seed from the same generator, and that draw is not repeated. A RandomSampler of
# torchdata (not of torch) with that generator, passed as sampler, resumes rightly.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: torch==2.15.0 torchdata==0.11.0 numpy==2.4.6
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from torchdata.stateful_dataloader import StatefulDataLoader
from torchdata.stateful_dataloader.sampler import RandomSampler

print("torch", torch.__version__, "torchdata", version("torchdata"))
data = list(range(8))


def loader(kind):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    options = {
        "shuffle": {"shuffle": True},
        "shuffle, generator": {"shuffle": True, "generator": generator},
        "sampler with the generator": {"sampler": RandomSampler(data, generator=generator)},
    }
    return StatefulDataLoader(data, batch_size=2, **options[kind])


def epoch(batches):
    return [int(i) for batch in batches for i in batch]


def resumed(kind, batches):
    """The second epoch and two more, stopped and resumed after so many batches of the second."""
    first = loader(kind)
    epoch(first)
    seen = []
    if batches:
        second = iter(first)
        seen = epoch(next(second) for _ in range(batches))
    state = first.state_dict()
    again = loader(kind)
    again.load_state_dict(state)
    return [seen + epoch(again), epoch(again), epoch(again)]


found = {}
for kind in ("shuffle", "shuffle, generator", "sampler with the generator"):
    whole = loader(kind)
    whole = [epoch(whole) for _ in range(4)][1:]
    for batches, where in ((2, "in an epoch"), (0, "between two")):
        after = resumed(kind, batches)
        found[kind, where] = [a == b for a, b in zip(after, whole)]
        print(f"{kind}, resumed {where}: the same epochs? {found[kind, where]}")
    if kind == "shuffle, generator":
        print(f"  the third epoch: {whole[1]}, when resumed in the second: {resumed(kind, 2)[1]}")
for (kind, where), same in found.items():
    right = [where == "in an epoch", False, False] if kind == "shuffle, generator" else [True] * 3
    assert same == right, f"the behaviour has changed: {kind}, {where}: {same}"
PYTHON
# Seen on 2026-11-29:
#   shuffle, resumed in an epoch: the same epochs? [True, True, True]
#   shuffle, resumed between two: the same epochs? [True, True, True]
#   shuffle, generator, resumed in an epoch: the same epochs? [True, False, False]
#   shuffle, generator, resumed between two: the same epochs? [False, False, False]
#     the third epoch: [2, 0, 1, 6, 3, 4, 7, 5], when resumed in the second: [6, 4, 1, 2, 0, 5, 3, 7]
#   sampler with the generator, resumed in an epoch: the same epochs? [True, True, True]
#   sampler with the generator, resumed between two: the same epochs? [True, True, True]
