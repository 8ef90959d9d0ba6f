"""`featherface search`: the architectures with a number of parameters or MACs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Annotated, Any, Literal

import typer

from analysis.cli import options
from analysis.cli.output import emit, show
from featherface.errors import InputError


def _field(name: str) -> Any:
    return typer.Option(metavar="VALUES", help=f"{name}: a value, 8,16,24 or 8-256 or 8-256:2.")


def _kind(name: str, kinds: str) -> Any:
    return typer.Option(metavar="KINDS", help=f"{name}: one or several of {kinds}.")


def search(
    params: Annotated[int | None, typer.Option(help="Number of parameters.")] = None,
    macs: Annotated[int | None, typer.Option(help="Number of MACs, at --size.")] = None,
    within: Annotated[int, typer.Option(help="Largest distance from these numbers.")] = 0,
    within_macs: Annotated[
        int | None, typer.Option(help="Largest distance of the MACs, if not --within.")
    ] = None,
    facts: Annotated[
        Literal["card", "paper"] | None,
        typer.Option(help="Sort by how much else of what this source states agrees."),
    ] = None,
    convention: Annotated[
        Literal["parameters", "weights and biases", "weights", "thop"],
        typer.Option(help="What counts as a parameter."),
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
        typer.Option("--not", metavar="FIELD=VALUES", help="Exclude these; may be repeated."),
    ] = None,
    size: options.Size = options.SIZE,
    limit: Annotated[
        int, typer.Option(min=0, help="Show at most this number; all are counted.")
    ] = 50,
    json: options.Json = None,
) -> None:
    """List every architecture of the family with a number of parameters, MACs, or both.

    The whole space is counted in closed form, so that finding none is a proof for that space:
    8 to 256 channels (even), a BiFPN of 1 to 8 cells, 1 to 3 anchors, every kind of attention and
    context, the usual reductions, a shuffle. A field that is given replaces its range.
    """
    from analysis.design_space.facts import load_facts
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
    excluded: dict[str, Iterable[int | str]] = {}
    for text in exclude or []:
        name, equals, values = text.partition("=")
        if not equals:
            raise InputError(f"--not (={name!r}) must be FIELD=VALUES, as --not context=none,plain")
        excluded[name] = chain(excluded.get(name, ()), _values(values))
    if within_macs is not None and macs is None:
        raise InputError("--within-macs is a distance from --macs, which is not given")
    known = load_facts(facts) if facts else []
    record = search(
        params,
        macs,
        within,
        fixed={name: _values(text) for name, text in given.items() if text is not None},
        excluded=excluded,
        facts=known,
        size=size,
        limit=limit,
        within_macs=within_macs,
        reading=convention,
    )
    stated = {fact.field for fact in known}
    record["unstated"] = [name for name in given if known and name not in stated]
    if emit(record, json):
        if record["matches"]:
            show(tables.matches(record))
        show(tables.looked_at(record))


def _values(text: str) -> Iterator[int | str]:
    """Yield the values of "74", "8,16", "8-256" or "8-256:2"; anything else as it is."""
    for part in map(str.strip, text.split(",")):
        run = re.fullmatch(r"(\d{1,9})-(\d{1,9})(?::([1-9]\d{0,8}))?", part)
        if run and int(run[1]) > int(run[2]):
            raise InputError(f"{part!r}: no values: a range goes from the lower to the higher")
        if run:
            yield from range(int(run[1]), int(run[2]) + 1, int(run[3] or 1))
        else:
            yield int(part) if re.fullmatch(r"[+-]?\d{1,9}", part) else part
