"""Ablations: scores and boxes of a network with one of its parts neutralised.

An ablation replaces the outputs of some modules by PyTorch's forward hooks while a context manager
is open; the network itself is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from analysis.maps.geometry import rounded
from analysis.maps.observation import (
    FaceRecord,
    Prepared,
    best_score,
    box_and_score,
    gated_channels,
    inference,
    observe,
)
from analysis.maps.offsets import SINGLE, branches, point_records
from featherface.config import LEVELS, FeatherFaceConfig
from featherface.model import FeatherFace

Record = dict[str, Any]
Replacement = Callable[[nn.Module, tuple[Any, ...], Any], Any]

SAME_FACE = 0.5
"""Boxes that overlap at least so much (intersection over union) are of the same face."""


def _replace(by: Callable[[Tensor], Tensor]) -> Replacement:
    return lambda module, inputs, output: by(output)


def _mean_over(*axes: int) -> Replacement:
    # Contiguous, as the kernels of deformable convolution read memory in order.
    return _replace(lambda x: x.mean(axes, keepdim=True).expand_as(x).contiguous())


_ZEROS = _replace(torch.zeros_like)
"""Offsets of 0; and masks of 1, which are 2·sigmoid of what their convolution puts out."""
_ONES = _replace(torch.ones_like)
_OVER_POSITIONS, _OVER_CHANNELS = _mean_over(2, 3), _mean_over(1)


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
    of_offsets, of_gates = list(_of_offsets(config)), list(_of_gates(config))
    everything = Ablation(
        "nothing-left",
        "everything",
        "attentions bypassed, convolutions plain",
        {_OFFSETS: _ZEROS, _MASKS: _ZEROS, _CBAMS: _bypass},
    )
    return [*of_offsets, *of_gates, *([everything] if of_offsets and of_gates else [])]


def _of_offsets(config: FeatherFaceConfig) -> Iterator[Ablation]:
    names = branches(config)
    if not names:
        return
    yield Ablation("offsets-zero", "offsets", "all offsets 0", {_OFFSETS: _ZEROS})
    title = "offsets the same everywhere: the mean of each"
    yield Ablation("offsets-mean", "offsets", title, {_OFFSETS: _OVER_POSITIONS})
    if config.context.endswith("dcnv2"):
        yield Ablation("masks-one", "masks", "all masks 1", {_MASKS: _ZEROS})
        title = "offsets 0 and masks 1: plain convolutions"
        yield Ablation("plain", "offsets and masks", title, {_OFFSETS: _ZEROS, _MASKS: _ZEROS})
    places = [
        (level, level.upper(), f"context.levels.{at}.*offset") for at, level in enumerate(LEVELS)
    ]
    if names != (SINGLE,):
        places += [(name, f"branch {name}", f"context.levels.?.{name}.*offset") for name in names]
    for where, title, pattern in places:
        zero = {pattern: _ZEROS}
        yield Ablation(f"offsets-zero-{where}", "offsets", f"offsets 0 in {title}", zero, where)


def _of_gates(config: FeatherFaceConfig) -> Iterator[Ablation]:
    stages = list(gated_channels(config))
    if not stages:
        return
    both = len(stages) == 2
    title = "both attentions bypassed" if both else "its attention bypassed"
    yield Ablation("cbam-bypass", "gates", title, {_CBAMS: _bypass})
    if both:
        for stage in stages:
            name = stage.removesuffix("_attention")
            bypass = {f"{stage}.levels.?": _bypass}
            title = f"{name} attention bypassed"
            yield Ablation(f"cbam-bypass-{name}", "gates", title, bypass, stage)
    for stage, (at, level) in product(stages, enumerate(LEVELS)):
        name = stage.removesuffix("_attention")
        bypass = {f"{stage}.levels.{at}": _bypass}
        title = f"{name} attention bypassed in {level.upper()}"
        where = f"{stage}.{level}"
        yield Ablation(f"cbam-bypass-{name}-{level}", "gates", title, bypass, where)
    channel, spatial = f"{_CBAMS}.channel", f"{_CBAMS}.spatial"
    for id_, title, replacements in (
        ("gates-zero", "all gates 0: the ReLU stays", {spatial: _ZEROS}),
        ("gates-one", "all gates 1: every feature doubled", {channel: _ONES, spatial: _ONES}),
        ("spatial-mean", "spatial gates level: the mean of each", {spatial: _OVER_POSITIONS}),
        ("channel-mean", "channel gates level: the mean of each", {channel: _OVER_CHANNELS}),
    ):
        yield Ablation(id_, "gates", title, replacements)


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
        with inference(prepared.pixels.device), ablate(model, ablation):
            outputs = model(prepared.pixels)
        after = prepared.faces(outputs)
        pairs = match([face["box"] for face in before], [face["box"] for face in after])
        kept = {pair[0] for pair in pairs if pair}
        faces = [
            {"score": rounded(after[pair[0]]["score"]), "iou": rounded(pair[1])}
            if pair
            else {"score": None, "iou": None}
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
                "best_score": rounded(best_score(outputs)),
                "mean_score_before": _mean([face["score"] for face in before]),
                "mean_score": _mean([face["score"] or 0.0 for face in faces]),
                "mean_iou": _mean([pair[1] for pair in pairs if pair]),
                "faces": faces,
                "after": [box_and_score(after[i]) for i in found],
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


COMPARED = ("offsets-zero", "masks-one", "gates-zero", "cbam-bypass")
"""The ablations that are compared with the network as it is."""


def comparison(
    model: FeatherFace, prepared: Prepared, position: tuple[float, float]
) -> list[Record]:
    """Return the states of a network on an image: as it is, and with each part ablated.

    Returns:
        for each `id` ("as-is" or that of the ablation), `faces` with `box` and `score`, and
        `points`: the sampling points at the position, see `analysis.maps.offsets.point_records`.
    """
    known = {ablation.id: ablation for ablation in ablations(model.config)}
    states = []
    for name in ("as-is", *(name for name in COMPARED if name in known)):
        with ablate(model, known[name]) if name in known else nullcontext():
            observed = observe(model, prepared)
        faces = [box_and_score(face) for face in observed.faces]
        states.append({"id": name, "faces": faces, "points": point_records(observed, [position])})
    return states
