"""The architecture page: the networks' drawings, the panel of a block, and a section a block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import yaml

from analysis.report import Record, formats
from analysis.report.diagram.claims import claims_by_block, claims_list, verdict_counts
from analysis.report.diagram.drawing import architecture_svg
from analysis.report.diagram.layouts import anchor, kind, magnitude, output_shapes
from analysis.report.diagram.nodes import nodes
from analysis.report.diagram.svg import page_style
from analysis.report.table import Cell, Column, Table
from featherface.config import BLOCKS

_TEXTS = Path(__file__).with_name("descriptions.yaml")

FIRST = "official"
"""The network that is shown first, and alone where a browser cannot switch."""


def architecture_html(
    records: Sequence[Record],
    layers: Mapping[str, Sequence[Record]],
    verdicts: Sequence[Record],
) -> str:
    """Return the drawings of all networks, as one HTML element without empty lines.

    Switching needs no script. `docs/assets/architecture.js` opens a panel beside a block, with the
    layers and claims of its section; without it a block's link leads to the section.

    Args:
        records: from `analysis.cost.blocks.measure_blocks`, one a network.
        layers: by network, from `analysis.cost.blocks.measure_layers`.
        verdicts: as in `docs/results/verdicts.json`.
    """
    records = _in_order(records)
    views = []
    for record in records:
        variant = record["variant"]
        claims = claims_by_block(verdicts, variant)
        across = architecture_svg(record, layers[variant], claims)
        down = architecture_svg(record, layers[variant], claims, upright=True)
        views.append(
            f'<div class="fa-view" data-variant="{variant}">{across}{down}'
            f'<details class="fa-whole"><summary>Claims about {variant} as a whole: '
            f"{verdict_counts(claims[''])}</summary>{claims_list(claims[''])}</details></div>"
        )
    sections = {"card": "The card compared"}
    sections |= {anchor(block["name"]): _title(block) for block in records[0]["blocks"]}
    contents = " · ".join(f'<a href="#{at}">{title}</a>' for at, title in sections.items())
    return (
        f'<section class="fa" data-fa data-search-exclude><style>{page_style()}</style>'
        f'<nav aria-label="On this page">On this page: {contents}</nav>{_switch(records)}'
        f'<div class="fa-body"><div class="fa-views">{"".join(views)}</div>'
        '<div class="fa-panel" role="region" aria-label="The chosen block" hidden>'
        '<p class="fa-hint">Point at a block to see its layers and claims here; click it or press '
        "Enter to keep them open.</p>"
        '<button type="button" class="fa-close" aria-label="Close" hidden>×</button>'
        '<p class="fa-title" aria-live="polite"></p><div class="fa-columns"></div>'
        "</div></div></section>\n"
    )


def block_sections(
    records: Sequence[Record],
    layers: Mapping[str, Sequence[Record]],
    verdicts: Sequence[Record],
) -> str:
    """Return a section for each block, as Markdown with HTML: text, costs, layers and claims.

    Args:
        records, layers, verdicts: as for `architecture_html`; `official` among them.
    """
    records = _in_order(records)
    paragraphs = _descriptions(records[0], layers[FIRST])
    claims = {record["variant"]: claims_by_block(verdicts, record["variant"]) for record in records}
    sections = []
    for at, name in enumerate(BLOCKS):
        folded = "".join(
            _fold(variants, f"Layers in {', '.join(variants)}", table)
            for table, variants in _layer_tables(records, layers, name).items()
        )
        for variant, of in claims.items():
            if of[name]:
                words = f"Claims about it in {variant}: {verdict_counts(of[name])}"
                folded += _fold([variant], words, claims_list(of[name]))
        sections.append(
            f"## {_title(records[0]['blocks'][at])} {{ #{anchor(name)} }}\n\n"
            f'<section class="fa fa-section" data-block="{name}" data-search-exclude>'
            f"<p>{paragraphs[name]}</p>{_costs(records, at).html().strip()}{folded}</section>\n"
        )
    return "\n".join(sections)


def _fold(variants: Sequence[str], words: str, body: str) -> str:
    of = " ".join(variants)
    return f'<details data-variant="{of}"><summary>{words}</summary>{body}</details>'


def _in_order(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record["variant"] != FIRST)


def _title(block: Record) -> str:
    return str(block["title"]).partition(":")[0]


def _switch(records: Sequence[Record]) -> str:
    choices = "".join(
        f'<label><input type="radio" name="fa-variant" value="{record["variant"]}"'
        f'{" checked" * (record["variant"] == FIRST)} autocomplete="off"><span>{record["variant"]} '
        f"<small>{record['params']:,}</small></span></label>"
        for record in records
    )
    legend = "<legend>Network and its parameters</legend>"
    return f'<fieldset class="fa-switch">{legend}{choices}</fieldset>'


def _layer_tables(
    records: Sequence[Record], layers: Mapping[str, Sequence[Record]], block: str
) -> dict[str, list[str]]:
    """The tables of a block's layers as HTML, and the networks that have each."""
    shared: dict[str, list[str]] = {}
    for variant in (record["variant"] for record in records):
        if rows := layer_rows(block, layers[variant]):
            shared.setdefault(_layer_table(block, rows).html().strip(), []).append(variant)
    return shared


