"""Prunes neural networks while they train: the program ``secateur``, and what it leaves, from Python.

>>> import secateur
>>> run = secateur.run("experiment/quickstart", seed=1)      # in a notebook: shows how far it is, then its report
>>> secateur.runs("runs")                                    # every run as a row, with its config and its results
>>> secateur.events(run.folder, "prune")                     # what happened in it
>>> secateur.load(run.folder)["fc1.weight"]                  # the pruned network as NumPy arrays
>>> secateur.compare("runs")                                 # which setting is better, and how sure that is

Nothing but Python is needed to run; reading networks needs NumPy, and tables are those of pandas or polars where one of
them is installed.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._commands import Comparison, Sweep, compare, resume, run, sweep
    from ._folders import Run, events, runs
    from ._network import Network, load
    from ._program import ConfigError, Interrupted, SecateurError, program

#: Where each name is. Importing the package imports none of it: an import is for free until something is asked for.
_HOMES = {
    "_commands": ("Comparison", "Sweep", "compare", "resume", "run", "sweep"),
    "_folders": ("Run", "events", "runs"),
    "_network": ("Network", "load"),
    "_program": ("ConfigError", "Interrupted", "SecateurError", "program"),
}

__all__ = [
    "Comparison",
    "ConfigError",
    "Interrupted",
    "Network",
    "Run",
    "SecateurError",
    "Sweep",
    "compare",
    "events",
    "load",
    "program",
    "resume",
    "run",
    "runs",
    "sweep",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("secateur")
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            found = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
