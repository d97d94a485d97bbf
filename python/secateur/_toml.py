"""Python's values as ``--set`` takes them."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ._program import ConfigError


def assignments(sets: Mapping[str, Any], keys: Mapping[str, Any]) -> list[str]:
    """The arguments ``--set key=value``. In ``keys`` two underscores stand for a dot: ``train__lr``."""
    dotted = {key.replace("__", "."): value for key, value in keys.items()}
    both = sorted(set(dotted) & set(sets))
    if both:
        raise ConfigError(f"{both[0]}: it is given twice, in `sets` and as an argument\n  fix: leave one out")
    arguments: list[str] = []
    for key, value in {**sets, **dotted}.items():
        arguments += ["--set", f"{key}={text(value, key)}"]
    return arguments


def text(value: Any, key: str) -> str:
    """A value as TOML; those of NumPy become numbers and lists.

    Raises:
        ConfigError: TOML has no such value.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (str, os.PathLike)):
        return _quoted(os.fspath(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_quoted(str(name))} = {text(inner, key)}" for name, inner in value.items()) + "}"
    if isinstance(value, Iterable):
        return "[" + ", ".join(text(inner, key) for inner in value) + "]"
    raise ConfigError(
        f"{key}: found {value!r}\n"
        "  allowed: a number, True or False, text, a list, or a dictionary of these\n"
        "  fix: leave out what is to have its default"
    )


def _quoted(words: str) -> str:
    # JSON's escapes are TOML's too; TOML also wants DEL escaped.
    return json.dumps(words, ensure_ascii=False).replace("\x7f", "\\u007f")
