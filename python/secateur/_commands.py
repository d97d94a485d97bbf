"""The commands ``run``, ``sweep`` and ``compare``."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import _toml
from ._folders import PathLike, Run, page, runs
from ._frames import Frame, flat, table
from ._program import call
from ._progress import Lines, in_sight


def run(
    config: PathLike,
    *more: PathLike,
    sets: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: bool = True,
    **keys: Any,
) -> Run:
    """Trains, prunes and measures a network as configs say; waits until it is done.

    >>> secateur.run("experiment/quickstart", seed=1, train__lr=0.05, criterion={"name": "random"})

    A run that finished before is not run again. Ctrl-C stops it with a checkpoint; :func:`resume` goes on from there.

    Args:
        config: A file, or a name such as ``experiment/quickstart``.
        more: Further configs; later ones win.
        sets: Values over everything else, by dotted key: ``{"train.lr": 0.05}``.
        force: Run again although the same run finished before, and replace its results.
        progress: Whether to show how far it is.
        keys: As ``sets``, with two underscores for a dot: ``train__lr=0.05``.

    Raises:
        ConfigError: A config or a key is wrong.
        SecateurError: The run failed.
        Interrupted: Ctrl-C.
    """
    flags = ["--force"] if force else []
    return Run(_folder(["run", *flags, *_layers((config, *more), sets, keys)], progress))


def resume(folder: PathLike, *, accept_changed: bool = False, progress: bool = True) -> Run:
    """Goes on with a run that was interrupted, to the same bits as if it had not been.

    Args:
        folder: The run's folder.
        accept_changed: Go on although the data, the program's build or the processor's vector instructions are not
            those of the checkpoint.
        progress: Whether to show how far it is.
    """
    flags = ["--accept-changed"] if accept_changed else []
    return Run(_folder(["run", f"--resume={os.fspath(folder)}", *flags], progress))


class Sweep:
    """The folder of a sweep: a run folder for each of its cells, and for their controls."""

    def __init__(self, folder: PathLike) -> None:
        self.folder = Path(folder)

    def runs(self, *, frame: Frame | None = None) -> Any:
        """See :func:`secateur.runs`."""
        return runs(self.folder, frame=frame)

    def compare(self, **question: Any) -> "Comparison":
        """See :func:`secateur.compare`."""
        return compare(self.folder, **question)

    def __repr__(self) -> str:
        return f"Sweep({str(self.folder)!r})"


def sweep(
    config: PathLike,
    *more: PathLike,
    sets: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    retry_failed: bool = False,
    accept_changed: bool = False,
    progress: bool = True,
    **keys: Any,
) -> Sweep:
    """Runs every cell of a grid, several at a time. Cells that are finished are left alone: the same call goes on with
    a sweep that was stopped.

    >>> axes = {"sweep.axes.criterion.name": ["magnitude", "random"]}
    >>> secateur.sweep("experiment/quickstart", sets=axes, sweep__seeds=3)

    Args:
        config: A file, or a name such as ``sweep/mnist-criteria-small``.
        more: Further configs; later ones win.
        sets: Values over everything else, by dotted key.
        jobs: Runs at a time; one for each core, unless given.
        retry_failed: Try cells again whose failure would come again.
        accept_changed: Go on with cells that another build of the program began.
        progress: Whether to show how far it is.
        keys: As ``sets``, with two underscores for a dot.

    Raises:
        ConfigError: A config or a key is wrong, in any cell.
        SecateurError: Cells failed; the others are finished.
        Interrupted: Ctrl-C.
    """
    flags = [f"--jobs={jobs}"] if jobs is not None else []
    flags += ["--retry-failed"] if retry_failed else []
    flags += ["--accept-changed"] if accept_changed else []
    return Sweep(_folder(["sweep", *flags, *_layers((config, *more), sets, keys)], progress))


class Comparison:
    """What came of a comparison. It prints as tables and sentences; a notebook shows its page.

    Attributes:
        text: Tables and sentences.
        data: Everything that was found: ``groups``, ``pairs``, ``control_pairs``, ``fronts``, ``notes``.
        html: The page.
    """

    def __init__(self, text: str, data: dict[str, Any], html: str) -> None:
        self.text = text
        self.data = data
        self.html = html

    def groups(self, *, frame: Frame | None = None) -> Any:
        """A row for each group and metric: count, mean, standard deviation, and 95 % interval."""
        rows = []
        for group in self.data["groups"]:
            values = dict(zip(self.data["by"], group["values"]))
            about = {"label": group["label"], **values, "control": group["control"]}
            rows += [{**about, "metric": key, **flat(sample)} for key, sample in group["metrics"].items()]
        return table(rows, frame)

    def pairs(self, *, frame: Frame | None = None) -> Any:
        """A row for each group and what it is compared with, controls too: difference, interval, tests, sentence."""
        return table([flat(pair) for pair in self.data["pairs"] + self.data["control_pairs"]], frame)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return page(self.html)


def compare(
    *folders: PathLike,
    by: str | Sequence[str] = (),
    metric: str | None = None,
    choose: str | None = None,
    margin: float | None = None,
    baseline: str | None = None,
) -> Comparison:
    """Says which setting is better, by how much, how sure that is, and at what cost.

    Args:
        folders: Folders of runs or sweeps; ``runs``, unless given.
        by: Group by these config keys; by all that differ, seeds aside, unless given.
        metric: What to compare: ``test_accuracy``, ``seconds``, or any other number of a summary, by its dotted key.
        choose: Keep of each group the value of this key that is best on validation data.
        margin: Differences of less than this do not matter.
        baseline: The value of the first key that the others are compared with.

    Raises:
        ConfigError: There is nothing to compare, or no such key.
    """
    arguments: list[str] = [f"--by={key}" for key in ([by] if isinstance(by, str) else by)]
    given = {"metric": metric, "choose": choose, "margin": margin, "baseline": baseline}
    arguments += [f"--{name}={value}" for name, value in given.items() if value is not None]
    with tempfile.TemporaryDirectory() as made:
        data, html = Path(made) / "comparison.json", Path(made) / "comparison.html"
        paths = [os.fspath(folder) for folder in folders] or ["runs"]
        text = call(["compare", *arguments, f"--json={data}", f"--html={html}", "--", *paths], Lines())
        found = json.loads(data.read_text(encoding="utf-8"))
        return Comparison(text, found, html.read_text(encoding="utf-8"))


def _layers(configs: Sequence[PathLike], sets: Mapping[str, Any] | None, keys: Mapping[str, Any]) -> list[str]:
    # `secateur sweep` keeps what stands behind `--` for a scheduler.
    return [*_toml.assignments(sets or {}, keys), *(os.fspath(config) for config in configs)]


def _folder(arguments: list[str], progress: bool) -> Path:
    """Carries out a command, which prints the folder of its results first."""
    printed = call(arguments, in_sight()) if progress else call(["--quiet", *arguments], Lines())
    # It is the same folder when Python goes to another.
    return Path(printed.partition("\n")[0]).absolute()
