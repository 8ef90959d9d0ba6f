"""The first page: what FeatherFace is, what is true of it, and how to see it for oneself."""

from __future__ import annotations

from calendar import month_name
from collections.abc import Sequence
from functools import partial
from html import escape

from analysis.claims.ledger import Ledger
from analysis.report import Record
from analysis.report.diagram.claims import verdict_counts
from analysis.report.formats import count, fixed
from analysis.report.pages import verdict_list
from analysis.report.pages.html import MEANING, bars, prose, words
from analysis.report.pages.records import VARIANTS, Records
from analysis.report.table import Cell, Column, Table, code
from featherface.errors import InputError

_GMAC = fixed(3, 1e9)


def lead(records: Records) -> str:
    """Return the first screen: what FeatherFace is, faces found, the tally, and who wrote what."""
    dates: dict[str, list[str]] = {}
    for row in records["provenance.json"]["publications"]:
        dates.setdefault(row["who"], []).append(row["date"])
    authors, fork = map(_months, dates.values())
    return words(
        "home-lead.html",
        official=records.blocks["official"]["params"],
        total=records.verdict("card-total")["measured"],
        figures=len(records.published),
        tally=verdict_list.tally(records, "verdicts/"),
        by_source=tally_by_source(records).strip(),
        authors=authors,
        fork=fork,
    )


def _months(dates: Sequence[str]) -> str:
    """Return the months of dates in words: "January 2025", "June to November 2025"."""
    (_, first), (year, last) = (date.split("-")[:2] for date in (min(dates), max(dates)))
    months = dict.fromkeys(month_name[int(month)] for month in (first, last))
    return f"{' to '.join(months)} {year}"


def commands(records: Records) -> str:
    """Return three commands, each with the figures that it prints, which a test compares."""
    return words(
        "home-commands.md",
        card=verdict_counts(r for r in records["verdicts.json"] if r["source"] == "card"),
        official=records.blocks["official"]["params"],
        thop=records["counters.json"]["official"]["reconciliation"]["thop_params"],
        drawn=records.verdict("card-total-as-drawn")["measured"],
    )


def tally_by_source(records: Records) -> str:
    """Return a table of verdicts by source; each number leads to its claims."""
    published = records.published

    def number(book: Ledger, verdict: str) -> Cell:
        source = book.source.id
        found = sum(r["source"] == source and verdict in ("", r["verdict"]) for r in published)
        address = f"verdicts/?source={source}" + (f"&verdict={verdict}" if verdict else "")
        return Cell(count(found), f'<a href="{escape(address)}">{count(found)}</a>')

    columns = (
        Column("source", lambda book: _SOURCES[book.source.id]),
        *(
            Column(verdict or "figures", partial(number, verdict=verdict), lambda cell: cell)
            for verdict in ("", *MEANING)
        ),
    )
    return Table("Published figures by source", columns, records.ledgers).html()


_SOURCES = {
    "paper": "the paper, by its three authors",
    "card": "the card, by the owner of the fork",
    "repository": "the authors’, fork’s and baseline’s repositories",
}


def publications(records: Records) -> str:
    """Return a table of who published what, by date."""

    def where(row: Record) -> Cell:
        name = " @ ".join(filter(None, (row["repository"], row["revision"]))) or "DOI"
        shown = escape(name).replace("/", "/<wbr>").replace(" @ ", " @<wbr> ")
        return Cell(name, f'<a href="{escape(row["link"])}">{shown}</a>')

    columns = (
        Column("when", lambda row: " to ".join(filter(None, (row["date"], row["until"])))),
        Column("publication", "what", prose, width=2),
        Column("who", "who", width=1),
        Column("where", where),
    )
    return Table("Publications by date", columns, records["provenance.json"]["publications"]).html()


