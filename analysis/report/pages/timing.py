"""Fragments about latency, roofline and growth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from typing import Any

from matplotlib.figure import Figure

from analysis.report import Record
from analysis.report.formats import count, fixed, shape, share
from analysis.report.pages.html import fold, themed, words
from analysis.report.pages.records import VARIANTS, Records
from analysis.report.plots import findings
from analysis.report.plots import latency as plots
from analysis.report.table import Cell, Column, Table, code
from analysis.report.tables import latency as tables
from analysis.speed import latest

FIGURES: dict[str, tuple[str, Callable[..., Figure], Callable[[Any], str]]] = {
    "latency": ("Milliseconds by block, for each network", plots.by_block, findings.by_block),
    "operators": (
        "Share of the time of official by operator inside its blocks",
        plots.operators,
        findings.operators,
    ),
    "roofline": (
        "GMAC/s of each block of official, below the machine’s ceilings of arithmetic and memory",
        plots.roofline,
        findings.roofline,
    ),
    "growth": (
        "Milliseconds and memory of official against the size of the image",
        plots.growth,
        findings.growth,
    ),
}
"""By kind of record, what its figure shows, how it is drawn, and what is found in it."""

DEVICES = {"cpu": "", "cuda": "-gpu"}
"""The end of a figure's name, by device."""


def drawn(records: Records, kind: str, device: str) -> Any:
    """Return what a figure of times shows: records of latency, or one of `official`, or nothing."""
    rows = measured_last(records, device, kind)
    if kind == "latency":
        return [row for row in rows if row["blocks"]]
    return next((row for row in reversed(rows) if row["variant"] == "official"), None)


def measured_last(records: Records, device: str, kind: str = "latency") -> list[Record]:
    """Return the latest records of one image on the machine measured last.

    Args:
        device: "cpu" or "cuda".
    """
    size = records.blocks["official"]["input"]
    return latest.measured_last(records[f"{kind}.jsonl"], device, size)


def machine_of(rows: Sequence[Record]) -> str:
    """Return the machine that all of these were measured on."""
    if not rows:
        return "not measured"
    return latest.machine({**rows[0]["environment"], "memory_format": "contiguous"})


def latency(records: Records) -> str:
    """Return for each machine the newest row of each network and setting, and its blocks."""

    def section(machine: str, rows: Sequence[Record]) -> Iterator[str]:
        yield f"### {machine}"
        yield _whole(machine, rows).html()
        for row in rows:
            if row.get("blocks"):
                yield _fold(row)

    page = _page(records, "latency", ("latency",), section)
    return f"{_beside(records).html()}\n\n## By machine\n\n{page}"


def _beside(records: Records) -> Table:
    """Return the times of one image on the CPU and on the GPU that were measured last."""
    size = records.blocks["official"]["input"]
    columns, machines = [], []
    places = (
        ("CPU", "cpu", ("torch", "onnx", "openvino")),
        ("GPU", "cuda", ("torch", "cuda-graph")),
    )
    for place, device, runtimes in places:
        here = measured_last(records, device)
        machines.append(f"{place}: {machine_of(here)}")
        columns += [fastest(f"{place}, {runtime}", here, runtime) for runtime in runtimes]
    return Table(
        f"A pass at {shape(size)}, CPU beside GPU: p50 in milliseconds",
        (Column("network", "variant", code), *columns),
        [{"variant": variant} for variant in VARIANTS],
        notes=(
            "; ".join(machines),
            "Of each, the fastest deformable kernel and, on a GPU, the faster memory format.",
        ),
    )


def fastest(title: str, rows: Sequence[Record], runtime: str, unit: str = "") -> Column:
    """Return a column: of the network in a row the fastest time, and what speaks against it."""

    def time(shown: Record) -> Cell:
        about = shown["variant"], runtime
        found = [row for row in rows if (row["variant"], row["runtime"]) == about]
        if not found:
            return Cell("not measured")
        row = min(found, key=lambda row: float(row["whole"]["ms_p50"]))
        settled = _settled(row)
        note = {"yes": "", "no": "not settled"}.get(settled, settled)
        return Cell(fixed(2)(row["whole"]["ms_p50"]), note=note)

    return Column(title, time, lambda cell: cell, unit)