def layer_rows(block: str, layers: Sequence[Record]) -> list[Record]:
    """Return the modules of a block that have parameters or MACs, without lists of modules."""
    return [
        layer
        for layer in layers
        if layer["path"].startswith(f"{block}.")
        and layer["type"] != "ModuleList"
        and (layer["params"] or layer["macs"])
    ]


def _layer_table(block: str, rows: Sequence[Record]) -> Table:
    paths = {row["path"] for row in rows}

    def name(row: Record) -> Cell:
        parents = [p for p in paths if row["path"].startswith(f"{p}.")]
        short = row["path"].removeprefix(f"{max(parents, key=len, default=block)}.")
        kind = f'<span class="fa-kind">{escape(row["type"])}</span>'
        padded = f'<span class="fa-in{len(parents)}">{escape(short)} {kind}</span>'
        return Cell(f"{short} {row['type']}", padded)

    def output(row: Record) -> str | None:
        return formats.shape(row["output_shapes"][0][1:]) if row["output_shapes"] else None

    return Table(
        f"{len(rows)} modules with parameters or MACs",
        (
            Column("layer", name),
            Column("output", output, str),
            Column("parameters", "params", formats.count),
            Column("MACs", "macs", magnitude),
        ),
        rows,
    )


def _costs(records: Sequence[Record], at: int) -> Table:
    """The cost of the block at a position in each network."""

    def column(title: str, key: str, form: Callable[[Any], str]) -> Column:
        def value(record: Record) -> Any:
            return record["blocks"][at][key] if kind(record["blocks"][at]) else None

        return Column(title, value, form)

    output = "boxes · classes · landmarks" if BLOCKS[at] == "heads" else "output: P3 · P4 · P5"
    return Table(
        "In the five networks",
        (
            Column("network", "variant"),
            Column("kind", lambda record: record["blocks"][at]["title"].partition(": ")[2]),
            column("parameters", "params", formats.count),
            column("share", "params_share", formats.share),
            column("MACs", "macs", magnitude),
            column("share", "macs_share", formats.share),
            column(output, "output_shapes", output_shapes),
        ),
        records,
    )


def _descriptions(record: Record, layers: Sequence[Record]) -> dict[str, str]:
    """A paragraph of HTML for each block, with the figures of `official`, which has every block."""
    blocks = {block["name"]: block for block in record["blocks"]}
    squares = nodes(record, layers)

    def share(block: str, place: str = "", least_level: int = 0) -> str:
        """The share of a block's parameters that nodes of a place hold, from a level on."""
        params = sum(
            node.params
            for (name, where, level), node in squares.items()
            if name == block and where.startswith(place) and level >= least_level
        )
        return formats.share(params / blocks[block]["params"])

    early = sum(stage["macs"] for stage in blocks["backbone"]["parts"][:-1])
    predicting = sum(node.predicting for node in squares.values())
    kernels = blocks["context"]["macs_by_kind"]["deformable_kernel"]
    outputs = blocks["heads"]["output_shapes"]
    anchors = outputs["boxes"][1]
    rows, columns = blocks["shuffle"]["output_shapes"]["p3"][2:]
    figures = {
        "name": f"<code>{record['variant']}</code>",
        "separable": sum(layer["type"] == "DepthwiseSeparable" for layer in layers),
        "late_params": share("backbone", "stage", 1),
        "early_macs": formats.share(early / blocks["backbone"]["macs"]),
        "attention_macs": formats.share(blocks["first_attention"]["macs_share"]),
        "attention_on_p5": share("first_attention", least_level=2),
        "lateral_params": share("pyramid", "lateral"),
        "predicting_params": formats.share(predicting / blocks["context"]["params"]),
        "kernel_macs": magnitude(kernels),
        "kernel_share": formats.share(kernels / record["macs"]),
        "outputs": outputs,
        "image": formats.shape(record["input"][1:]),
        "anchors": anchors,
        "config": record["config"],
        "finest": formats.share(rows * columns * record["config"]["anchors"] / anchors),
    }
    texts = yaml.safe_load(_TEXTS.read_text(encoding="utf-8"))
    return {block: text.format_map(figures) for block, text in texts.items()}
