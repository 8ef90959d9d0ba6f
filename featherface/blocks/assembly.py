"""The seven blocks of a configuration."""

from __future__ import annotations

from torch import nn

from featherface.blocks.attention import Attention
from featherface.blocks.backbone import Backbone
from featherface.blocks.context import ContextModules
from featherface.blocks.heads import Heads
from featherface.blocks.pyramid import make_pyramid
from featherface.blocks.shuffle import Shuffle
from featherface.config import FeatherFaceConfig


class Blocks(nn.Module):
    """The blocks by name, in the order in which the network runs them.

    Every configuration has all seven. One that a configuration leaves out (the attention of
    "no-attention", say) has no parameters and passes its input on.
    """

    def __init__(self, config: FeatherFaceConfig) -> None:
        super().__init__()
        reduction, pooling = config.reduction, config.mean_pooling
        self.backbone = Backbone()
        self.first_attention = Attention(config.first_attention_channels, reduction, pooling)
        self.pyramid = make_pyramid(config)
        self.second_attention = Attention(config.second_attention_channels, reduction, pooling)
        self.context = ContextModules(config)
        self.shuffle = Shuffle(config)
        self.heads = Heads(config.channels, config.anchors)
