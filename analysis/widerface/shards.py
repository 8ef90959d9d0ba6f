"""One run over several processes and machines, as `torchrun` starts them.

The processes exchange a few small objects, the plan first and what was done last, over gloo.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

from featherface.errors import InputError, first_sentence

T = TypeVar("T")

MEETING = timedelta(minutes=5)
"""Time that processes wait for each other at the start."""
_PATIENCE = timedelta(days=7)
"""Time that a process waits for the others at the end. That one has died shows at once."""


class ToldByFirstError(InputError):
    """An error of the first process, in another one: it is reported there."""


@dataclass(frozen=True)
class Group:
    """The processes of a run, as seen from one of them."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    channel: Any = None  # the group of `torch.distributed` that objects are exchanged in

    @property
    def first(self) -> bool:
        """True for the process that plans and reports."""
        return self.rank == 0

    def decided_by_first(self, decide: Callable[[], T]) -> T:
        """Return in all processes what the first decides.

        An `InputError` of `decide` is raised in all of them, as `ToldByFirstError` in the others.
        """
        if self.world == 1:
            return decide()
        import torch.distributed as dist

        message: list[Any] = [None]
        if self.first:
            try:
                message = [decide()]
            except InputError as error:
                message = [InputError(str(error))]
        with _others_alive():
            dist.broadcast_object_list(message, src=0, group=self.channel)
        if isinstance(message[0], InputError):
            raise message[0] if self.first else ToldByFirstError(str(message[0]))
        return cast(T, message[0])

    def gathered(self, own: T) -> list[T]:
        """Return what each process has, by rank, in all of them; waits for the last."""
        if self.world == 1:
            return [own]
        import torch.distributed as dist

        found: list[Any] = [None] * self.world
        with _others_alive():
            dist.all_gather_object(found, own, group=self.channel)
        return found


@contextmanager
def process_group() -> Iterator[Group]:
    """Yield the group that `torchrun` started this process in, or this process alone."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield Group()
        return
    rank, world = _number("RANK"), _number("WORLD_SIZE")
    if rank >= world:
        raise InputError(f"RANK (={rank}) must be below WORLD_SIZE (={world})")
    import torch.distributed as dist

    try:
        dist.init_process_group("gloo", timeout=MEETING)
        channel = dist.new_group(timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"process {rank} of {world}: the others did not come within "
            f"{MEETING.total_seconds():g} s, or cannot be reached; RANK, WORLD_SIZE, MASTER_ADDR "
            f"and MASTER_PORT say where ({first_sentence(error)})"
        ) from None
    try:
        yield Group(rank, world, _number("LOCAL_RANK"), channel)
    finally:
        dist.destroy_process_group()


def _number(name: str) -> int:
    text = os.environ.get(name, "0")
    if not text.isdecimal():
        raise InputError(f"{name} (={text!r}) must be a number from 0, as torchrun sets it")
    return int(text)


@contextmanager
def _others_alive() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:  # DistError and its kind are RuntimeErrors
        raise InputError(
            "another process of this run is gone, or cannot be reached; what is done is kept, and "
            f"the same command goes on with the rest ({first_sentence(error)})"
        ) from None
