import math
import tomllib
from pathlib import Path

import pytest

import secateur
from secateur import _toml


@pytest.mark.parametrize(
    "value",
    [
        1, -3, True, 0.1, 1e-300, math.inf, "", "random", "7", "a \"b\" \\ 'c'\n\t\x00\x7f ä€𝄞",
        [50, 30], [], (1, 2),
        {"name": "random", "of": {"seed": 1}}, {"blocks.*.attn = x": 0.5}, [["train.lr", "train.epochs"]], {},
    ],
)  # fmt: skip
def test_what_is_set_is_what_was_given(value):
    expected = list(value) if isinstance(value, tuple) else value
    assert tomllib.loads(f"x = {_toml.text(value, 'x')}")["x"] == expected


def test_paths_and_numbers_of_numpy_are_values_too():
    numpy = pytest.importorskip("numpy")
    assert _toml.text(Path("/a b"), "x") == '"/a b"'
    assert _toml.text(numpy.float32(0.5), "x") == "0.5" and _toml.text(numpy.arange(3), "x") == "[0, 1, 2]"
    assert _toml.text(numpy.bool_(True), "x") == "true"


@pytest.mark.parametrize("value", [None, [None], {"a": None}, object(), 1j])
def test_what_toml_has_no_word_for_is_refused_with_its_key(value):
    with pytest.raises(secateur.ConfigError, match="train.lr: found "):
        _toml.assignments({"train.lr": value}, {})
