"""`featherface detect`: what it takes, what it keeps."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from analysis.cli.options import find_images
from featherface import Detector
from featherface import images as reading
from featherface.errors import printable
from featherface.runtimes.network import TorchNetwork


@pytest.fixture
def detect(call: Any, checkpoint: Path) -> Any:
    """Calls the command with the fresh network."""
    return partial(call, "detect", "--weights", checkpoint, "--runtime", "torch", "--json", "-")


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Five images, two of them in a folder below."""
    folder = tmp_path / "images"
    names = ["a.png", "b.JPG", "c.webp", "below/d.png", "below/e.png"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 33), "gray").save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return [folder / name for name in names]


def test_folders_and_patterns_stand_for_the_images_in_them(images: list[Path]) -> None:
    folder = images[0].parent
    unusable: list[str] = []
    assert find_images([folder], unusable) == images[:3]
    assert find_images([folder], unusable, recursive=True) == images
    assert find_images([folder / "*.png"], unusable) == [images[0]]
    assert find_images([folder / "**" / "*.png"], unusable) == [images[0], *images[3:]]
    assert find_images([images[1], folder], unusable) == [images[1], images[0], images[2]]
    assert unusable == []
    assert find_images([folder / "none*.png", images[0]], unusable) == [images[0]]
    assert unusable == [f"{folder / 'none*.png'}: matches no file"]


def test_a_folder_that_cannot_be_read_does_not_stop_the_others(
    images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def refuse(path: str) -> Any:
        if Path(path).name == "below":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    unusable: list[str] = []
    folder = images[0].parent
    assert find_images([folder, images[3].parent], unusable, recursive=True) == images[:3]
    assert unusable == [f"{images[3].parent}: cannot be read: Permission denied"] * 2


def test_standard_input_and_cameras_are_no_names_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = [Path("-"), Path("camera:0")]
    for folder in named:
        folder.mkdir()
        Image.new("RGB", (33, 33)).save(folder / "inside.png")
    assert find_images(named, []) == named


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path: Path) -> None:
    for name in ("p[1].png", "p1.png"):
        Image.new("RGB", (33, 33)).save(tmp_path / name)
    assert find_images([tmp_path / "p[1].png"], []) == [tmp_path / "p[1].png"]


def test_a_folder_without_images_is_reported(tmp_path: Path, detect: Any) -> None:
    found = detect(tmp_path)
    assert (found.code, found.json) == (2, [])
    assert "no images in this folder" in found.err


def test_an_image_without_faces_is_said_to_have_none(
    call: Any, checkpoint: Path, images: list[Path]
) -> None:
    options = ("--weights", checkpoint, "--runtime", "torch", "--score", 0.999)
    found = call("detect", images[0], *options)
    assert (found.code, found.out) == (0, f"{images[0]}: no faces\n")


@pytest.mark.skipif(sys.platform == "win32", reason="names of POSIX")
@pytest.mark.parametrize("score", [0, 0.999])
def test_a_name_cannot_break_lines_or_colour_the_terminal(
    call: Any, checkpoint: Path, images: list[Path], tmp_path: Path, score: float
) -> None:
    odd = images[0].rename(images[0].with_name("a\x1b[31m\nb.png"))
    options = ("--weights", checkpoint, "--runtime", "torch", "--score", score)
    found = call("detect", odd, *options, "--out", tmp_path / "found")
    assert found.code == 0
    shown = "".join(found.out.split())  # where a caption was wrapped, too
    assert r"a\x1b[31m\nb.png:" in shown
    assert shown.isprintable()


