"""Work on many items, several at once, with the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
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
    failure: Exception | None = None

    def until_failure() -> Iterator[Item]:
        nonlocal failure
        try:
            yield from items
        except Exception as error:
            failure = error

    coming = until_failure()
    pool = ThreadPoolExecutor(threads, "featherface")
    waiting: deque[Future[Result]] = deque()
    try:
        while True:
            waiting += (pool.submit(work, each) for each in islice(coming, ahead - len(waiting)))
            if not waiting:
                break
            yield waiting.popleft()
        if failure:
            raise failure
    finally:
        pool.shutdown(cancel_futures=True)
