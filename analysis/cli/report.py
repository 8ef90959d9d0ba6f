"""`featherface report`: counts, verdicts, tables, figures and pages below docs/, made anew."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from analysis.cli import options
from analysis.cli.output import progress, show, tell, warn
from featherface.errors import InputError
from featherface.files import check_writable


def report(
    context: typer.Context,
    out: Annotated[
        Path, options.out_folder("The folder of pages; records go to DIR/results.")
    ] = Path("docs"),
    pages: Annotated[
        bool, typer.Option("--pages", help="Only what the site's pages include; measure nothing.")
    ] = False,
) -> None:
    """Count and judge everything again, and write every table, figure and page under docs/.

    Needs no weights and no network. Times and average precision stay as recorded. What is measured
    does not depend on the machine, so the
    records are the same bytes everywhere until the code or a ledger changes. Where published
    weights are in the folder that FEATHERFACE_WEIGHTS names, attention and offsets are measured
    too; elsewhere their record is kept. Run it before the site is built. The notebooks run again
    where their text, the code, a record or an installed package has changed.
    """
    root = out.resolve().parent
    has_site = (root / "mkdocs.yml").is_file()
    if pages and not has_site:
        raise InputError(f"{out}: no mkdocs.yml beside it, so there are no pages to write")
    if has_site and find_spec("nbclient"):
        from analysis.report.pages.generate import CACHE, PAGES

        for folder in (CACHE, PAGES):
            check_writable(root / folder / "page.md")  # there may be a file of the folder's name
    if not pages:
        _records(out)
    if has_site:
        _pages(root, context.find_root().command)


def _records(docs: Path) -> None:
    from analysis.report import results
    from analysis.report.tables import networks as tables
    from featherface.files import read_text

    with progress("measuring") as track:
        written = results.generate(docs, lambda steps: track(steps, len(results.STEPS)))
    for path in written:
        tell(path)
    if not results.has_weights():
        warn("published weights are not at hand: maps.json is kept as recorded")
    if find_spec("thop") is None:
        warn("thop is not installed: what it says is kept as recorded")
    show(tables.tally(json.loads(read_text(docs / "results" / "verdicts.json"))))


def _pages(root: Path, command: Any) -> None:
    if find_spec("nbclient") is None:
        print("pages of the site are left as they are: they need the extra `site`", file=sys.stderr)
        return
    from analysis.report.pages.generate import generate

    with progress("notebooks") as track:
        result = generate(root, command, track)
    for path in result.written:
        tell(path)
    ran = sum(page.ran for page in result.pages)
    print(
        f"{len(result.written)} files of the site written; notebooks: {ran} ran, "
        f"{len(result.pages) - ran} unchanged",
        file=sys.stderr,
    )
