from __future__ import annotations

from collections.abc import Iterator

import pytest

from analysis.claims import measurements as measure


@pytest.fixture
def fresh() -> Iterator[None]:
    """Networks built anew, and not left behind: for tests that change how they are built."""
    caches = (measure._built, measure._shapes, measure._cost)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()
