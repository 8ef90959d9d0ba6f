"""Writes what the pages include, before the site is built; none of it is in git.

build/pages/fragments/   included by the hand-written pages
build/pages/notebooks/   notebooks that have run, until something they depend on changes
docs/notebooks/          a page for each notebook, with its images and a copy to download
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import typer
from typer.cli import get_docs_for_click

from analysis.report.diagram import card, page
from analysis.report.pages import (
    accuracy,
    calculator,
    choose,
    cost,
    home,
    maps_page,
    notebooks,
    space,
    timing,
    verdict_list,
)
from analysis.report.pages.records import Records, sources
from featherface.errors import InputError, one_line
from featherface.files import read_bytes, read_text, write_bytes

CACHE = Path("build") / "pages"
PAGES = Path("docs") / "notebooks"

FRAGMENTS: Mapping[str, Callable[[Records], str]] = {
    "home-lead.html": home.lead,
    "home-commands.md": home.commands,
    "provenance.html": home.publications,
    "home-size.md": home.the_size,
    "home-card.md": home.the_card,
    "home-cost.md": home.the_cost,
    "home-accuracy.md": home.the_accuracy,
    "home-networks.html": home.networks,
    "architecture.html": lambda records: page.architecture_html(
        list(records.blocks.values()), records["layers.json"], records["verdicts.json"]
    ),
    "architecture-card.html": lambda records: card.card_comparison(
        list(records.blocks.values()), records["verdicts.json"]
    ),
    "architecture-blocks.md": lambda records: page.block_sections(
        list(records.blocks.values()), records["layers.json"], records["verdicts.json"]
    ),
    "verdict-controls.html": verdict_list.controls,
    "verdict-claims.html": verdict_list.claims,
    "cost-lead.md": cost.lead,
    "cost-overview.html": cost.overview,
    "cost-blocks.md": cost.blocks,
    "cost-counters.md": cost.counters,
    "torchvision-lead.md": cost.torchvision_lead,
    "torchvision.html": cost.torchvision,
    "second-card.html": verdict_list.second_card,
    "cost-latency.md": timing.latency,
    "cost-roofline-lead.md": timing.roofline_lead,
    "cost-roofline.md": timing.roofline,
    "cost-growth.md": timing.growth,
    "space-lead.md": space.lead,
    "space-calculator.md": calculator.calculator,
    "space-bounds.md": space.bounds,
    "space-facts.html": space.facts,
    "space-totals.md": space.totals,
    "space-landscape.html": space.landscape,
    "space-sensitivity.html": space.sensitivity,
    "maps-lead.md": maps_page.lead,
    "maps.md": maps_page.maps,
    "choose-lead.md": choose.lead,
    "choose-table.html": choose.table,
    "choose-chart.html": choose.chart,
    "widerface-lead.md": accuracy.lead,
    "widerface.md": accuracy.results,
    "widerface-curves.md": accuracy.curves,
}
"""Makers of the fragments that pages include, by name."""


class Result(NamedTuple):
    """Files that are new or different, and the notebooks."""

    written: list[Path]
    pages: list[notebooks.Page]


def generate(
    root: Path, command: Any, track: Callable[[Iterable[Any]], Iterable[Any]] = lambda steps: steps
) -> Result:
    """Bring all that the pages include up to date; only what differs is written, when all is made.

    Fragments, and pages of notebooks, that are made no longer are deleted.

    Args:
        root: the folder of `mkdocs.yml`.
        command: the Click command whose reference is written.
        track: wraps the list of notebooks, to show progress.

    Raises:
        InputError: where a record or a notebook cannot be used, a page would replace one that was
            not made here, or a file cannot be written.
    """
    fragments, read = made_from(Records(root / "docs"))
    for folder, up in (("docs", ""), ("docs/use", "../")):
        for path in sorted((root / folder).glob("*.md")):
            name, text = f"sources-{path.stem}.md", read_text(path)
            if name in text:
                fragments[name] = sources(text, read, up)
    fragments["commands.md"] = reference(command)
    files: dict[Path, bytes] = {}
    pages: list[notebooks.Page] = []
    for source in track(sorted((root / "notebooks").glob("*.py"))):
        pages.append(notebooks.render(source, root, root / CACHE / f"notebooks/{source.stem}.json"))
        files |= {root / PAGES / name: text.encode() for name, text in pages[-1].files.items()}
        book = source.with_suffix(".ipynb")
        files[root / PAGES / book.name] = read_bytes(book)
    fragments["notebooks.html"] = notebooks.listed(pages)
    files |= {root / CACHE / "fragments" / name: text.encode() for name, text in fragments.items()}
    changed = {
        path: content
        for path, content in files.items()
        if not path.is_file() or path.read_bytes() != content
    }
    for path in {*(root / PAGES).glob("*.md")} & changed.keys():
        if notebooks.MARK not in read_text(path):
            raise InputError(f"{path}: was not made by `featherface report`; move it or delete it")
    for path, content in changed.items():
        write_bytes(path, content)
    return Result([*changed], pages)


def reference(command: Any) -> str:
    """Return every command below `command`, with its arguments, options and example, as Markdown.

    Args:
        command: the Click command of `featherface`, as Typer makes it.
    """
    context = typer.Context(command, info_name="featherface")
    text = get_docs_for_click(obj=command, ctx=context, name="featherface").replace("\b", "")
    commands = text[text.index("\n## ") :].replace("* `--help`: Show this message and exit.\n", "")
    return re.sub(r"^Examples?:\s*(.+(?:\n.+)*)", r"```sh\n\1\n```", commands, flags=re.MULTILINE)


_DAMAGE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, StopIteration)
"""Raised where a record is not what a fragment takes it for; other errors are of the code."""


def made_from(records: Records) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Return the fragments by name, and the files below docs/results/ that each is made from.

    Raises:
        InputError: where a record is not what a fragment takes it for, as one that is damaged or
            of another version.
    """
    fragments, read = {}, {}
    for name, make in FRAGMENTS.items():
        own = replace(records, read=set())
        try:
            fragments[name] = make(own)
        except InputError:
            raise
        except _DAMAGE as error:
            files = (str(records.docs / "results" / file) for file in sorted(own.read))
            raise InputError(
                f"{' or '.join(files) or 'a ledger'}: damaged or of another version: {name} cannot "
                f"be made of it: {type(error).__name__}: {one_line(error)}"
            ) from error
        read[name] = own.read
    return fragments, read
