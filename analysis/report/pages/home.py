"""The first page: what is true, what surprises, and how to see it for oneself."""

from __future__ import annotations

from html import escape
from typing import Any

from analysis.report.pages.html import Column, Html, bars, number, table
from analysis.report.pages.records import VARIANTS, Record, Records


def lead(records: Records) -> str:
    """How much was judged, in a sentence."""
    return (
        '<p class="ff-lead">FeatherFace is a small face detector. Its paper, an architecture card '
        f"and the code’s own documents publish <strong>{len(records.verdicts)} figures</strong> "
        "about it. Here each of them is measured again, by code that anyone can run.</p>\n"
    )


def surprises(records: Records) -> str:
    """The four findings in brief: who said what, and what is."""
    official, baseline = records.blocks["official"], records.blocks["retinaface"]
    dearer = official["macs"] / baseline["macs"] - 1
    skipped = official["macs"] - official["macs_by_kind"]["deformable_kernel"]
    cheaper = 1 - skipped / baseline["macs"]
    drawn = records.verdict("card-total-as-drawn")
    performance = records.verdict("card-performance")
    mean = records.verdict("repository-released-ap-mean")
    cards = (
        (
            "The paper’s size",
            "paper-params",
            records.verdict("paper-params")["printed"],
            number(official["params"]),
            "parameters in the code its authors released. A counter that overlooks the deformable "
            "kernels says 0.49 M of the very same network.",
            "#size",
        ),
        (
            "The card’s drawing",
            "card-total-as-drawn",
            drawn["printed"],
            number(drawn["measured"]),
            "parameters, built as the card draws it. The printed total leaves no room for the "
            "deformable convolutions in the drawing.",
            "#card",
        ),
        (
            "What counters say",
            "",
            f"{cheaper:.0%} fewer MACs",
            f"{dearer:.0%} more",
            f"than RetinaFace, once deformable kernels count: "
            f"{official['macs'] / 1e9:.3f} GMAC, not {skipped / 1e9:.3f}.",
            "#cheaper",
        ),
        (
            "The card’s accuracy",
            "card-performance",
            f"{performance['printed']} on Easy",
            f"{mean['printed']} % mean",
            "of Easy, Medium and Hard, of another network. No trained weights of the card’s own "
            "are known.",
            "#accuracy",
        ),
    )
    items = "".join(
        f'<li><p class="ff-who">{escape(who)}</p><p class="ff-said"><s>{escape(said)}</s> '
        f"<b>{escape(true)}</b></p><p>{escape(words)}</p>"
        f'<p class="ff-more"><a href="{target}">Why, and the proof'
        f'<span class="ff-hidden">: {escape(who)}</span></a></p></li>'
        for who, _, said, true, words, target in cards
    )
    return f'<ul class="ff-surprises">{items}</ul>\n'


def the_size(records: Records) -> str:
    """0.49 M: what thop leaves out of `official`, drawn to scale, and the second explanation."""
    official = records.blocks["official"]["params"]
    found = records.counters["official"]["reconciliation"]
    dropped = {entry["type"]: entry["params"] for entry in found["dropped"]}
    kernels, fusion = dropped["DeformConv2d"], dropped["Fusion"]
    seen, other = found["thop_params"], records.blocks["no-attention"]["params"]
    if seen is None or official - kernels - fusion != seen:
        raise AssertionError(f"{official} − {kernels} − {fusion} is not {seen}")
    label = (
        f"official has {official:,} parameters; thop sees {seen:,} of them and misses {kernels:,} "
        f"in deformable kernels and {fusion} fusion weights. no-attention has {other:,}."
    )
    rows = (
        (
            "official",
            ((seen, "c-ink", "seen by thop"), (kernels + fusion, "c-missed", "not seen by thop")),
            number(official),
        ),
        ("as thop counts", ((seen, "c-ink", "seen by thop"),), number(seen)),
        ("no-attention", ((other, "c-soft", "another network"),), number(other)),
    )
    return (
        f'<div class="ff-evidence">{bars(label, rows, official).strip()}'
        f'<p class="ff-sum">{official:,} − {kernels:,} − {fusion} = <b>{seen:,}</b></p></div>\n\n'
        f"The released code, at its default configuration, has **{official:,}** parameters. The "
        f"popular counter `thop` says {seen:,} of that same network. It adds up weights layer by "
        f"layer, for the kinds of layer it knows; a deformable convolution is not one of them, so "
        f"{kernels:,} weights vanish, and {fusion} fusion weights of the pyramid with them. That "
        f"is one way to “0.49 M”. There is a second: the authors also released a network without "
        f"attention, and it really has {other:,} parameters – but it lacks a module that the "
        "paper’s abstract names. Both explanations fit the digits, so both are shown.\n"
    )


