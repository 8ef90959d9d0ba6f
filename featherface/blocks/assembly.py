"""The seven blocks of a configuration."""

from __future__ import annotations

from typing import NamedTuple

from featherface.blocks.attention import Attention
from featherface.blocks.backbone import Backbone
from featherface.blocks.context import ContextModules
from featherface.blocks.heads import Heads
from featherface.blocks.pyramid import FPN, BiFPN, make_pyramid
from featherface.blocks.shuffle import Shuffle
from featherface.config import FeatherFaceConfig


class Blocks(NamedTuple):
    """The blocks by name, in the order in which the network runs them."""

    backbone: Backbone
    first_attention: Attention
    pyramid: BiFPN | FPN
    second_attention: Attention
    context: ContextModules
    shuffle: Shuffle
    heads: Heads


def make_blocks(config: FeatherFaceConfig) -> Blocks:
    """Return fresh blocks of a configuration.

    Every configuration has all seven. One that a configuration leaves out (the attention of
    "no-attention", say) has no parameters and passes its input on.
    """
    pooling = config.mean_pooling
    return Blocks(
        Backbone(),
        Attention(config.first_attention_channels, config.reduction, pooling),
        make_pyramid(config),
        Attention(config.second_attention_channels, config.reduction, pooling),
        ContextModules(config),
        Shuffle(config),
        Heads(config.channels, config.anchors),
    )
