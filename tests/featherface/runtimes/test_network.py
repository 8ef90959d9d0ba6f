"""Runtimes behind one call, and the cache of exported networks."""

from __future__ import annotations

import copy
import gc
import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featherface import Detector, FeatherFace, InputError, forks
from featherface.config import FeatherFaceConfig
from featherface.images import preprocess
from featherface.model import load, save
from featherface.runtimes import network as runtimes
from featherface.runtimes import onnx_cache, onnx_session, openvino_network
from featherface.runtimes.agreement import DisagreementError
from featherface.runtimes.export import export
from featherface.runtimes.network import OnnxNetwork, TorchNetwork, make_network
from featherface.runtimes.onnx_session import RuntimeUnavailableError
from featherface.runtimes.openvino_network import SIZES, OpenVinoRunner
from featherface.synthetic import draw_crowd

ROOT = Path(__file__).resolve().parents[3]
CPU = torch.device("cpu")
needs_openvino = pytest.mark.skipif(  # without importing it, which would send an event
    importlib.util.find_spec("openvino") is None, reason="the extra `openvino` is not installed"
)
RUNTIMES = ["onnx", pytest.param("openvino", marks=needs_openvino)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEATHERFACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "onnx"


@pytest.fixture(scope="module")
def model() -> FeatherFace:
    torch.manual_seed(0)
    return FeatherFace("retinaface").eval()


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for every network that was really exported."""
    made: list[str] = []
    original = onnx_cache.export.exported

    def counted(network: FeatherFace, *arguments: Any, **options: Any) -> Any:
        made.append(network.config.variant or "")
        return original(network, *arguments, **options)

    monkeypatch.setattr(onnx_cache.export, "exported", counted)
    return made


@pytest.mark.parametrize("size", [(32, 32), (20, 50), (33, 95), (200, 171)])
def test_runtimes_give_the_same_answer(model: FeatherFace, size: tuple[int, int]) -> None:
    pixels = preprocess(draw_crowd()[: size[0], : size[1]]).pixels
    ours, theirs = (make_network(model, runtime, CPU)[0](pixels) for runtime in ("torch", "onnx"))
    for name, tolerance in (("scores", 1e-5), ("boxes", 1e-5), ("landmarks", 1e-5)):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.slow
@needs_openvino
@pytest.mark.parametrize("variant", ["official", "v1-deformable", "retinaface"])
def test_openvino_finds_the_same(variant: str) -> None:
    torch.manual_seed(0)
    network = FeatherFace(variant).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".offset." in name or ".mask." in name:
                parameter.normal_(0, 0.02)
    detector = Detector(network, runtime="openvino", threads=1, score_threshold=0)
    assert detector.runtime == "openvino"
    for image in (draw_crowd(), draw_crowd()[:50, :97]):
        ours, theirs = detector.network(preprocess(image).pixels), TorchNetwork(network, CPU)
        for a, b in zip(ours, theirs(preprocess(image).pixels), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    assert pickle.loads(pickle.dumps(detector))(image) == detector(image)


def test_without_openvino(model: FeatherFace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # its import fails
    with pytest.raises(
        RuntimeUnavailableError, match=r"'openvino' cannot be used: openvino is not"
    ):
        Detector(model, runtime="openvino")
    with pytest.raises(
        InputError, match="runtime 'openvino' runs on the CPU, not on device 'meta'"
    ):
        make_network(model, "openvino", torch.device("meta"))


def test_auto_is_onnx_on_the_cpu(model: FeatherFace, tmp_path: Path) -> None:
    save(model, tmp_path / "x.safetensors")
    assert Detector(tmp_path / "x.safetensors", device="cpu").runtime == "onnx"
    detector = Detector(model, device="cpu", runtime="auto")
    assert detector.runtime == "onnx"
    assert isinstance(detector.network, OnnxNetwork)
    assert detector.network.config == detector.config == model.config


@needs_openvino
def test_auto_is_openvino_for_images_of_one_size(model: FeatherFace) -> None:
    changing = Detector(model, device="cpu", runtime="auto", size=96, score_threshold=0)
    image = draw_crowd()[:80, :120]
    for detector in (
        changing.for_size(80, 120),
        Detector(model, device="cpu", runtime="auto", size=(64, 96), score_threshold=0),
    ):
        assert (detector.runtime, changing.runtime) == ("openvino", "onnx")
        pixels = preprocess(image, (64, 96)).pixels
        for a, b in zip(detector.network(pixels), changing.network(pixels), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
        again = pickle.loads(pickle.dumps(detector))
        # From the first image on, the same kernels.
        assert again(image) == detector(image) == detector(image)
    assert Detector(model, runtime="onnx").for_size(80, 120).runtime == "onnx"
    assert Detector(model, runtime="torch").for_size(80, 120).runtime == "torch"


@needs_openvino
def test_openvino_computes_several_images_of_one_size_at_once(model: FeatherFace) -> None:
    detector = Detector(
        model, device="cpu", runtime="auto", size=(64, 96), threads=2, score_threshold=0.1
    )
    assert detector.runtime == "openvino"
    crowd = draw_crowd()
    images = [crowd[i : i + 90, 2 * i : 2 * i + 120] for i in range(40)]
    one_thread = Detector(
        model, device="cpu", runtime="auto", size=(64, 96), threads=1, score_threshold=0.1
    )
    expected = [one_thread(image) for image in images]
    assert sum(map(len, expected)) > 40
    for found, alone in zip(detector.stream(images), expected, strict=True):
        boxes = [np.array([face.box for face in faces]) for faces in (found, alone)]
        np.testing.assert_allclose(*boxes, atol=1e-3)


@pytest.mark.parametrize("size", [None, pytest.param((64, 96), marks=needs_openvino)])
def test_a_network_changed_otherwise_than_in_its_weights_is_not_taken_from_the_cache(
    size: tuple[int, int] | None,
) -> None:
    model = load("v1")
    image = draw_crowd()[:64, :96]
    given: dict[str, Any] = {"device": "cpu", "size": size, "score_threshold": 0}
    original = Detector(model, runtime="auto", **given)
    assert original.runtime == ("openvino" if size else "onnx")
    hooked, replaced, dilated = (copy.deepcopy(model) for _ in range(3))
    # Two of them compute the same where the coarsest level is one cell, as at the smallest size.
    hooked.backbone.register_forward_hook(lambda _, __, levels: [*levels[:2], levels[2].roll(1, 3)])
    replaced.backbone.stem.act = torch.nn.SiLU()
    conv = dilated.context.levels[2].conv
    conv.dilation = conv.padding = (2, 2)
    for changed in (hooked, replaced, dilated):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            detector = Detector(changed, runtime="auto", **given)
        assert detector.runtime == "torch"
        assert ["differs from PyTorch" in str(each.message) for each in told] == [True] * len(told)
        assert detector(image) == Detector(changed, runtime="torch", **given)(image)
        assert detector(image) != original(image)
    assert Detector(model, runtime="auto", **given)(image) == original(image)


@needs_openvino
def test_networks_for_the_sizes_of_many_clips_are_kept(
    model: FeatherFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []
    original = OpenVinoRunner._compile

    def counted(self: OpenVinoRunner, network: Any) -> Any:
        compiled.append(network.input(0).get_partial_shape())
        return original(self, network)

    monkeypatch.setattr(OpenVinoRunner, "_compile", counted)
    detector = Detector(model, device="cpu", runtime="auto", score_threshold=0, threads=1)
    crowd = draw_crowd()
    sizes = [(64, 96), (96, 64), (64, 96), (96, 64), (80, 80)]
    found = []
    for height, width in sizes:
        one = detector.for_size(height, width)
        assert one.runtime == "openvino"
        found.append(one(crowd[:height, :width]))
    assert len(compiled) == 3
    assert found[:2] == found[2:4]
    alone = Detector(model, runtime="openvino", size=(96, 64), score_threshold=0, threads=1)
    assert alone(crowd[:96, :64]) == found[1]
    again = pickle.loads(pickle.dumps(detector))
    assert (again.runtime, again._for_sizes) == ("onnx", {})
    for side in range(32, 42):
        detector.for_size(side, side)
    assert len(detector._for_sizes) == 8
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(lambda side: detector.for_size(side, 40), [32, 33, 34, 35] * 4))
    assert {one.runtime for one in several} == {"openvino"}
    assert len(detector._for_sizes) == 8
    monkeypatch.setattr("featherface.detector.MAX_NETWORK_PIXELS", 100 * 100 + 60 * 60)
    for side in (60, 61, 100):
        detector.for_size(side, side)
    assert list(detector._for_sizes) == [(100, 100)]
    assert detector.to("cpu")._for_sizes == {}  # holds no memory for another device


@needs_openvino
def test_detectors_for_many_sizes_do_not_take_each_others_kernels(
    model: FeatherFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = Detector(model, device="cpu", runtime="auto", threads=1)
    held = [detector.for_size(32, width) for width in range(32, 34 + SIZES)]
    unused = weakref.ref(detector.for_size(64, 64).network)
    monkeypatch.setattr(OpenVinoRunner, "_compile", None)  # nothing is compiled any more
    for one, width in zip(held * 2, [*range(32, 34 + SIZES)] * 2, strict=True):
        one(np.zeros((32, width), np.uint8))
    detector.for_size(32, 33 + SIZES)
    detector.to("cpu")
    gc.collect()
    assert unused() is None


@needs_openvino
def test_a_detector_for_one_size_stays_one(model: FeatherFace) -> None:
    detector = Detector(model, device="cpu", runtime="auto").for_size(64, 96)
    assert detector.for_size(64, 96).network is detector.network
    assert detector.to("cpu").runtime == "openvino"
    for wrong in ((0, 96), (64, -1), (64.0, 96), ("64", 96)):
        with pytest.raises(InputError, match=r"(height|width) \(="):
            detector.for_size(*wrong)  # type: ignore[arg-type]


@needs_openvino
def test_kernels_that_cannot_be_made(model: FeatherFace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("Exception from\nsrc/plugins/intel_cpu")

    monkeypatch.setattr(OpenVinoRunner, "_compile", fails)
    assert Detector(model, device="cpu", runtime="auto", size=(64, 96)).runtime == "onnx"
    for size in (None, (64, 96)):
        with pytest.raises(InputError, match=r"'openvino' cannot be used: .*Exception from src/"):
            Detector(model, runtime="openvino", size=size)


@needs_openvino
def test_a_failed_call_of_openvino_leaves_it_usable(model: FeatherFace) -> None:
    network = Detector(model, runtime="openvino", size=(64, 96)).network
    with pytest.raises(InputError, match="openvino: "):
        network(np.zeros((1, 4, 64, 96), np.float32))
    assert network(np.zeros((1, 3, 64, 96), np.float32)).boxes.shape[1] == 4


@needs_openvino
def test_kernels_take_bounded_memory(model: FeatherFace, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = OpenVinoRunner(onnx_cache.content(model), 1, one_size=True)
    for height in range(32, 32 + SIZES + 2):
        runner.run(np.zeros((1, 3, height, 32), np.float32))
    assert [shape[2] for shape in runner._fixed] == list(range(34, 34 + SIZES))
    monkeypatch.setattr(openvino_network, "MAX_NETWORK_PIXELS", 2 * 64 * 64)
    for height in (64, 63, 65, 200):
        runner.run(np.zeros((1, 3, height, 64), np.float32))
    assert [shape[2] for shape in runner._fixed] == [200]


@needs_openvino
def test_openvino_leaves_its_threads_to_the_system(model: FeatherFace) -> None:
    """Pinned, those of two processes share cores while others are idle."""
    runner = OpenVinoRunner(onnx_cache.content(model), 2, one_size=True)
    compiled = runner._compiled_for((1, 3, 32, 32))
    assert compiled.get_property("ENABLE_CPU_PINNING") is False


@needs_openvino
@pytest.mark.parametrize("name", ["openvino", "openvino.frontend.onnx"])
def test_a_damaged_openvino_is_not_used(
    model: FeatherFace, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    class Finder:
        def find_spec(self, wanted: str, *_: object) -> None:
            if wanted == name:
                raise AttributeError("numpy has no\nattribute 'bool8'")

    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert Detector(model, device="cpu", runtime="auto", size=(64, 96)).runtime == "onnx"
    with pytest.raises(RuntimeUnavailableError, match="openvino cannot be imported: numpy has no"):
        Detector(model, runtime="openvino")


def test_auto_without_openvino_exports_once(
    model: FeatherFace, exports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # its import fails
    detector = Detector(model, device="cpu", runtime="auto", size=(64, 96))
    assert (detector.runtime, exports) == ("onnx", ["retinaface"])


def test_the_second_detector_takes_the_first_ones_file(
    model: FeatherFace, cache: Path, exports: list[str]
) -> None:
    Detector(model, runtime="onnx")
    (path,) = cache.glob("*.onnx")
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["check"]["max_difference"]["scores"] <= 1e-5  # the proof lies beside the file
    Detector(model, runtime="onnx")
    assert exports == ["retinaface"]
    changed = FeatherFace("retinaface")
    Detector(changed, runtime="onnx")
    assert exports == ["retinaface"] * 2
    assert len(list(cache.glob("*.onnx"))) == 2


def test_networks_of_the_same_tensors_have_files_of_their_own(
    model: FeatherFace, exports: list[str]
) -> None:
    changed = copy.deepcopy(model)
    next(x for x in changed.modules() if isinstance(x, torch.nn.LeakyReLU)).negative_slope = 0.3
    for network in (model, changed, model, changed):
        Detector(network, runtime="onnx")
    assert exports == ["retinaface"] * 2


@pytest.mark.parametrize(
    "damage",
    [
        "truncated",
        "flipped",
        "foreign",
        "another network's",
        "no record",
        "bad record",
        "deep record",
    ],
)
def test_a_damaged_cache_mends_itself(
    model: FeatherFace, cache: Path, exports: list[str], damage: str
) -> None:
    Detector(model, runtime="onnx")
    (path,) = cache.glob("*.onnx")
    record = path.with_suffix(".json")
    whole = path.read_bytes()
    match damage:
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        case "flipped":
            middle = len(whole) // 2
            path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        case "foreign":
            path.write_bytes(b"\x89PNG")
        case "another network's":  # whole, and with its own record
            content, said = onnx_cache.export.exported(FeatherFace("retinaface"), {})
            path.write_bytes(content)
            record.write_text(json.dumps(said))
            exports.pop()
        case "no record":
            record.unlink()
        case "deep record":
            record.write_text("[" * 100_000)
        case "bad record":
            record.write_text('["sha256"]')
    assert Detector(model, runtime="auto").runtime == "onnx"
    assert exports == ["retinaface"] * 2
    assert path.read_bytes() == whole
    assert Detector(model, runtime="auto").runtime == "onnx"
    assert exports == ["retinaface"] * 2


def test_a_cache_that_cannot_be_written_is_done_without(
    model: FeatherFace, cache: Path, exports: list[str]
) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    assert Detector(model, runtime="auto").runtime == "onnx"
    assert Detector(model, runtime="auto").runtime == "onnx"
    assert exports == ["retinaface"] * 2


def test_the_cache_forgets_the_oldest(
    cache: Path, model: FeatherFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_cache, "_KEPT", 2)
    cache.mkdir(parents=True)
    for age in range(3):
        (cache / f"v1-{age:032x}.onnx").write_bytes(b"")
        (cache / f"v1-{age:032x}.json").write_text("{}")
    mine = cache / "mine.onnx"
    mine.write_bytes(b"")
    os.utime(mine, (0, 0))
    Detector(model, runtime="onnx")
    kept = {path.suffix for path in cache.iterdir()}
    assert kept == {".onnx", ".json"}
    assert len(list(cache.glob("*-*.onnx"))) == len(list(cache.glob("*.json"))) == 2
    assert mine.exists()


def test_without_onnxruntime(model: FeatherFace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # its import fails
    detector = Detector(model, device="cpu", runtime="auto")
    assert detector.runtime == "torch"
    assert isinstance(detector.network, TorchNetwork)
    with pytest.raises(RuntimeUnavailableError, match="'onnx' cannot be used: onnxruntime is not"):
        Detector(model, runtime="onnx")


def test_what_is_not_equal_is_not_taken(
    model: FeatherFace, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    def differs(*_: Any) -> Any:
        raise DisagreementError("differs from PyTorch")

    monkeypatch.setattr("featherface.runtimes.agreement.compare", differs)
    with pytest.warns(RuntimeWarning, match="runtime 'onnx' is not used: differs"):
        assert Detector(model, device="cpu", runtime="auto").runtime == "torch"
    with pytest.raises(DisagreementError):
        Detector(model, runtime="onnx")
    assert not cache.exists()


def test_an_exported_file_is_a_detector(model: FeatherFace, tmp_path: Path) -> None:
    export(model, tmp_path / "r.onnx")
    detector = Detector(tmp_path / "r.onnx", score_threshold=0)
    assert detector.runtime == "onnx"
    assert detector.config == model.config
    picture = draw_crowd()[:100, :100]
    assert detector(picture) == Detector(model, score_threshold=0, runtime="onnx")(picture)
    with pytest.raises(InputError, match="an ONNX file is for runtime 'onnx'"):
        Detector(tmp_path / "r.onnx", runtime="torch")


def test_files_that_are_no_exported_networks(model: FeatherFace, tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "x.onnx"
    with pytest.raises(InputError, match=r"x\.onnx: cannot be read"):
        Detector(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"x\.onnx: not an ONNX model"):
        Detector(path)
    export(model, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"x\.onnx: not an ONNX model") as caught:
        Detector(path)
    assert "\n" not in str(caught.value)

    def with_properties(properties: dict[str, str]) -> None:
        proto = onnx.load_from_string(whole)
        stated = {entry.key: entry.value for entry in proto.metadata_props} | properties
        del proto.metadata_props[:]
        for key, value in stated.items():
            if value:
                proto.metadata_props.add(key=key, value=value)
        path.write_bytes(proto.SerializeToString())

    with_properties({"featherface.format": "0"})
    with pytest.raises(InputError, match="exported in format 0, not 2"):
        Detector(path)
    other = json.dumps(asdict(FeatherFaceConfig(anchors=3)))
    with_properties({"featherface.config": other})  # of another network than the graph's
    with pytest.raises(InputError, match=r"x\.onnx: outputs of shapes .* instead of"):
        Detector(path)
    for config in ("", "[]", '{"channels": 0}', '{"strange": 1}', "{"):
        with_properties({"featherface.config": config})
        with pytest.raises(InputError, match="unusable configuration in its metadata"):
            Detector(path)
    with_properties({})
    proto = onnx.load(path)
    node = next(node for node in proto.graph.node if "scores" in node.output)
    node.output[0] = proto.graph.output[1].name = "probabilities"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match=r"x\.onnx: .*scores"):
        Detector(path)
    proto = onnx.load_from_string(whole)
    del proto.metadata_props[:]
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match="not one exported by featherface"):
        Detector(path)


def test_a_session_that_runs_out_of_memory(
    model: FeatherFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def run(self, *_: Any) -> Any:
            raise RuntimeError(f"bfc_arena.cc:360 {'x' * 200} Failed to allocate memory")

    detector = Detector(model, runtime="onnx")
    monkeypatch.setattr(detector.network, "session", Full())
    with pytest.raises(InputError, match="too little memory for 40×40 pixels"):
        detector(np.zeros((40, 40), np.uint8))


@pytest.mark.parametrize("function", ["preprocess", "postprocess"])
def test_too_little_memory_beside_the_network(
    model: FeatherFace, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    detector = Detector(model)
    monkeypatch.setattr(f"featherface.detector.{function}", fails)
    with pytest.raises(InputError, match="too little memory for 50×40 pixels"):
        detector(np.zeros((40, 50), np.uint8))


def test_what_onnxruntime_objects_to_is_one_line(model: FeatherFace) -> None:
    network = make_network(model, "onnx", CPU)[0]
    with pytest.raises(InputError, match="the exported network: "):
        network(np.zeros((1, 4, 40, 40), np.float32))


def test_threads_are_set_and_given_back(model: FeatherFace) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    network = TorchNetwork(model, CPU, before + 1)
    network.model.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    network(np.zeros((1, 3, 32, 32), np.float32))
    assert seen == [before + 1]
    assert torch.get_num_threads() == before
    session = onnx_session.open_session(onnx_cache.content(model), "x", 3)
    assert session.get_session_options().intra_op_num_threads == 3
    for threads in (0, -1, 1.5, True, 100_000):
        with pytest.raises(InputError, match="threads"):
            Detector(model, threads=threads)


def test_no_gpu_is_chosen_in_a_fork_of_a_process_that_has_used_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(forks, "_process", -1)  # a fork, of a process that has not
    assert runtimes.checked_device(None).type == "cuda"
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    assert runtimes.checked_device(None).type == "cpu"


def test_a_network_in_a_fork_sets_one_thread(
    model: FeatherFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    network = TorchNetwork(model, CPU, 3)
    monkeypatch.setattr(forks, "_process", -1)
    torch.set_num_threads(2)
    try:
        network(np.zeros((1, 3, 32, 32), np.float32))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_detector_can_be_pickled(model: FeatherFace) -> None:
    detector = Detector(model, score_threshold=0, threads=1)
    picture = draw_crowd()[:64, :64]
    assert pickle.loads(pickle.dumps(detector))(picture) == detector(picture)


def _find(detector: Detector, picture: np.ndarray, results: Any) -> None:
    threads = torch.get_num_threads()
    found = [detector(picture), *detector.stream([picture] * 24)]
    results.put(([each.scores.tolist() for each in found], threads, torch.get_num_threads()))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(
    ("runtime", "method"),
    [
        ("torch", "forkserver"),
        ("torch", "fork"),
        ("onnx", "fork"),
        pytest.param("openvino", "fork", marks=needs_openvino),
    ],
)
def test_another_process_finds_the_same(runtime: str, method: str) -> None:
    """Also one that lacks the threads which PyTorch had before the fork."""
    code = (
        "import multiprocessing, numpy, torch\n"
        "from featherface import Detector\n"
        "from featherface.synthetic import draw_crowd\n"
        "from tests.featherface.runtimes.test_network import _find\n"
        "torch.set_num_threads(2)\n"
        "picture = draw_crowd()[:200, :200]\n"
        f"detector = Detector('v1', runtime={runtime!r}, threads=2, score_threshold=0.1)\n"
        "detector = detector.for_size(200, 200)\n"
        "expected = [each.scores for each in detector.stream([picture] * 25)]\n"
        f"context = multiprocessing.get_context({method!r})\n"
        "results = context.SimpleQueue()\n"
        "process = context.Process(target=_find, args=(detector, picture, results))\n"
        "process.start()\n"
        "process.join(150)\n"
        "process.kill()\n"
        "assert process.exitcode == 0, process.exitcode\n"
        "found, before, after = results.get()\n"
        "numpy.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)\n"
        f"assert (before, after) == (2, 1) or {method!r} == 'forkserver', (before, after)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_arguments_that_exclude_each_other(model: FeatherFace) -> None:
    with pytest.raises(InputError, match=r"runtime \(='fast'\) must be one of auto, torch"):
        Detector(model, runtime="fast")
    with pytest.raises(InputError, match="runs on the CPU, not on device 'meta'"):
        make_network(model, "onnx", torch.device("meta"))


def test_compiling_where_it_does_not_work(
    model: FeatherFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiles(module: Any, **_: Any) -> Any:
        def call(_: Any) -> Any:
            raise RuntimeError("no C++ compiler\nfound")

        return call

    monkeypatch.setattr(runtimes.torch, "compile", compiles)
    with pytest.raises(InputError, match=r"'compile' cannot be used here: .* no C\+\+ compiler"):
        Detector(model, runtime="compile", device="cpu")


@pytest.mark.slow
def test_compiled_pytorch_gives_the_same_answer(model: FeatherFace) -> None:
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("no C++ compiler is installed")
    network = make_network(model, "compile", CPU)[0]
    for size in ((33, 95), (64, 64), (120, 50)):
        pixels = preprocess(draw_crowd()[: size[0], : size[1]]).pixels
        for a, b in zip(network(pixels), TorchNetwork(model, CPU)(pixels), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def _detect_in_a_fresh_home(folder: Path, runtime: str, seconds: float, *tracer: str) -> None:
    """Run the detector in a runtime, and wait; nothing may be written below the home."""
    home, cache = folder / "home", folder / "cache"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "FEATHERFACE_CACHE": str(cache)}
    code = (
        "import numpy, time, featherface\n"
        "network = featherface.FeatherFace('retinaface')\n"
        f"detector = featherface.Detector(network, runtime={runtime!r})\n"
        "detector(numpy.zeros((64, 64, 3), numpy.uint8))\n"
        f"time.sleep({seconds})\n"
    )
    command = [*tracer, sys.executable, "-c", code]
    assert subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == 0
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert cache.is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_runtime_leaves_no_trace_below_home(tmp_path: Path, runtime: str) -> None:
    """Both would write an identifier there at their import."""
    _detect_in_a_fresh_home(tmp_path, runtime, 2)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_runtime_looks_up_no_host(tmp_path: Path, runtime: str) -> None:
    """Untold, onnxruntime 1.32 looks one up nine seconds after its import."""
    trace = tmp_path / "trace"
    calls = "trace=execve,connect,sendto,sendmsg,sendmmsg"
    _detect_in_a_fresh_home(tmp_path, runtime, 15, "strace", "-fqq", "-e", calls, "-o", str(trace))
    lines = trace.read_text(errors="replace").splitlines()
    assert any("execve(" in line for line in lines)
    assert [line for line in lines if "AF_INET" in line or "htons(53)" in line] == []


def test_an_interrupt_while_onnxruntime_is_imported_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "onnxruntime":
                raise ImportError("numpy.core.multiarray failed to import") from KeyboardInterrupt()

    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(KeyboardInterrupt):
        onnx_session.import_onnxruntime()


def test_an_exported_network_of_a_fixed_size_is_run_at_that_size(
    model: FeatherFace, tmp_path: Path
) -> None:
    import onnx
    from onnxruntime.tools.onnx_model_utils import make_dim_param_fixed

    export(model, tmp_path / "free.onnx")
    proto = onnx.load(tmp_path / "free.onnx")
    for name, size in (("batch", 1), ("height", 64), ("width", 96)):
        make_dim_param_fixed(proto.graph, name, size)
    onnx.save(proto, tmp_path / "fixed.onnx")
    image = draw_crowd()[:64, :96]
    free, fixed = (
        Detector(tmp_path / f"{name}.onnx", score_threshold=0.1) for name in ("free", "fixed")
    )
    assert fixed(image) == free(image) != []
    with pytest.raises(InputError, match=r"fixed\.onnx: "):
        fixed(draw_crowd()[:80, :80])
