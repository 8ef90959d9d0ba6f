"""The page of costs: what the networks have and take, and what counters say instead."""

from __future__ import annotations

from analysis.report.formats import count, fixed
from analysis.report.pages.html import bars, fold
from analysis.report.pages.records import VARIANTS, Record, Records
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
    official, baseline = records.blocks["official"]["macs"], records.blocks["retinaface"]["macs"]
    return (
        f"`official` takes {official / 1e9:.3f} GMAC for an image of 640×640, "
        f"{100 * (official / baseline - 1):.0f} % more than the baseline `retinaface`; counters "
        "that skip deformable kernels show it as cheaper. Parameters, MACs and memory are the same "
        "on every machine; times are of the machine that is named.\n"
    )


def overview(records: Records) -> str:
    """Return parameters and MACs of the five networks, as bars of their seven blocks."""
    out = []
    for key, title, form in (
        ("params", "Parameters", count),
        ("macs", "MACs at 640×640, in GMAC", fixed(3, 1e9)),
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
            rows.append((name, segments, form(record[key])))
            words.append(f"{name} {record[key]:,}")
        label = f"{title} by block. {'; '.join(words)}. The tables below have every number."
        out.append(f'<p class="ff-chart-title">{title}</p>' + bars(label, rows, most).rstrip("\n"))
    names = [block["name"].replace("_", " ") for block in records.blocks["official"]["blocks"]]
    keys = "".join(f'<li><i class="b{at}"></i>{name}</li>' for at, name in enumerate(names))
    keys += '<li><i class="b4 hatched"></i>deformable kernels, skipped by usual counters</li>'
    return f'<div class="ff-chart">{"".join(out)}<ul class="ff-legend">{keys}</ul></div>\n'


def blocks(records: Records) -> str:
    """Return a table of blocks for each network."""
    return "\n\n".join(
        f"### `{name}`\n\n{_words(records.blocks[name])}\n\n"
        f"{networks.blocks(records.blocks[name]).html()}"
        for name in ORDER
    )


def _words(record: Record) -> str:
    kinds = record["macs_by_kind"]
    parts = [f"{kinds[kind]:,} in {words}" for kind, words in _KINDS.items() if kinds[kind]]
    sampling = (
        f" Bilinear sampling takes {kinds['sampling']:,} multiplications more, which are not in "
        "the total."
        if kinds["sampling"]
        else ""
    )
    return f"{VARIANTS[record['variant']].capitalize()}. MACs: {', '.join(parts)}.{sampling}"


def torchvision_lead(records: Records) -> str:
    """Return how many of torchvision's own figures hold, in a paragraph."""
    verdicts = [record["verdict"] for record in records.torchvision]
    version = records.torchvision[0]["where"].partition(":")[0]
    return (
        f"Of the {len(verdicts)} figures that {version} publishes of its own networks, parameters "
        f"and operations for each of {len(verdicts) // 2} sets of weights, "
        f"{verdicts.count('confirmed')} are measured to the last printed digit on the network as "
        f"its name builds it, {verdicts.count('explained')} under another convention, which the "
        f"table names, and {verdicts.count('refuted') + verdicts.count('untested')} not.\n"
    )


def torchvision(records: Records) -> str:
    """Return the table of torchvision's own figures."""
    table = networks.torchvision(records.torchvision).html()
    return f"<div data-search-exclude>{table}</div>\n"


def counters(records: Records) -> str:
    """Return what four counters say of each network, and by what they are off."""
    tables = {name: networks.counters(name, records.counters[name]).html() for name in ORDER}
    first, *rest = tables
    return "\n".join(
        [tables[first], *(fold(f"<code>{name}</code>", tables[name]) for name in rest)]
    )
