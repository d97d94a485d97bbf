"""Finds the program, carries out its commands, and turns its errors into exceptions."""

import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

#: The exit code for a command line or a config that is wrong.
_USAGE = 2
#: What is told of the end of a program that did not say itself why it ended.
_LAST_LINES = 20


class Progress(Protocol):
    """Whoever is told how far a command is."""

    def say(self, line: str) -> None:
        """One more line."""

    def end(self) -> None:
        """There are no more."""


class SecateurError(RuntimeError):
    """What the program says when it does not succeed, in its own words."""


class ConfigError(SecateurError, ValueError):
    """A config, a key or an argument is wrong; nothing was run."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or "interrupt the kernel": the step at hand was finished, and its checkpoint says from where to go on."""


def program() -> Path:
    """The program: the one that was installed with this package, or else the one on ``PATH``.

    Raises:
        SecateurError: There is none.
    """
    name = "secateur" + (sysconfig.get_config_var("EXE") or "")
    here = Path(__file__).resolve().parents[1]
    places = []
    for scheme in (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")):
        if here == Path(sysconfig.get_path("platlib", scheme)).resolve():
            places.append(Path(sysconfig.get_path("scripts", scheme)) / name)
    # `pip install --target` puts it here.
    places.append(here / "bin" / name)
    for place in places:
        if place.is_file():
            return place
    found = shutil.which(name)
    if found is None:
        raise SecateurError(
            "the program `secateur` is neither where this package was installed nor on PATH\n"
            "  fix: pip install --force-reinstall secateur"
        )
    return Path(found)


def call(arguments: Sequence[str], progress: Progress) -> str:
    """Carries out a command and gives what it printed for people; ``progress`` is told what it says on its way.

    Raises:
        ConfigError: The command line or a config is wrong.
        SecateurError: The command failed.
        Interrupted: Ctrl-C; the program has left a checkpoint by then.
    """
    child = subprocess.Popen(
        [str(program()), *arguments],
        # A criterion in Python is run by the interpreter that asks for it, unless another is named.
        env={"SECATEUR_PYTHON": sys.executable, **os.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    assert child.stdout is not None and child.stderr is not None
    printed: list[str] = []
    # A pipe that nobody empties would stop the program.
    reader = threading.Thread(target=lambda: printed.append(child.stdout.read()), daemon=True)
    reader.start()
    said: list[str] = []

    def listen() -> None:
        for line in child.stderr:
            said.append(line.rstrip("\n"))
            # The error is the exception's.
            if not any(earlier.startswith("error: ") for earlier in said):
                progress.say(said[-1])

    interrupted = False
    try:
        try:
            listen()
        except KeyboardInterrupt:
            interrupted = True
            # TERM asks for the same end as Ctrl-C, and is no second Ctrl-C where the terminal has sent one itself.
            child.terminate()
            listen()
        code = child.wait()
        reader.join()
    except BaseException:
        child.kill()
        child.wait()
        raise
    finally:
        progress.end()
    if interrupted:
        raise Interrupted(_message(said, code) if code else "it had come to its end already")
    if code:
        raise (ConfigError if code == _USAGE else SecateurError)(_message(said, code))
    return "".join(printed)


def _message(said: Sequence[str], code: int) -> str:
    """The program's own message, without what it had told of its progress."""
    for start, mark in (("error: ", "error: "), ("stopped", "")):
        for at, line in enumerate(said):
            if line.startswith(start):
                return "\n".join([line[len(mark) :], *said[at + 1 :]]).strip()
    end = f"it was ended by signal {-code}" if code < 0 else f"its exit code is {code}"
    return "\n".join([f"the program ended without a reason: {end}", *said[-_LAST_LINES:]])
