"""Plain decimal numbers of a text, converted together, exactly as Python's `float` does.

An integer below 2**53 and a power of ten up to 10**22 are both exact in float64, and so their
quotient is the float64 nearest to the decimal (Clinger, "How to read floating point numbers
accurately", 1990). "0.9999896" is 9999896 / 10**7. With up to 15 digits every decimal is such a
quotient, and whole columns of digits can be multiplied by their powers of ten at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DIGITS = 15
_POWERS = 10.0 ** np.arange(DIGITS + 1)


def convert(
    characters: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return the numbers of N tokens; None where one is not -?digits[.digits], or too long.

    Args:
        characters: of the text; other than digits, ".", "-" it has white space alone.
        starts: (N,), where each token starts, rising; `ends` is where it ends.
    """
    dots = np.flatnonzero(characters == ord("."))
    with_dot = np.searchsorted(starts, dots, side="right") - 1
    has_dot = np.zeros(len(starts), dtype=np.int8)
    has_dot[with_dot] = 1
    negative = characters[starts] == ord("-")
    length = ends - starts - has_dot - negative
    if (
        np.count_nonzero(has_dot) != len(dots)  # two in one
        or np.count_nonzero(negative) != np.count_nonzero(characters == ord("-"))
        or (len(length) and not 1 <= length.min() <= length.max() <= DIGITS)
    ):
        return None
    # Without the dots, each token is a run of digits.
    digits = characters[characters != ord(".")] - np.uint8(ord("0"))
    first = starts + negative - (np.cumsum(has_dot, dtype=np.int64) - has_dot)
    length = length.astype(np.uint8)
    order = np.argsort(length, kind="stable")
    values = np.empty(len(starts))
    at = 0
    for count, tokens in enumerate(np.bincount(length, minlength=1).tolist()):
        if tokens:
            chosen = order[at : at + tokens]
            runs = np.lib.stride_tricks.sliding_window_view(digits, count)[first[chosen]]
            values[chosen] = runs.astype(np.float64) @ _POWERS[:count][::-1]
            at += tokens
    values[with_dot] /= _POWERS[ends[with_dot] - dots - 1]
    np.negative(values, where=negative, out=values)
    return values
