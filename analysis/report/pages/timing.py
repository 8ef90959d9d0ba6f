"""How long the networks take: latency, roofline and growth, where they have been measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from analysis.report.pages.figures import themed
from analysis.report.pages.html import Column, Html, missing, number, share, table
from analysis.report.pages.records import VARIANTS, Record, Records

_NO_GPU = '<p class="ff-note">Not measured on a GPU.</p>\n\n'


def latency(records: Records) -> str:
    """For each machine and setting: the newest row of each network, and its blocks."""
    rows = _rows(records, "latency")
    if not rows:
        words = "No latency has been recorded."
        return _gpu(rows) + missing(words, "featherface latency --variant official")
    parts = [_gpu(rows), _figures(records, "latency")]
    for where, group in _groups(rows):
        newest = _newest(group, ("variant", "runtime", "deform_kernel"))
        parts.append(f"### {where}\n\n{_whole(where, newest)}")
        parts += [_fold(row["variant"], row, _blocks(row)) for row in newest if row.get("blocks")]
    parts.append(_figures(records, "operators"))
    return "\n\n".join(filter(None, parts)) + "\n"


def _whole(where: str, rows: Sequence[Record]) -> str:
    lines = [
        (
            Html(f"<code>{escape(row['variant'])}</code>"),
            row["runtime"],
            row.get("deform_kernel") or "–",
            number(row["whole"]["ms_p10"], 2),
            Html(f"<b>{number(row['whole']['ms_p50'], 2)}</b>"),
            number(row["whole"]["ms_p90"], 2),
            row["whole"]["n"],
            _signed_share(row.get("overhead")),
        )
        for row in rows
    ]
    columns = (
        Column("Network", number=False),
        Column("Runtime", number=False),
        Column("Deformable kernel", number=False),
        Column("p10", "ms"),
        Column("p50", "ms"),
        Column("p90", "ms"),
        Column("passes"),
        Column("cost of measuring blocks"),
    )
    return table(f"One forward pass, {where}", columns, lines)


def _blocks(row: Record) -> str:
    lines: list[tuple[Any, ...]] = [
        (
            block["name"].replace("_", " "),
            number(block["ms_p10"], 3),
            number(block["ms_p50"], 3),
            number(block["ms_p90"], 3),
            share(block["share"]),
        )
        for block in row["blocks"]
    ]
    columns = (
        Column("Block", number=False),
        Column("p10", "ms"),
        Column("p50", "ms"),
        Column("p90", "ms"),
        Column("share"),
    )
    outside = row.get("outside_blocks")
    words = (
        ""
        if outside is None
        else f'<p class="ff-note">Outside of the blocks: {_signed_share(outside)} of the pass.</p>'
    )
    return table(f"{row['variant']} by block", columns, lines).strip() + words


def roofline(records: Records) -> str:
    """For each machine: how far each block is from what memory and arithmetic allow."""
    rows = _rows(records, "roofline")
    if not rows:
        words = "The ceilings of a machine, and how near each block comes to them."
        return missing(words, "featherface latency --variant official --roofline")
    parts = [_figures(records, "roofline")]
    for where, group in _groups(rows):
        newest = _newest(group, ("variant",))
        ceilings = newest[-1]["ceilings"]
        parts.append(
            f"### Ceilings of {where}\n\nMeasured: {ceilings['gmacs_per_second']:,.1f} GMAC/s in a "
            f"product of matrices and {ceilings['gigabytes_per_second']:,.1f} GB/s in copying. "
            f"Below {ceilings['ridge_macs_per_byte']:,.1f} MACs a byte, memory is the bound."
        )
        parts += [_fold(row["variant"], row, _roofs(row)) for row in newest]
    return "\n\n".join(filter(None, parts)) + "\n"


def _roofs(row: Record) -> str:
    lines = [
        (
            block["name"].replace("_", " "),
            number(block.get("macs_per_byte"), 2),
            number(block.get("gmacs_per_second"), 2),
            number(block.get("roof_gmacs_per_second"), 2),
            "–" if block.get("share_of_roof") is None else share(block["share_of_roof"]),
            str(block.get("bound") or "–"),
        )
        for block in row["blocks"]
    ]
    columns = (
        Column("Block", number=False),
        Column("Intensity", "MACs/byte"),
        Column("Reached", "GMAC/s"),
        Column("Roof", "GMAC/s"),
        Column("of its roof"),
        Column("bound by", number=False),
    )
    return table(f"{row['variant']} under its roof", columns, lines).strip()


def growth(records: Records) -> str:
    """Time and memory against the size of the picture."""
    rows = _rows(records, "growth")
    if not rows:
        words = "Time and memory against the picture’s size and the batch."
        return missing(words, "featherface latency --variant official --growth")
    parts = [_figures(records, "growth")]
    for where, group in _groups(rows):
        newest = _newest(group, ("variant",))
        lines = []
        for row in newest:
            time = (row["fits"].get("sizes") or {}).get("ms_p50") or {}
            memory = (row["fits"].get("sizes") or {}).get("peak_bytes") or {}
            mib = memory.get("per_megapixel")
            lines.append(
                (
                    Html(f"<code>{escape(row['variant'])}</code>"),
                    number(time.get("per_megapixel"), 1),
                    number(time.get("at_zero"), 1),
                    number(time.get("r_squared"), 4),
                    number(None if mib is None else mib / 2**20, 1),
                    time.get("points"),
                )
            )
        columns = (
            Column("Network", number=False),
            Column("Time a megapixel", "ms"),
            Column("at zero", "ms"),
            Column("R²"),
            Column("Memory a megapixel", "MiB"),
            Column("sizes"),
        )
        parts.append(f"### Growth, {where}\n\n{table(f'Fitted, {where}', columns, lines)}")
        parts += [_fold(row["variant"], row, _points(row)) for row in newest]
    return "\n\n".join(filter(None, parts)) + "\n"


def _points(row: Record) -> str:
    lines = [
        (
            f"{point['input'][0]} × {point['input'][2]}×{point['input'][3]}",
            number(point["megapixels"], 2),
            *(
                (number(point["ms_p50"], 1), number(point["peak_bytes"] / 2**20, 0))
                if point["skipped"] is None
                else (point["skipped"], "")
            ),
        )
        for key in ("sizes", "batches")
        for point in row[key]
    ]
    columns = (
        Column("Batch × size", number=False),
        Column("Megapixels"),
        Column("p50", "ms"),
        Column("Peak memory", "MiB"),
    )
    return table(f"{row['variant']}: every size and batch", columns, lines).strip()


def _rows(records: Records, kind: str) -> list[Record]:
    return [row for rows in records.lines.values() for row in rows if row.get("record") == kind]


def _gpu(rows: Iterable[Record]) -> str:
    on = any(str(row["environment"]["device"]).startswith("cuda") for row in rows)
    return "" if on else _NO_GPU


def _groups(rows: Iterable[Record]) -> list[tuple[str, list[Record]]]:
    """Rows by machine and setting, in the order in which they were first measured."""
    groups: dict[str, list[Record]] = {}
    for row in rows:
        at = row["environment"]
        size = row.get("input")
        picture = f", {size[0]} × {size[2]}×{size[3]}" if size else ""
        threads = f", {at['threads']} threads" if at["device"] == "cpu" else ""
        where = f"{at['device_name']}{threads}, {at['dtype']}{picture}, torch {at['torch']}"
        groups.setdefault(where, []).append(row)
    return list(groups.items())


def _newest(rows: Iterable[Record], keys: Sequence[str]) -> list[Record]:
    """The last row of each kind: records are only ever added to."""
    last = {tuple(row.get(key) for key in keys): row for row in rows}
    order = list(VARIANTS)
    return sorted(
        last.values(),
        key=lambda row: order.index(row["variant"]) if row["variant"] in order else len(order),
    )


def _fold(name: str, row: Record, body: str) -> str:
    how = " ".join(str(row[key]) for key in ("runtime", "deform_kernel") if row.get(key))
    more = f" {escape(how)}" if how else ""
    return (
        f'<details class="ff-fold"><summary><code>{escape(name)}</code>{more}, by block</summary>'
        f"{body}</details>"
    )


def _signed_share(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1%}".replace("-", "−")


def _figures(records: Records, prefix: str) -> str:
    folder = records.docs / "figures"
    names = dict.fromkeys(
        path.stem.removesuffix("-light")
        for path in sorted(folder.glob(f"{prefix}*.svg"))
        if not path.stem.endswith("-dark")
    )
    return "\n".join(
        themed(records.docs, name, _alt(name), f"{escape(_alt(name))}.") for name in names
    )


def _alt(name: str) -> str:
    kind, _, rest = name.partition("-")
    words = {
        "latency": "Milliseconds by block",
        "operators": "Where the time goes inside the blocks, by operator",
        "roofline": "Each block under the machine’s ceilings of arithmetic and memory",
        "growth": "Time and memory against the size of the picture",
    }[kind]
    return f"{words}: {rest}" if rest else words
