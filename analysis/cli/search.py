"""`featherface search`: which architectures have so many parameters."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from analysis.cli.options import Json, Size, emit, is_stdout, show
from featherface.errors import InputError


def _field(name: str) -> Any:
    return typer.Option(metavar="VALUES", help=f"{name}: a value, 8,16,24 or 8-256 or 8-256:2.")


def _kind(name: str, kinds: str) -> Any:
    return typer.Option(metavar="KINDS", help=f"{name}: one or several of {kinds}.")


def search(
    params: Annotated[int | None, typer.Option(help="How many parameters.")] = None,
    macs: Annotated[int | None, typer.Option(help="How many MACs, at --size.")] = None,
    within: Annotated[int, typer.Option(help="How far from that a network may lie.")] = 0,
    within_macs: Annotated[
        int | None, typer.Option(help="How far its MACs may lie, where not --within.")
    ] = None,
    facts: Annotated[
        str | None,
        typer.Option(help="Best first by what this source states besides: card or paper."),
    ] = None,
    reading: Annotated[
        str,
        typer.Option(help="What counts: parameters, 'weights and biases', weights, or thop."),
    ] = "parameters",
    channels: Annotated[str | None, _field("Channels")] = None,
    cells: Annotated[str | None, _field("BiFPN cells")] = None,
    anchors: Annotated[str | None, _field("Anchors a cell")] = None,
    reduction: Annotated[str | None, _field("CBAM's reduction")] = None,
    pyramid: Annotated[str | None, _kind("Pyramid", "bifpn,fpn")] = None,
    attention: Annotated[
        str | None, _kind("Where a CBAM stands", "none,backbone,pyramid,both")
    ] = None,
    context: Annotated[
        str | None, _kind("Context module", "none,plain,dcnv1,dcnv2,ssh,ssh-dcnv1,ssh-dcnv2")
    ] = None,
    shuffle: Annotated[str | None, _kind("Channel shuffle", "none,free,bottleneck")] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--not", metavar="FIELD=VALUES", help="Leave these out; may be repeated."),
    ] = None,
    size: Size = (640, 640),
    limit: Annotated[int, typer.Option(help="Show at most so many; all are counted.")] = 50,
    json: Json = None,
) -> None:
    """Every architecture of the family with that many parameters, MACs, or both.

    The whole space is counted in closed form, so that finding none is a proof for that space:
    8 to 256 channels (even), a BiFPN of 1 to 8 cells, 1 to 3 anchors, every kind of attention and
    context, the usual reductions, a shuffle. A field that is given takes the place of its range.
    """
    from analysis.design_space import facts as stated
    from analysis.design_space.search import search
    from analysis.report.tables import networks as tables

    given = {
        "channels": channels,
        "pyramid": pyramid,
        "cells": cells,
        "attention": attention,
        "reduction": reduction,
        "context": context,
        "shuffle": shuffle,
        "anchors": anchors,
    }
    known = stated.load_facts(facts) if facts else ()
    found = search(
        params,
        macs,
        within,
        fixed={name: _values(name, text) for name, text in given.items() if text is not None},
        excluded=dict(_excluded(text) for text in exclude or []),
        facts=known,
        size=size,
        limit=limit,
        within_macs=within_macs,
        reading=reading,
    )
    record = {**found.record(), "unstated": list(stated.unstated(known)) if known else []}
    emit(record, json)
    if not is_stdout(json):
        if record["matches"]:
            show(tables.matches(record))
        show(tables.looked_at(record))


def _excluded(text: str) -> tuple[str, list[int | str]]:
    field, equals, values = text.partition("=")
    if not equals:
        raise InputError(f"--not (={text!r}) must be FIELD=VALUES, as --not context=none,plain")
    return field, _values(field, values)


def _values(field: str, text: str) -> list[int | str]:
    """The values of "74", "8,16", "8-256" or "8-256:2"; kinds as they are."""
    values: list[int | str] = []
    for part in text.split(","):
        run = re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?", part.strip())
        if run:
            first, last, step = int(run[1]), int(run[2]), int(run[3] or 1)
            if not step or last < first or (last - first) // step >= _LONGEST_RUN:
                raise InputError(f"{field} (={part!r}) is no range of 1 to {_LONGEST_RUN} values")
            values += range(first, last + 1, step)
        else:
            number = re.fullmatch(r"\s*([+-]?\d+)\s*", part)
            values.append(int(number[1]) if number else part.strip())
    return values


_LONGEST_RUN = 100_000
