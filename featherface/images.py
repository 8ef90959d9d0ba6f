"""Images: read from files, arrays and tensors, and prepared for the network."""

from __future__ import annotations

import io
import logging
import math
import os
import re
import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

from featherface.boxes import MEAN_BGR
from featherface.config import MIN_SIZE
from featherface.errors import InputError, printable, without_warnings
from featherface.files import MAX_BYTES, list_images, read_bytes
from featherface.forks import Lock

Picture = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | npt.NDArray[Any] | Tensor
"""Types of input that `read_picture` takes."""

_CONTENT = (bytes, bytearray, memoryview)

FloatArray = npt.NDArray[np.float32]

RGBArray = npt.NDArray[np.uint8]
"""(height, width, 3) uint8: red, green, blue."""

MAX_PIXELS = 150_000_000
"""The largest image that is read: reading takes 10 to 14 bytes of memory for each pixel."""

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
# An end after bytes that a decoder takes for pixels where some are missing, also where it waits
# for the next of the restart markers D0 to D7.
_OTHER_END = b"".join(bytes([*range(1, 255, 3), 0xFF, 0xD0 + i]) for i in range(8)) + _JPEG_END

# Encapsulated PostScript is a program. Pillow would hand it to a Ghostscript it finds on the
# machine, so that the result would depend on the machine.
_NOT_PICTURES = {"EPS"}

_URL = re.compile(
    r"[a-z][a-z0-9+.-]+:[/\\]", re.IGNORECASE
)  # a single letter is a drive of Windows

# Where an application configures no logging, Python prints the decoders' complaints on stderr.
# They say less than the PictureError that follows; the application's own handlers still get them.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_loading = Lock()  # two threads must not load the same image of Pillow at once


class PictureError(InputError):
    """An image that cannot be read or used; the message names it and what is wrong."""


def read_picture(picture: Picture, *, bgr: bool = False) -> RGBArray:
    """Return the pixels of an image: (height, width, 3) uint8 RGB, contiguous and writable.

    Args:
        picture: one of

            - a file (`str`, path, its content as bytes, or open for reading bytes) in any raster
              format that Pillow reads; the first frame of an animation or page of a document;
            - a `PIL.Image.Image` of any mode, with its current frame;
            - an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), whose memory the result may share;
            - a tensor (H, W), (1, H, W), (3, H, W) or (4, H, W), on any device; likewise.
        bgr: the channels of an *array or tensor* are blue, green, red(, alpha), as OpenCV has
            them, instead of red, green, blue(, alpha).

    Values are uint8 (0–255), uint16 (0–65535, of which the high byte counts, as where libpng
    reduces 16 bits to 8) or floating point (0–1, rounded to the nearest of 256 levels). Nothing
    is guessed from the values: any other type or range is an error. Pillow's mode "I;16" is
    uint16, "F" floating point; so is "I" uint16, but where its largest value is between 1 and
    255 it is refused, since Pillow's own conversions put 8 bits there.

    Alpha is dropped, not blended (as `cv2.imread` does); palettes, greyscale, CMYK and other
    colour spaces become RGB by Pillow's conversion, without colour profiles. The EXIF (or XMP)
    orientation is applied, as `cv2.imread` does; damaged EXIF counts as none.

    Raises:
        PictureError: for what is none of these, holds no pixels or more than `MAX_PIXELS`, or
            cannot be read to its end.
    """
    name = describe(picture)
    if isinstance(picture, str | os.PathLike):
        if _URL.match(name):
            raise PictureError(f"{name}: URLs are not opened; download it or give an open file")
        array = _decode(read_bytes(os.fsdecode(picture), error=PictureError), name)
    elif isinstance(picture, _CONTENT):
        array = _decode(bytes(picture), name)
    elif isinstance(picture, Image.Image):
        with _decoding(name), _loading:
            array = _from_pil(picture, name)
    elif isinstance(picture, np.ndarray):
        array = _from_array(picture, name, bgr=bgr)
    elif isinstance(picture, Tensor):
        array = _from_array(_channels_last(picture, name), name, bgr=bgr)
    elif hasattr(picture, "read"):
        array = _decode(_content(picture, name), name)
    else:
        raise PictureError(
            f"{name}: not an image (a path, bytes, an open file, a PIL image, a numpy array or a "
            "torch tensor)"
        )
    # Writable, since PyTorch warns of what is not.
    return np.require(array, requirements=["C_CONTIGUOUS", "WRITEABLE"])


def several(images: object) -> Iterable[Picture] | None:
    """Return the images that one argument stands for, or `None` where it is a single image.

    A folder or pattern stands for the files of `list_images`, an array or tensor of four
    dimensions for the images along its first, and any other iterable for what it gives.

    Raises:
        PictureError: for a folder or pattern without images.
    """
    if isinstance(images, np.ndarray | Tensor):
        return list(images) if images.ndim == 4 else None
    if isinstance(images, (*_CONTENT, Image.Image)) or hasattr(images, "read"):
        return None
    if isinstance(images, Sequence) and not isinstance(images, str):
        return images
    if not isinstance(images, str | os.PathLike):
        return images if isinstance(images, Iterable) else None
    found = list_images(os.fsdecode(images))
    if found == []:
        raise PictureError(f"{describe(images)}: no images there")
    return found


