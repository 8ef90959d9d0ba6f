"""One picture through one network, with everything that attention and offsets say on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analysis.maps.geometry import Grid, make_grids
from featherface.blocks.heads import Outputs
from featherface.boxes import make_anchors
from featherface.config import LEVELS, FeatherFaceConfig
from featherface.detector import Detections, FloatArray, RawDetections, postprocess
from featherface.errors import InputError
from featherface.images import Picture, RGBArray, describe, preprocess, read_picture
from featherface.model import FeatherFace

STAGES = {"first_attention": "backbone", "second_attention": "pyramid"}
"""The attentions, and the block whose outputs each of them gates."""

PROTOCOL_SCORE, PROTOCOL_NMS = 0.02, 0.4  # of the official evaluation

FaceRecord = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """A picture as the network takes it, and how to read the network's answer."""

    name: str
    picture: RGBArray
    pixels: Tensor  # (1, 3, height, width)
    scale: tuple[float, float]
    anchors: Tensor

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width at the network."""
        return int(self.pixels.shape[-2]), int(self.pixels.shape[-1])

    @property
    def grids(self) -> list[Grid]:
        """Where the cells of P3, P4 and P5 lie."""
        return make_grids(*self.input_size, self.scale)

    def detections(self, outputs: Outputs, score_threshold: float = PROTOCOL_SCORE) -> Detections:
        """The faces that the outputs stand for, in pixels of the original picture.

        Raises:
            InputError: where the network's answer is not finite.
        """
        scores = outputs.logits.softmax(-1)[0, :, 1]
        raw = RawDetections(outputs.boxes[0].numpy(), scores.numpy(), outputs.landmarks[0].numpy())
        if not all(np.isfinite(array).all() for array in raw):
            raise InputError(
                f"{self.name}: the network's answer is not finite; its weights are unusable"
            )
        height, width = self.input_size
        return postprocess(
            raw,
            self.anchors,
            (width * self.scale[0], height * self.scale[1]),
            score_threshold=score_threshold,
            nms_threshold=PROTOCOL_NMS,
        )


@dataclass(frozen=True)
class Observation:
    """What a network saw on a picture: arrays by name, and the faces.

    `arrays` has the names of `featherface.FeatherFace.intermediates`, without the batch:
    `first_attention.p3.spatial_gate` (rows, columns), `….channel_gate` (C,), `….gated`
    (C, rows, columns) and the attention's input and output, `context.p3.a.offset`
    (18, rows, columns), `….mask` (9, rows, columns).
    """

    prepared: Prepared
    config: FeatherFaceConfig
    arrays: dict[str, FloatArray]
    faces: list[FaceRecord]  # above the threshold, by falling score
    score_threshold: float
    strongest: FaceRecord  # what the best of all anchors says, however low it scores

    @property
    def grids(self) -> list[Grid]:
        """See `Prepared`."""
        return self.prepared.grids

    @property
    def boxes(self) -> list[list[float]]:
        """Of the faces."""
        return [face["box"] for face in self.faces]


def prepare(
    model: FeatherFace, picture: Picture, size: int | tuple[int, int] | None = None
) -> Prepared:
    """Read a picture and bring it into the network's form.

    Args:
        size: see `featherface.Detector`.

    Raises:
        PictureError: for a picture that cannot be read or used.
    """
    name = describe(picture)
    pixels = read_picture(picture)
    ready = preprocess(pixels, size, name=name)
    height, width = ready.pixels.shape[-2:]
    return Prepared(
        name,
        pixels,
        torch.from_numpy(ready.pixels),
        ready.scale,
        make_anchors(height, width, model.config.anchors),
    )


def observe(model: FeatherFace, prepared: Prepared, score_threshold: float = 0.5) -> Observation:
    """Run the network once and keep what attention and deformable convolutions name.

    Args:
        model: in evaluation mode, on the CPU.
        score_threshold: what scores more is a face.
    """
    with torch.inference_mode():
        outputs, named = model.intermediates(prepared.pixels)
    wanted = tuple(f"{block}.{level}" for block in _gated_blocks(model.config) for level in LEVELS)
    arrays = {
        name: value[0].numpy()
        for name, value in named.items()
        if name in wanted or name.endswith(("_gate", ".gated", ".offset", ".mask"))
    }
    for name, array in arrays.items():
        if name.endswith("spatial_gate"):
            arrays[name] = array[0]
        elif name.endswith("channel_gate"):
            arrays[name] = array[:, 0, 0]
    faces = face_records(prepared.detections(outputs))
    kept = [face for face in faces if face["score"] > score_threshold]
    best = float(outputs.logits.softmax(-1)[0, :, 1].max())
    # Just below the best of all anchors, so that there is one whatever the picture shows.
    strongest = face_records(prepared.detections(outputs, float(np.nextafter(np.float32(best), 0))))
    return Observation(prepared, model.config, arrays, kept, score_threshold, strongest[0])


def face_records(found: Detections) -> list[FaceRecord]:
    """Detections for JSON; see `featherface.Face`."""
    return [
        {"box": box, "score": score, "landmarks": landmarks}
        for box, score, landmarks in zip(*(array.tolist() for array in found), strict=True)
    ]


def _gated_blocks(config: FeatherFaceConfig) -> list[str]:
    there = {
        "first_attention": bool(config.first_attention_channels),
        "second_attention": bool(config.second_attention_channels),
    }
    return [block for stage, source in STAGES.items() if there[stage] for block in (stage, source)]
