"""`featherface audit`: a verdict on every published figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.cli.options import Json, emit, is_stdout, progress, record_file, show, text_file, warn
from featherface.errors import InputError


def audit(
    json: Json = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=text_file,
            help="Judge the claims of this ledger; compare them only with --recorded.",
        ),
    ] = None,
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
            parser=record_file,
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
    from analysis.claims import ledger as ledgers
    from analysis.claims import verdicts
    from analysis.report.tables import networks as tables

    path = recorded or verdicts.RECORD
    if accept and ledger and not recorded:
        raise InputError("--accept of a --ledger needs --recorded PATH, the file to write")
    compared = not accept and (recorded is not None or ledger is None)
    before = verdicts.recorded(path) if compared else []
    books = ledgers.load_all() if ledger is None else [ledgers.load(ledger)]
    with progress("judging claims") as track:
        judged = verdicts.audit(books, track=track)
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
    changes = verdicts.changes(judged, before) if compared else []
    for change in changes:
        warn(change)
    raise typer.Exit(1 if any(change.fails for change in changes) else 0)
