"""Running code of others: factories, networks and counters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from traceback import walk_tb

import torch

from featherface.errors import InputError


@contextmanager
def foreign_code(error: type[InputError], where: str) -> Iterator[None]:
    """Run code of others: what it prints goes to stderr, whatever it raises becomes one line.

    An interrupt stays one, and an `InputError`, which is one line already.

    Args:
        error: the class that is raised.
        where: the beginning of its message.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (KeyboardInterrupt, InputError):
        raise
    except BaseException as failure:  # such as SystemExit, which would end our program
        try:
            reason = " ".join(str(failure).split())[:300]
            if not reason:
                reason = _place(failure)
        except Exception as second:
            reason = f"its message raises {type(second).__name__}"
        raise error(f"{where}: {type(failure).__name__}: {reason}") from failure


def _place(failure: BaseException) -> str:
    """Return the last line of code of others that ran, neither PyTorch's nor ours."""
    frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(failure.__traceback__)]
    ours = {Path(torch.__file__).parent, Path(__file__).parent}
    theirs = [(name, line) for name, line in frames if not ours & {*Path(name).parents}]
    name, line = (theirs or frames)[-1]
    return f"line {line} of {Path(name).name}"