def own(image: Picture) -> Picture:
    """Return a copy of what a camera or an animation overwrites with its next frame.

    A damaged image is returned as it is: `read_picture` says what is wrong with it.
    """
    if isinstance(image, Tensor):
        return image.clone()
    if isinstance(image, np.ndarray):
        return image.copy()
    in_memory = not isinstance(image, ImageFile.ImageFile) or getattr(image, "is_animated", False)
    if isinstance(image, Image.Image) and in_memory:
        with suppress(PictureError), _decoding(describe(image)), _loading:
            return image.copy()
    return image


class Transform:
    """The networks' pre-processing: image → (3, height, width) float32, BGR minus the mean.

    Args:
        size: see `Detector`.
    """

    def __init__(self, size: int | tuple[int, int] | None = None) -> None:
        self.size = size

    def __call__(self, image: Picture, *, bgr: bool = False) -> Tensor:
        return torch.from_numpy(preprocess(read_picture(image, bgr=bgr), self.size).pixels[0])


def describe(picture: object) -> str:
    """Return what an error message calls an image, in one line: its file, or what it is."""
    if isinstance(picture, Image.Image):
        file = getattr(picture, "filename", "")
        return printable(os.fsdecode(file)) if file else f"image of mode {picture.mode!r}"
    if isinstance(picture, np.ndarray | Tensor):
        kind = "array" if isinstance(picture, np.ndarray) else "tensor"
        dtype = str(picture.dtype).removeprefix("torch.")
        return f"{kind} of shape {tuple(picture.shape)}, {dtype}"
    if isinstance(picture, _CONTENT):
        return f"{memoryview(picture).nbytes:,} bytes"
    file = getattr(picture, "name", None) if hasattr(picture, "read") else picture
    if isinstance(file, str | os.PathLike):
        return printable(os.fsdecode(file))
    return f"object of type {type(picture).__name__}"


def _content(file: IO[bytes], name: str) -> bytes:
    """Return what is left in a file; pipes and sockets give less at a time than asked for."""
    content = bytearray()
    with _decoding(name):
        while len(content) < MAX_BYTES and (part := file.read(2**20)):
            content += part
    return bytes(content)


def _decode(content: bytes, name: str) -> RGBArray:
    if not content:
        raise PictureError(f"{name}: an empty file")
    try:
        return _decode_whole(content, name)
    except PictureError as error:
        if "truncated" not in str(error) or not content.startswith(_JPEG_START):
            raise
        image = _decode_whole(content.rstrip(b"\xff") + _JPEG_END, name)
        # Where pixels are missing, the decoder takes them from whatever follows.
        if not np.array_equal(image, _decode_whole(content.rstrip(b"\xff") + _OTHER_END, name)):
            raise
        warnings.warn(
            f"{printable(name)}: the JPEG lacks its end, but no pixel", RuntimeWarning, stacklevel=4
        )
        return image


def _decode_whole(content: bytes, name: str) -> RGBArray:
    with _decoding(name):
        Image.init()  # otherwise formats beyond the most common are unknown until one is met
        formats = [kind for kind in Image.OPEN if kind not in _NOT_PICTURES]
        with Image.open(io.BytesIO(content), formats=formats) as image:
            return _from_pil(image, name)


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Turn any failure into one line, and keep Pillow's warnings about a file off the screen."""
    try:
        with without_warnings(r"PIL\."):
            yield
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError(f"{name}: not an image in a format that can be read") from None
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name}: too large: {error}") from None
    except Exception as error:
        # On damaged bytes, decoders raise OSError, SyntaxError, struct.error, IndexError and more.
        raise PictureError(
            f"{name}: cannot be read: {str(error) or type(error).__name__}"
        ) from error


def _from_pil(image: Image.Image, name: str) -> RGBArray:
    _require_pixels(image.height, image.width, name)  # before anything is decoded
    image.load()
    # After decoding, since a PNG may say it at its end, and since Pillow turns a TIFF itself.
    # Damaged EXIF counts as none: the pixels are sound, and every viewer shows them as they are.
    with suppress(SyntaxError, ValueError, struct.error):
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            image = ImageOps.exif_transpose(image)
    return _pixels(image, name)


def _pixels(image: Image.Image, name: str) -> RGBArray:
    if image.mode == "I":
        values = np.asarray(image)
        low, high = values.min(), values.max()
        if low < 0 or high > 65535 or 0 < high < 256:
            raise PictureError(
                f"{name}: mode 'I' with values {low}–{high}, neither black nor 16-bit greyscale"
            )
        return _from_array(values.astype(np.uint16), name)
    if image.mode == "F" or image.mode.startswith("I;16"):
        return _from_array(np.asarray(image), name)
    if image.mode == "La":  # the one mode that has no way to RGB
        image = image.convert("LA")
    if image.mode == "P" and "transparency" in image.info:  # Pillow warns of the direct way
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _channels_last(tensor: Tensor, name: str) -> npt.NDArray[Any]:
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise PictureError(f"{name}: not a dense tensor with values")
    if tensor.ndim not in (2, 3) or (tensor.ndim == 3 and tensor.shape[0] not in (1, 3, 4)):
        raise PictureError(f"{name}: must be (H, W), or (C, H, W) with 1, 3 or 4 channels")
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point() and tensor.itemsize < 4:  # numpy lacks most of them
        tensor = tensor.float()
    if tensor.ndim == 3:
        tensor = tensor.permute(1, 2, 0)
    return tensor.resolve_conj().resolve_neg().numpy()


