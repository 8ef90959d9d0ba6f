from __future__ import annotations

from pathlib import Path

import pytest

from analysis.report.pages.records import Records

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def records() -> Records:
    return Records(ROOT / "docs")
