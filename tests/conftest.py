"""What the tests share: the folder of real data, where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes that share the cores: threads of each would wait for those of the others.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Exported networks are cached for the session, not among the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATHERFACE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published weights, reference outputs and WIDER FACE; skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("FEATHERFACE_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"real data is not here: {folder} (FEATHERFACE_SHARED names the folder)")
    return folder


@pytest.fixture(scope="session")
def weights(shared: Path) -> Path:
    """The folder of published checkpoints; skips without it."""
    folder = shared / "weights"
    if not folder.is_dir():
        pytest.skip(f"published checkpoints are not here: {folder}")
    return folder
