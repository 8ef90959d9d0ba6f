"""`featherface audit`: a verdict on every published figure."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import typer

from analysis.cli import options
from analysis.cli.output import emit, progress, show, tell, warn
from featherface.errors import InputError
from featherface.files import check_readable, check_writable, write_text


def audit(
    json: options.Json = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|torchvision",
            parser=options.name_or_ledger,
            help="Judge this ledger, against the record beside it, FILE.recorded.json; or the "
            f"figures that the installed torchvision has of its own networks. {options.NAME_FIRST}",
        ),
    ] = None,
    source: Annotated[
        Literal["card", "paper", "repository"] | None,
        typer.Option(help="Show one source only."),
    ] = None,
    verdict: Annotated[
        Literal["confirmed", "explained", "refuted", "untested"] | None,
        typer.Option(help="Show the claims with this verdict, all with reasons."),
    ] = None,
    recorded: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=options.record_file,
            help="Compare with these verdicts, not the recorded ones.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every claim with the reason of its verdict.")
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Record the verdicts as the ones to compare with.")
    ] = False,
    init: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Write NAME.yaml, a ledger to fill in, and stop."),
    ] = None,
) -> None:
    """Judge every published figure by measuring it.

    Prints how many claims are confirmed, explained (hold under another named convention, protocol
    or variant), refuted and untested, then those that changed and those that are refuted. Every
    claim is judged, whatever is shown: exits with 1 when any verdict differs from the recorded one
    or a measured value has moved. A ledger of one's own without a record fails where a claim is
    refuted. The code of the network that a ledger names runs, and no other code of the ledger.
    """
    if init is not None:
        tell(f"wrote {_write_template(init)}")
        return
    options.refuse_both("source", {"--ledger": ledger, "--source": source})
    if recorded is not None and not accept:
        check_readable(recorded)
    from analysis.claims import ledger as ledgers
    from analysis.claims import verdicts
    from analysis.report.formats import some
    from analysis.report.tables import networks as tables

    path = recorded or (verdicts.RECORD if ledger is None else verdicts.beside(ledger))
    if accept:
        check_writable(path)
    needed = (ledger is None or recorded is not None) and not accept
    before = verdicts.recorded(path) if needed or path.exists() else None
    if ledger is None:
        books = ledgers.load_all()
    elif ledger == "torchvision":
        from analysis.claims import torchvision_ledger

        books = torchvision_ledger.ledgers()
    else:
        books = [ledgers.load(Path(ledger))]
    with progress("judging claims") as track:
        found = verdicts.audit(books, track=track)
    judged = verdicts.as_recorded(found, before or ())
    of_source = [v.as_dict() for v in judged if source in (None, v.source)]
    records = [record for record in of_source if verdict in (None, record["verdict"])]
    changes = [] if accept else verdicts.changes(judged, before)
    failing = {change.name for change in changes}
    if emit(records, json):
        show(tables.tally(of_source))
        if everything or verdict is not None:
            for shown in verdicts.VERDICTS:
                chosen = [record for record in records if record["verdict"] == shown]
                if chosen:
                    show(tables.verdicts(chosen, shown))
        else:
            for table in tables.remarkable(records, failing):
                show(table)
    if accept:
        verdicts.record(judged, path)
        warn(f"recorded {len(judged)} verdicts in {path}")
    for change in changes:
        warn(change)
    both = zip(found, judged, strict=True)
    kept = [a for a, b in both if a is not b and b.verdict != "untested"]
    lacking = [v for v in judged if v.verdict == "untested" and v.missing]
    for what, about in (("kept as recorded, not rechecked", kept), ("not measured", lacking)):
        if about:
            reasons = "; ".join(dict.fromkeys(reason for v in about for reason in v.missing))
            warn(f"{what}: {some(v.name for v in about)}: {reasons}")
    if all(v.verdict == "untested" for v in judged):
        warn(f"nothing was tested: of {len(judged)} claims, none could be measured")
    raise typer.Exit(1 if failing else 0)


def _write_template(name: str) -> Path:
    """Write NAME.yaml, a ledger to fill in, in the current folder, and return its path."""
    name = name.removesuffix(".yaml")
    path = Path(f"{name}.yaml")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise InputError(f"name (={name!r}) must be lower-case letters, digits and hyphens")
    if path.exists():
        raise InputError(f"{path}: is there already")
    template = resources.files("analysis.claims").joinpath("template.yaml").read_text("utf-8")
    write_text(path, template.replace("NAME", name))
    return path
