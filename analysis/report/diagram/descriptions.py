"""A paragraph about each block; its figures come from the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from analysis.report import formats
from analysis.report.diagram.layouts import magnitude
from analysis.report.diagram.nodes import nodes

Record = Mapping[str, Any]

_TEXTS = Path(__file__).with_name("descriptions.yaml")


def descriptions(record: Record, layers: Sequence[Record]) -> dict[str, str]:
    """Return a paragraph of HTML for each block, with the figures of one network.

    Args:
        record, layers: of the network that the text is about, `official`: it has every block.
    """
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
    anchors_a_cell = record["config"]["anchors"]
    rows, columns = blocks["shuffle"]["output_shapes"]["p3"][2:]
    figures = {
        "name": f"<code>{record['variant']}</code>",
        "separable": sum(layer["type"] == "DepthwiseSeparable" for layer in layers),
        "late_params": share("backbone", "stage", 1),
        "early_macs": formats.share(early / blocks["backbone"]["macs"]),
        "attention_macs": formats.share(blocks["first_attention"]["macs_share"]),
        "attention_on_p5": share("first_attention", least_level=2),
        "lateral_params": share("pyramid", "lateral"),
        "channels": record["config"]["channels"],
        "predicting_params": formats.share(predicting / blocks["context"]["params"]),
        "kernel_macs": magnitude(kernels),
        "kernel_share": formats.share(kernels / record["macs"]),
        "classes": outputs["logits"][2],
        "boxes": outputs["boxes"][2],
        "points": outputs["landmarks"][2],
        "image": formats.shape(record["input"][1:]),
        "anchors": anchors,
        "anchors_a_cell": anchors_a_cell,
        "finest": formats.share(rows * columns * anchors_a_cell / anchors),
    }
    texts = yaml.safe_load(_TEXTS.read_text(encoding="utf-8"))
    return {block: text.format_map(figures) for block, text in texts.items()}
