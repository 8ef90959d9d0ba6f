"""Writes what the pages include: fragments, dark figures, notebooks. Only what changed is written.

    .cache/site/fragments/   included by the hand-written pages
    .cache/site/notebooks/   outputs of notebooks, until something they depend on changes
    docs/generated/          figures for the dark scheme
    docs/notebooks/          a page for each notebook

None of these is in git: they follow from the records, the sources and the notebooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.report.pages import (
    accuracy,
    architecture,
    commands_page,
    cost,
    home,
    maps_page,
    notebooks,
    python_page,
    space,
    timing,
    verdict_list,
)
from analysis.report.pages.figures import dark_versions, themed
from analysis.report.pages.notebook_list import notebook_list
from analysis.report.pages.records import Records, load_records
from featherface.files import write_bytes

CACHE = Path(".cache") / "site"

FRAGMENTS: Mapping[str, Callable[[Records], str]] = {
    "home-lead.html": home.lead,
    "home-tally.html": lambda records: verdict_list.tally(records, "verdicts/"),
    "home-surprises.html": home.surprises,
    "home-size.md": home.the_size,
    "home-card.md": home.the_card,
    "home-cost.md": home.the_cost,
    "home-accuracy.md": home.the_accuracy,
    "home-networks.html": home.networks,
    "architecture.html": architecture.diagram,
    "architecture-card.html": architecture.card,
    "architecture-blocks.md": architecture.sections,
    "verdict-controls.html": verdict_list.controls,
    "verdict-claims.html": verdict_list.claims,
    "cost-overview.html": cost.overview,
    "cost-blocks.md": cost.blocks,
    "cost-counters.md": cost.counters,
    "cost-latency.md": timing.latency,
    "cost-roofline.md": timing.roofline,
    "cost-growth.md": timing.growth,
    "space-facts.html": space.facts,
    "space-totals.md": space.totals,
    "space-landscape.html": lambda records: themed(
        records.docs,
        "design-space",
        "Every architecture of the family by parameters and MACs, with the published totals marked",
        "Every architecture that was counted, by parameters and MACs.",
    ),
    "space-sensitivity.html": space.sensitivity,
    "maps.md": maps_page.maps,
    "widerface.md": accuracy.results,
    "widerface-curves.md": accuracy.curves,
}
"""What the pages include by name."""


@dataclass
class Result:
    """What a generation did."""

    written: list[Path] = field(default_factory=list)
    """Files that are new or different."""
    removed: list[Path] = field(default_factory=list)
    """Files of an earlier generation that nothing makes any more."""
    ran: list[str] = field(default_factory=list)
    """Notebooks that were run."""
    kept: list[str] = field(default_factory=list)
    """Notebooks whose outputs still hold."""


def generate(
    root: Path, command: Any, track: Callable[[Iterable[Any]], Iterable[Any]] = lambda steps: steps
) -> Result:
    """Bring everything that the pages include up to date.

    Args:
        root: of the project: the folder of `mkdocs.yml`.
        command: the Click command whose reference is written.
        track: wraps the list of notebooks, to show progress.

    Raises:
        InputError: where a record or a notebook cannot be used, or a file cannot be written.
    """
    root = root.resolve()
    docs, cache = root / "docs", root / CACHE
    result = Result()
    pages: list[notebooks.Page] = []
    files: dict[str, bytes] = {}
    for source in track(notebooks.sources(root / "notebooks")):
        page = notebooks.render(source, root, cache / "notebooks" / source.stem)
        pages.append(page)
        (result.ran if page.ran else result.kept).append(page.name)
        files |= _page_files(cache / "notebooks" / page.name, page.name)
    _bring(docs / "notebooks", files, result)

    records = load_records(docs)
    fragments = {name: make(records) for name, make in FRAGMENTS.items()}
    fragments["notebooks.html"] = notebook_list(pages)
    fragments["commands.md"] = commands_page.reference(command)
    fragments |= _python(root)
    _bring(cache / "fragments", {n: text.encode() for n, text in fragments.items()}, result)
    figures = {name: text.encode() for name, text in dark_versions(docs).items()}
    _bring(docs / "generated", figures, result)
    return result


def _page_files(folder: Path, name: str) -> dict[str, bytes]:
    files = {f"{name}.md": (folder / "page.md").read_bytes()}
    for path in sorted((folder / f"{name}_files").glob("*")):
        files[f"{name}_files/{path.name}"] = path.read_bytes()
    return files


_PICTURES = (
    "analysis.maps",
    "analysis.report.plots",
    "analysis.report.diagram",
    "featherface.drawing",
)
_ELSEWHERE = ("analysis.cli.main", "analysis.cli", "analysis.report.pages", "analysis.benchmarks")


def _python(root: Path) -> dict[str, str]:
    """The reference of the packages, on pages that link to each other."""
    analysis = python_page.read_package(root / "analysis", _ELSEWHERE)

    def below(*names: str) -> list[python_page.Module]:
        return [m for m in analysis if f"{m.name}.".startswith(tuple(f"{n}." for n in names))]

    apart = [*below("analysis.widerface"), *below(*_PICTURES)]
    pages = {
        "python-featherface": python_page.read_package(root / "featherface"),
        "python-analysis": [module for module in analysis if module not in apart],
        "python-widerface": below("analysis.widerface"),
        "python-pictures": below(*_PICTURES),
    }
    return {
        f"{page}.md": python_page.reference(modules, python_page.addresses(pages, page))
        for page, modules in pages.items()
    }


def _bring(folder: Path, files: Mapping[str, bytes], result: Result) -> None:
    """Make a folder hold these files and no others; those that are the same are not touched."""
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            write_bytes(path, content)
            result.written.append(path)
    wanted = {folder / name for name in files}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.is_file() and path not in wanted:
            path.unlink()
            result.removed.append(path)
