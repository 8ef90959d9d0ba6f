"""The first figure of the site: faces that `v1` finds on a portrait, as SVG."""

from __future__ import annotations

import base64
from pathlib import Path

from PIL import Image

from featherface import Detector
from featherface.faces import Face

_STYLE = (
    ".face{fill:none;stroke:#ffd84d;stroke-width:4}"
    ".point{fill:#ffd84d;stroke:#1b1f24;stroke-width:1}"
    ".label{fill:#ffd84d}"
    "text{font:600 20px system-ui,sans-serif;fill:#1b1f24}"
)


def found_faces(portrait: Path) -> str:
    """Return an image with boxes, scores and landmarks of the faces found, in whole pixels."""
    with Image.open(portrait) as image:
        width, height = image.size
    faces = Detector("v1", runtime="torch", device="cpu")(portrait)
    photo = base64.b64encode(portrait.read_bytes()).decode()
    label = f"A portrait. {len(faces)} face is found: its box, its score and five landmarks."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{label}"><style>{_STYLE}</style>'
        f'<image width="{width}" height="{height}" href="data:image/jpeg;base64,{photo}"/>'
        f"{''.join(map(_drawn, faces))}</svg>\n"
    )


def _drawn(face: Face) -> str:
    left, top, right, bottom = map(round, face.box)
    points = "".join(
        f'<circle class="point" cx="{x:.0f}" cy="{y:.0f}" r="4"/>' for x, y in face.landmarks
    )
    return (
        f'<rect class="face" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>'
        f'{points}<rect class="label" x="{left - 2}" y="{top - 28}" width="68" height="28"/>'
        f'<text x="{left + 5}" y="{top - 7}">{face.score:.3f}</text>'
    )