def _whole(machine: str, rows: Sequence[Record]) -> Table:
    """Return a row for each record; what is the same in all stands below the table, once."""
    conditions = (
        Column("torch", "environment.torch"),
        Column("L2 cache", lambda row: "flushed" if row.get("flush_l2") else "not flushed"),
    )
    values = [(column, {column.cell(row).text for row in rows}) for column in conditions]
    shared = [f"{column.title} {min(found)}" for column, found in values if len(found) == 1]
    return Table(
        f"One forward pass, {machine}",
        (
            Column("network", "variant", code),
            Column("runtime, deformable kernel", _how),
            Column("input", "input", shape, left=True),
            Column("p10", "whole.ms_p10", fixed(2), unit="ms"),
            Column("p50", "whole.ms_p50", fixed(2), unit="ms"),
            Column("p90", "whole.ms_p90", fixed(2), unit="ms"),
            Column("passes", "whole.n", count),
            Column("settled", _settled),
            Column("cost of measuring blocks", lambda row: row.get("overhead"), tables.percent),
            *(column for column, found in values if len(found) > 1),
        ),
        rows,
        notes=["; ".join(shared)] if shared else (),
    )


def _how(row: Record) -> str:
    """Return the runtime, and the deformable kernel where there is one."""
    return ", ".join(str(row[key]) for key in ("runtime", "deform_kernel") if row.get(key))


def _settled(row: Record) -> str:
    """Return whether the times can be relied on: settled, and checked without doubts."""
    if "doubts" not in row:
        return "not checked"
    if row["doubts"]:
        return "doubtful"
    return "yes" if row["settled"] else "no"


def roofline_lead(records: Records) -> str:
    """Return how near the blocks of `official` come to what their machines allow, if measured."""
    closest = []
    for place, device in (("CPU", "cpu"), ("GPU", "cuda")):
        if row := drawn(records, "roofline", device):
            block = findings.by_reach(row)[-1]
            name = block["name"].replace("_", " ")
            closest.append(f"{share(block['share_of_roof'])} of it on the {place} ({name})")
    return words("roofline-lead.md", closest=" and ".join(closest)) if closest else ""


def roofline(records: Records) -> str:
    """Return for each machine how far each block is from what memory and arithmetic allow."""

    def section(machine: str, rows: Sequence[Record]) -> Iterator[str]:
        drawn = next((row for row in rows if row["variant"] == "official"), rows[0])
        about = {"machine": machine, "variant": drawn["variant"]}
        yield words("roofline-ceilings.md", **about, **drawn["ceilings"])
        yield from map(_fold, rows)

    return _page(records, "roofline", ("roofline",), section)


def growth(records: Records) -> str:
    """Return time and memory against the size of the image."""

    def section(machine: str, rows: Sequence[Record]) -> Iterator[str]:
        yield f"### Growth, {machine}"
        yield _fits(machine, rows).html()
        yield from map(_fold, rows)

    return _page(records, "growth", ("growth", "operators"), section)


def _fits(machine: str, rows: Sequence[Record]) -> Table:
    def fitted(kind: str, key: str) -> Callable[[Record], float | None]:
        return lambda row: (row["fits"]["sizes"][kind] or {}).get(key)

    return Table(
        f"Fitted, {machine}",
        (
            Column("network", "variant", code),
            Column("time per megapixel", fitted("ms_p50", "per_megapixel"), fixed(1), unit="ms"),
            Column("at zero", fitted("ms_p50", "at_zero"), fixed(1), unit="ms"),
            Column("R²", fitted("ms_p50", "r_squared"), fixed(4)),
            Column(
                "memory per megapixel",
                fitted("peak_bytes", "per_megapixel"),
                fixed(1, 2**20),
                unit="MiB",
            ),
            Column("sizes", fitted("ms_p50", "points"), count),
        ),
        rows,
    )


def _page(
    records: Records,
    kind: str,
    figures: Sequence[str],
    section: Callable[[str, Sequence[Record]], Iterable[str]],
) -> str:
    """Figures, and a section for each machine, with the latest row of each network and setting."""
    rows = records[f"{kind}.jsonl"]
    on_cpu = all(row["environment"]["device"].startswith("cpu") for row in rows)
    note = f'<p class="ff-note">{kind.capitalize()} was not measured on a GPU.</p>'
    parts = [note] if on_cpu else []
    for name in figures:
        for device, end in DEVICES.items():
            if shown := drawn(records, name, device):
                title, _, finding = FIGURES[name]
                alt = f"{title}{', on a GPU' if end else ''}. {finding(shown)}"
                parts.append(themed(records.docs, f"{name}{end}", alt))
    place = {variant: at for at, variant in enumerate(VARIANTS)}
    for machine, group in latest.by_machine(rows).items():
        group.sort(key=lambda row: place.get(row["variant"], len(place)))  # others come last
        parts += section(machine, group)
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _fold(row: Record) -> str:
    how = ", ".join(part for part in (_how(row), shape(row.get("input") or ())) if part)
    summary = f"<code>{escape(row['variant'])}</code> {escape(how)}".rstrip()
    return fold(summary, tables.table(row).html())
