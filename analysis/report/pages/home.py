"""The first page: what FeatherFace is, what is true of it, and how to see it for oneself."""

from __future__ import annotations

from collections import Counter
from html import escape

from analysis.report.formats import count, fixed
from analysis.report.pages import verdict_list
from analysis.report.pages.html import MEANING, bars
from analysis.report.pages.prose import inline
from analysis.report.pages.records import VARIANTS, Record, Records
from analysis.report.table import Cell, Column, Table, code
from featherface.errors import InputError

_GMAC = fixed(3, 1e9)


def lead(records: Records) -> str:
    """Return the first screen: what FeatherFace is, faces found, the tally, and who wrote what."""
    published = [record for record in records.verdicts if record["published"]]
    official = records.blocks["official"]["params"]
    alt = "A portrait with a box around the face that v1 finds, its score and five landmarks"
    return (
        '<div class="ff-first"><div>'
        '<p class="ff-lead">FeatherFace is a small face detector: a MobileNet backbone, attention, '
        f"a feature pyramid and a deformable context, {official:,} parameters in its authors’ "
        f"code. <strong>{len(published)} figures</strong> have been published about it and the "
        "networks that go by its name. Here each of them is measured again, by code that anyone "
        "can run.</p>"
        f"{verdict_list.tally(records, 'verdicts/').strip()}{tally_by_source(records).strip()}"
        "<p><strong>Who published what.</strong> January 2025: the paper and the code, without "
        "weights, by its authors Kim, Jung and Kim. June to November 2025: the card and the "
        "trained weights, by the owner of a fork. "
        '<a href="method/#provenance">Every publication by date</a>.</p></div>'
        f'<figure class="ff-portrait"><img src="figures/faces.svg" alt="{alt}" width="512" '
        'height="600"><figcaption>Found by <code>v1</code> with the weights of this project, '
        "which come with the package. The portrait is in the public domain."
        "</figcaption></figure></div>\n"
    )


def commands(records: Records) -> str:
    """Return three commands, each with the figures that it prints, which a test compares."""
    official = records.blocks["official"]["params"]
    thop = records.counters["official"]["reconciliation"]["thop_params"]
    drawn = records.verdict("card-total-as-drawn")["measured"]
    card = Counter(r["verdict"] for r in records.verdicts if r["source"] == "card")
    found = ", ".join(f"{card[verdict]} {verdict}" for verdict in MEANING)
    lines = {
        "featherface audit --source card": found,
        "featherface blocks --variant official --counters": f"{official:,}; thop says {thop:,}",
        "featherface blocks --variant v1-deformable --set reduction=16": f"{drawn:,} as drawn",
    }
    listing = "\n".join(f"{command}  # {printed}" for command, printed in lines.items())
    return f"```sh\n{listing}\n```\n"


def tally_by_source(records: Records) -> str:
    """Return a table of verdicts by source; each number leads to its claims."""
    published = [record for record in records.verdicts if record["published"]]

    def number(source: Record, verdict: str = "") -> Cell:
        found = sum(
            r["source"] == source["id"] and verdict in ("", r["verdict"]) for r in published
        )
        address = f"verdicts/?source={source['id']}" + (f"&verdict={verdict}" if verdict else "")
        return Cell(count(found), f'<a href="{escape(address)}">{count(found)}</a>')

    def column(verdict: str) -> Column:
        return Column(verdict, lambda source: number(source, verdict), lambda cell: cell)

    columns = (
        Column("source", lambda source: _SOURCES[source["id"]]),
        Column("figures", number, lambda cell: cell),
        *map(column, MEANING),
    )
    return Table("Published figures by source", columns, records.sources).html()


_SOURCES = {
    "paper": "the paper, by its three authors",
    "card": "the card, by the owner of the fork",
    "repository": "the authors’, fork’s and baseline’s repositories",
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


def _mean(records: Records) -> float:
    """The measured mean AP of `official`, in per cent, which the card's figure rounds."""
    return float(records.verdict("card-performance")["replications"][0]["measured"])


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
        f"“{performance['printed']} mAP WIDERFace Easy”, says the card of its network. The only "
        "weights of that network are this project’s, trained on validation images, so the claim "
        f"stays *untested*. {_mean(records):.2f} % "
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
