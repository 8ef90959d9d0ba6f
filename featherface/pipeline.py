"""Work on many items, several at once, with the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_AT_ONCE = 16
"""Images at once by default: each holds its activations, 100 bytes a pixel."""


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int
) -> Generator[Future[Result], None, None]:
    """Yield the `Future` of `work` on each item, in order; its `result()` waits or raises.

    Closed early or interrupted, what is under way is finished and the rest is left. Where the
    items fail, that is raised after what came before.

    Args:
        threads: so many items are worked on at once.
        ahead: at most so many items are taken before they are due.
    """
    coming = iter(items)
    failure: Exception | None = None
    pool = ThreadPoolExecutor(threads, "featherface")
    waiting: deque[Future[Result]] = deque()
    try:
        while True:
            while failure is None and len(waiting) < ahead:
                try:
                    item = next(coming)
                except Exception as error:
                    failure = error
                else:
                    waiting.append(pool.submit(work, item))
            if waiting:
                yield waiting.popleft()
            elif failure is None or isinstance(failure, StopIteration):
                return
            else:
                raise failure
    finally:
        pool.shutdown(cancel_futures=True)
