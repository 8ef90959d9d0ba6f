"""What a network does when one of its parts is held still: causes, not decoration.

Each intervention replaces what some modules put out while a context manager is open, by
PyTorch's forward hooks; the network itself is not changed, and afterwards it is as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from analysis.maps.offsets import SINGLE, branches
from featherface.blocks.attention import CBAM
from featherface.blocks.context import SSH
from featherface.blocks.deformable import DeformConv2d
from featherface.config import LEVELS
from featherface.model import FeatherFace

Replacement = Callable[[nn.Module, tuple[Any, ...], Any], Any]
Replacements = list[tuple[nn.Module, Replacement]]


@dataclass(frozen=True)
class Intervention:
    """One thing held still, in some places."""

    id: str
    part: str  # "offsets", "masks", "gates" or "everything"
    title: str
    where: str  # "everywhere", a level, a branch, a stage, or a stage and a level
    replacements: Callable[[FeatherFace], Replacements]


@contextmanager
def intervene(model: FeatherFace, intervention: Intervention) -> Iterator[None]:
    """Hold something still inside of the `with` block, whatever happens there."""
    handles: list[Any] = []
    try:
        for module, replacement in intervention.replacements(model):
            handles.append(module.register_forward_hook(replacement))
        yield
    finally:
        for handle in handles:
            handle.remove()


def interventions(model: FeatherFace) -> list[Intervention]:
    """All that there is to hold still in this network; none where it has neither part."""
    return [*_on_offsets(model), *_on_gates(model), *_on_everything(model)]


def _on_offsets(model: FeatherFace) -> Iterator[Intervention]:
    names = branches(model.config)
    if not names:
        return
    versioned = any(conv.mask is not None for _, _, conv in _deformable(model))
    yield _offsets("offsets-zero", "all offsets 0", _zeros)
    yield _offsets("offsets-mean", "offsets the same everywhere: the mean of each", _mean_of_places)
    if versioned:
        yield Intervention(
            "masks-one", "masks", "all masks 1", "everywhere", lambda m: _masks(m, _zeros)
        )
        yield Intervention(
            "plain",
            "offsets and masks",
            "offsets 0 and masks 1: plain convolutions",
            "everywhere",
            lambda m: _offset_convs(m, _zeros) + _masks(m, _zeros),
        )
    for level in LEVELS:
        yield _offsets(f"offsets-zero-{level}", f"offsets 0 in {level.upper()}", _zeros, level)
    if names != (SINGLE,):
        for branch in names:
            yield _offsets(
                f"offsets-zero-{branch}", f"offsets 0 in branch {branch}", _zeros, branch=branch
            )


def _on_gates(model: FeatherFace) -> Iterator[Intervention]:
    stages = [stage for stage in _STAGES if getattr(model, stage).levels]
    if not stages:
        return
    both = "both" if len(stages) == 2 else "its"
    name = "attentions" if len(stages) == 2 else "attention"
    yield _gates("cbam-bypass", f"{both} {name} bypassed", "everywhere", _bypass)
    for stage in stages if len(stages) == 2 else ():
        title = f"{_STAGES[stage]} attention bypassed"
        yield _gates(f"cbam-bypass-{_STAGES[stage]}", title, stage, _bypass)
    for stage in stages:
        for level in LEVELS:
            yield _gates(
                f"cbam-bypass-{_STAGES[stage]}-{level}",
                f"{_STAGES[stage]} attention bypassed in {level.upper()}",
                f"{stage}.{level}",
                _bypass,
            )
    yield _gates("gates-zero", "all gates 0: the ReLU stays", "everywhere", _relu_alone)
    yield _gates("gates-one", "all gates 1: every feature doubled", "everywhere", _wide_open)
    yield _gates(
        "spatial-mean", "spatial gates level: the mean of each", "everywhere", _level_places
    )
    yield _gates(
        "channel-mean", "channel gates level: the mean of each", "everywhere", _level_channels
    )


def _on_everything(model: FeatherFace) -> Iterator[Intervention]:
    attended = any(getattr(model, stage).levels for stage in _STAGES)
    if attended and branches(model.config):
        yield Intervention(
            "nothing-left",
            "everything",
            "attentions bypassed, convolutions plain",
            "everywhere",
            lambda m: (
                _offset_convs(m, _zeros)
                + _masks(m, _zeros)
                + [pair for _, cbam in _cbams(m) for pair in _bypass(cbam)]
            ),
        )


_STAGES = {"first_attention": "first", "second_attention": "second"}


def _offsets(
    id: str, title: str, replacement: Replacement, level: str = "", branch: str = ""
) -> Intervention:
    return Intervention(
        id,
        "offsets",
        title,
        level or branch or "everywhere",
        lambda m: _offset_convs(m, replacement, level, branch),
    )


def _gates(
    id: str, title: str, where: str, replacements: Callable[[CBAM], Replacements]
) -> Intervention:
    return Intervention(
        id,
        "gates",
        title,
        where,
        lambda m: [
            pair
            for name, cbam in _cbams(m)
            if where == "everywhere" or f"{name}.".startswith(f"{where}.")
            for pair in replacements(cbam)
        ],
    )


def _cbams(model: FeatherFace) -> Iterator[tuple[str, CBAM]]:
    """With names such as "first_attention.p3"."""
    for stage in _STAGES:
        for level, cbam in zip(LEVELS, getattr(model, stage).levels, strict=False):
            yield f"{stage}.{level}", cbam


def _deformable(model: FeatherFace) -> Iterator[tuple[str, str, DeformConv2d]]:
    """Level, branch and convolution."""
    for level, module in zip(LEVELS, model.context.levels, strict=False):
        for branch in branches(model.config):
            holder = getattr(module, branch) if isinstance(module, SSH) else module
            yield level, branch, holder.conv


def _offset_convs(
    model: FeatherFace, replacement: Replacement, level: str = "", branch: str = ""
) -> Replacements:
    return [
        (conv.offset, replacement)
        for at, name, conv in _deformable(model)
        if level in ("", at) and branch in ("", name)
    ]


def _masks(model: FeatherFace, replacement: Replacement) -> Replacements:
    return [(conv.mask, replacement) for _, _, conv in _deformable(model) if conv.mask is not None]


def _zeros(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    """Offsets of 0; and masks of 1, which are 2·sigmoid of what their convolution puts out."""
    return torch.zeros_like(output)


def _ones(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    return torch.ones_like(output)


def _mean_of_places(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    # Contiguous, since the kernels of deformable convolution read it as it lies in memory.
    return output.mean((2, 3), keepdim=True).expand_as(output).contiguous()


def _mean_of_channels(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    return output.mean(1, keepdim=True).expand_as(output)


def _identity(
    module: nn.Module, inputs: tuple[Any, ...], output: tuple[Tensor, dict[str, Tensor]]
) -> tuple[Tensor, dict[str, Tensor]]:
    return inputs[0], output[1]


def _bypass(cbam: CBAM) -> Replacements:
    return [(cbam, _identity)]


def _relu_alone(cbam: CBAM) -> Replacements:
    return [(cbam.spatial, _zeros)]


def _wide_open(cbam: CBAM) -> Replacements:
    return [(cbam.channel, _ones), (cbam.spatial, _ones)]


def _level_places(cbam: CBAM) -> Replacements:
    return [(cbam.spatial, _mean_of_places)]


def _level_channels(cbam: CBAM) -> Replacements:
    return [(cbam.channel, _mean_of_channels)]
