"""Only what changed is written, nothing is removed, and a notebook runs when it has to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from analysis.cli.main import app
from analysis.report.pages import html, notebooks
from analysis.report.pages.generate import CACHE, generate
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
    assert second.written == []
    assert times == {path: path.stat().st_mtime_ns for path in first.written}


def test_a_record_that_changed_changes_what_shows_it(project: Path, command: Any) -> None:
    generate(project, command)
    path = project / "docs" / "results" / "verdicts.json"
    path.write_text(path.read_text(encoding="utf-8").replace("The backbone has", "A backbone has"))
    written = {path.name for path in generate(project, command).written}
    assert "verdict-claims.html" in written
    assert "cost-blocks.md" not in written


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


@pytest.mark.parametrize("folder", ["build", "docs/notebooks"])
def test_a_folder_that_cannot_be_written_is_named_before_any_work(
    project: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nbclient", reason="no pages are written without nbclient")
    (project / "mkdocs.yml").touch()
    (project / folder).write_text("a file where the folder should be")
    monkeypatch.setattr(
        "analysis.report.pages.generate.made_from", lambda _: pytest.fail("made before the check")
    )
    arguments = ["report", "--pages", "--out", str(project / "docs")]
    failure = CliRunner().invoke(app, arguments).exception
    assert isinstance(failure, InputError)
    assert str(project / folder) in str(failure)
    assert "cannot be written" in str(failure)


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
def test_a_notebook_runs_again_only_where_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nbclient", reason="notebooks are run with nbclient")
    pytest.importorskip("ipykernel", reason="notebooks run in ipykernel")
    source, data = tmp_path / "story.py", tmp_path / "docs" / "results" / "data.txt"
    source.write_text(NOTEBOOK)
    data.parent.mkdir(parents=True)
    data.write_text("one")
    cache = tmp_path / ".cache" / "story.json"
    monkeypatch.delenv("FEATHERFACE_SHARED", raising=False)

    def render() -> notebooks.Page:
        return notebooks.render(source, tmp_path, cache)

    page = render()
    assert (page.title, page.summary, page.ran) == ("A story", "It has a first paragraph.", True)
    text = page.files["story.md"]
    assert "one &lt;b&gt;" in text
    assert 'alt="a line that rises"' in text
    assert page.files["story_files/story_2_0.svg"].startswith("<svg")
    assert not render().ran

    code = tmp_path / "analysis" / "code.py"
    code.parent.mkdir()
    code.write_text("1")
    assert render().ran
    code.write_text("2")
    assert render().ran
    code.rename(code.with_name("renamed.py"))
    assert render().ran
    assert not render().ran
    for folder in ("data", "shared"):  # the notebook's own default, and one that is named
        truth = tmp_path / folder / "wider" / "ground_truth" / "easy.mat"
        truth.parent.mkdir(parents=True)
        truth.write_text("x")
        assert render().ran
        assert not render().ran
        monkeypatch.setenv("FEATHERFACE_SHARED", str(tmp_path / "shared"))

    data.write_text("two")
    page = render()
    assert page.ran
    assert "two &lt;b&gt;" in page.files["story.md"]
    (tmp_path / "docs" / "page.md").write_text("no record")
    assert not render().ran

    cache.write_text('{"key": ')
    assert render().ran

    source.write_text(NOTEBOOK + "\n# %%\n1 / 0\n")
    with pytest.raises(InputError, match=r"story\.py: a cell failed: ZeroDivisionError"):
        render()
    source.write_bytes(b"# %% [markdown]\n# \xff")
    with pytest.raises(InputError, match=r"story\.py: cannot be read: not UTF-8 text"):
        render()


def test_a_styled_table_is_the_same_page_in_every_run() -> None:
    styled = pd.DataFrame({"macs": [1_234_567]}, index=["heads"]).style.format("{:,}")
    first, second = (notebooks._table(styled.set_uuid(run).to_html()) for run in ("1a2b", "3c4d"))
    assert first == second
    assert '<td data-n class="data row0 col0" >1,234,567</td>' in first


def test_a_figure_says_its_size_and_has_both_schemes(root: Path, tmp_path: Path) -> None:
    figure = html.themed(root / "docs", "design-space", 'a "plot"')
    assert figure.count('width="878" height="446"') == 2
    assert 'src="../figures/design-space-dark.svg" alt="a &quot;plot&quot;"' in figure
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "x.svg").write_text("<svg>")
    with pytest.raises(InputError, match=r"x\.svg: not an SVG with a viewBox"):
        html.themed(tmp_path, "x", "")


def test_pages_of_notebooks_are_written_and_only_what_was_made_is_replaced(
    project: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"# A story\n\n{notebooks.MARK}story</p>"
    files = {"story.md": text, "story_files/story_2_0.svg": "<svg/>"}
    page = notebooks.Page("story", "A story", "", files, ran=True)
    monkeypatch.setattr(notebooks, "render", lambda *_: page)
    (project / "notebooks" / "story.py").write_text(NOTEBOOK)
    (project / "notebooks" / "story.ipynb").write_text("{}")
    generate(project, command)
    below = project / "docs" / "notebooks"
    assert {name: (below / name).read_text() for name in files} == files
    assert (below / "story.ipynb").read_text() == "{}"

    fragment = project / CACHE / "fragments" / "of-last-year.html"
    for path in (below / "mine.md", fragment):
        path.write_text("# Mine")
    generate(project, command)
    assert {path.read_text() for path in (below / "mine.md", fragment)} == {"# Mine"}

    (below / "story.md").write_text("# Mine")
    with pytest.raises(InputError, match=r"story\.md: was not made by `featherface report`"):
        generate(project, command)
    assert (below / "story.md").read_text() == "# Mine"
