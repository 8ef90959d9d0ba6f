"""MobileNetV1 at a quarter of its width (Howard et al. 2017), cut where RetinaFace cuts it."""

from __future__ import annotations

from torch import Tensor, nn

from featherface.blocks.convolution import ConvNorm

_SLOPE = 0.1

# (outputs, stride) of the depthwise-separable convolutions, by stage.
_STAGES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1)),
    ((128, 2), (128, 1), (128, 1), (128, 1), (128, 1), (128, 1)),
    ((256, 2), (256, 1)),
)


class DepthwiseSeparable(nn.Module):
    """3×3 depthwise, then 1×1 pointwise, each with normalisation and LeakyReLU(0.1)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = ConvNorm(inputs, inputs, 3, stride=stride, groups=inputs, slope=_SLOPE)
        self.pointwise = ConvNorm(inputs, outputs, 1, slope=_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


class Backbone(nn.Module):
    """Picture to three levels of features.

    Shape: (batch, 3, H, W) → (batch, 64 | 128 | 256, ⌈H / s⌉, ⌈W / s⌉) for s = 8, 16, 32.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = 8
        self.stem = ConvNorm(3, inputs, 3, stride=2, slope=_SLOPE)
        self.stages = nn.ModuleList()
        for stage in _STAGES:
            layers = []
            for outputs, stride in stage:
                layers.append(DepthwiseSeparable(inputs, outputs, stride))
                inputs = outputs
            self.stages.append(nn.Sequential(*layers))

    def forward(self, picture: Tensor) -> list[Tensor]:
        x = self.stem(picture)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels
