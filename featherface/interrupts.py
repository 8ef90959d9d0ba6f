"""What Ctrl-C does while modules are imported."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def imports_end_at_once() -> Iterator[None]:
    """Let an interrupt end this process quietly, with exit code 130, wherever it imports a module.

    An import has nothing to tidy up, and libraries lose the exception of an interrupt, turn it into
    another or abort: numpy and torch do, whose import takes the first seconds of a command. Where
    interrupts are ignored, as by `nohup`, nothing changes.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted(number: int, frame: FrameType | None) -> None:
    at = frame
    while at is not None:
        if at.f_globals.get("__name__") == "importlib._bootstrap":
            os._exit(130)
        at = at.f_back
    signal.default_int_handler(number, frame)
