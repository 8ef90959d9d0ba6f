"""The first page: what is true, what surprises, and how to see it for oneself."""

from __future__ import annotations

from collections import Counter
from html import escape

from analysis.report.formats import count, fixed
from analysis.report.pages.html import MEANING, bars
from analysis.report.pages.prose import inline
from analysis.report.pages.records import VARIANTS, Record, Records
from analysis.report.table import Cell, Column, Table, code
from featherface.errors import InputError

_GMAC = fixed(3, 1e9)


def lead(records: Records) -> str:
    """Return how much was judged, and who published it."""
    published = [record for record in records.verdicts if record["published"]]
    return (
        '<p class="ff-lead">FeatherFace is a small face detector, published in January 2025 by '
        "Kim, Jung and Kim. Its paper, its code’s documents and an architecture card state "
        f"<strong>{len(published)} figures</strong> about it. Here each of them is measured again, "
        "by code that anyone can run.</p>\n"
        "<p>The paper’s authors published code and no weights. The owner of a fork published "
        "the card and the trained weights, from June to November 2025: "
        '<a href="method/#provenance">who published what</a>.</p>\n'
    )


def tally_by_source(records: Records) -> str:
    """Return a table of verdicts by source."""
    published = [record for record in records.verdicts if record["published"]]
    rows = []
    for source in records.sources:
        counts = Counter(r["verdict"] for r in published if r["source"] == source["id"])
        title = _SOURCES.get(source["id"], source["id"])
        rows.append({"source": title, "all": counts.total(), **{v: counts[v] for v in MEANING}})
    columns = [Column(name, name, count) for name in ("all", *MEANING)]
    return Table("Published figures", [Column("source", "source"), *columns], rows).html()


_SOURCES = {
    "paper": "the paper, of its three authors",
    "card": "the card, of the fork’s owner",
    "repository": "the repositories: the authors’, the fork’s, the baseline’s",
}


def publications(records: Records) -> str:
    """Return a table of who published what, by date."""

    def where(row: Record) -> Cell:
        name = " @ ".join(filter(None, (row["repository"], row["revision"]))) or "DOI"
        return Cell(name, f'<a href="{escape(row["link"])}">{escape(name)}</a>')

    def what(row: Record) -> Cell:
        return Cell(row["what"], inline(row["what"]))

    columns = (
        Column("when", lambda row: " to ".join(filter(None, (row["date"], row["until"])))),
        Column("publication", what, width=2),
        Column("who", "who", width=1),
        Column("where", where),
    )
    return Table("Publications by date", columns, records.publications).html()


def surprises(records: Records) -> str:
    """Return the four findings in brief. Only what is refuted is struck out."""
    official, baseline = records.blocks["official"], records.blocks["retinaface"]
    skipped = official["macs"] - official["macs_by_kind"]["deformable_kernel"]
    size, drawn = records.verdict("paper-params"), records.verdict("card-total-as-drawn")
    performance = records.verdict("card-performance")
    cards = (
        (
            "The paper’s size",
            _printed(size),
            count(official["params"]),
            "parameters in the code its authors published. The counter thop, which their training "
            f"script calls, says {records.counters['official']['reconciliation']['thop_params']:,} "
            "of the same network: it misses the deformable kernels.",
            "#size",
        ),
        (
            "The card’s drawing",
            _printed(drawn),
            count(drawn["measured"]),
            "parameters, built as the card draws it. The printed total leaves no room for the "
            "deformable convolutions in the drawing.",
            "#card",
        ),
        (
            "Cost against the baseline",
            f"{100 - 100 * skipped / baseline['macs']:.0f} % less, say counters",
            f"{100 * official['macs'] / baseline['macs'] - 100:.0f} % more",
            f"MACs than RetinaFace, once deformable kernels count: {_GMAC(official['macs'])} GMAC, "
            f"not {_GMAC(skipped)}.",
            "#cheaper",
        ),
        (
            "The card’s accuracy",
            f"{_printed(performance)} on Easy",
            f"{_mean(records):.2f} % mean",
            "of Easy, Medium and Hard, of another network. No trained weights of the card’s own "
            "network are known.",
            "#accuracy",
        ),
    )
    items = "".join(
        f'<li><p class="ff-who">{escape(who)}</p><p class="ff-said">{said} '
        f"<b>{escape(true)}</b></p><p>{escape(words)}</p>"
        f'<p class="ff-more"><a href="{target}">Why, and the proof'
        f'<span class="ff-hidden">: {escape(who)}</span></a></p></li>'
        for who, said, true, words, target in cards
    )
    return f'<ul class="ff-surprises">{items}</ul>\n'


