"""Decimals converted together are what `float` makes of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.widerface.prediction_text import convert


def converted(tokens: list[str]) -> np.ndarray | None:
    text = " ".join(["", *tokens, ""])
    lengths = np.array([len(token) for token in tokens], dtype=np.int64)
    starts = 1 + np.cumsum(lengths + 1) - lengths - 1
    return convert(np.frombuffer(text.encode(), dtype=np.uint8), starts, starts + lengths)


def test_random_decimals_of_every_length() -> None:
    random = np.random.default_rng(0)
    tokens = []
    for _ in range(20_000):
        digits = "".join(map(str, random.integers(0, 10, random.integers(1, 16))))
        dot = int(random.integers(-1, len(digits) + 1))
        number = digits if dot < 0 else f"{digits[:dot]}.{digits[dot:]}"
        tokens.append("-" * int(random.integers(0, 2)) + number)
    values = converted(tokens)
    assert values is not None
    expected = np.array([float(token) for token in tokens])
    assert values.tobytes() == expected.tobytes()  # the sign of zero, too


@given(st.lists(st.text("0123456789.-", min_size=1, max_size=18), max_size=5))
def test_what_is_no_such_decimal_is_left_to_others(tokens: list[str]) -> None:
    values = converted(tokens)
    if values is not None:
        assert values.tolist() == [float(token) for token in tokens]


@pytest.mark.parametrize(
    "token", [".", "-", "-.", "1.2.3", "1-2", "--1", "1" * 16, "0." + "1" * 15]
)
def test_these_are_left_to_others(token: str) -> None:
    assert converted(["1", token, "2"]) is None
