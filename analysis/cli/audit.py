"""`featherface audit`: a verdict on every published figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.cli.options import Json, emit, is_stdout, progress, show, text_file, warn


def audit(
    json: Json = None,
    source: Annotated[
        Literal["card", "paper", "repository"] | None,
        typer.Option(help="Show the claims of one source only."),
    ] = None,
    verdict: Annotated[
        Literal["confirmed", "explained", "refuted", "untested"] | None,
        typer.Option(help="Show the claims with one verdict only."),
    ] = None,
    recorded: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=text_file,
            help="Compare with these verdicts, not the recorded ones.",
        ),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Record the verdicts as the ones to compare with.")
    ] = False,
) -> None:
    """Judge every published figure by measuring it.

    Prints the claims grouped by verdict: confirmed, explained (holds under another named
    convention, protocol or variant), refuted, untested. Every claim is judged, whatever is shown:
    exits with 1 when any verdict differs from the recorded one or a measured value has moved, and
    with 2 when there is no record to compare with.
    """
    from analysis.claims import ledger, verdicts
    from analysis.report.tables import networks as tables

    path = recorded or verdicts.RECORD
    before = [] if accept else verdicts.recorded(path)
    claims = [(claim, book) for book in ledger.load_all() for claim in book.claims]
    with progress("judging claims") as track:
        judged = [verdicts.judge(claim, book) for claim, book in track(claims)]
    records = [
        v.as_dict() for v in judged if source in (None, v.source) and verdict in (None, v.verdict)
    ]
    emit(records, json)
    if not is_stdout(json):
        for shown in verdicts.VERDICTS if verdict is None else (verdict,):
            found = [record for record in records if record["verdict"] == shown]
            show(tables.verdicts(found, shown, tables.COLOURS[shown]))
        show(tables.summary(records))
    if accept:
        verdicts.record(judged, path)
        return
    changes = verdicts.changes(judged, before)
    for change in changes:
        warn(change)
    raise typer.Exit(1 if any(change.fails for change in changes) else 0)