def _printed(verdict: Record) -> str:
    text = escape(verdict["printed"])
    return f"<s>{text}</s>" if verdict["verdict"] == "refuted" else f"<span>{text}</span>"


def _mean(records: Records) -> float:
    """The measured mean AP of `official`, in per cent, which the card's figure rounds."""
    (replication,) = records.verdict("card-performance")["replications"]
    return float(replication["measured"])


def the_size(records: Records) -> str:
    """Return 0.49 M: what thop leaves out of `official`, drawn to scale."""
    official = records.blocks["official"]["params"]
    found = records.counters["official"]["reconciliation"]
    dropped = {entry["type"]: entry["params"] for entry in found["dropped"]}
    kernels, fusion = dropped["DeformConv2d"], dropped["Fusion"]
    seen, other = found["thop_params"], records.blocks["no-attention"]["params"]
    if seen is None or official - kernels - fusion != seen:
        raise InputError(f"counters.json: {official} − {kernels} − {fusion} is not {seen}")
    label = (
        f"official has {official:,} parameters; thop sees {seen:,} of them and misses {kernels:,} "
        f"in deformable kernels and {fusion} fusion weights. no-attention has {other:,}."
    )
    missed = (kernels + fusion, "c-missed", "not seen by thop")
    rows = (
        ("official", ((seen, "c-ink", "seen by thop"), missed), count(official)),
        ("as thop counts", ((seen, "c-ink", "seen by thop"),), count(seen)),
        ("no-attention, later", ((other, "c-soft", "another network"),), count(other)),
    )
    return (
        f'<div class="ff-evidence">{bars(label, rows, official).strip()}'
        f'<p class="ff-sum">{official:,} − {kernels:,} − {fusion} = <b>{seen:,}</b></p></div>\n\n'
        f"The code that the paper’s authors published has, at its default configuration, "
        f"**{official:,}** parameters. The counter `thop`, which their training script calls, says "
        f"{seen:,} of that same network. It adds up weights layer by layer, where a layer is "
        f"called; the kernels of deformable convolutions are used without that, so {kernels:,} "
        f"weights are missed, and {fusion} fusion weights of the pyramid with them. A network "
        f"with {other:,} parameters exists, `no-attention`, but the owner of a fork made it half a "
        "year after the paper, tuned towards the figure: it cannot be what the paper counted.\n"
    )


def the_card(records: Records) -> str:
    """Return the card's total, and what each correction makes of it."""
    total = records.verdict("card-total")["measured"]
    steps = [
        ("printed total", "card-total", "c-ink"),
        ("printed reduction", "card-total-with-reduction-16", "c-mid"),
        ("deformable as drawn", "card-total-with-deformable-context", "c-mid"),
        ("sum of printed blocks", "card-blocks-add-up", "c-soft"),
        ("both corrections", "card-total-as-drawn", "c-missed"),
    ]
    values = [(name, records.verdict(claim)["measured"], css) for name, claim, css in steps]
    most = max(value for _, value, _ in values)
    label = "; ".join(f"{name}: {value:,} parameters" for name, value, _ in values)
    rows = [(name, ((value, css, name),), count(value)) for name, value, css in values]
    found = records.totals[total]
    sum_of_blocks = records.verdict("card-blocks-add-up")["measured"]
    drawn = records.verdict("card-total-as-drawn")["measured"]
    return (
        f'<div class="ff-evidence">{bars(label, rows, most).strip()}</div>\n\n'
        f"The card prints a total of **{total:,}** and a drawing; they exclude each other. "
        f"Its seven blocks add up to {sum_of_blocks:,}. With the deformable "
        f"convolutions it draws and the reduction it prints the network has {drawn:,}. Of "
        f"{found['looked_at']:,} architectures of the family, all counted, "
        f"{found['found']} have exactly the printed total, and one of those has the card’s 74 "
        "channels and two attentions: its context is an **ordinary** convolution, and its "
        f"attention reduces by {_match(found)['reduction']}, not by 16.\n"
    )


