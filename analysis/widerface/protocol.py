"""Protocols of detection on WIDER FACE: sizes, flips, thresholds, and the form of boxes.

AP can only be compared under one protocol, which is part of every result. The named ones:

- `original`: each image once, at its original size, score > 0.02, non-maximum suppression at
  0.4, to the letter of the authors' test script (RetinaFace's, which FeatherFace's repeats): it
  counts a box from pixel 3 to pixel 5 as three pixels wide when it suppresses, and truncates
  corners to whole pixels when it writes them. What is published was found so.
- `exact`: the same without both: what `featherface.Detector` finds, as exactly as it was computed.
- `1600`: the shorter side is resized to 1,600 pixels, or to what keeps the longer one at 2,150.
  The other branch of the same script, `origin_size=False`.
- `multi-scale`: five sizes, each also mirrored, and box voting over what all ten found. The shorter
  sides 500, 800, 1100, 1400, 1700 and the voting at 0.4 are those of RetinaFace (Deng et al.,
  CVPR 2020, section 4.2); like its authors' test script, the longer side is at most 1,200 pixels
  where the shorter would be 800, and in proportion at the other sizes. Box voting: Gidaris and
  Komodakis, ICCV 2015, section 5.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from featherface.errors import InputError

RESAMPLING = "bilinear without antialiasing, in float32"
"""Interpolation of protocols that resize: as `cv2.INTER_LINEAR` of the scripts."""


@dataclass(frozen=True)
class Protocol:
    """One way to look for faces."""

    name: str
    score_threshold: float = 0.02
    nms_threshold: float = 0.4
    shorter_sides: tuple[int, ...] = ()
    """Pixels the shorter side of an image is resized to; none: its original size."""
    longest: tuple[int, int] | None = None
    """(a, b): the longer side is at most b where the shorter is to be a, and in proportion at
    other sizes."""
    flip: bool = False
    """True tests each size mirrored, too."""
    voting: bool = False
    """True averages a face's box, weighted by score, with all boxes that it suppresses."""
    inclusive_pixels: bool = False
    """True makes suppression count a box from pixel 3 to pixel 5 as three wide, not two."""
    whole_pixels: bool = False
    """True truncates corners towards zero to whole pixels when they are written."""

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return (height, width) at the network of each view of an image, unmirrored."""
        if not self.shorter_sides:
            return [(height, width)]
        short, long = min(height, width), max(height, width)
        found = []
        for side in self.shorter_sides:
            factor = side / short
            if self.longest is not None:
                reference, limit = self.longest
                bound = limit * side / reference
                if round(factor * long) > bound:
                    factor = bound / long
            found.append((max(1, round(height * factor)), max(1, round(width * factor))))
        return found

    def record(self) -> dict[str, Any]:
        """Return the fields as JSON takes them."""
        record = asdict(self)
        record["shorter_sides"] = list(self.shorter_sides) or "original"
        record["longest"] = list(self.longest) if self.longest else None
        record["resampling"] = RESAMPLING if self.shorter_sides else None
        return record


_SCRIPT = Protocol("original", inclusive_pixels=True, whole_pixels=True)

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        _SCRIPT,
        Protocol("exact"),
        replace(_SCRIPT, name="1600", shorter_sides=(1600,), longest=(1600, 2150)),
        Protocol(
            "multi-scale",
            shorter_sides=(500, 800, 1100, 1400, 1700),
            longest=(800, 1200),
            flip=True,
            voting=True,
        ),
    )
}


def named(name: str, score: float | None = None, nms: float | None = None) -> Protocol:
    """Return a named protocol, perhaps with other thresholds, which its name then says.

    Raises:
        InputError: for an unknown name, a score threshold outside of [0, 1) or an NMS threshold
            outside of [0, 1].
    """
    if name not in PROTOCOLS:
        raise InputError(f"protocol (={name!r}) must be one of {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    score = protocol.score_threshold if score is None else score
    nms = protocol.nms_threshold if nms is None else nms
    if not 0 <= score < 1:  # no score exceeds 1
        raise InputError(f"score (={score:g}) must be a number from 0 to below 1")
    if not 0 <= nms <= 1:
        raise InputError(f"nms (={nms:g}) must be a number from 0 to 1")
    if (score, nms) != (protocol.score_threshold, protocol.nms_threshold):
        name = f"{name} with score > {score:g}, NMS {nms:g}"
    return replace(protocol, name=name, score_threshold=score, nms_threshold=nms)
