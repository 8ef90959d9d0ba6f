"""The drawing for the site: all networks with a switch, and what each block is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from analysis.report.diagram.architecture import architecture_svg, tally
from analysis.report.diagram.html import claims_list, layer_rows, layer_table
from analysis.report.diagram.style import page_style
from analysis.report.diagram.subjects import claims_by_block
from analysis.report.diagram.words import NAMES, count, kind, percent

Record = Mapping[str, Any]

FIRST = "official"
"""The network that is shown first, and alone where a browser cannot switch."""


def default_address(claim: Record) -> str:
    """Where a claim stands on the page of verdicts."""
    return f"../verdicts/#{claim['source']}-{claim['id']}"


def in_order(records: Sequence[Record]) -> list[Record]:
    """The networks, the one that is shown first before the others."""
    return sorted(records, key=lambda record: record["variant"] != FIRST)


def architecture_html(
    records: Sequence[Record],
    layers: Mapping[str, Sequence[Record]],
    verdicts: Sequence[Record],
    *,
    claim_href: Callable[[Record], str] = default_address,
    href: str = "#block-",
) -> str:
    """The drawings of all networks, as one HTML element without empty lines.

    Switching works without a script, in browsers that know `:has()`; others show the first
    network. The script `docs/assets/architecture.js` adds the panel with a block's layers and
    claims; without it these stand in the sections alone. The style is
    `docs/assets/architecture.css`.

    Args:
        records: from `analysis.cost.blocks.measure_blocks`, one a network.
        layers: by network, from `analysis.cost.blocks.measure_layers`.
        verdicts: as in `docs/results/verdicts.json`.
        claim_href: the address of a claim on the page of verdicts, as seen from this page.
        href: what a block links to, with the block's name after it (its underscores as hyphens).
    """
    claims = claims_by_block(verdicts, records)
    records = in_order(records)
    views, about = [], []
    for record in records:
        variant = record["variant"]
        drawings = "".join(
            architecture_svg(record, layers[variant], claims[variant], upright=upright, href=href)
            for upright in (False, True)
        )
        views.append(f'<div class="fa-view" data-variant="{variant}">{drawings}</div>')
        about.append(_whole(record, claims[variant][""], claim_href))
        about += [
            _about(record, block, claims[variant][block["name"]], claim_href, href)
            for block in record["blocks"]
        ]
    return (
        f'<div class="fa" data-fa><style>{page_style()}</style>{_switch(records)}'
        f'<div class="fa-body"><div class="fa-views">{"".join(views)}</div>'
        '<div class="fa-panel" role="region" aria-label="The chosen block" hidden>'
        '<p class="fa-hint">Point at a block, tap it or move to it with the Tab key to see its '
        "layers and the claims about it here. Following it leads to its section.</p>"
        '<p class="fa-live" aria-live="polite"></p>'
        '<button type="button" class="fa-close" aria-label="Close" hidden>×</button>'
        f'<div class="fa-columns">{"".join(about)}{"".join(_layers(records, layers))}</div>'
        "</div></div></div>\n"
    )


def _switch(records: Sequence[Record]) -> str:
    choices = "".join(
        f'<label><input type="radio" name="fa-variant" value="{record["variant"]}"'
        f'{" checked" if number == 0 else ""} autocomplete="off"><span>{record["variant"]} '
        f"<small>{record['params']:,}</small></span></label>"
        for number, record in enumerate(records)
    )
    legend = "<legend>Network and its parameters</legend>"
    return f'<fieldset class="fa-switch">{legend}{choices}</fieldset>'


def _whole(record: Record, claims: Sequence[Record], address: Callable[[Record], str]) -> str:
    """What stands in the panel while no block is chosen."""
    variant = record["variant"]
    listed = claims_list(claims, address, fold=True) if claims else ""
    return (
        f'<div class="fa-about" data-variant="{variant}" data-block="" data-live="{variant}: '
        f'{record["params"]:,} parameters." hidden><p class="fa-caption">Claims about {variant} as '
        f"a whole: {_said(claims) or 'none'}</p>{listed}</div>"
    )


def _said(claims: Sequence[Record]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in tally(claims).items())


def _about(
    record: Record,
    block: Record,
    claims: Sequence[Record],
    address: Callable[[Record], str],
    href: str,
) -> str:
    name, variant = block["name"], record["variant"]
    what = kind(record, name)
    said = _said(claims)
    title = f"{NAMES[name]} of {variant}"
    parts = [
        f'<p class="fa-title"><b>{NAMES[name]}</b> {escape(what or "none")}'
        f' <a href="{href}{name.replace("_", "-")}">section ↓</a></p>'
    ]
    live = f"{title}: none."
    if what is None:
        parts.append(f"<p>{variant} has none: data pass through as they are.</p>")
    else:
        share = percent(block["params_share"])
        live = f"{title}: {block['params']:,} parameters, {share}. Claims: {said or 'none'}."
        parts.append(
            f'<p class="fa-costs"><span class="fa-p">{block["params"]:,} parameters · {share}'
            f'</span> <span class="fa-c">{count(block["macs"])} MACs · '
            f"{percent(block['macs_share'])}</span></p>"
        )
    parts.append(f'<p class="fa-caption">Claims: {said or "none"}</p>')
    if claims:
        parts.append(claims_list(claims, address, fold=True))
    return (
        f'<div class="fa-about" data-variant="{variant}" data-block="{name}" '
        f'data-live="{escape(live)}" hidden>{"".join(parts)}</div>'
    )


def _layers(records: Sequence[Record], layers: Mapping[str, Sequence[Record]]) -> Iterator[str]:
    """The layers of each block, once for all networks that have the same."""
    shared: dict[tuple[str, str], list[str]] = {}
    for record in records:
        for block in record["blocks"]:
            rows = layer_rows(block["name"], layers[record["variant"]], depth=2)
            table = layer_table(block["name"], rows, "Layers")
            shared.setdefault((block["name"], table), []).append(record["variant"])
    for (block, table), variants in shared.items():
        yield (
            f'<div class="fa-about fa-scroll" data-variant="{" ".join(variants)}" '
            f'data-block="{block}" tabindex="0" role="region" aria-label="Layers" hidden>{table}'
            "</div>"
        )
