"""What Ctrl-C does while modules are imported."""

from __future__ import annotations

import os
import signal
from types import FrameType


def end_imports_at_once() -> None:
    """Let an interrupt end this process quietly, with exit code 130, wherever it imports a module.

    An import has nothing to tidy up, and libraries lose the exception of an interrupt, turn it into
    another or abort: numpy and torch do, whose import takes the first seconds of a command. Where
    interrupts are ignored, as by `nohup`, nothing changes.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def _interrupted(number: int, frame: FrameType | None) -> None:
    at = frame
    while at is not None:
        if at.f_globals.get("__name__") == "importlib._bootstrap":
            os._exit(130)
        at = at.f_back
    signal.default_int_handler(number, frame)
