"""One image through one network, with its gates, offsets and masks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analysis.maps.geometry import Grid, make_grids, rounded
from featherface.blocks.heads import Outputs
from featherface.boxes import cached_anchors
from featherface.config import LEVELS, FeatherFaceConfig
from featherface.detector import postprocess
from featherface.errors import InputError
from featherface.images import FloatArray, Picture, RGBArray, describe, preprocess, read_picture
from featherface.model import FeatherFace
from featherface.runtimes.interface import RawDetections

STAGES = {"first_attention": "backbone", "second_attention": "pyramid"}
"""The attentions, and the block whose outputs each of them gates."""


def gated_channels(config: FeatherFaceConfig) -> dict[str, tuple[int, ...]]:
    """Return the channels of P3, P4 and P5 that each attention of a network gates."""
    channels = (config.first_attention_channels, config.second_attention_channels)
    return {stage: gated for stage, gated in zip(STAGES, channels, strict=True) if gated}


PROTOCOL_SCORE, PROTOCOL_NMS = 0.02, 0.4  # of the official evaluation

FaceRecord = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """An image as the network takes it."""

    name: str
    picture: RGBArray
    pixels: Tensor  # (1, 3, height, width)
    scale: tuple[float, float]
    anchors: Tensor

    @property
    def input_size(self) -> tuple[int, int]:
        """The height and width at the network."""
        return int(self.pixels.shape[-2]), int(self.pixels.shape[-1])

    @property
    def grids(self) -> list[Grid]:
        """The cells of P3, P4 and P5."""
        return make_grids(*self.input_size, self.scale)

    def faces(self, outputs: Outputs, score_threshold: float = PROTOCOL_SCORE) -> list[FaceRecord]:
        """Return the faces of the network's outputs as `featherface.Face` has them, for JSON.

        Raises:
            InputError: where the outputs are not finite.
        """
        parts = (outputs.boxes[0], outputs.logits.softmax(-1)[0, :, 1], outputs.landmarks[0])
        raw = RawDetections(*(part.cpu().numpy() for part in parts))
        if not all(np.isfinite(array).all() for array in raw):
            raise InputError(
                f"{self.name}: the network's answer is not finite; its weights are unusable"
            )
        height, width = self.input_size
        found = postprocess(
            raw,
            self.anchors,
            (width * self.scale[0], height * self.scale[1]),
            score_threshold=score_threshold,
            nms_threshold=PROTOCOL_NMS,
        )
        return [
            {"box": box, "score": score, "landmarks": landmarks}
            for box, score, landmarks in zip(*(array.tolist() for array in found), strict=True)
        ]


@dataclass(frozen=True)
class Observation:
    """Arrays of a network on an image by name, and the faces found.

    `arrays` has the names of `featherface.FeatherFace.intermediates`, without the batch:
    `first_attention.p3.spatial_gate` (rows, columns), `….channel_gate` (C,), `….gated`
    (C, rows, columns) and the attention's input and output, `context.p3.a.offset`
    (18, rows, columns), `….mask` (9, rows, columns).
    """

    prepared: Prepared
    config: FeatherFaceConfig
    arrays: dict[str, FloatArray]
    faces: list[FaceRecord]  # above the threshold, by falling score
    strongest: FaceRecord  # the face of the best of all anchors, however low it scores

    @property
    def boxes(self) -> list[list[float]]:
        """The boxes of the faces."""
        return [face["box"] for face in self.faces]


def prepare(
    model: FeatherFace, picture: Picture, size: int | tuple[int, int] | None = None
) -> Prepared:
    """Read an image and pre-process it for the network.

    Args:
        size: see `featherface.Detector`.

    Raises:
        PictureError: for an image that cannot be read or used.
    """
    name = describe(picture)
    pixels = read_picture(picture)
    ready = preprocess(pixels, size, name=name)
    height, width = ready.pixels.shape[-2:]
    return Prepared(
        name,
        pixels,
        torch.from_numpy(ready.pixels).to(next(model.parameters()).device),
        ready.scale,
        cached_anchors(height, width, model.config.anchors),
    )


def observe(model: FeatherFace, prepared: Prepared, score_threshold: float = 0.5) -> Observation:
    """Run the network once and keep gates, offsets and masks.

    Args:
        model: in evaluation mode.
        score_threshold: what scores more is a face.
    """
    with inference(prepared.pixels.device):
        outputs, named = model.intermediates(prepared.pixels)
    gated = [block for stage in gated_channels(model.config) for block in (stage, STAGES[stage])]
    wanted = {f"{block}.{level}" for block in gated for level in LEVELS}
    arrays = {}
    for name, value in named.items():
        if name in wanted or name.endswith(("_gate", ".gated", ".offset", ".mask")):
            array = value[0].cpu().numpy()
            if name.endswith("spatial_gate"):
                array = array[0]
            elif name.endswith("channel_gate"):
                array = array[:, 0, 0]
            arrays[name] = array
    kept = [face for face in prepared.faces(outputs) if face["score"] > score_threshold]
    # Just below the best of all anchors, so that there is always one.
    below = float(np.nextafter(np.float32(best_score(outputs)), np.float32(0)))
    return Observation(prepared, model.config, arrays, kept, prepared.faces(outputs, below)[0])


@contextmanager
def inference(device: torch.device) -> Iterator[None]:
    """Within it, networks compute in their own type, whatever the caller has set."""
    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        yield


def best_score(outputs: Outputs) -> float:
    """Return the score of the best of all anchors."""
    return float(outputs.logits.softmax(-1)[0, :, 1].max())


def box_and_score(face: FaceRecord) -> FaceRecord:
    """Return the box of a face, to a hundredth of a pixel, and its score."""
    return {"box": [round(v, 2) for v in face["box"]], "score": rounded(face["score"])}
