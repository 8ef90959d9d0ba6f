"""Every way of giving a picture yields the same pixels, or one line that says why not."""

from __future__ import annotations

import gzip
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, ImageOps

from featherface import InputError, images
from featherface.images import MAX_PIXELS, PictureError, describe, read_picture
from featherface.weights import reading

ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (23, 37, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (23, 37), dtype=np.uint8)


def with_alpha(array: np.ndarray) -> np.ndarray:
    alpha = np.random.default_rng(2).integers(0, 256, array.shape[:2], dtype=np.uint8)
    return np.dstack([array, alpha])


def tripled(array: np.ndarray) -> np.ndarray:
    return np.stack([array] * 3, axis=2)


def assert_same(expected: np.ndarray, ways: dict[str, object], *, bgr: bool = False) -> None:
    """Reads every picture, and reports all that differ together."""
    wrong = []
    for way, picture in ways.items():
        read = read_picture(picture, bgr=bgr)
        if read.dtype != np.uint8 or not (read.flags.c_contiguous and read.flags.writeable):
            wrong.append(f"{way}: {read.dtype}, {read.flags}")
        elif read.shape != expected.shape:
            wrong.append(f"{way}: shape {read.shape}")
        elif (read != expected).any():
            wrong.append(f"{way}: {(read != expected).sum()} values differ")
    assert not wrong


def refusal(picture: object) -> str:
    with pytest.raises(PictureError) as caught:
        read_picture(picture)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(describe(picture))
    return message


