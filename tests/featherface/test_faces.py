"""Results: arrays, tables, crops and alignment; images in all the ways they come in numbers."""

from __future__ import annotations

import io
import math
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

import featherface
from featherface import Detector, Face, FeatherFace, InputError, Results, Transform, load
from featherface.faces import _TEMPLATE, Source
from featherface.images import MAX_NETWORK_PIXELS, FloatArray, PictureError, preprocess
from featherface.pipeline import in_order
from featherface.runtimes.network import OnnxNetwork, RawDetections
from featherface.synthetic import draw_crowd
from featherface.weights.published import PUBLISHED

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(FeatherFace("retinaface"), score_threshold=0.1, max_faces=5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(6):
        Image.fromarray(np.roll(draw_crowd()[:90, :120], 9 * i, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_many_images_in_any_form_are_a_list(detector: Detector, folder: Path) -> None:
    paths = sorted(folder.glob("*.png"))
    expected = [detector(path) for path in paths]
    assert len({tuple(results) for results in expected}) == len(paths)
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    ways = {
        "list": paths,
        "generator": (path for path in paths),
        "folder": folder,
        "pattern": str(folder / "*.png"),
        "array": pixels,
        "tensor": torch.from_numpy(pixels).permute(0, 3, 1, 2),
        "bytes": [path.read_bytes() for path in paths],
        "open files": [io.BytesIO(path.read_bytes()) for path in paths],
    }
    wrong = [way for way, images in ways.items() if detector(images) != expected]
    assert wrong == []
    assert detector(paths[0].read_bytes()) == expected[0]
    assert list(detector.stream(paths)) == expected
    assert detector([]) == []


def test_nothing_to_read_is_one_line(detector: Detector, tmp_path: Path) -> None:
    for images in (tmp_path, str(tmp_path / "*.jpg")):
        with pytest.raises(PictureError, match="no images there"):
            detector(images)
    with pytest.raises(PictureError):
        detector(tmp_path / "missing.jpg")


@pytest.fixture(scope="module", params=["torch", "onnx"])
def streaming(request: pytest.FixtureRequest) -> Detector:
    """In ONNX Runtime, three images at once."""
    torch.manual_seed(0)
    return Detector(
        FeatherFace("retinaface"),
        runtime=request.param,
        device="cpu",
        threads=3,
        score_threshold=0.1,
        max_faces=5,
    )


def cut_outs(count: int) -> list[np.ndarray]:
    """Images of many sizes and costs."""
    crowd = draw_crowd()
    return [crowd[: 40 + 90 * (i % 5), : 600 - 130 * (i % 3)] for i in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [MAX_NETWORK_PIXELS, 3 * 400 * 300])
def test_a_stream_finds_what_a_loop_finds_in_order(
    streaming: Detector, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the larger images are computed one by one."""
    given = cut_outs(25)
    expected = [streaming(image) for image in given]
    assert len({tuple(found) for found in expected}) > 10
    monkeypatch.setattr("featherface.detector.MAX_NETWORK_PIXELS", limit)
    for found in (streaming.stream(given), streaming.stream(iter(given), ahead=1)):
        for faces, same in zip(found, expected, strict=True):
            assert [face.box for face in faces] == [
                pytest.approx(face.box, abs=1e-3) for face in same
            ]
            assert [face.score for face in faces] == [
                pytest.approx(face.score, abs=1e-5) for face in same
            ]


def test_as_many_images_at_once_as_threads(
    streaming: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, lock = 0, 0, threading.Lock()
    original = OnnxNetwork.__call__

    def counted(network: OnnxNetwork, pixels: FloatArray) -> RawDetections:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        found = original(network, pixels)
        with lock:
            under_way -= 1
        return found

    monkeypatch.setattr(OnnxNetwork, "__call__", counted)
    list(streaming.stream(cut_outs(24)))
    assert most == (3 if streaming.runtime == "onnx" else 0)
    most = 0
    list(streaming.stream(dict(enumerate(cut_outs(2))).values()))  # few, and of no index
    assert most == (1 if streaming.runtime == "onnx" else 0)
    most = 0
    monkeypatch.setattr("featherface.detector.MAX_NETWORK_PIXELS", 1)
    list(streaming.stream(cut_outs(24)))
    assert most == (1 if streaming.runtime == "onnx" else 0)


def test_a_stream_takes_a_little_ahead_and_stops_with_its_reader(
    streaming: Detector, folder: Path
) -> None:
    before = set(threading.enumerate())
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield folder / "0.png"

    for ahead, most in ((3, 3), (None, 6)):
        taken = 0
        stream = streaming.stream(endless(), ahead=ahead)
        for count in range(1, 6):
            next(stream)
            assert taken <= count + most
        assert set(threading.enumerate()) > before
        stream.close()
        assert set(threading.enumerate()) == before


def test_a_stream_fails_at_the_image_that_cannot_be_read(streaming: Detector, folder: Path) -> None:
    given = [folder / "0.png", folder / "notes.txt", *[folder / "1.png"] * 20]
    stream = streaming.stream(given)
    assert next(stream) == streaming(folder / "0.png")
    with pytest.raises(PictureError, match=r"notes\.txt"):
        next(stream)
    assert list(stream) == []


def test_a_stream_can_leave_out_what_cannot_be_read(streaming: Detector, folder: Path) -> None:
    errors: list[Exception] = []
    given = [folder / "0.png", folder / "notes.txt", *[folder / "1.png"] * 20]
    found = list(streaming.stream(given, on_error=errors.append))
    assert found == [streaming(folder / "0.png"), *[streaming(folder / "1.png")] * 20]
    assert ["notes.txt" in str(error) for error in errors] == [True]


def test_a_stream_can_leave_out_an_animation_that_is_damaged(streaming: Detector) -> None:
    errors: list[Exception] = []
    sound, content = Image.fromarray(draw_crowd()[:90, :120]), io.BytesIO()
    sound.save(content, "PNG", save_all=True, append_images=[Image.new("RGB", sound.size)])
    damaged = Image.open(io.BytesIO(content.getvalue()[:5000]))
    assert damaged.is_animated
    found = list(streaming.stream(iter([sound, damaged, sound]), on_error=errors.append))
    assert found == [streaming(sound)] * 2
    assert ["truncated" in str(error) for error in errors] == [True]


def test_a_pipeline_fails_where_its_items_do_whatever_the_failure() -> None:
    class EmptyError(Exception):
        def __bool__(self) -> bool:
            return False

    def items() -> Iterator[int]:
        yield 1
        raise EmptyError

    futures = in_order(str, items(), threads=1, ahead=2)
    assert next(futures).result() == "1"
    with pytest.raises(EmptyError):
        next(futures)


def test_a_stream_fails_where_its_images_do(streaming: Detector, folder: Path) -> None:
    before = set(threading.enumerate())

    def broken() -> Iterator[Path]:
        yield from (folder / "0.png", folder / "1.png")
        raise RuntimeError("the camera is gone")

    stream = streaming.stream(broken())
    for name in ("0.png", "1.png"):  # found before it failed
        assert next(stream) == streaming(folder / name)
    with pytest.raises(RuntimeError, match="the camera is gone"):
        next(stream)
    assert set(threading.enumerate()) == before


def test_frames_in_the_same_memory_are_different_images(
    streaming: Detector, tmp_path: Path
) -> None:
    """As those of a camera with a buffer, and those that Pillow gives of an animation."""
    frames = [np.roll(draw_crowd()[:90, :120], 9 * i, 0) for i in range(6)]
    images = [Image.fromarray(frame) for frame in frames]
    options = {"save_all": True, "append_images": images[1:], "lossless": True}
    for name in ("a.png", "a.webp", "a.tif"):
        images[0].save(tmp_path / name, **options)

    def buffered() -> Iterator[np.ndarray]:
        buffer = np.empty_like(frames[0])
        for frame in frames:
            buffer[:] = frame
            yield buffer

    def drawn() -> Iterator[Image.Image]:
        canvas = Image.new("RGB", images[0].size)
        for image in images:
            canvas.paste(image)
            yield canvas

    expected = [streaming(frame) for frame in frames]
    assert len({tuple(results) for results in expected}) == len(frames)
    ways = {
        "array": buffered(),
        "tensor": (torch.from_numpy(each).permute(2, 0, 1) for each in buffered()),
        "PIL": drawn(),
        **{
            path.name: ImageSequence.Iterator(Image.open(io.BytesIO(path.read_bytes())))
            for path in sorted(tmp_path.iterdir())
        },
    }
    found = {way: streaming(given) for way, given in ways.items()}
    assert [way for way, results in found.items() if results != expected] == []
    assert [
        way
        for way, results in found.items()
        if any(
            (each.source.pixels != frame).any() for each, frame in zip(results, frames, strict=True)
        )
    ] == []


def test_results_convert_print_and_draw(detector: Detector, folder: Path) -> None:
    results = detector(folder / "0.png")
    arrays = detector.detect_arrays(folder / "0.png")
    assert isinstance(results, Results)
    for name in ("boxes", "scores", "landmarks"):
        np.testing.assert_array_equal(getattr(results, name), getattr(arrays, name))
    table = results.to_pandas()
    assert list(table.columns[:7]) == ["x1", "y1", "x2", "y2", "score", "left_eye_x", "left_eye_y"]
    assert table["right_mouth_y"].tolist() == [face.landmarks[4][1] for face in results]
    first, *rest = repr(results).splitlines()
    assert first == f"5 faces on {folder / '0.png'}"
    assert len(rest) == 5
    shown = Image.open(io.BytesIO(results._repr_png_()))
    assert shown.size == (120, 90)
    assert np.array_equal(
        np.asarray(shown), np.asarray(featherface.draw(draw_crowd()[:90, :120], results))
    )
    empty = Results([], results.source)
    assert [a.shape for a in (empty.boxes, empty.scores, empty.landmarks)] == [
        (0, 4),
        (0,),
        (0, 5, 2),
    ]
    assert len(empty.to_pandas()) == 0
    assert pickle.loads(pickle.dumps(results)) == results


def test_a_crop_is_the_box_with_its_margin(detector: Detector) -> None:
    image = np.arange(100 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 80, 3)
    face = Face((10.2, 20.4, 30.0, 60.0), 1.0, (), Source(image))
    assert np.array_equal(np.asarray(face.crop()), image[20:60, 10:30])
    assert np.array_equal(np.asarray(face.crop(0.5)), image[1:80, 0:40])
    with pytest.raises(InputError, match="no pixel"):
        Face((-30, -30, -5, -5), 1.0, (), Source(image)).crop()
    with pytest.raises(InputError, match="not known"):
        Face((1, 1, 2, 2), 1.0, ()).crop()


@pytest.mark.parametrize("size", [112, 224])
@pytest.mark.parametrize(("angle", "scale"), [(0.0, 1.0), (25.0, 2.3), (-140.0, 0.8)])
def test_alignment_brings_the_landmarks_to_the_template(
    size: int, angle: float, scale: float
) -> None:
    turn = scale * np.exp(1j * math.radians(angle))
    centre = 300 + 280j
    points = (_TEMPLATE @ (1, 1j) - (56 + 56j)) * turn + centre
    y, x = np.indices((560, 600))
    blobs = sum(
        np.exp(-(abs(x + 1j * y - point) ** 2) / (2 * (3 * scale) ** 2)) for point in points
    )
    image = np.repeat((255 * blobs).clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
    landmarks = tuple((float(p.real), float(p.imag)) for p in points)
    aligned = np.asarray(Face((0, 0, 1, 1), 1.0, landmarks, Source(image)).align(size))
    assert aligned.shape == (size, size, 3)
    y, x = np.indices((size, size))
    for expected in _TEMPLATE * size / 112:
        near = abs(x + 1j * y - complex(*expected)) < 8 * size / 112
        weight = aligned[..., 0] * near
        found = (x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()
        assert found == pytest.approx(expected, abs=0.2)


def test_the_transform_of_weights_is_the_detectors(folder: Path) -> None:
    transform = PUBLISHED["official"].transforms(size=64)
    assert isinstance(transform, Transform)
    expected = preprocess(np.asarray(Image.open(folder / "0.png")), 64).pixels[0]
    np.testing.assert_array_equal(transform(folder / "0.png").numpy(), expected)


def test_a_network_is_made_with_weights(weights: Path) -> None:
    model = FeatherFace("retinaface", weights=weights / "retinaface.pth")
    expected = load(weights / "retinaface.pth").state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in model.state_dict().items())
    with pytest.raises(InputError, match="weights of retinaface, not of official"):
        FeatherFace("official", weights=weights / "retinaface.pth")


def test_the_drawn_faces_are_found(weights: Path) -> None:
    """So that runtimes are compared where scores are high, without a photograph."""
    for name in ("official", "retinaface", "no-attention"):
        scores = Detector(load(weights / f"{name}.pth"))(draw_crowd()).scores
        assert len(scores) >= 5
        assert scores[2] > 0.98


def test_a_detector_moves(detector: Detector, tmp_path: Path) -> None:
    image = draw_crowd()[:64, :64]
    before = detector(image)
    assert detector.to("cpu") is detector
    assert detector(image) == before
    with pytest.raises(InputError, match="cannot be used"):
        detector.to("cuda:99")
    featherface.export(FeatherFace("retinaface"), tmp_path / "x.onnx")
    with pytest.raises(InputError, match=r"runs on the CPU|cannot be used"):
        Detector(tmp_path / "x.onnx").to("meta")


def test_threads_of_detectors_leave_torchs_own_alone() -> None:
    before = torch.get_num_threads()
    model, image = FeatherFace("retinaface"), draw_crowd()[:64, :64]
    detectors = [Detector(model, threads=n) for n in (1, 2, 3)] * 4
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda detector: detector(image), detectors * 5))
        assert pool.submit(torch.get_num_threads).result() == before
    assert torch.get_num_threads() == before
    assert all(results == found[0] for results in found)


def test_a_model_is_run_by_pytorch_unless_asked() -> None:
    assert Detector(FeatherFace("retinaface")).runtime == "torch"
    assert Detector(FeatherFace("retinaface"), device="cpu", runtime="onnx").runtime == "onnx"


def test_the_hub_gives_networks_and_detectors(weights: Path) -> None:
    path = str(weights / "retinaface.pth")
    network = torch.hub.load(str(ROOT), "featherface", source="local", weights=path)
    assert network.config.variant == "retinaface"
    fresh = torch.hub.load(str(ROOT), "featherface", source="local", weights=None)
    assert fresh.config.variant == "v1"
    found = torch.hub.load(str(ROOT), "detector", source="local", weights=path)(draw_crowd())
    assert len(found) >= 5
