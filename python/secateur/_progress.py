"""How far a run is: lines where there are lines, and one place that changes in a notebook."""

import sys
import time
from typing import Any

from ._program import Progress

#: So many lines are in sight in a notebook.
_LINES = 12
#: Seconds between two looks of a notebook at most.
_REFRESH = 0.2


def in_sight() -> Progress:
    """Whoever shows how far the program is, here."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    # A shell in a terminal has no kernel.
    return Lines() if getattr(shell, "kernel", None) is None else _Cell()


class Lines:
    """Standard error, line by line."""

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        pass


class _Cell:
    """The output of a cell: the newest lines, of which an epoch's takes the place of that of the epoch before."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._display: Any = None
        self._drawn = 0.0

    def say(self, line: str) -> None:
        if line.startswith("epoch"):
            self._lines = [earlier for earlier in self._lines if not earlier.startswith("epoch")]
        self._lines = [*self._lines, line][-_LINES:]
        if time.monotonic() - self._drawn >= _REFRESH:
            self._draw()

    def end(self) -> None:
        if self._lines:
            self._draw()

    def _draw(self) -> None:
        from IPython.display import display

        self._drawn = time.monotonic()
        content = {"text/plain": "\n".join(self._lines)}
        if self._display is None:
            self._display = display(content, raw=True, display_id=True)
        else:
            self._display.update(content, raw=True)
