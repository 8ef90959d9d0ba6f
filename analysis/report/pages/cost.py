"""The page of costs: what the networks have and take, and what counters say instead."""

from __future__ import annotations

from collections import Counter

from analysis.report import Record
from analysis.report.formats import count, fixed
from analysis.report.pages.html import bars, fold, words
from analysis.report.pages.records import VARIANTS, Records
from analysis.report.tables import networks

_KINDS = {
    "conv": "convolutions",
    "linear": "linear layers",
    "deformable_kernel": "deformable kernels",
}
ORDER = ("official", "v1", "v1-deformable", "no-attention", "retinaface")
"""The networks on this page."""


def lead(records: Records) -> str:
    """Return the finding in a paragraph."""
    official, baseline = (records.blocks[name]["macs"] for name in ("official", "retinaface"))
    return words("cost-lead.md", gmac=official / 1e9, more=100 * (official / baseline - 1))


def overview(records: Records) -> str:
    """Return parameters and MACs of the five networks, as bars of their seven blocks."""
    out = []
    for key, title, form in (
        ("params", "Parameters", count),
        ("macs", "MACs at 640×640, in GMAC", fixed(3, 1e9)),
    ):
        rows = []
        for name in VARIANTS:
            record = records.blocks[name]
            segments = []
            for at, block in enumerate(record["blocks"]):
                hidden = block["macs_by_kind"]["deformable_kernel"] if key == "macs" else 0
                hint = f"{block['title']}: {block[key]:,}"
                segments.append((block[key] - hidden, f"b{at}", hint))
                if hidden:
                    segments.append((hidden, f"b{at} hatched", f"deformable kernels: {hidden:,}"))
            rows.append((name, segments, form(record[key])))
        out.append(f'<p class="ff-chart-title">{title}</p>' + bars(f"{title}, by block", rows))
    names = [block["name"].replace("_", " ") for block in records.blocks["official"]["blocks"]]
    keys = "".join(f'<li><i class="b{at}"></i>{name}</li>' for at, name in enumerate(names))
    keys += '<li><i class="b4 hatched"></i>deformable kernels, skipped by usual counters</li>'
    return f'<div class="ff-chart">{"".join(out)}<ul class="ff-legend">{keys}</ul></div>\n'


def blocks(records: Records) -> str:
    """Return a table of blocks for each network."""
    return "\n\n".join(
        f"### `{name}`\n\n{_summary(records.blocks[name])}\n\n"
        f"{networks.blocks(records.blocks[name]).html()}"
        for name in ORDER
    )


def _summary(record: Record) -> str:
    kinds = record["macs_by_kind"]
    parts = [f"{kinds[kind]:,} in {words}" for kind, words in _KINDS.items() if kinds[kind]]
    sampling = (
        f" Bilinear sampling takes {kinds['sampling']:,} multiplications more, which are not in "
        "the total."
        if kinds["sampling"]
        else ""
    )
    first, rest = VARIANTS[record["variant"]][:1], VARIANTS[record["variant"]][1:]
    return f"{first.upper()}{rest}. MACs: {', '.join(parts)}.{sampling}"


def torchvision_lead(records: Records) -> str:
    """Return how many of torchvision's own figures hold, in a paragraph."""
    judged = records["torchvision.json"]
    found = Counter(record["verdict"] for record in judged)
    return words(
        "torchvision-lead.md",
        figures=len(judged),
        version=judged[0]["where"].partition(":")[0],
        weights=len(judged) // 2,
        found=found,
        others=found["refuted"] + found["untested"],
    )


def torchvision(records: Records) -> str:
    """Return the table of torchvision's own figures."""
    table = networks.torchvision(records["torchvision.json"]).html()
    return f"<div data-search-exclude>{table}</div>\n"


def counters(records: Records) -> str:
    """Return what four counters say of each network, and by what they are off."""
    tables = {
        name: networks.counters(name, records["counters.json"][name]).html() for name in ORDER
    }
    first, *rest = tables
    return "\n".join(
        [tables[first], *(fold(f"<code>{name}</code>", tables[name]) for name in rest)]
    )