def test_all_ways_of_giving_a_colour_picture(rgb: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(rgb)
    files = {name: tmp_path / name for name in ("ünï code.png", "p.bmp", "p.tif", "p.ppm", "p.tga")}
    for path in files.values():
        image.save(path)
    image.save(tmp_path / "p.webp", lossless=True)
    Image.fromarray(with_alpha(rgb)).save(tmp_path / "alpha.png")
    fractions = rgb / 255
    channels_first = torch.from_numpy(rgb).permute(2, 0, 1)
    strided = np.zeros((2 * rgb.shape[0], 2 * rgb.shape[1], 3), np.uint8)[::-2, ::2]
    strided[:] = rgb
    ways = {
        **files,
        "WebP": tmp_path / "p.webp",
        "str": str(files["p.bmp"]),
        "file with alpha": tmp_path / "alpha.png",
        "PIL": image,
        "PIL with alpha": Image.fromarray(with_alpha(rgb)),
        "PIL RGBX": image.convert("RGBX"),
        "array": rgb,
        "array with alpha": with_alpha(rgb),
        "array with strides": strided,
        "masked array": np.ma.array(rgb),
        "read-only array": np.frombuffer(rgb.tobytes(), np.uint8).reshape(rgb.shape),
        "uint16 × 257": rgb.astype(np.uint16) * 257,
        "uint16 × 256": rgb.astype(np.uint16) * 256,
        "uint16, big endian": (rgb.astype(np.uint16) * 257).astype(">u2"),
        "float64": fractions,
        "float32": fractions.astype(np.float32),
        "float16": fractions.astype(np.float16),
        "tensor": channels_first,
        "tensor with alpha": torch.from_numpy(with_alpha(rgb)).permute(2, 0, 1),
        "uint16 tensor": torch.from_numpy(rgb.astype(np.uint16) * 257).permute(2, 0, 1),
        "float32 tensor": channels_first / 255,
        "float64 tensor": channels_first.double() / 255,
        "float16 tensor": (channels_first / 255).half(),
        "tensor with gradient": (channels_first / 255).requires_grad_(),
    }
    assert_same(rgb, ways)


def test_bfloat16_is_as_near_as_its_eight_bits_allow(rgb: np.ndarray) -> None:
    tensor = (torch.from_numpy(rgb).permute(2, 0, 1) / 255).bfloat16()
    read = read_picture(tensor).astype(int)
    # Half a unit of its last place below 1 is 2⁻⁹ of the value, or half a level; and rounding.
    assert abs(read - rgb).max() <= 1


def test_bgr_is_the_order_of_arrays_and_tensors_only(rgb: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(rgb).save(tmp_path / "p.png")
    bgr = rgb[:, :, ::-1]
    ways = {
        "array": bgr,
        "array with alpha": with_alpha(bgr),
        "tensor": torch.from_numpy(bgr.copy()).permute(2, 0, 1),
        "file": tmp_path / "p.png",
        "PIL": Image.fromarray(rgb),
    }
    assert_same(rgb, ways, bgr=True)


def test_all_ways_of_giving_a_grey_picture(grey: np.ndarray, tmp_path: Path) -> None:
    wide = grey.astype(np.uint16) * 257
    unit = (grey / 255).astype(np.float32)
    size = grey.shape[::-1]
    with_transparency = Image.frombytes("LA", size, with_alpha(grey).tobytes())
    files = {
        "8.png": Image.fromarray(grey),
        "8.tif": Image.fromarray(grey),
        "16.png": Image.fromarray(wide),
        "16.tif": Image.fromarray(wide),
        "float.tif": Image.fromarray(unit),
        "alpha.png": with_transparency,
    }
    for name, image in files.items():
        image.save(tmp_path / name)
    header = f"P5 {size[0]} {size[1]} 65535\n".encode()  # older Pillow reads, but cannot write it
    (tmp_path / "16.pgm").write_bytes(header + wide.astype(">u2").tobytes())
    ways = {
        **{path.name: path for path in tmp_path.iterdir()},
        "PIL L": Image.fromarray(grey),
        "PIL LA": with_transparency,
        "PIL I;16": Image.fromarray(wide),
        "PIL I;16B": Image.frombytes("I;16B", size, wide.astype(">u2").tobytes()),
        "PIL I": Image.fromarray(wide.astype(np.int32)),
        "PIL F": Image.fromarray(unit),
        "array": grey,
        "array of one channel": grey[:, :, None],
        "uint16": wide,
        "float": grey / 255,
        "tensor": torch.from_numpy(grey),
        "tensor of one channel": torch.from_numpy(grey)[None],
        "uint16 tensor": torch.from_numpy(wide),
    }
    assert_same(tripled(grey), ways)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    assert_same(tripled((ramp // 256).astype(np.uint8)), {"file": tmp_path / "ramp.png"})


def test_sixteen_bits_of_colour(tmp_path: Path) -> None:
    """Pillow cannot write these, so the file is put together here."""
    wide = np.random.default_rng(3).integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide)
    (tmp_path / "p.png").write_bytes(png(7, 5, bits=16, colour=2, data=zlib.compress(rows)))
    high = (wide // 256).astype(np.uint8)
    assert_same(high, {"file": tmp_path / "p.png", "array": wide})


def test_palettes(rgb: np.ndarray, tmp_path: Path) -> None:
    palette = Image.fromarray(rgb).quantize(16)
    colours = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)[np.asarray(palette)]
    palette.save(tmp_path / "p.png")
    palette.save(tmp_path / "one transparent.png", transparency=3)
    palette.save(tmp_path / "all half transparent.png", transparency=bytes(range(16)))
    palette.save(tmp_path / "p.gif")
    assert_same(colours, {"PIL": palette, **{path.name: path for path in tmp_path.iterdir()}})


def test_other_colour_spaces() -> None:
    """Red, grey and white, within what Pillow loses where it converts there and back."""
    rgb = np.array([[[200, 30, 40], [128, 128, 128], [255, 255, 255]]], np.uint8)
    off = {}
    for mode in ("CMYK", "YCbCr", "HSV", "LAB", "RGBa"):
        image = Image.fromarray(rgb)
        image = image.convert("RGBA").convert(mode) if mode == "RGBa" else image.convert(mode)
        off[mode] = int(abs(read_picture(image).astype(int) - rgb).max())
    assert {mode: n for mode, n in off.items() if n > 3} == {}
    bits = np.array([[True, False, True]])
    assert_same(tripled(bits * np.uint8(255)), {"1": Image.fromarray(bits)})


def test_premultiplied_alpha_is_undone() -> None:
    half = Image.new("RGBA", (1, 1), (200, 100, 50, 128))
    assert abs(read_picture(half.convert("RGBa")).astype(int) - [[[200, 100, 50]]]).max() <= 1
    grey = Image.new("LA", (1, 1), (200, 128))
    assert abs(read_picture(grey.convert("La")).astype(int) - 200).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(rgb: np.ndarray, tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(rgb)
    expected = image.copy()
    expected.getexif()[ORIENTATION] = orientation
    expected = np.asarray(ImageOps.exif_transpose(expected))
    image.save(tmp_path / "p.png", exif=exif)
    image.save(tmp_path / "p.tif", exif=exif)
    image.save(tmp_path / "p.webp", exif=exif, lossless=True)
    ways: dict[str, object] = {path.name: path for path in tmp_path.iterdir()}
    with Image.open(tmp_path / "p.png") as opened:
        ways["PIL"] = opened
        ways["PIL, converted"] = opened.convert("RGBA")
        assert_same(expected, ways)
        assert opened.size == image.size  # the caller's picture stays as it was
    image.save(tmp_path / "p.jpg", exif=exif, quality=95)
    with Image.open(tmp_path / "p.jpg") as opened:
        assert_same(np.asarray(ImageOps.exif_transpose(opened)), {"JPEG": tmp_path / "p.jpg"})


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0no such thing", b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0II*\0\xff\xff\xff\x7f"],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_damaged_exif_counts_as_none(
    rgb: np.ndarray, tmp_path: Path, exif: bytes, suffix: str
) -> None:
    image = Image.fromarray(rgb)
    image.save(tmp_path / f"damaged{suffix}", exif=exif)
    image.save(tmp_path / f"without{suffix}")
    without = read_picture(tmp_path / f"without{suffix}")
    assert_same(without, {"damaged": tmp_path / f"damaged{suffix}"})


@pytest.mark.parametrize("orientation", [0, 9, -1, "6", b"6"])
def test_an_orientation_that_does_not_exist_is_ignored(
    rgb: np.ndarray, orientation: object
) -> None:
    image = Image.fromarray(rgb)
    image.getexif()[ORIENTATION] = orientation
    assert_same(rgb, {"PIL": image})


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 5), colour) for colour in ("red", "lime", "blue")]
    first = np.asarray(frames[0])
    for name in ("a.gif", "a.png", "a.webp"):
        lossless = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(
            tmp_path / name, save_all=True, append_images=frames[1:], duration=50, **lossless
        )
    assert_same(first, {path.name: path for path in tmp_path.iterdir()})


def test_one_pixel() -> None:
    pixel = np.array([[[1, 2, 3]]], np.uint8)
    assert_same(pixel, {"array": pixel, "PIL": Image.fromarray(pixel)})


def test_floats_that_round_into_the_range_are_taken() -> None:
    almost = np.array([[-0.4 / 255, 1 + 0.4 / 255]])
    assert_same(tripled(np.array([[0, 255]], np.uint8)), {"array": almost})


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.zeros((0, 5, 3), np.uint8), "no pixels"),
        (np.zeros((5, 0), np.uint8), "no pixels"),
        (torch.zeros(3, 0, 4), "no pixels"),
        (np.zeros(5, np.uint8), "must be (H, W)"),
        (np.zeros((3, 20, 30), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((20, 30, 2), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((1, 20, 30, 3), np.uint8), "1, 3 or 4 channels"),
        (torch.zeros(20, 30, 3), "1, 3 or 4 channels"),
        (torch.zeros(1, 3, 20, 30), "1, 3 or 4 channels"),
        (torch.zeros((), dtype=torch.uint8), "must be (H, W)"),
        (np.zeros((2, 2), np.int64), "uint8, uint16, or floating point"),
        (np.zeros((2, 2), np.int8), "uint8, uint16, or floating point"),
        (np.zeros((2, 2), bool), "uint8, uint16, or floating point"),
        (np.zeros((2, 2), complex), "uint8, uint16, or floating point"),
        (np.zeros((2, 2), object), "uint8, uint16, or floating point"),
        (torch.zeros(2, 2, dtype=torch.int32), "uint8, uint16, or floating point"),
        (np.array([[0.0, np.nan]]), "not from nan"),
        (np.array([[0.0, np.inf]], np.float16), "to inf"),
        (np.array([[0.0, 255.0]]), "to 255.0"),
        (np.array([[-1.0, 1.0]]), "from -1.0"),
        (np.array([[0.0, 1e308]]), "to 1e+308"),
        (np.full((2, 2), 60000, np.float16), "60000"),
        (torch.zeros(3, 8, 8, device="meta"), "dense"),
        (torch.zeros(8, 8).to_sparse(), "dense"),
        (Image.fromarray(np.full((2, 2), 200, np.int32)), "neither black nor 16-bit"),
        (Image.fromarray(np.full((2, 2), -1, np.int32)), "-1"),
        (Image.fromarray(np.full((2, 2), 65536, np.int32)), "65536"),
        (Image.fromarray(np.full((2, 2), 255, np.float32)), "255.0"),
        (Image.new("RGB", (0, 7)), "no pixels"),
        (None, "NoneType"),
        (b"p.png", "not an image in a format"),
        ([[0, 0]], "list"),
    ],
    ids=describe,
)
def test_what_is_no_picture_is_refused_in_one_line(picture: object, reason: str) -> None:
    assert reason in refusal(picture)


