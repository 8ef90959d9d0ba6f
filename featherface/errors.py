"""Errors of input: one line that names what a user gave and what is wrong with it."""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

# As PyTorch, CUDA's libraries, ONNX Runtime, OpenVINO and the standard libraries of C++ say it.
_NO_MEMORY = re.compile(
    r"out.of.memory|not enough memory|bad[ _]alloc|ALLOC_FAILED"
    r"|(can't|cannot|could not|failed to|unable to) alloc",
    re.IGNORECASE,
)


class InputError(ValueError):
    """Bad input: the message names the file or value and what is wrong with it.

    The command line prints the message alone and exits with code 2. It is one printable line:
    control characters and file names that are not UTF-8 are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split())))


def printable(text: str | os.PathLike[str]) -> str:
    """Return the text with everything escaped that no terminal or UTF-8 file can hold."""
    text = os.fspath(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def among(name: object, known: Iterable[str], most: int = 40) -> str:
    """Return what to say of an unknown name: the known one that it resembles, or what is known."""
    names = list(known)
    if near := get_close_matches(str(name), names, 1):
        return f"did you mean {near[0]!r}?"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"known: {', '.join(names[:most])}{more}"


def one_line(error: BaseException) -> str:
    """Return an error's message on one line, shortened."""
    return " ".join(str(error).split())[:200]


def first_cause(error: BaseException) -> str:
    """Return on one line what an error came from in the end, as of a failed download."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return one_line(error) or type(error).__name__


def first_sentence(error: Exception) -> str:
    """Return what PyTorch says is wrong, without the lists and advice that follow."""
    return re.split(r"\.\s|\n", str(error))[0][:200] or type(error).__name__


def out_of_memory(error: Exception) -> bool:
    """Return whether an error, of Python or a library, is of too little memory."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or bool(_NO_MEMORY.search(str(error)))


@contextmanager
def without_warnings(module: str = "") -> Iterator[None]:
    """Keep the warnings of modules (a regular expression) from the screen, in the main thread.

    In other threads they stay: Python's filters belong to the whole process, and two threads that
    change and restore them would leave them changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=module)
        yield
