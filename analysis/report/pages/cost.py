"""What the networks cost, and what counters say instead."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from analysis.report.pages.html import Column, Html, bars, number, share, table
from analysis.report.pages.records import VARIANTS, Record, Records

_KINDS = {
    "conv": "convolutions",
    "linear": "linear layers",
    "deformable_kernel": "deformable kernels",
}


def overview(records: Records) -> str:
    """Parameters and MACs of the five networks, as bars of their seven blocks."""
    out = []
    for key, title, scale, unit in (
        ("params", "Parameters", 1, ""),
        ("macs", "MACs at 640×640", 1e9, " G"),
    ):
        most = max(record[key] for record in records.blocks.values())
        rows, words = [], []
        for name in VARIANTS:
            record = records.blocks[name]
            segments = []
            for at, block in enumerate(record["blocks"]):
                hidden = block["macs_by_kind"]["deformable_kernel"] if key == "macs" else 0
                hint = f"{block['title']}: {block[key]:,}"
                segments.append((block[key] - hidden, f"b{at}", hint))
                if hidden:
                    segments.append((hidden, f"b{at} hatched", f"deformable kernels: {hidden:,}"))
            end = f"{record[key] / scale:,.3f}{unit}" if unit else number(record[key])
            rows.append((name, segments, end))
            words.append(f"{name} {record[key]:,}")
        label = f"{title} by block. {'; '.join(words)}. The tables below have every number."
        out.append(f'<p class="ff-chart-title">{title}</p>' + bars(label, rows, most).rstrip("\n"))
    names = [block["name"].replace("_", " ") for block in records.blocks["official"]["blocks"]]
    keys = "".join(f'<li><i class="b{at}"></i>{name}</li>' for at, name in enumerate(names))
    keys += '<li><i class="b4 hatched"></i>deformable kernels, skipped by usual counters</li>'
    return f'<div class="ff-chart">{"".join(out)}<ul class="ff-legend">{keys}</ul></div>\n'


def blocks(records: Records) -> str:
    """A table of blocks for each network; the first is open, the others one click away."""
    return "\n\n".join(
        f"### `{name}`\n\n{_words(records.blocks[name])}\n\n{_blocks(records.blocks[name])}"
        for name in ("official", "v1", "v1-deformable", "no-attention", "retinaface")
    )


def _words(record: Record) -> str:
    kinds = record["macs_by_kind"]
    parts = [f"{kinds[kind]:,} in {words}" for kind, words in _KINDS.items() if kinds[kind]]
    sampling = (
        f" Bilinear sampling, {kinds['sampling']:,} multiplications, stands apart and is not in "
        "the total."
        if kinds["sampling"]
        else ""
    )
    return f"{VARIANTS[record['variant']].capitalize()}. MACs: {', '.join(parts)}.{sampling}"


def _blocks(record: Record) -> str:
    rows: list[tuple[Any, ...]] = [
        (
            block["title"],
            block["params"],
            share(block["params_share"]),
            block["macs"],
            share(block["macs_share"]),
            block["macs_by_kind"]["deformable_kernel"],
            f"{block['activation_bytes'] / 2**20:,.2f}",
        )
        for block in record["blocks"]
    ]
    for key in ("params", "macs", "activation_bytes"):
        if sum(block[key] for block in record["blocks"]) != record[key]:
            raise AssertionError(f"{record['variant']}: {key} of the blocks do not add up")
    rows.append(
        (
            "Total",
            record["params"],
            share(1),
            record["macs"],
            share(1),
            record["macs_by_kind"]["deformable_kernel"],
            f"{record['activation_bytes'] / 2**20:,.2f}",
        )
    )
    height, width = record["input"][-2:]
    columns = (
        Column("Block", prose=True),
        Column("Parameters"),
        Column("share"),
        Column("MACs"),
        Column("share"),
        Column("in deformable kernels"),
        Column("Output", "MiB"),
    )
    caption = f"{record['variant']} by block, for a picture of {height}×{width} pixels"
    return table(caption, columns, rows, total=True)


def counters(records: Records) -> str:
    """What four counters say of each network, and by what they are off."""
    out = []
    for name in ("official", "v1", "v1-deformable", "no-attention", "retinaface"):
        record = records.counters[name]
        ours = record["counters"][0]
        rows: list[tuple[Any, ...]] = [
            ("this project", f"{ours['our_macs']:,} MACs", "", "", ours["our_params"], "")
        ]
        for counter in record["counters"]:
            if counter["value"] is None:
                rows.append((counter["counter"], counter["reason"] or "–", "", "", None, ""))
                continue
            rows.append(
                (
                    counter["counter"],
                    f"{counter['value']:,} {counter['quantity']}",
                    _difference(counter["macs"], ours["our_macs"]),
                    Html(_named(counter["macs_difference"])),
                    counter["params"],
                    Html(_named(counter["params_difference"])),
                )
            )
        columns = (
            Column("Counter", number=False),
            Column("says"),
            Column("off by", "MACs"),
            Column("because of", prose=True),
            Column("Parameters"),
            Column("off by", number=False),
        )
        caption = f"{name} at 640×640: four counters and the honest count"
        body = table(caption, columns, rows)
        if name == "official":
            out.append(body)
        else:
            out.append(
                f'<details class="ff-fold"><summary><code>{name}</code></summary>{body.strip()}'
                "</details>\n"
            )
    return "\n".join(out)


def _difference(value: int | None, ours: int) -> str:
    return "–" if value is None else f"{value - ours:+,}".replace("-", "−")


def _named(differences: Mapping[str, int]) -> str:
    return "<br>".join(
        f"{escape(name.replace('_', ' '))} "
        f'<span class="ff-nowrap">{f"{value:+,}".replace("-", "−")}</span>'
        for name, value in differences.items()
    )
