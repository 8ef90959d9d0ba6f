"""Videos, read and written with PyAV (extra `video`)."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featherface.errors import InputError
from featherface.files import check_readable, part_of

if TYPE_CHECKING:
    from PIL import Image

    from featherface.images import RGBArray

SUFFIXES = frozenset((".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"))
MAX_BYTES = 2**40

_CAMERA = re.compile(r"camera:(\d{1,3})")
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
"""By system: PyAV's format and the name of a camera by its number."""


def is_camera(path: Path) -> bool:
    """Return whether a path names a camera, as camera:0."""
    return _CAMERA.fullmatch(str(path)) is not None


def is_video(path: Path) -> bool:
    """Return whether a path names a video or a camera, as camera:0."""
    return path.suffix.lower() in SUFFIXES or is_camera(path)


@dataclass(frozen=True)
class Frame:
    """An upright frame."""

    index: int
    seconds: float
    pixels: RGBArray


@dataclass(frozen=True)
class Video:
    """A video that is open."""

    frames: Iterator[Frame]
    count: int | None  # of the frames; None where the file does not tell
    rate: Fraction  # frames a second, on average


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open a video file, or a camera by its number, as camera:0.

    Raises:
        InputError: where PyAV is not installed; here or from `frames`, where the file or camera
            cannot be read as a video.
    """
    av = _av()
    camera = _CAMERA.fullmatch(str(path))
    if camera and sys.platform not in _CAMERAS:
        raise InputError(f"{path}: cameras are supported on Linux and macOS only")
    if not camera:
        check_readable(path, MAX_BYTES)
    with ExitStack() as stack:
        with _named(path, "read"):
            if camera:
                kind, name = _CAMERAS[sys.platform]
                opened = av.open(name.format(camera[1]), format=kind)
            else:
                # Given as an open file and without protocols: a playlist must not open what it
                # names.
                file = stack.enter_context(path.open("rb"))
                opened = av.open(file, container_options={"protocol_whitelist": ""})
            container = stack.enter_context(opened)
        if not container.streams.video:
            raise InputError(f"{path}: a file without a video stream")
        stream = container.streams.video[0]
        rate = stream.average_rate or Fraction(25)
        yield Video(_frames(path, container, stream), stream.frames or None, rate)


def _frames(path: Path, container: Any, stream: Any) -> Iterator[Frame]:
    import numpy as np

    with _named(path, "read"):
        for index, frame in enumerate(container.decode(stream)):
            pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
            yield Frame(index, float(frame.time or 0), np.ascontiguousarray(pixels))


@contextmanager
def write_video(path: Path, rate: Fraction) -> Iterator[Callable[[Image.Image], None]]:
    """Write a video of H.264, without sound: yields a function that adds a frame.

    The file is complete whenever the context ends, by an interrupt as well. The first frame gives
    the size, rounded up to even numbers; later ones are resized to it.
    """
    av = _av()
    part = part_of(path)
    with _named(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        container = av.open(str(part), "w", format="mp4")
        stream = container.add_stream("h264", rate=rate)
        stream.pix_fmt = "yuv420p"
    written = 0

    def add(image: Image.Image) -> None:
        nonlocal written
        if not written:
            stream.width, stream.height = (side + side % 2 for side in image.size)
        frame = av.VideoFrame.from_image(image)
        frame = frame.reformat(stream.width, stream.height, format="yuv420p")
        with _named(path, "written"):
            container.mux(stream.encode(frame))
        written += 1

    try:
        yield add
    finally:
        with _named(path, "written"):
            if written:
                container.mux(stream.encode(None))
            container.close()
            if written:
                part.replace(path)
            else:
                part.unlink(missing_ok=True)


@contextmanager
def _named(path: Path, action: str) -> Iterator[None]:
    try:
        yield
    except (_av().FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be {action} as a video: {reason}") from None


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise InputError(
            "videos need PyAV, which is not installed: pip install 'featherface[video]'"
        ) from None
    return av
