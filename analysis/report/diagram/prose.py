"""What each block does, in words; figures come from the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.report.diagram.ink import nodes
from analysis.report.diagram.words import count, percent, shape

Record = Mapping[str, Any]

TITLES = {
    "backbone": "Backbone",
    "first_attention": "First attention",
    "pyramid": "Feature pyramid",
    "second_attention": "Second attention",
    "context": "Context",
    "shuffle": "Channel shuffle",
    "heads": "Detection heads",
}


def prose(record: Record, layers: Sequence[Record]) -> dict[str, str]:
    """A paragraph of HTML for each block, with the figures of one network.

    Args:
        record, layers: of the network that the text speaks of, `official`: it has every block.
    """
    blocks = {block["name"]: block for block in record["blocks"]}
    found = nodes(record, layers)
    name = f"<code>{record['variant']}</code>"

    def of(block: str, place: str = "", level: int | None = None) -> int:
        return sum(
            node.params
            for node in found
            if node.block == block and node.place.startswith(place) and level in (None, node.level)
        )

    def part(block: str, params: int) -> str:
        return percent(params / blocks[block]["params"])

    separable = sum(layer["type"] == "DepthwiseSeparable" for layer in layers)
    stages = blocks["backbone"]["parts"]
    early = sum(stage["macs"] for stage in stages[:-1]) / blocks["backbone"]["macs"]
    predicting = sum(node.predicting for node in found if node.block == "context")
    kernels = blocks["context"]["macs_by_kind"]["deformable_kernel"]
    anchors, boxes = blocks["heads"]["output_shapes"]["boxes"][1:]
    classes, points = (blocks["heads"]["output_shapes"][key][2] for key in ("logits", "landmarks"))
    config = record["config"]
    rows, columns = blocks["shuffle"]["output_shapes"]["p3"][2:]
    finest = rows * columns * config["anchors"]
    late = of("backbone") - of("backbone", "stage", 0)
    laterals = of("pyramid", "lateral")
    return {
        "backbone": (
            "MobileNetV1 at a quarter of its width: a 3×3 convolution with stride 2, then "
            f"{separable} pairs of a depthwise 3×3 and a pointwise 1×1 convolution. None has a "
            "bias; normalisation and LeakyReLU follow each. Where one of the three stages "
            "ends, a level begins: the second stage reads what leaves the first as P3, the third "
            "what leaves the second as P4. All five networks have the same one. Its size and its "
            f"work lie apart: the last two stages hold {part('backbone', late)} of its parameters; "
            f"everything before the last does {percent(early)} of its MACs, on large maps."
        ),
        "first_attention": (
            "A CBAM on each level weighs what the backbone found, twice. First the channels: their "
            "mean and their maximum over the level pass through a small network that narrows them "
            "by the reduction <i>r</i> and widens them again, and become one factor a channel. "
            "Then the places: the maximum and the mean over the channels pass through a 7×7 "
            "convolution and become one factor a cell. What leaves is ReLU(gated + input). It is "
            f"nearly free: {percent(blocks['first_attention']['macs_share'])} of the MACs of "
            f"{name}. Its parameters grow with the square of the channels, so that "
            f"{part('first_attention', of('first_attention', level=2))} of them work on P5."
        ),
        "pyramid": (
            "1×1 convolutions, the laterals, bring the levels to one width; then the levels "
            "exchange what they know. A BiFPN cell goes down from P5 over P4 to P3 and back up "
            "from P3 over P4 to P5. Each meeting is a sum weighted with learnt scalars, followed "
            "by a depthwise and a pointwise convolution. The first cell has a second pair of "
            "laterals of its own for the way up, so that laterals are "
            f"{part('pyramid', laterals)} of the parameters of the pyramid of {name}. "
            "<code>retinaface</code> has an FPN, which only goes down, with ordinary 3×3 "
            "convolutions."
        ),
        "second_attention": (
            "The same module once more, behind the pyramid. All levels have the pyramid's width "
            f"here, {config['channels']} channels in {name}, so that its three CBAMs are equally "
            "large, and smaller than the first three together: it is the same kind of block, not "
            "the same block."
        ),
        "context": (
            f"Widens what a cell sees. In {name} it is RetinaFace’s SSH: five 3×3 convolutions in "
            "three branches, one, two and three in a row, whose outputs are joined. All five are "
            "deformable: for each of the nine taps a convolution predicts how far it moves and "
            "another how much it counts. These predictions are "
            f"{part('context', predicting)} of the block’s parameters, hollow in the drawing. The "
            f"deformable kernels do {count(kernels)} MACs, {percent(kernels / record['macs'])} of "
            f"the whole network, which counters that do not know the operator leave out. "
            "<code>v1</code> has one ordinary 3×3 convolution a level instead; "
            "<code>v1-deformable</code> one that is deformable, with offsets and without masks; "
            "<code>retinaface</code> the SSH with ordinary convolutions."
        ),
        "shuffle": (
            "Two groups of channels are dealt into each other like two halves of a pack of cards, "
            "so that what was computed apart meets. That is a permutation and has no parameters. "
            f"In {name} a bottleneck follows, which does: 1×1 to half the channels, depthwise 3×3, "
            "1×1 back. The order differs, too: <code>v1</code> and <code>v1-deformable</code> "
            "deal the halves together, <code>official</code> and <code>no-attention</code> take "
            "them apart again, which is the inverse."
        ),
        "heads": (
            "1×1 convolutions say, for each of the anchors of a cell, whether it is a face "
            f"({classes} values), where its box is ({boxes}) and where its five landmarks are "
            f"({points}). The levels are joined, P3 first: {anchors:,} anchors for a picture of "
            f"{shape(record['input'])}, {config['anchors']} a cell, {boxes + classes + points} "
            f"values each. {percent(finest / anchors)} of them stand on P3, where faces are small."
        ),
    }
