"""Only what changed is written, only what is ours removed, and a notebook runs when it has to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer

from analysis.cli.main import app
from analysis.report.pages import html, notebooks
from analysis.report.pages.generate import CACHE, MANIFEST, generate
from featherface.errors import InputError


@pytest.fixture
def project(root: Path, tmp_path: Path) -> Path:
    """The records and figures of this one, without its notebooks."""
    for name in ("docs/results", "docs/figures", "docs/ledgers"):
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


def test_what_was_generated_once_and_is_no_longer_is_removed(project: Path, command: Any) -> None:
    generate(project, command)
    stale = CACHE / "fragments" / "of-last-year.html"
    (project / stale).write_text("x")
    names = json.loads((project / MANIFEST).read_text())
    (project / MANIFEST).write_text(json.dumps([*names, stale.as_posix()]))
    assert generate(project, command).removed == [project / stale]
    assert stale.as_posix() not in json.loads((project / MANIFEST).read_text())


def test_files_of_others_stay(project: Path, command: Any) -> None:
    others = [
        project / "docs" / "notebooks" / "mine.md",
        project / "docs" / "generated" / "mine.svg",
        project / "docs" / "index.md",
        project / CACHE / "fragments" / "mine.html",
    ]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    generate(project, command)
    outside = json.dumps(["docs/index.md", "../precious", "docs/notebooks/../index.md"])
    (project / MANIFEST).write_text(outside)
    precious = project.parent / "precious"
    precious.write_text("mine")
    assert generate(project, command).removed == []
    assert [path.read_text() for path in (*others, precious)] == ["mine"] * 5


def test_nothing_is_touched_where_a_record_cannot_be_used(project: Path, command: Any) -> None:
    generate(project, command)
    before = {p: p.read_bytes() for p in (project / CACHE).rglob("*") if p.is_file()}
    path = project / "docs" / "results" / "blocks.json"
    blocks = json.loads(path.read_text(encoding="utf-8"))
    blocks[0]["params"] += 1
    path.write_text(json.dumps(blocks))
    with pytest.raises(InputError, match=r"blocks\.json: v1: params of the blocks add up to"):
        generate(project, command)
    assert before == {p: p.read_bytes() for p in (project / CACHE).rglob("*") if p.is_file()}


def test_a_damaged_list_of_files_is_one_line(project: Path, command: Any) -> None:
    (project / MANIFEST).parent.mkdir(parents=True)
    (project / MANIFEST).write_text("{")
    with pytest.raises(InputError, match=r"\.generated\.json: not a list of files"):
        generate(project, command)


NOTEBOOK = """\
# %% [markdown]
# # A story
#
# It has a first paragraph.

# %%
from pathlib import Path
text = Path("docs/results/data.txt").read_text()
print(text, "<b>")

# %%
# Figure: a line that rises
from IPython.display import SVG
SVG("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><path d='M0 9L9 0'/></svg>")
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the notebook tools' own
def test_a_notebook_runs_again_only_where_something_changed(tmp_path: Path) -> None:
    pytest.importorskip("nbclient", reason="notebooks are run with nbclient")
    pytest.importorskip("ipykernel", reason="notebooks run in ipykernel")
    source, data = tmp_path / "story.py", tmp_path / "docs" / "results" / "data.txt"
    source.write_text(NOTEBOOK)
    data.parent.mkdir(parents=True)
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
    (tmp_path / "docs" / "page.md").write_text("no record")
    assert not render().ran

    (cache / "manifest.json").write_text('{"key": ')
    assert render().ran

    source.write_text(NOTEBOOK + "\n# %%\n1 / 0\n")
    with pytest.raises(InputError, match=r"story\.py: a cell failed: ZeroDivisionError"):
        render()


@pytest.mark.filterwarnings("ignore")  # of the notebook tools' own
def test_a_page_of_somebody_else_is_not_replaced(
    project: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(source: Path, root: Path, cache: Path) -> notebooks.Page:
        cache.mkdir(parents=True, exist_ok=True)
        (cache / "page.md").write_text("ours")
        return notebooks.Page(source.stem, "A story", "", True, False)

    monkeypatch.setattr(notebooks, "render", render)
    (project / "notebooks" / "story.py").write_text(NOTEBOOK)
    (project / "notebooks" / "story.ipynb").write_text("{}")
    page = project / "docs" / "notebooks" / "story.md"
    page.parent.mkdir()
    page.write_text("mine")
    with pytest.raises(InputError, match=r"story\.md: was not written by `featherface report`"):
        generate(project, command)
    assert page.read_text() == "mine"
    page.unlink()
    assert page in generate(project, command).written


def test_a_figure_says_its_size_and_has_both_schemes(root: Path, tmp_path: Path) -> None:
    figure = html.themed(root / "docs", "design-space", 'a "plot"')
    assert figure.count('width="878" height="446"') == 2
    assert 'src="../figures/design-space-dark.svg" alt="a &quot;plot&quot;"' in figure
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "x.svg").write_text("<svg>")
    with pytest.raises(InputError, match=r"x\.svg: not an SVG with a viewBox"):
        html.themed(tmp_path, "x", "")


def test_a_notebook_that_left_its_text_is_told(tmp_path: Path) -> None:
    jupytext = pytest.importorskip("jupytext")
    script, book = tmp_path / "story.py", tmp_path / "story.ipynb"
    script.write_text(NOTEBOOK)
    assert not notebooks.unpaired(script)
    paired = jupytext.read(script)
    jupytext.write(paired, book)
    assert not notebooks.unpaired(script)
    paired.cells[-1].source += "\n1 + 1"
    jupytext.write(paired, book)
    assert notebooks.unpaired(script)
    book.write_text("{")
    with pytest.raises(InputError, match=r"story\.ipynb: not a notebook"):
        notebooks.unpaired(script)
