"""`featherface audit`: a verdict on every published figure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from analysis.cli.options import Json, emit, is_stdout, progress, show
from featherface.errors import InputError


def audit(
    json: Json = None,
    source: Annotated[
        str | None, typer.Option(help="Show one ledger only: card, paper or repository.")
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(help="Show one verdict only: confirmed, explained, refuted or untested."),
    ] = None,
    recorded: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Compare with these verdicts, not the recorded ones."),
    ] = None,
) -> None:
    """Judge every published figure by measuring it.

    Prints the claims grouped by verdict: confirmed, explained (holds under another named
    convention, protocol or variant), refuted, untested. Every claim is judged, whatever is shown:
    exits with 1 when any verdict differs from the recorded one or a measured value has moved.
    """
    from analysis.claims import ledger
    from analysis.claims import verdicts as compliance
    from analysis.report.tables import networks as tables

    if source is not None and source not in ledger.SOURCES:
        raise InputError(f"--source (={source}) must be one of {', '.join(ledger.SOURCES)}")
    if verdict is not None and verdict not in compliance.VERDICTS:
        known = ", ".join(compliance.VERDICTS)
        raise InputError(f"--verdict (={verdict}) must be one of {known}")
    path = recorded or compliance.RECORD
    before = compliance.recorded(path) if recorded or path.exists() else None
    claims = [(claim, book) for book in ledger.load_all() for claim in book.claims]
    with progress("judging claims") as track:
        verdicts = [compliance.judge(claim, book) for claim, book in track(claims)]
    records = [
        v.as_dict() for v in verdicts if source in (None, v.source) and verdict in (None, v.verdict)
    ]
    emit(records, json)
    if not is_stdout(json):
        for shown in compliance.VERDICTS if verdict is None else (verdict,):
            found = [record for record in records if record["verdict"] == shown]
            show(tables.verdicts(found, shown, tables.COLOURS[shown]))
        show(tables.summary(records))
    if before is None:
        print(f"{path}: no recorded verdicts to compare with", file=sys.stderr)
        return
    changes = compliance.changes(verdicts, before)
    for change in changes:
        print(change, file=sys.stderr)
    raise typer.Exit(1 if any(change.fails for change in changes) else 0)
