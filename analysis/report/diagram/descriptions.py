"""A paragraph about each block; its figures come from the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.report import formats
from analysis.report.diagram.layouts import magnitude
from analysis.report.diagram.nodes import nodes

Record = Mapping[str, Any]


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

    separable = sum(layer["type"] == "DepthwiseSeparable" for layer in layers)
    early = sum(stage["macs"] for stage in blocks["backbone"]["parts"][:-1])
    context = blocks["context"]
    predicting = sum(node.predicting for node in squares.values())
    kernels = context["macs_by_kind"]["deformable_kernel"]
    anchors, boxes = blocks["heads"]["output_shapes"]["boxes"][1:]
    classes, points = (blocks["heads"]["output_shapes"][key][2] for key in ("logits", "landmarks"))
    config = record["config"]
    rows, columns = blocks["shuffle"]["output_shapes"]["p3"][2:]
    finest = rows * columns * config["anchors"] / anchors
    name = f"<code>{record['variant']}</code>"
    return {
        "backbone": f"""
MobileNetV1 at a quarter of its width: a 3×3 convolution of stride 2, then {separable} pairs of a
depthwise 3×3 and a pointwise 1×1 convolution, each followed by batch normalisation and LeakyReLU.
The outputs of its three stages are the levels P3, P4 and P5. All five networks have the same
backbone. The last two stages hold {share("backbone", "stage", 1)} of its parameters; the first two
do {formats.share(early / blocks["backbone"]["macs"])} of its MACs, on large maps.""",
        "first_attention": f"""
A CBAM on each level scales the backbone’s features by channel, then by position. Channels: mean and
maximum over the level pass through two fully connected layers with <i>r</i> times fewer channels
between them. Positions: mean and maximum over the channels pass through a 7×7 convolution. The
output is ReLU(gated + input). It costs {formats.share(blocks["first_attention"]["macs_share"])} of
the MACs of {name}; its parameters grow with the square of the channels:
{share("first_attention", least_level=2)} of them are on P5.""",
        "pyramid": f"""
1×1 convolutions, the laterals, bring the levels to one width; then the levels are combined. A BiFPN
cell goes from P5 over P4 to P3 and back. Each meeting is a sum with learned weights, followed by a
depthwise and a pointwise convolution. The first cell has a second pair of laterals for the way
back; together, laterals are {share("pyramid", "lateral")} of the pyramid’s parameters in {name}.
<code>retinaface</code> has an FPN, which goes from P5 to P3 only, with ordinary 3×3
convolutions.""",
        "second_attention": f"""
The same module after the pyramid, where all levels have {config["channels"]} channels in {name}. So
its three CBAMs are of one size, and smaller than the first three together.""",
        "context": f"""
Enlarges the receptive field. In {name} it is RetinaFace’s SSH: five 3×3 convolutions in three
branches of one, two and three, whose outputs are concatenated. All five are deformable: for each of
the nine taps a convolution predicts an offset, and another a mask. These predictions are
{formats.share(predicting / context["params"])} of the block’s parameters (hollow in the drawing).
The deformable kernels do {magnitude(kernels)} MACs, {formats.share(kernels / record["macs"])} of
the network’s, which counters that do not know the operator leave out. <code>v1</code> has one
ordinary 3×3 convolution a level, <code>v1-deformable</code> one with offsets and without masks,
<code>retinaface</code> the SSH with ordinary convolutions.""",
        "shuffle": f"""
Interleaves two groups of channels: a permutation, without parameters. In {name} a bottleneck
follows: 1×1 to half the channels, depthwise 3×3, 1×1 back. <code>v1</code> and
<code>v1-deformable</code> interleave the halves, <code>official</code> and
<code>no-attention</code> do the inverse.""",
        "heads": f"""
1×1 convolutions predict for each anchor whether it is a face ({classes} values), its box ({boxes})
and five landmarks ({points}). An image of {formats.shape(record["input"][1:])} has {anchors:,}
anchors, {config["anchors"]} a cell; {formats.share(finest)} of them are on P3, where small faces
are found.""",
    }
