"""Processes that were forked: threads of their parent are not there."""

from __future__ import annotations

import os
import threading

import torch

_process = os.getpid()


def forked() -> bool:
    """Return whether this process was forked since this module was imported."""
    return os.getpid() != _process


def one_thread_in_a_fork() -> None:
    """Set PyTorch to one thread in a forked process, which lacks those it would wait for."""
    if forked():
        torch.set_num_threads(1)


class Lock:
    """A lock of a module; in a forked process it is free, as a thread that held it is not there."""

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        if self._lock.locked():  # else this is a process that was forked inside
            self._lock.release()
