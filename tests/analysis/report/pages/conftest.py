from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.report.pages.records import Records

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def records() -> Records:
    return Records(ROOT / "docs")


@pytest.fixture(scope="module")
def file(request: pytest.FixtureRequest, records: Records, tmp_path_factory: Any) -> Path:
    """A page of its own with what the module's `body` makes of the records, style and script."""
    style, script = (
        (ROOT / "docs" / "assets" / name).read_text(encoding="utf-8")
        for name in ("site.css", request.module.SCRIPT)
    )
    path: Path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Page</title>'
        f"<style>{style}</style><body class='md-typeset'>{request.module.body(records)}"
        f"<script>{script}</script></html>",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    """That page in a browser."""
    page = browser.new_page(viewport={"width": 900, "height": 900})
    page.goto(file.as_uri())
    yield page
    page.close()


@pytest.fixture
def plain_page(browser: Any, file: Path) -> Iterator[Any]:
    """That page in a browser without scripts."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    yield page
    context.close()
