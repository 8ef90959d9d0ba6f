"""What Ctrl-C does to a command."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Within it, an interrupt ends the process with exit code 130: where there is nothing to keep.

    Libraries lose the exception of an interrupt that meets their import, or abort.
    """
    with _handled(lambda number, frame: os._exit(130)):
        yield


@contextmanager
def ended_quietly() -> Iterator[None]:
    """Within it, an interrupt ends the process with exit code 130 and without a traceback.

    So does another exception that comes after it, which libraries make of an interrupt.
    """
    received = []

    def raise_it(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.default_int_handler(number, frame)

    try:
        with _handled(raise_it):
            yield
    except (KeyboardInterrupt, Exception) as error:
        if received or isinstance(error, KeyboardInterrupt):
            raise SystemExit(130) from None
        raise


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle interrupts, unless they are ignored, as by `nohup`, or another thread gets them."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
