"""A network and images to time: no trained weights needed, yet the work is like theirs.

What a layer costs does not depend on the values in it, but for two things that fresh weights get
wrong. Their activations fade from layer to layer, down to numbers so small that processors slow
down; here every normalisation has the statistics of its input. And their offsets are zero, so that
a deformable convolution reads its memory in order; here they deviate by one cell, as those of
trained weights do (0.5 to 1.8 cells, by layer, in the published ones).
"""

from __future__ import annotations

import copy
from functools import cache, lru_cache

import torch
from torch import Tensor, nn

from featherface.blocks.deformable import DeformConv2d
from featherface.boxes import MEAN_BGR
from featherface.config import FeatherFaceConfig
from featherface.model import FeatherFace

SEED = 0

DESCRIPTION = (
    f"random, seed {SEED}; normalisations set to what they see; "
    "offsets deviate by about a cell, as trained ones do"
)
"""Name of the weights in records."""

_CALIBRATION_SIZE = 320  # 10×10 positions at the coarsest level, enough for a variance


def make_random_network(config: FeatherFaceConfig) -> FeatherFace:
    """Return a network in evaluation mode, float32 on the CPU; the same weights at every call."""
    return copy.deepcopy(_network(config))


@cache
def _network(config: FeatherFaceConfig) -> FeatherFace:
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        model = FeatherFace(config)
        steering = [
            conv
            for module in model.modules()
            if isinstance(module, DeformConv2d)
            for conv in (module.offset, module.mask)
            if conv is not None
        ]
        for conv in steering:
            nn.init.normal_(conv.weight)
        calibrated = copy.deepcopy(model).train()
        for module in calibrated.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        images = make_random_images(1, _CALIBRATION_SIZE, _CALIBRATION_SIZE)
        calibrated(images)
        model.load_state_dict(calibrated.state_dict())
        hooks = [conv.register_forward_hook(_scale_to_one) for conv in steering]
        model.eval()(images)
        for hook in hooks:
            hook.remove()
    return model


@lru_cache(maxsize=1)  # contenders of one measurement have the same
def make_random_images(batch: int, height: int, width: int) -> Tensor:
    """Return noise like a network's input: (batch, 3, height, width), 0–255 minus the mean."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.inference_mode(False):
        noise = torch.rand(batch, 3, height, width, generator=generator) * 255
        return noise - torch.tensor(MEAN_BGR).view(3, 1, 1)


def _scale_to_one(conv: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """A hook: scale a convolution without bias so that its output has a deviation of one."""
    assert isinstance(conv, nn.Conv2d)
    deviation = output.std()
    conv.weight /= deviation
    return output / deviation
