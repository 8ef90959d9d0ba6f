"""Only what changed is written, and a notebook only runs again when it has to."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import typer

from analysis.cli.main import app
from analysis.report.pages import notebooks
from analysis.report.pages.figures import GROUND, darken
from analysis.report.pages.generate import CACHE, generate
from featherface.errors import InputError


@pytest.fixture
def project(root: Path, tmp_path: Path) -> Path:
    """The records and figures of this one, without its notebooks."""
    for name in ("docs/results", "docs/figures"):
        shutil.copytree(root / name, tmp_path / name)
    for name in ("featherface", "analysis", "notebooks"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def command() -> Any:
    return typer.main.get_command(app)


def test_a_second_time_writes_nothing(project: Path, command: Any) -> None:
    first = generate(project, command)
    assert len(first.written) > 20
    times = {path: path.stat().st_mtime_ns for path in first.written}
    second = generate(project, command)
    assert (second.written, second.removed) == ([], [])
    assert times == {path: path.stat().st_mtime_ns for path in first.written}


def test_a_record_that_changed_changes_what_shows_it(project: Path, command: Any) -> None:
    generate(project, command)
    path = project / "docs" / "results" / "verdicts.json"
    path.write_text(path.read_text(encoding="utf-8").replace("The backbone has", "A backbone has"))
    written = {path.name for path in generate(project, command).written}
    assert "verdict-claims.html" in written
    assert "cost-blocks.md" not in written


def test_what_nothing_makes_any_more_is_removed(project: Path, command: Any) -> None:
    generate(project, command)
    stale = project / CACHE / "fragments" / "of-last-year.html"
    stale.write_text("x")
    assert generate(project, command).removed == [stale]


def test_the_page_of_notebooks_works_without_any(project: Path, command: Any) -> None:
    generate(project, command)
    assert "No notebook yet" in (project / CACHE / "fragments" / "notebooks.html").read_text()


NOTEBOOK = """\
# %% [markdown]
# # A story
#
# It has a first paragraph.

# %%
from pathlib import Path
text = Path("data.txt").read_text()
print(text, "<b>")

# %%
# Figure: a line that rises
from IPython.display import SVG
SVG("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><path d='M0 9L9 0'/></svg>")
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the notebook tools' own
def test_a_notebook_runs_again_only_where_something_changed(tmp_path: Path) -> None:
    pytest.importorskip("nbconvert", reason="notebooks are rendered with nbconvert")
    pytest.importorskip("ipykernel", reason="notebooks run in ipykernel")
    source, data = tmp_path / "story.py", tmp_path / "data.txt"
    source.write_text(NOTEBOOK)
    data.write_text("one")
    cache = tmp_path / ".cache" / "story"

    def render() -> notebooks.Page:
        return notebooks.render(source, tmp_path, cache)

    page = render()
    assert (page.title, page.summary, page.ran) == ("A story", "It has a first paragraph.", True)
    text = (cache / "page.md").read_text(encoding="utf-8")
    assert "one &lt;b&gt;" in text
    assert 'alt="a line that rises"' in text
    assert len(list((cache / "story_files").iterdir())) == 1
    assert not render().ran

    data.write_text("two")
    assert render().ran
    assert "two &lt;b&gt;" in (cache / "page.md").read_text(encoding="utf-8")
    (tmp_path / "another.txt").write_text("not opened")
    assert not render().ran

    (cache / "manifest.json").write_text('{"key": ')
    assert render().ran

    source.write_text(NOTEBOOK + "\n# %%\n1 / 0\n")
    with pytest.raises(InputError, match=r"story\.py: a cell failed: ZeroDivisionError"):
        render()


def test_a_dark_figure_is_dark_and_its_names_are_not_touched() -> None:
    svg = (
        '<svg><rect style="fill: #ffffff"/><path style="stroke: #000000; fill: #0072b2"/>'
        '<use xlink:href="#abcdef"/><g clip-path="url(#aabbcc)"/></svg>'
    )
    dark = darken(svg)
    assert f"fill: {GROUND}" in dark
    assert "#000000" not in dark
    assert 'href="#abcdef"' in dark
    assert "url(#aabbcc)" in dark
    assert darken(svg) == dark
