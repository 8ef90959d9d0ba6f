"""A convolution, its batch normalisation and its activation: what every block is made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ConvNorm(nn.Module):
    """Convolution → batch normalisation → LeakyReLU, "same" padding.

    Args:
        slope: negative slope of the activation; 0 makes it a ReLU, `None` leaves it out.

    Shape: (batch, inputs, H, W) → (batch, outputs, ⌈H / stride⌉, ⌈W / stride⌉).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        slope: float | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs)
        self.act = nn.Identity() if slope is None else nn.LeakyReLU(slope)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.norm(self.conv(x)))
        return y


def fold_norms(model: nn.Module) -> None:
    """Fold the batch normalisations of a network in evaluation mode into the convolutions before.

    Those after a deformable convolution stay.
    """
    for module in model.modules():
        norm = getattr(module, "norm", None)
        for name in ("conv", "pointwise"):
            conv = getattr(module, name, None)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm):
                setattr(module, name, fuse_conv_bn_eval(conv, norm))
                module.norm = nn.Identity()