def test_a_picture_error_is_an_input_error() -> None:
    assert issubclass(PictureError, InputError)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.jpg", "No such file"),
        ("folder", "a folder"),
        ("", "an empty path names no file"),
        ("empty.jpg", "an empty file"),
        ("text.jpg", "not an image"),
        ("zeros.png", "not an image"),
        ("pipe", "not a regular file"),
        ("with\0null", "null"),
        ("x" * 300, "too long"),
        ("line\nbreak.jpg", "No such file"),
        ("program.eps", "not an image"),
    ],
)
def test_files_that_are_no_pictures(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not an image, " * 100)
    (tmp_path / "zeros.png").write_bytes(bytes(1000))
    if name == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("this system has no pipes in its file system")
        os.mkfifo(tmp_path / name)
    Image.new("RGB", (5, 5)).save(tmp_path / "program.eps")
    path = str(tmp_path / name) if name else name
    assert reason in refusal(path)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read every file"
)
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    Image.new("RGB", (5, 5)).save(path)
    path.chmod(0)
    assert "Permission denied" in refusal(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".bmp", ".webp", ".tif", ".ppm"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_truncated_files(rgb: np.ndarray, tmp_path: Path, suffix: str, share: float) -> None:
    whole = tmp_path / f"whole{suffix}"
    Image.fromarray(rgb).resize((200, 150)).save(whole)
    data = whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(data[: int(len(data) * share)])
    refusal(cut)


def test_damaged_png(rgb: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    Image.fromarray(rgb).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert "cannot be read" in refusal(path)


def test_a_closed_pil_image(rgb: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    Image.fromarray(rgb).save(path)
    with Image.open(path) as image:
        pass
    assert "cannot be read" in refusal(image)


def png(width: int, height: int, *, bits: int, colour: int, data: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in chunks)


@pytest.mark.parametrize(
    ("factor", "reason"), [(1.01, f"{MAX_PIXELS:,}"), (1.5, "too large"), (1000, "too large")]
)
def test_decompression_bombs_are_refused_by_their_header(
    tmp_path: Path, factor: float, reason: str
) -> None:
    """Below and beyond the sizes at which Pillow warns and refuses itself."""
    side = int((factor * MAX_PIXELS) ** 0.5) + 1
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, bits=8, colour=2, data=zlib.compress(b"\0")))
    assert reason in refusal(path)


def test_large_pictures_below_the_limit_are_not_warned_of(tmp_path: Path) -> None:
    """100 megapixels are beyond Pillow's warning; here, only the missing data are complained of."""
    path = tmp_path / "large.png"
    path.write_bytes(png(10_000, 10_000, bits=1, colour=0, data=zlib.compress(b"\0")))
    assert "image file is truncated" in refusal(path)


def test_arrays_have_the_same_limit() -> None:
    pixel = np.zeros((1, 1), np.uint8)
    assert f"{MAX_PIXELS:,}" in refusal(np.broadcast_to(pixel, (MAX_PIXELS + 1, 1)))


@pytest.mark.slow
def test_nothing_but_the_error_reaches_the_screen(tmp_path: Path) -> None:
    """In a process without logging or filters of its own: no warning, no decoder's message."""
    (tmp_path / "text.jpg").write_text("no picture")
    path = tmp_path / "tiff with too many samples.tif"
    Image.new("RGB", (5, 5)).save(path)
    data = path.read_bytes()
    entry = struct.pack("<HHI", 277, 3, 1)  # SamplesPerPixel: 3 becomes 300
    assert data.count(entry) == 1
    at = data.index(entry) + len(entry)
    path.write_bytes(data[:at] + struct.pack("<H", 300) + data[at + 2 :])
    palette = tmp_path / "palette.png"
    Image.new("P", (5, 5)).save(palette, transparency=bytes(5))
    program = (
        "import sys\n"
        "from featherface.images import PictureError, read_picture\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        print(read_picture(path).shape)\n"
        "    except PictureError as error:\n"
        "        print(error)\n"
    )
    arguments = [str(tmp_path / "text.jpg"), str(path), str(palette)]
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[2] == "(5, 5, 3)"
    assert all(a in line for a, line in zip(arguments[:2], done.stdout.splitlines(), strict=False))


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"quality": 30, "subsampling": 2}, {"restart_marker_rows": 1}],
    ids=str,
)
def test_a_jpeg_that_lacks_its_end_alone_is_read(tmp_path: Path, options: dict[str, int]) -> None:
    """Every other reader shows it whole; where rows are gone, it is refused as truncated."""
    whole = io.BytesIO()
    # Of one noise image in thirty, the decoder has all pixels before it asks for the end.
    noise = np.random.default_rng(0).integers(0, 256, (160, 160), np.uint8)
    Image.fromarray(noise).convert("RGB").save(whole, "JPEG", **options)
    content = whole.getvalue()
    assert content.endswith(b"\xff\xd9")
    expected = read_picture(content)
    for cut in (1, 2):
        (tmp_path / "cut.jpg").write_bytes(content[:-cut])
        with pytest.warns(RuntimeWarning, match=r"cut\.jpg: the JPEG lacks its end"):
            assert np.array_equal(read_picture(tmp_path / "cut.jpg"), expected)
    cuts = [len(content) * share // 100 for share in (95, 60, 40)]
    for marker in range(0xD0, 0xD8):  # whole intervals are left, and the next one is awaited
        at = content.rfind(bytes([0xFF, marker]))
        cuts += [at, at + 2] if at > 0 else []
    for cut in cuts:
        assert "truncated" in refusal(content[:cut])


def test_threads_read_palettes_where_warnings_are_errors(rgb: np.ndarray, tmp_path: Path) -> None:
    """Pillow warns of some, and only the main thread can keep its warnings off."""
    path = tmp_path / "p.png"
    Image.fromarray(rgb).quantize(16).save(path, transparency=bytes(range(16)))
    with warnings.catch_warnings(), ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("error")
        np.testing.assert_array_equal(pool.submit(read_picture, path).result(), read_picture(path))


def test_threads_leave_the_warning_filters_alone(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "p.png")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_picture, [tmp_path / "p.png"] * 200))
    assert list(warnings.filters) == before


