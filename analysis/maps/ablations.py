"""Ablations: scores and boxes of a network with one of its parts neutralised.

An ablation replaces the outputs of some modules by PyTorch's forward hooks while a context manager
is open; the network itself is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from analysis.maps.observation import FaceRecord, Prepared, face_records, gated_channels
from analysis.maps.offsets import SINGLE, branches
from analysis.maps.summaries import rounded
from featherface.config import LEVELS, FeatherFaceConfig
from featherface.model import FeatherFace

Record = dict[str, Any]
Replacement = Callable[[nn.Module, tuple[Any, ...], Any], Any]

SAME_FACE = 0.5
"""Boxes that overlap at least so much (intersection over union) are of the same face."""


def _zeros(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    """Offsets of 0; and masks of 1, which are 2·sigmoid of what their convolution puts out."""
    return torch.zeros_like(output)


def _ones(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    return torch.ones_like(output)


def _mean_over_positions(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    # Contiguous, as the kernels of deformable convolution read memory in order.
    return output.mean((2, 3), keepdim=True).expand_as(output).contiguous()


def _mean_over_channels(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    return output.mean(1, keepdim=True).expand_as(output)


def _bypass(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    return inputs[0]  # type: ignore[no-any-return]


# Patterns of the modules' paths.
_OFFSETS, _MASKS = "context.*.offset", "context.*.mask"
_CBAMS = "*_attention.levels.?"


@dataclass(frozen=True)
class Ablation:
    """One part neutralised, in some places."""

    id: str
    part: str  # "offsets", "masks", "offsets and masks", "gates" or "everything"
    title: str
    replacements: Mapping[str, Replacement]  # by pattern of the modules' paths
    where: str = "everywhere"  # or a level, a branch, a stage, or a stage and a level


@contextmanager
def ablate(model: FeatherFace, ablation: Ablation) -> Iterator[None]:
    """Neutralise a part of the network inside of the `with` block."""
    with ExitStack() as hooks:
        for path, module in model.named_modules():
            for pattern, replacement in ablation.replacements.items():
                if fnmatchcase(path, pattern):
                    hooks.enter_context(module.register_forward_hook(replacement))
        yield


def ablations(config: FeatherFaceConfig) -> list[Ablation]:
    """Return all ablations of a network; none where it has neither attention nor offsets."""
    found = [*_of_offsets(config), *_of_gates(config)]
    if {"offsets", "gates"} <= {ablation.part for ablation in found}:
        everything: Mapping[str, Replacement] = {_OFFSETS: _zeros, _MASKS: _zeros, _CBAMS: _bypass}
        title = "attentions bypassed, convolutions plain"
        found.append(Ablation("nothing-left", "everything", title, everything))
    return found


def _of_offsets(config: FeatherFaceConfig) -> Iterator[Ablation]:
    names = branches(config)
    if not names:
        return
    zeros, means = {_OFFSETS: _zeros}, {_OFFSETS: _mean_over_positions}
    yield Ablation("offsets-zero", "offsets", "all offsets 0", zeros)
    title = "offsets the same everywhere: the mean of each"
    yield Ablation("offsets-mean", "offsets", title, means)
    if config.context.endswith("dcnv2"):
        yield Ablation("masks-one", "masks", "all masks 1", {_MASKS: _zeros})
        title = "offsets 0 and masks 1: plain convolutions"
        yield Ablation("plain", "offsets and masks", title, {_OFFSETS: _zeros, _MASKS: _zeros})
    places = [
        (level, level.upper(), f"context.levels.{at}.*offset") for at, level in enumerate(LEVELS)
    ]
    if names != (SINGLE,):
        places += [(name, f"branch {name}", f"context.levels.?.{name}.*offset") for name in names]
    for where, title, pattern in places:
        yield Ablation(
            f"offsets-zero-{where}", "offsets", f"offsets 0 in {title}", {pattern: _zeros}, where
        )


def _of_gates(config: FeatherFaceConfig) -> Iterator[Ablation]:
    stages = list(gated_channels(config))
    if not stages:
        return
    title = "both attentions bypassed" if len(stages) == 2 else "its attention bypassed"
    yield Ablation("cbam-bypass", "gates", title, {_CBAMS: _bypass})
    places = [(stage, "", f"{stage}.levels.?") for stage in stages] if len(stages) == 2 else []
    places += [
        (stage, level, f"{stage}.levels.{at}")
        for stage in stages
        for at, level in enumerate(LEVELS)
    ]
    for stage, level, pattern in places:
        name = stage.removesuffix("_attention")
        yield Ablation(
            f"cbam-bypass-{name}" + (f"-{level}" if level else ""),
            "gates",
            f"{name} attention bypassed" + (f" in {level.upper()}" if level else ""),
            {pattern: _bypass},
            f"{stage}.{level}" if level else stage,
        )
    channel, spatial = f"{_CBAMS}.channel", f"{_CBAMS}.spatial"
    for name, title, replacements in (
        ("gates-zero", "all gates 0: the ReLU stays", {spatial: _zeros}),
        ("gates-one", "all gates 1: every feature doubled", {channel: _ones, spatial: _ones}),
        ("spatial-mean", "spatial gates level: the mean of each", {spatial: _mean_over_positions}),
        ("channel-mean", "channel gates level: the mean of each", {channel: _mean_over_channels}),
    ):
        yield Ablation(name, "gates", title, replacements)


def effect_records(
    model: FeatherFace,
    prepared: Prepared,
    before: Sequence[FaceRecord],
    score_threshold: float,
    track: Callable[[Iterable[Ablation]], Iterable[Ablation]],
) -> list[Record]:
    """Return what each ablation does to the faces of an image.

    Args:
        before: the faces found without it, above the threshold.
        score_threshold: what scores more is a face.
        track: wraps the ablations, to show progress.

    Returns:
        for each, `id`, `part`, `title`, `where`; `faces`: for each face of before, its `score`
        after and the `iou` of its boxes, both none where no box is left that overlaps it by
        `SAME_FACE` and scores more than 0.02; `after`: all faces found now, with `box` and
        `score`; `found`: how many of those of before still score above the threshold, `new`: how
        many faces are found that were not; and over the faces, `mean_score_before`, `mean_score`
        (0 for a face without a box) and `mean_iou` (of those that have one). `best_score` is that
        of the best anchor.
    """
    records = []
    for ablation in track(ablations(model.config)):
        with torch.inference_mode(), ablate(model, ablation):
            outputs = model(prepared.pixels)
        after = face_records(prepared.detections(outputs))
        pairs = match([face["box"] for face in before], [face["box"] for face in after])
        matched = [pair for pair in pairs if pair is not None]
        kept = {index for index, _ in matched}
        faces = [
            {
                "score": None if pair is None else rounded(after[pair[0]]["score"]),
                "iou": None if pair is None else rounded(pair[1]),
            }
            for pair in pairs
        ]
        found = [i for i, face in enumerate(after) if face["score"] > score_threshold]
        records.append(
            {
                "id": ablation.id,
                "part": ablation.part,
                "title": ablation.title,
                "where": ablation.where,
                "found": sum((face["score"] or 0) > score_threshold for face in faces),
                "new": sum(i not in kept for i in found),
                "best_score": rounded(outputs.logits.softmax(-1)[0, :, 1].max().cpu()),
                "mean_score_before": _mean([face["score"] for face in before]),
                "mean_score": _mean([face["score"] or 0.0 for face in faces]),
                "mean_iou": _mean([iou for _, iou in matched]),
                "faces": faces,
                "after": [
                    {
                        "box": [round(v, 2) for v in after[i]["box"]],
                        "score": rounded(after[i]["score"]),
                    }
                    for i in found
                ],
            }
        )
    return records


def match(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]
) -> list[tuple[int, float] | None]:
    """Return for each box of before the box of after of the same face, and their IoU.

    The pairs that overlap most are joined first; no box is joined twice.
    """
    found: list[tuple[int, float] | None] = [None] * len(before)
    if not before or not after:
        return found
    overlap = box_iou(torch.tensor(before), torch.tensor(after)).numpy()
    while overlap.max() >= SAME_FACE:
        i, j = np.unravel_index(int(overlap.argmax()), overlap.shape)
        found[int(i)] = (int(j), float(overlap[i, j]))
        overlap[i, :], overlap[:, j] = -1, -1
    return found


def _mean(values: Sequence[float]) -> float | None:
    return rounded(np.mean(values)) if values else None