def _from_array(array: npt.NDArray[Any], name: str, *, bgr: bool = False) -> RGBArray:
    array = np.asarray(array)  # what a subclass adds, such as a mask, does not count
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise PictureError(f"{name}: must be (H, W), or (H, W, C) with 1, 3 or 4 channels")
    _require_pixels(array.shape[0], array.shape[1], name)
    colours = _to_8_bits(array[:, :, :3], name)
    if colours.shape[2] == 1:
        return np.repeat(colours, 3, axis=2)
    return colours[:, :, ::-1] if bgr else colours


def _to_8_bits(values: npt.NDArray[Any], name: str) -> RGBArray:
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:  # of either byte order
        return (values >> 8).astype(np.uint8)
    if values.dtype.kind != "f":
        raise PictureError(f"{name}: values must be uint8, uint16, or floating point from 0 to 1")
    dtype = np.result_type(values, np.float32)  # in float16, rounding would be less exact
    with np.errstate(all="ignore"):  # what overflows is refused just below
        levels: npt.NDArray[np.floating[Any]] = np.rint(np.multiply(values, 255, dtype=dtype))
    # Compared as a whole and after rounding: NaN fails it, an overshoot below half a level passes.
    if not ((levels >= 0) & (levels <= 255)).all():
        raise PictureError(
            f"{name}: floating-point values must be from 0 to 1, "
            f"not from {values.min()} to {values.max()}"
        )
    return levels.astype(np.uint8)


def _require_pixels(height: int, width: int, name: str) -> None:
    if height < 1 or width < 1:
        raise PictureError(f"{name}: has no pixels ({width}×{height})")
    if height * width > MAX_PIXELS:
        raise PictureError(
            f"{name}: {width}×{height} = {width * height:,} pixels, more than the "
            f"{MAX_PIXELS:,} that are read; make it smaller first"
        )


MAX_NETWORK_PIXELS = 2**25
"""The largest input of the network, say 8192 × 4096 pixels.

Networks take 75 to 100 bytes of memory for each pixel on a CPU: here, three gigabytes.
"""


class NetworkInput(NamedTuple):
    """An image as a network takes it, and the way back."""

    pixels: FloatArray
    """(1, 3, height, width): blue, green, red from 0 to 255, minus `boxes.MEAN_BGR`."""
    scale: tuple[float, float]
    """Pixels of the original image per pixel of this one, in x and in y."""


def preprocess(
    picture: RGBArray, size: int | tuple[int, int] | None = None, *, name: str = "picture"
) -> NetworkInput:
    """Return the official pre-processing: BGR minus the mean, unscaled, at the size asked for.

    Where a side is shorter than the 32 pixels that the networks need, it is padded at the right
    or the bottom with the mean colour, which is zero after the subtraction: coordinates stay.

    Args:
        picture: (height, width, 3) uint8 RGB.
        size: see `Detector`.
        name: what an error message calls the image.

    Raises:
        PictureError: for more than `MAX_NETWORK_PIXELS`.
    """
    height, width = picture.shape[:2]
    new_height, new_width = _resized(height, width, size)
    padded = network_size(height, width, size)
    if math.prod(padded) > MAX_NETWORK_PIXELS:
        raise PictureError(
            f"{name}: {padded[1]}×{padded[0]} pixels are more than the {MAX_NETWORK_PIXELS:,} the "
            "network takes at once; give a smaller size, say 2048"
        )
    if (new_height, new_width) != (height, width):
        # Enlarging, this is cv2.INTER_LINEAR up to the rounding to 8 bits. Reducing, it averages
        # all the pixels under one of the result, where INTER_LINEAR looks at four of them. The
        # official protocol never reduces.
        resized = Image.fromarray(picture).resize(
            (new_width, new_height), Image.Resampling.BILINEAR
        )
        picture = np.asarray(resized)
    pixels = np.zeros((1, 3, *padded), dtype=np.float32)
    for channel, mean in enumerate(MEAN_BGR):
        inner = pixels[0, channel, :new_height, :new_width]
        np.subtract(picture[:, :, 2 - channel], np.float32(mean), out=inner)
    return NetworkInput(pixels, (width / new_width, height / new_height))


def network_size(
    height: int, width: int, size: int | tuple[int, int] | None = None
) -> tuple[int, int]:
    """Return height and width of the network's input for an image of this size."""
    new_height, new_width = _resized(height, width, size)
    return max(new_height, MIN_SIZE), max(new_width, MIN_SIZE)


def _resized(height: int, width: int, size: int | tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        return height, width
    if isinstance(size, tuple):
        return size
    factor = size / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))