def the_card(records: Records) -> str:
    """487,103: the sum that does not, and what each correction makes of the total."""
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
    rows = [(name, ((value, css, name),), number(value)) for name, value, css in values]
    found = records.totals[total]
    sum_of_blocks = records.verdict("card-blocks-add-up")["measured"]
    drawn = records.verdict("card-total-as-drawn")["measured"]
    return (
        f'<div class="ff-evidence">{bars(label, rows, most).strip()}</div>\n\n'
        f"The card prints a total of **{total:,}** and a drawing, and they exclude each other. "
        f"Its seven blocks add up to {sum_of_blocks:,}. With the deformable "
        f"convolutions it draws and the reduction it prints the network has {drawn:,}. Of "
        f"{found['looked_at']:,} architectures of the family, all counted, "
        f"{found['found']} have exactly the printed total, and one of those has the card’s 74 "
        "channels and two attentions: its context is an **ordinary** convolution, and its "
        f"attention reduces by {_match(found)['reduction']}, not by 16.\n"
    )


def _match(found: Record) -> Any:
    matches = [
        match["config"]
        for match in found["matches"]
        if match["config"]["channels"] == 74 and match["config"]["attention"] == "both"
    ]
    if len(matches) != 1:
        raise AssertionError(f"{len(matches)} networks with the card's total and channels, not one")
    return matches[0]


def the_cost(records: Records) -> str:
    """The MACs of `official` with and without deformable kernels, against the baseline's."""
    official, baseline = records.blocks["official"], records.blocks["retinaface"]
    hidden = official["macs_by_kind"]["deformable_kernel"]
    seen = official["macs"] - hidden
    torch_says = next(
        c for c in records.counters["official"]["counters"] if c["counter"] == "torch"
    )
    if torch_says["macs"] != seen:
        raise AssertionError(f"PyTorch's counter says {torch_says['macs']}, not {seen}")
    label = (
        f"official: {official['macs']:,} MACs, of which {hidden:,} in deformable kernels that "
        f"counters skip; retinaface: {baseline['macs']:,} MACs."
    )
    rows = (
        (
            "official",
            ((seen, "c-ink", "seen by usual counters"), (hidden, "c-missed", "deformable kernels")),
            f"{official['macs'] / 1e9:.3f} G",
        ),
        ("as PyTorch counts", ((seen, "c-ink", ""),), f"{seen / 1e9:.3f} G"),
        ("retinaface", ((baseline["macs"], "c-soft", ""),), f"{baseline['macs'] / 1e9:.3f} G"),
    )
    return (
        f'<div class="ff-evidence">{bars(label, rows, official["macs"]).strip()}</div>\n\n'
        f"PyTorch’s own counter finds {seen:,} multiply-accumulates in the released network at "
        f"640×640, fewer than the {baseline['macs']:,} of RetinaFace, on which it improves. It "
        "does not know the operator `deform_conv2d` and counts it as nothing, without a word. "
        f"With its {hidden:,} MACs the network costs {official['macs']:,}: "
        f"**{official['macs'] / baseline['macs'] - 1:.0%} more** than the baseline, not "
        f"{1 - seen / baseline['macs']:.0%} less.\n"
    )


def the_accuracy(records: Records) -> str:
    """What stands behind the card's 87.0 %."""
    performance = records.verdict("card-performance")
    mean = records.verdict("repository-released-ap-mean")["printed"]
    return (
        f"“{performance['printed']} mAP WIDERFace Easy”, says the card of its network. No trained "
        "weights of that network are known, so the claim stays *untested*. What is known points "
        f"elsewhere: trained weights of `official` are recorded with {mean} % as the **mean** of "
        "Easy, Medium and Hard, which rounds to the printed figure. On Easy alone that network "
        "does far better. So the figure carries the name of one subset for the mean of three, and "
        "the name of one network for another’s.\n"
    )


def networks(records: Records) -> str:
    """The five networks that go by the name, and the baseline, in one table."""
    rows = [
        (
            Html(f"<code>{name}</code>"),
            words,
            records.blocks[name]["params"],
            f"{records.blocks[name]['macs'] / 1e9:.3f}",
            f"{records.blocks[name]['macs_by_kind']['deformable_kernel'] / 1e9:.3f}",
        )
        for name, words in VARIANTS.items()
    ]
    columns = (
        Column("Network", number=False),
        Column("What it is", prose=True),
        Column("Parameters"),
        Column("Cost", "GMAC"),
        Column("in deformable kernels", "GMAC"),
    )
    return table("The five networks, for a picture of 640×640 pixels", columns, rows)
