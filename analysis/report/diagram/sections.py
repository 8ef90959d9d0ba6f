"""A section for each block: what it does, what it costs, its layers, and what was claimed of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from analysis.report.diagram.architecture import tally
from analysis.report.diagram.html import claims_list, layer_rows, layer_table
from analysis.report.diagram.page import FIRST, default_address, in_order
from analysis.report.diagram.prose import TITLES, prose
from analysis.report.diagram.subjects import claims_by_block
from analysis.report.diagram.words import count, kind, percent, shape

Record = Mapping[str, Any]

_DEEP = 9  # below any block


def block_sections(
    records: Sequence[Record],
    layers: Mapping[str, Sequence[Record]],
    verdicts: Sequence[Record],
    *,
    claim_href: Callable[[Record], str] = default_address,
) -> str:
    """Markdown with HTML: headings of the second level with the addresses of the diagram's links.

    Args:
        records: from `analysis.cost.blocks.measure_blocks`, one a network, `official` among them.
        layers: by network, from `analysis.cost.blocks.measure_layers`.
        verdicts: as in `docs/results/verdicts.json`.
        claim_href: the address of a claim on the page of verdicts, as seen from this page.
    """
    claims = claims_by_block(verdicts, records)
    records = in_order(records)
    words = prose(records[0], layers[FIRST])
    sections = []
    for block, title in TITLES.items():
        body = "".join(
            (
                f"<p>{words[block]}</p>",
                _costs(records, block),
                *_layers(records, layers, block),
                *_claims(records, claims, block, claim_href),
            )
        )
        address = f"block-{block.replace('_', '-')}"
        sections.append(f'## {title} {{ #{address} }}\n\n<div class="fa fa-section">{body}</div>\n')
    return "\n".join(sections)


def _costs(records: Sequence[Record], name: str) -> str:
    rows = []
    for record in records:
        block = next(block for block in record["blocks"] if block["name"] == name)
        what = kind(record, name)
        cells = ["none", *["–"] * 5]
        if what:
            outputs = block["output_shapes"].values()
            cells = [
                escape(what),
                f"{block['params']:,}",
                percent(block["params_share"]),
                count(block["macs"]),
                percent(block["macs_share"]),
                " · ".join(shape(sizes) for sizes in outputs),
            ]
        rows.append(
            f'<tr><th scope="row">{record["variant"]}</th>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    outs = "boxes · classes · landmarks" if name == "heads" else "out: P3 · P4 · P5"
    return (
        '<div class="fa-scroll" tabindex="0" role="region" aria-label="Costs">'
        '<table class="fa-layers fa-costs-table"><caption>In the five '
        'networks</caption><thead><tr><th scope="col">network</th><th scope="col">kind</th>'
        '<th scope="col">parameters</th><th scope="col">share</th><th scope="col">MACs</th>'
        f'<th scope="col">share</th><th scope="col">{outs}</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _layers(
    records: Sequence[Record], layers: Mapping[str, Sequence[Record]], name: str
) -> Iterator[str]:
    """The layers, all of them, once for all networks that have the same."""
    shared: dict[str, list[str]] = {}
    for record in records:
        rows = layer_rows(name, layers[record["variant"]], _DEEP)
        if rows:
            table = layer_table(name, rows, f"{len(rows)} modules that have or do something")
            shared.setdefault(table, []).append(record["variant"])
    for table, variants in shared.items():
        yield (
            f"<details><summary>Layers in {', '.join(variants)}</summary>"
            f'<div class="fa-scroll fa-tall" tabindex="0" role="region" aria-label="Layers">{table}'
            "</div></details>"
        )


def _claims(
    records: Sequence[Record],
    claims: Mapping[str, Mapping[str, Sequence[Record]]],
    name: str,
    address: Callable[[Record], str],
) -> Iterator[str]:
    for record in records:
        own = claims[record["variant"]][name]
        if own:
            said = ", ".join(f"{number} {verdict}" for verdict, number in tally(own).items())
            yield (
                f"<details><summary>Claims about it in {record['variant']}: {said}</summary>"
                f"{claims_list(own, address)}</details>"
            )
