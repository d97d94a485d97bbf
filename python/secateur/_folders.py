"""What the folders of runs hold."""

import hashlib
import html
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._frames import Frame, Row, flat, table
from ._network import Network, load
from ._program import SecateurError

PathLike = str | os.PathLike[str]

#: How tall a page is in a notebook.
_HEIGHT = 640
#: What a summary says became of its run.
_STATUSES = ("finished", "failed", "interrupted", "stopped")


class Run:
    """The folder of a run: what it was told, what happened in it, and what came of it. A notebook shows its report."""

    def __init__(self, folder: PathLike) -> None:
        self.folder = Path(folder)
        if not _is_run(self.folder):
            raise SecateurError(f"{self.folder}: this is not the folder of a run\n  fix: give one: runs/NAME-HASH")

    @property
    def config(self) -> dict[str, Any]:
        """The complete config."""
        return _config(self.folder)

    @property
    def summary(self) -> dict[str, Any]:
        """The final metrics: ``run.summary["test_accuracy"]``; empty while the run is not over.

        Raises:
            SecateurError: The file is not what the program wrote.
        """
        return _summary(self.folder)

    @property
    def report(self) -> Path:
        """The page with the curves."""
        return self.folder / "report.html"

    def events(self, event: str | None = None, *, frame: Frame | None = None) -> Any:
        """See :func:`secateur.events`."""
        return events(self.folder, event, frame=frame)

    def load(self) -> Network:
        """See :func:`secateur.load`."""
        return load(self.folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _repr_html_(self) -> str | None:
        return page(self.report.read_text(encoding="utf-8")) if self.report.is_file() else None


def runs(folder: PathLike = "runs", *, frame: Frame | None = None) -> Any:
    """Every run in a folder, in the folders of sweeps there too, as a row: its folder, what became of it, every key of
    its config (``criterion.name``, ``train.lr``) and every metric of its summary (``test_accuracy``, ``units.fc1``).

    A run whose files are not what the program wrote is ``damaged``; no metric is taken from it.

    Args:
        folder: The folder of runs, of a sweep, or of one run.
        frame: ``"pandas"``, ``"polars"`` or ``"rows"`` (a list of dictionaries); what is installed, unless given.
    """
    root = Path(folder)
    if not root.is_dir():
        raise SecateurError(f"{root}: there is no such folder\n  fix: name a folder of runs: runs")
    return table([_row(run) for run in sorted(_runs(root, 2))], frame)


def events(folder: PathLike, event: str | None = None, *, frame: Frame | None = None) -> Any:
    """What happened in a run, an event a row, with every key of every event: polars' own reader takes its columns from
    the first hundred lines and drops what comes later.

    Args:
        folder: The run's folder; it need not be finished.
        event: Only events of this kind, with the keys that these have: ``"epoch"``, ``"eval"``, ``"prune"``.
        frame: ``"pandas"``, ``"polars"`` or ``"rows"`` (a list of dictionaries); what is installed, unless given.
    """
    path = Path(folder) / "events.jsonl"
    rows: list[Row] = []
    log, (summary, seal) = _read(path), _sealed(Path(folder))
    if seal is not None and summary["status"] == "finished" and hashlib.sha256(log).hexdigest() != seal:
        raise SecateurError(f"{path}: it is not the log of this run: its checksum is another")
    for number, line in enumerate(log.split(b"\n")[:-1], 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SecateurError(f"{path}: line {number} is damaged: {error}") from None
        if event is None or row.get("event") == event:
            rows.append(flat(row))
    return table(rows, frame)


def page(text: str) -> str:
    """A whole page as a piece of another, from which it is kept apart."""
    return (
        f'<iframe sandbox="allow-scripts" style="width: 100%; height: {_HEIGHT}px; border: 0" '
        f'srcdoc="{html.escape(text)}"></iframe>'
    )


def _runs(folder: Path, depth: int) -> Iterator[Path]:
    if _is_run(folder):
        yield folder
    elif depth:
        for inner in folder.iterdir():
            if inner.is_dir() and not inner.is_symlink():
                yield from _runs(inner, depth - 1)


def _is_run(folder: Path) -> bool:
    return (folder / "config.toml").is_file() or (folder / "summary.json").is_file()


def _row(folder: Path) -> Row:
    row: Row = {"folder": str(folder), "status": "unfinished", "error": None}
    try:
        config, summary = _config(folder), _summary(folder)
    except SecateurError as error:
        return {**row, "status": "damaged", "error": str(error)}
    # What a run was in the end (`threads`) says more than what it was told.
    return {**row, **flat(config), **flat(summary)}


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.toml"
    try:
        return tomllib.loads(_read(path).decode())
    except ValueError as error:
        raise SecateurError(f"{path}: {error}") from None


def _summary(folder: Path) -> dict[str, Any]:
    return _sealed(folder)[0]


def _sealed(folder: Path) -> tuple[dict[str, Any], str | None]:
    """The summary, and the checksum of the log beside it; neither where the run has not ended."""
    path = folder / "summary.json"
    if not path.is_file():
        return {}, None
    try:
        text = _read(path).decode()
        summary = json.loads(text)
    except ValueError as error:
        raise SecateurError(f"{path}: {error}") from None
    status = summary.get("status") if isinstance(summary, dict) else None
    if status not in _STATUSES:
        raise SecateurError(f"{path}: its status is {status!r}, and must be one of {', '.join(_STATUSES)}")
    seal, config = summary.pop("sha256", None), summary.pop("config_sha256", None)
    if config is not None and hashlib.sha256(_read(folder / "config.toml")).hexdigest() != config:
        raise SecateurError(f"{folder / 'config.toml'}: it is not the config that was run: its checksum is another")
    if seal is not None and _seal(text) != seal:
        raise SecateurError(f"{path}: its checksum does not match its content")
    if seal is None and config is not None:
        raise SecateurError(f"{path}: its checksum is missing")
    return summary, summary.pop("events_sha256", None)


def _seal(text: str) -> str:
    """SHA-256 of the file without blanks between its words, and without the entry of the seal itself."""
    words = re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda found: found[1] or "", text)
    rest = re.sub(r'"sha256":"[0-9a-f]{64}",?', "", words, count=1)
    return hashlib.sha256(rest.encode()).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SecateurError(f"{path}: {error.strerror}") from None
