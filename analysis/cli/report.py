"""`featherface report`: every record, table and figure anew."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from analysis.cli.options import output_folder, progress, show


def report(
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            parser=output_folder,
            help="The folder of pages; records go to DIR/results.",
        ),
    ] = Path("docs"),
) -> None:
    """Measure everything again: every record, table and figure under docs/.

    Needs no weights and no network. What is measured does not depend on the machine, so the
    files are the same bytes everywhere until the code or a ledger changes.
    """
    from analysis.claims import verdicts as compliance
    from analysis.report.results import STEPS, generate
    from analysis.report.tables import networks as tables

    with progress("measuring") as track:
        written = generate(out, lambda steps: track(steps, len(STEPS)))
    for path in written:
        print(path)
    if find_spec("thop") is None:
        print("thop is not installed: what it says is kept as recorded", file=sys.stderr)
    verdicts = compliance.recorded(out / "results" / "verdicts.json")
    show(tables.summary([verdict.as_dict() for verdict in verdicts]))