def _match(found: Record) -> Record:
    matches = [
        match["config"]
        for match in found["matches"]
        if match["config"]["channels"] == 74 and match["config"]["attention"] == "both"
    ]
    if len(matches) != 1:
        raise InputError(f"{len(matches)} networks with the card's total and channels, not one")
    config: Record = matches[0]
    return config


def the_cost(records: Records) -> str:
    """Return the MACs of `official` with and without deformable kernels, against the baseline's."""
    official, baseline = records.blocks["official"], records.blocks["retinaface"]
    hidden = official["macs_by_kind"]["deformable_kernel"]
    seen = official["macs"] - hidden
    torch_says = next(
        c for c in records.counters["official"]["counters"] if c["counter"] == "torch"
    )
    if torch_says["macs"] != seen:
        raise InputError(f"PyTorch's counter says {torch_says['macs']}, not {seen}")
    label = (
        f"official: {official['macs']:,} MACs, of which {hidden:,} in deformable kernels that "
        f"counters skip; retinaface: {baseline['macs']:,} MACs."
    )
    rows = (
        (
            "official",
            ((seen, "c-ink", "seen by usual counters"), (hidden, "c-missed", "deformable kernels")),
            f"{_GMAC(official['macs'])} G",
        ),
        ("as PyTorch counts", ((seen, "c-ink", ""),), f"{_GMAC(seen)} G"),
        ("retinaface", ((baseline["macs"], "c-soft", ""),), f"{_GMAC(baseline['macs'])} G"),
    )
    return (
        f'<div class="ff-evidence">{bars(label, rows, official["macs"]).strip()}</div>\n\n'
        f"PyTorch’s own counter finds {seen:,} multiply-accumulates in the released network at "
        f"640×640, fewer than the {baseline['macs']:,} of RetinaFace, on which it improves. It "
        "does not know the operator `deform_conv2d` and counts it as nothing, without a word. "
        f"With its {hidden:,} MACs the network costs {official['macs']:,}: "
        f"**{100 * official['macs'] / baseline['macs'] - 100:.0f} % more** than the baseline, not "
        f"{100 - 100 * seen / baseline['macs']:.0f} % less.\n"
    )


def the_accuracy(records: Records) -> str:
    """Return what stands behind the card's 87.0 %, and how near others came to the paper's."""
    performance, overall = records.verdict("card-performance"), records.verdict("paper-overall-ap")
    gain = records.verdict("paper-gain-on-hard")
    trainings = " and ".join(f"{one['measured']:.2f}" for one in overall["replications"])
    near = abs(overall["claimed"] - overall["replications"][0]["measured"])
    gains = " and ".join(f"{one['measured']:.1f}" for one in gain["replications"])
    return (
        f"“{performance['printed']} mAP WIDERFace Easy”, says the card of its network. No trained "
        f"weights of that network are known, so the claim stays *untested*. {_mean(records):.2f} % "
        "is the **mean** of Easy, Medium and Hard of `official`, measured here on all validation "
        "images; it rounds to the printed figure. The card gives it the name of one subset and of "
        "another network.\n\n"
        f"The paper’s own {overall['printed']} is *untested* too: its weights were never "
        f"published. Two trainings of the authors’ code by the owner of the fork reach {trainings} "
        f"and are {gains} points above the baseline on Hard, where the paper says "
        f"{gain['printed']}: the first figure is approached to "
        f"{near:.1f} points, the second "
        "holds for one training and not for the other.\n"
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
