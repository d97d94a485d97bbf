"""Rows as a table of whichever library is installed."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

#: Which kind of table is wanted.
Frame = Literal["pandas", "polars", "rows"]

Row = dict[str, Any]


def flat(table: Mapping[str, Any]) -> Row:
    """A table with its inner tables' keys dotted: ``{"train": {"lr": 0.1}}`` becomes ``{"train.lr": 0.1}``."""
    row: Row = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            row.update((f"{key}.{inner}", found) for inner, found in flat(value).items())
        else:
            row[key] = value
    return row


def table(rows: Sequence[Row], frame: Frame | None) -> Any:
    """The rows as a DataFrame of ``frame``; unless given, of pandas or else polars; of neither, the rows themselves.

    Every key of every row is a column, in the order in which they come.
    """
    if frame is None:
        frame = next((name for name in ("pandas", "polars") if find_spec(name)), "rows")
    if frame not in ("pandas", "polars", "rows"):
        raise ValueError(f'frame must be "pandas", "polars" or "rows", not {frame!r}')
    if frame == "rows":
        return list(rows)
    columns = {key: [row.get(key) for row in rows] for key in dict.fromkeys(key for row in rows for key in row)}
    library = import_module(frame)
    if frame == "polars":
        columns = {key: _series(library, key, values) for key, values in columns.items()}
    return library.DataFrame(columns)


def _series(polars: Any, key: str, values: list[Any]) -> Any:
    """A column of polars, which would cut numbers short or lose keys where the values are not of one type."""
    lists = all(isinstance(value, list) for value in values if value is not None)
    inner = [one for value in values if value is not None for one in (value if lists else [value])]
    kinds = {type(one) for one in inner}
    if kinds == {int, float}:
        values = [_floats(value) for value in values]
    elif len(kinds) > 1 or kinds & {dict, list}:
        return polars.Series(key, values, dtype=polars.Object)
    return polars.Series(key, values)


def _floats(value: Any) -> Any:
    if isinstance(value, list):
        return [float(one) for one in value]
    return None if value is None else float(value)