def the_size(records: Records) -> str:
    """Return 0.49 M: what thop leaves out of `official`, drawn to scale."""
    official = records.blocks["official"]["params"]
    found = records["counters.json"]["official"]["reconciliation"]
    dropped = {entry["type"]: entry["params"] for entry in found["dropped"]}
    kernels, fusion = dropped["DeformConv2d"], dropped["Fusion"]
    counted, other = found["thop_params"], records.blocks["no-attention"]["params"]
    if counted is None or official - kernels - fusion != counted:
        raise InputError(f"counters.json: {official} − {kernels} − {fusion} is not {counted}")
    missed = (kernels + fusion, "c-missed", "not seen by thop")
    rows = (
        ("official", ((counted, "c-counted", "seen by thop"), missed), count(official)),
        ("as thop counts", ((counted, "c-counted", "seen by thop"),), count(counted)),
        ("no-attention, later", ((other, "c-other", "another network"),), count(other)),
    )
    return words(
        "home-size.md",
        bars=bars("Parameters", rows),
        official=official,
        kernels=kernels,
        fusion=fusion,
        counted=counted,
        other=other,
    )


def the_card(records: Records) -> str:
    """Return the card's total, and what each correction makes of it."""
    steps = (
        ("printed total", "card-total", "c-counted"),
        ("with printed reduction", "card-total-with-reduction-16", "c-step"),
        ("with deformable context", "card-total-with-deformable-context", "c-step"),
        ("sum of printed blocks", "card-blocks-add-up", "c-other"),
        ("with both", "card-total-as-drawn", "c-missed"),
    )
    values = {name: records.verdict(claim)["measured"] for name, claim, _ in steps}
    rows = [(name, ((values[name], css, name),), count(values[name])) for name, _, css in steps]
    found = records.totals[values["printed total"]]
    agreeing = [
        match["config"]
        for match in found["matches"]
        if match["facts"]["channels"] and match["facts"]["attention"]
    ]
    if len(agreeing) != 1:
        raise InputError(
            f"design_space.json: {len(agreeing)} architectures with the card's total, channels "
            "and attentions, where the page names one"
        )
    return words(
        "home-card.md",
        bars=bars("Parameters", rows),
        total=values["printed total"],
        sum_of_blocks=values["sum of printed blocks"],
        drawn=values["with both"],
        reduction=agreeing[0]["reduction"],
        **found,
    )


def the_cost(records: Records) -> str:
    """Return the MACs of `official` with and without deformable kernels, against the baseline's."""
    official, baseline = (records.blocks[name]["macs"] for name in ("official", "retinaface"))
    hidden = records.blocks["official"]["macs_by_kind"]["deformable_kernel"]
    counters = records["counters.json"]["official"]["counters"]
    (counted,) = (counter["macs"] for counter in counters if counter["counter"] == "torch")
    if counted != official - hidden:
        raise InputError(f"PyTorch's counter says {counted}, not {official - hidden}")
    kernels = (hidden, "c-missed", "deformable kernels")
    rows = (
        (
            "official",
            ((counted, "c-counted", "seen by usual counters"), kernels),
            f"{_GMAC(official)} G",
        ),
        ("as PyTorch counts", ((counted, "c-counted", ""),), f"{_GMAC(counted)} G"),
        ("retinaface", ((baseline, "c-other", ""),), f"{_GMAC(baseline)} G"),
    )
    return words(
        "home-cost.md",
        bars=bars("MACs", rows),
        counted=counted,
        baseline=baseline,
        hidden=hidden,
        official=official,
        more=100 * official / baseline - 100,
        less=100 - 100 * counted / baseline,
    )


def the_accuracy(records: Records) -> str:
    """Return what stands behind the card's 87.0 %, and how near others came to the paper's."""
    performance, overall, gain = map(
        records.verdict, ("card-performance", "paper-overall-ap", "paper-gain-on-hard")
    )
    return words(
        "home-accuracy.md",
        performance=performance,
        mean=performance["replications"][0]["measured"],
        overall=overall,
        trainings=" and ".join(f"{one['measured']:.2f}" for one in overall["replications"]),
        near=abs(overall["claimed"] - overall["replications"][0]["measured"]),
        gain=gain,
        gains=" and ".join(f"{one['measured']:.1f}" for one in gain["replications"]),
    )


def networks(records: Records) -> str:
    """Return the five networks in one table."""
    return Table(
        "The five networks, for an image of 640×640 pixels",
        (
            Column("network", "variant", code),
            Column("origin", lambda record: Cell(VARIANTS[record["variant"]]), width=1),
            Column("parameters", "params", count),
            Column("cost", "macs", _GMAC, unit="GMAC"),
            Column("in deformable kernels", "macs_by_kind.deformable_kernel", _GMAC, unit="GMAC"),
        ),
        [records.blocks[name] for name in VARIANTS],
    ).html()