def test_content_and_open_files_are_read(rgb: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(rgb).save(tmp_path / "p.png")
    content = (tmp_path / "p.png").read_bytes()
    packed = io.BytesIO(gzip.compress(content))
    with (tmp_path / "p.png").open("rb") as file, gzip.open(packed) as unpacked:
        assert describe(file) == str(tmp_path / "p.png")
        from_address = io.BytesIO(content)
        from_address.name = "https://example.org/p.png"
        ways = {
            "bytes": content,
            "memoryview": memoryview(content),
            "memory": io.BytesIO(content),
            "file": file,
            "with an empty name": unpacked,
            "from an address": from_address,
        }
        assert_same(rgb, ways)


def test_an_open_file_is_read_to_its_end(rgb: np.ndarray) -> None:
    """A pipe or a socket gives what has come so far, however much is asked for."""

    class Slow(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self.left = content

        def read(self, size: int = -1) -> bytes:
            part, self.left = self.left[:100], self.left[100:]
            return part

    content = io.BytesIO()
    Image.fromarray(rgb).save(content, "PNG")
    assert_same(rgb, {"slow": Slow(content.getvalue())})


def test_an_open_file_that_cannot_be_read_is_one_line(rgb: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(rgb).save(tmp_path / "p.png")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(tmp_path / "p.png", "p.png")
    damaged = bytearray(packed.getvalue())
    damaged[1000] ^= 1
    with (tmp_path / "p.png").open("rb") as file:
        pass
    assert "read of closed file" in refusal(file)
    with zipfile.ZipFile(io.BytesIO(damaged)) as archive, archive.open("p.png") as member:
        assert "p.png: cannot be read: Bad CRC-32" in refusal(member)


def test_floats_of_few_bits_are_rounded_as_others_are() -> None:
    every = np.arange(1 + np.float16(1).view(np.uint16), dtype=np.uint16).view(np.float16)[None]
    expected = read_picture(every.astype(np.float64))
    tensor = torch.from_numpy(every)
    assert_same(expected, {"array": every, "tensor": tensor})
    eight_bits = torch.tensor([[0.0, 0.25, 1.0]])
    assert_same(read_picture(eight_bits), {"float8": eight_bits.to(torch.float8_e4m3fn)})


def test_numpys_error_state_is_of_no_effect() -> None:
    with np.errstate(all="raise"):
        assert not read_picture(np.full((2, 2), 1e-320)).any()
        refusal(np.full((2, 2), 1e308))


def test_threads_load_the_same_pil_image_one_after_the_other(
    rgb: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, lock, load = 0, 0, threading.Lock(), ImageFile.ImageFile.load

    def counted(image: ImageFile.ImageFile) -> object:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", counted)
    Image.fromarray(rgb).save(tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image, ThreadPoolExecutor(4) as pool:
        for read in pool.map(read_picture, [image] * 8):
            np.testing.assert_array_equal(read, rgb)
    assert most == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("lock", [images._loading, reading._reading], ids=["image", "weights"])
def test_a_forked_process_reads_what_a_thread_of_its_parent_reads(
    lock: threading.Lock, tmp_path: Path
) -> None:
    torch.save({"x": torch.ones(2)}, tmp_path / "x.pth")
    with lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            try:
                read_picture(Image.new("RGB", (4, 4)))
                reading.read_contents(tmp_path / "x.pth")
                os._exit(0)
            finally:
                os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("url", ["https://a.b/c.png", "HTTP://a.b/c", "file:///c.png", "s3://a/b"])
def test_a_url_is_not_opened(url: str) -> None:
    for given in (url, Path(url)):
        with pytest.raises(PictureError, match="URLs are not opened"):
            read_picture(given)


def test_a_drive_is_no_url() -> None:
    with pytest.raises(PictureError, match="cannot be read: No such file"):
        read_picture("C:/none.png")
