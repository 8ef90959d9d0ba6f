"""Every number on a page comes from a record that the page names, or is stated with its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.report.pages import choose
from analysis.report.pages.generate import FRAGMENTS, made_from
from analysis.report.pages.records import Records, sources

ROOT = Path(__file__).resolve().parents[4]
PAGES = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "use").glob("*.md")]
CODE = sorted((ROOT / "analysis" / "report").rglob("*.py"))
WORDS = sorted((ROOT / "analysis" / "report" / "pages" / "words").iterdir())
NUMBER = re.compile(r"(?<![\w.,#/@-])\d[\d,]*(?:\.\d+)?(?![\w])")


def numbers(text: str) -> set[str]:
    """Numbers of two digits and more that stand alone in a text, as they are written."""
    found = {number.rstrip(",") for number in NUMBER.findall(text)}
    return {number for number in found if len(number) > 1}


def prose(markdown: str) -> str:
    """A page's own words: without its head, code, markup, and what it includes."""
    for pattern in (
        r"\A---\n.*?\n---\n",
        r"^```.*?^```$",
        r"^\|[^\n]*`[^\n]*\|$",  # rows of a table that explain code
        r"`[^`\n]*`",
        r"<[^>]*>",
        r"\]\([^)]*\)",
        r"\{[^}]*\}",
        r"^--8<-- .*$",
        r'^  "[^"]*":$',  # the keys of YAML
    ):
        markdown = re.sub(pattern, " ", markdown, flags=re.DOTALL | re.MULTILINE)
    return markdown


def sentences(path: Path) -> Iterator[str]:
    """The texts in a module that have several words; markup within is left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = re.sub(r'[\w-]+="[^"]*"?|<[^>]*>?|\{[^}]*\}', " ", node.value)
            if id(node) not in docstrings and re.search(r"[a-z]{2,} |[ ×][a-z]{2,}", text):
                yield text


@pytest.fixture
def known(records: Records) -> set[str]:
    """Numbers that are stated, or printed in a source that is judged."""
    claims = [claim for book in records.ledgers for claim in book.claims]
    printed = [text for claim in claims for text in (claim.printed, *claim.operands)]
    publications = records["provenance.json"]["publications"]
    published = [str(value) for row in publications for value in row.values()]
    others = [other["cost"] for other in choose.others().values()]  # each with its address
    return set(stated()) | numbers(" ".join([*printed, *published, *others]))


def stated() -> dict[str, str]:
    """Numbers that no record holds, with where each is set, from the page of the method."""
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d.,]+) \| .+ \| (.+) \|$", page, re.MULTILINE)
    return {number: where.strip("`") for number, where in rows}


def test_a_stated_number_is_in_the_file_that_sets_it() -> None:
    files = {number: ROOT / where for number, where in stated().items() if (ROOT / where).is_file()}
    assert len(files) >= 8
    for number, path in files.items():
        found = numbers(path.read_text(encoding="utf-8"))
        same = {
            one for one in found if float(one.replace(",", "")) == float(number.replace(",", ""))
        }
        assert same, (number, path)


@pytest.mark.parametrize("path", [*PAGES, *WORDS], ids=lambda path: path.name)
def test_a_number_that_a_page_states_has_a_source(path: Path, known: set[str]) -> None:
    assert numbers(prose(path.read_text(encoding="utf-8"))) - known == set()


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_number_in_the_words_of_the_code_has_a_source(path: Path, known: set[str]) -> None:
    assert set().union(*map(numbers, sentences(path))) - known == set()


def test_a_number_without_a_source_is_found() -> None:
    assert numbers(prose("# A page\n\nIt has 12,345 parts, `678` and [9.5](x12.md).")) == {
        "12,345",
        "9.5",
    }


def test_each_page_names_the_records_of_what_it_includes(records: Records) -> None:
    _, files = made_from(records)
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        included = FRAGMENTS.keys() & set(re.findall(r'--8<-- "([^"]+)"', page))
        read = set().union(*(files[fragment] for fragment in included))
        if read:
            assert f'--8<-- "sources-{path.stem}.md"' in page, path.name
            line = sources(page, files)
            for name in read:
                assert (ROOT / "docs" / "results" / name).is_file()
                assert f"results/{name})" in line
    assert files["cost-blocks.md"] == {"blocks.json"}
    assert files["provenance.html"] == {"provenance.json"}
    assert files["widerface.md"] == {"widerface.jsonl"}


def test_what_others_publish_of_their_detectors_has_its_source(records: Records) -> None:
    rows = records["widerface.jsonl"]
    published = {row["detector"] for row in rows if row["source"] == "published"}
    for name, other in choose.others().items():
        assert name in published
        assert other["source"].startswith("https://")
        stated = re.match(r"([\d.]+) ([MG])FLOPs(?: at (\d+)×(\d+))?", other["cost"])
        flops, size = None, None
        if stated:
            flops = round(float(stated[1]) * {"M": 1e6, "G": 1e9}[stated[2]])
            size = [int(stated[4]), int(stated[3])] if stated[3] else None
        assert (other["flops"], other["size"]) == (flops, size), name