def test_standard_input(detect: Any, images: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.TextIOWrapper(io.BytesIO(images[0].read_bytes()))
    monkeypatch.setattr(sys, "stdin", content)
    (record,) = detect("-", "--score", 0.02).json
    (other,) = detect(images[0], "--score", 0.02).json
    assert record["picture"] == "-"
    assert record["faces"] == other["faces"]


def test_calls_with_one_folder_add_up(detect: Any, images: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "found"
    records = detect(*images[:2], "--out", out).json
    records += detect(*images[2:], "--out", out).json
    lines = (out / "faces.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == records
    assert json.loads((out / "faces.json").read_text(encoding="utf-8")) == records
    assert len({record["annotated"] for record in records}) == len(images)
    assert all(Path(record["annotated"]).is_file() for record in records)

    detect(images[0], "--out", out)  # again: the line is added, the latest list keeps its length
    assert len((out / "faces.jsonl").read_bytes().splitlines()) == len(images) + 1
    assert len(json.loads((out / "faces.json").read_text(encoding="utf-8"))) == len(images)


def test_an_image_that_is_drawn_is_decoded_once(
    detect: Any, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = reading._decode
    names: list[str] = []

    def noted(content: bytes, name: str) -> Any:
        names.append(name)
        return decode(content, name)

    monkeypatch.setattr(reading, "_decode", noted)
    assert detect(*images, "--out", tmp_path / "found").code == 0
    assert sorted(names) == sorted(map(str, images))


def test_an_interrupt_keeps_what_is_done(
    detect: Any, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, calls = TorchNetwork.__call__, 0

    def interrupted(self: TorchNetwork, pixels: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return network(self, pixels)

    monkeypatch.setattr(TorchNetwork, "__call__", interrupted)
    out = tmp_path / "found"
    found = detect(*images, "--out", out)
    records = found.json
    assert found.code == 130
    assert found.err == "featherface: interrupted after 2 of 5 images, which are kept\n"
    assert [record["picture"] for record in records] == list(map(str, images[:2]))
    assert json.loads((out / "faces.json").read_text(encoding="utf-8")) == records
    assert len((out / "faces.jsonl").read_bytes().splitlines()) == 2


def test_an_unreadable_image_is_reported_after_the_others(
    detect: Any, images: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(images[0].read_bytes()[:50])
    missing = tmp_path / ("x" * 300)
    found = detect(broken, missing, images[0])
    assert found.code == 2
    assert [record["picture"] for record in found.json] == [str(images[0])]
    first, second = found.err.splitlines()
    assert "too long" in first
    assert str(broken) in second


@pytest.mark.skipif(sys.platform != "linux", reason="names that other systems do not allow")
@pytest.mark.parametrize("name", ["caf\udce9.png", "p [red].png", "a[/b].png", "x" * 251 + ".png"])
def test_names_are_taken_as_they_are(
    call: Any, checkpoint: Path, images: list[Path], tmp_path: Path, name: str
) -> None:
    image = tmp_path / name.replace("/", os.sep)
    image.parent.mkdir(exist_ok=True)
    image.write_bytes(images[0].read_bytes())
    given = ("detect", image, "--weights", checkpoint, "--runtime", "torch")
    (record,) = call(*given, "--out", tmp_path / "found", "--json", "-").json
    assert record["picture"] == str(image)
    assert Path(record["annotated"]).is_file()
    assert printable(image)[:100] in call(*given).out.replace("\n", "")


def test_the_portraits_face_is_found(
    call: Any, tmp_path: Path, weights: Path, portrait: Path
) -> None:
    given = ("detect", portrait, "--weights", weights / "official.pth", "--out", tmp_path)
    (record,) = call(*given, "--json", "-").json
    (face,) = record["faces"]
    assert face["score"] > 0.99
    x1, y1, x2, y2 = face["box"]
    assert all(x1 < x < x2 and y1 < y < y2 for x, y in face["landmarks"])
    with Image.open(portrait) as image, Image.open(record["annotated"]) as drawn:
        assert drawn.size == image.size


SIDE = 48  # pixels of the face in a frame


@pytest.fixture
def frame(portrait: Path) -> Callable[..., Image.Image]:
    """Makes frames with the portrait's face in the middle of the left or the right half."""
    with Image.open(portrait) as image:
        face = image.convert("RGB").crop((150, 100, 370, 340)).resize((SIDE, SIDE))

    def make(size: tuple[int, int], on_the_right: bool, level: int = 90) -> Image.Image:
        made = Image.new("RGB", size, (level, 90, 0))
        made.paste(face, (size[0] * (1 + 2 * on_the_right) // 4 - SIDE // 2, (size[1] - SIDE) // 2))
        return made

    return make


SIDES = [False, True, True, False, True]
"""Of each frame of the clip, whether its face is on the right: no other order is like it."""


@pytest.fixture
def clip(tmp_path: Path, frame: Callable[..., Image.Image]) -> Path:
    """Five frames of an odd size at ten a second."""
    pytest.importorskip("av")
    from analysis.cli.video import write_video

    with write_video(tmp_path / "clip.mp4", Fraction(10)) as add:
        for i, on_the_right in enumerate(SIDES):
            add(frame((145, 81), on_the_right, 50 * i))
    return tmp_path / "clip.mp4"


def _sides(records: list[dict[str, Any]], width: int) -> list[bool]:
    """Whether the one face of each frame is on the right, where it must be in the middle."""
    sides = []
    for record in records:
        (face,) = record["faces"]
        x1, _, x2, _ = face["box"]
        sides.append(x1 + x2 > width)
        assert (x1 + x2) / 2 == pytest.approx(width * (1 + 2 * sides[-1]) / 4, abs=SIDE / 4)
    return sides


def _levels(path: Path) -> list[float]:
    from analysis.cli.video import open_video

    with open_video(path) as video:
        assert video.rate == 10
        return [frame.pixels[:5, :, 0].mean() for frame in video.frames]  # above the face


def test_each_frame_of_a_video_is_a_record(call: Any, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    records = call("detect", clip, "--out", out, "--json", "-").json
    assert [record["frame"] for record in records] == list(range(5))
    assert _sides(records, 145) == SIDES
    assert [record["seconds"] for record in records] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert json.loads((out / "faces.json").read_text(encoding="utf-8")) == records
    (annotated,) = {record["annotated"] for record in records}
    assert _levels(Path(annotated)) == pytest.approx([0, 50, 100, 150, 200], abs=6)


def test_a_video_of_many_frames_gets_a_network_for_the_first_size(
    call: Any, clip: Path, frame: Callable[..., Image.Image], monkeypatch: Any
) -> None:
    from analysis.cli import video

    # Some of another size; 40 together are enough for two threads to share them.
    sizes = [(144, 80)] * 40 + [(144, 96)] * 2 + [(144, 80)] * 3
    sides = [i % 3 == 1 or i % 7 == 0 for i in range(len(sizes))]
    counts = [None, len(sizes)]  # as many are too few for a network of their own

    @contextmanager
    def opened(_: Path) -> Iterator[video.Video]:
        frames = (np.asarray(frame(*each)) for each in zip(sizes, sides, strict=True))
        shown = (video.Frame(i, i / 2, pixels) for i, pixels in enumerate(frames))
        yield video.Video(shown, counts.pop(0), Fraction(2))

    monkeypatch.setattr(video, "open_video", opened)
    made: list[tuple[int, int]] = []
    original = Detector.for_size
    monkeypatch.setattr(
        Detector,
        "for_size",
        lambda self, *size: made.append(size) or original(self, *size),  # type: ignore[func-returns-value]
    )
    while counts:
        records = call("detect", clip, "--threads", 2, "--json", "-").json
        assert [(record["frame"], record["seconds"]) for record in records] == [
            (i, i / 2) for i in range(len(sizes))
        ]
        assert _sides(records, 144) == sides
        assert made == [(80, 144)]


def test_an_interrupted_video_can_be_played(
    detect: Any, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Detector, images: Iterable[Any]) -> Iterator[Any]:
        yield from (self(image) for image in islice(images, 3))
        raise KeyboardInterrupt

    monkeypatch.setattr(Detector, "stream", interrupted)
    found = detect(clip, "--out", tmp_path / "found")
    records = found.json
    assert found.code == 130
    assert len(records) == 3
    assert len(_levels(Path(records[0]["annotated"]))) == 3
    assert not list((tmp_path / "found").glob(".part*"))


@pytest.mark.parametrize(
    "content", [b"", b"no video", b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n"]
)
def test_what_is_no_video_is_refused(detect: Any, tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("av")
    (tmp_path / "x.mp4").write_bytes(content)
    found = detect(tmp_path / "x.mp4", "--out", tmp_path / "out")
    assert (found.code, found.json) == (2, [])
    assert found.err.count("\n") == 1
    assert "x.mp4" in found.err


def test_a_damaged_video_keeps_the_frames_before_the_damage(
    detect: Any, clip: Path, tmp_path: Path
) -> None:
    content = clip.read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[: len(content) // 2])
    found = detect(tmp_path / "half.mp4", tmp_path / "none.mp4")
    assert found.code == 2
    assert found.err.count("\n") == 2


def test_a_camera_that_is_not_there_is_one_line(detect: Any) -> None:
    pytest.importorskip("av")
    found = detect("camera:99")
    assert (found.code, found.json) == (2, [])
    assert found.err.count("\n") == 1
    assert "camera:99" in found.err


def test_a_url_is_not_opened(detect: Any) -> None:
    found = detect("https://example.invalid/x.png")
    assert (found.code, found.json) == (2, [])
    assert found.err.count("\n") == 1
    assert "https://example.invalid/x.png: URLs are not opened" in found.err
