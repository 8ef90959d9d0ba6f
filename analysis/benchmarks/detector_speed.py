"""Speed of networks and detector as ratios to the authors' code, measured in one run.

Everything compared takes turns, run by run, so that whatever else the machine does meets all of it
alike; what is reported are ratios of medians. The authors' code is eager PyTorch with torchvision's
deformable convolution (`authors_way`).
"""

from __future__ import annotations

import copy
import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from analysis.benchmarks import authors_way
from analysis.cost.blocks import network_cost
from analysis.environment import stamp
from analysis.speed.random_network import make_random_network
from analysis.speed.roofline import measure_ceilings
from analysis.speed.running import in_onnx_runtime, in_openvino
from analysis.speed.self_check import OtherLoad, load_doubts
from analysis.speed.setting import Setting, device_of
from analysis.speed.timing import Clock, Rule, summarise, take_turns
from analysis.speed.timing import measure as measure_alone
from featherface.blocks.deform_kernel import DeformKernel, deform_kernel
from featherface.config import CONFIGS
from featherface.detector import Detector
from featherface.errors import InputError
from featherface.images import FloatArray, read_picture
from featherface.model import FeatherFace, load
from featherface.runtimes.cuda_graph import GraphRunner, full_float32
from featherface.runtimes.network import Runtime, TorchNetwork, make_network
from featherface.synthetic import draw_crowd
from featherface.weights.published import CheckpointError

VARIANTS = ("official", "v1", "retinaface")
AUTHORS, OURS = "authors", "ours"
"""Eager PyTorch as the authors have it, and with our deformable kernel."""

RUNTIMES: dict[str, tuple[Runtime, ...]] = {"cpu": ("onnx", "openvino"), "cuda": ("cuda-graph",)}
"""What is compared with them, by type of device."""

FRESH = "fresh"
"""Of weights: random ones, where none are published or at hand."""

CROWD = 48
"""Faces on the image that is made where none is given."""

MTCNN = "facenet-pytorch"
"""MTCNN (Zhang et al. 2016) in PyTorch: a detector whose wheel holds its weights.

It asks for PyTorch below 2.3 and runs with later ones: `pip install --no-deps facenet-pytorch`.
"""

WITHOUT_A_MODEL = {
    "insightface": "2.1",
    "uniface": "4.2.1",
    "mediapipe": "1.2.2",
    "batch-face": "1.5.4",
}
"""Detectors whose wheel, of this version, was searched and holds no weights: they fetch them."""

Ways = dict[str, tuple[DeformKernel, Callable[[], Any]]]
"""Deformable kernel and call of each way, by its name."""


def measure(
    variants: Sequence[str] = VARIANTS,
    size: tuple[int, int] = (640, 640),
    picture: Path | None = None,
    rule: Rule | None = None,
    track: Callable[[Sequence[Any]], Any] = lambda steps: steps,
    device: str = "cpu",
) -> dict[str, Any]:
    """Time networks of one size, and an image to faces, each in all of its ways.

    Args:
        variants: networks; published weights are used where they are at hand, fresh ones else.
        size: height and width, in pixels, from 32.
        picture: a crowd; by default one made of a drawn face, forty-eight times.
        rule: the time for each comparison, and when a median is settled.
        track: wraps the steps, to show progress.
        device: cpu, cuda or cuda:N.

    Returns:
        `networks` (per variant: each way's times, ratios to the authors' way, MACs, GMAC/s, share
        of the ceiling), `pictures` (the same from file to faces with `peers`, or why not),
        `ceiling` (the best matrix product here), `environment`, `rule`, `others_load`, `doubts`.

    Raises:
        InputError: for a size, a variant or an image that cannot be used.
    """
    rule = rule or Rule(seconds=30.0)
    for variant in variants:
        Setting(variant, *size, device=device).check_memory()
    if picture is not None:
        read_picture(picture)  # before taking minutes for the networks
    place = device_of(device)
    steps = [*variants, "picture", "ceiling"]
    networks, found, ceilings = [], {}, {}
    with OtherLoad() as others, full_float32():
        for step in track(steps):
            if step == "picture":
                found = _pictures(picture, rule, place)
            elif step == "ceiling":
                ceilings = measure_ceilings(Setting(device=device), rule)
            else:
                networks.append(_network(step, size, rule, place))
        environment = stamp(place, "float32", "contiguous")
    ceiling = ceilings["gmacs_per_second"]
    above = under_ceiling(networks, ceiling)
    return {
        "benchmark": "detector speed",
        "input": [1, 3, *size],
        "networks": networks,
        "pictures": found,
        "ceiling": {
            "gmacs_per_second": ceiling,
            "of": f"the best square matrix product, float32, by {ceilings['product_by']}",
        },
        "rule": asdict(rule),
        "environment": environment,
        "others_load": others.share,
        "doubts": load_doubts(others.share) + above,
    }


def under_ceiling(networks: Sequence[dict[str, Any]], ceiling: float) -> list[str]:
    """Add its speed and share of the ceiling to each way; returns a doubt for each share above 1.

    Args:
        ceiling: in GMAC/s.
    """
    found = []
    for network in networks:
        for name, way in network["ways"].items():
            if "ms_p50" not in way:
                continue
            way["gmacs_per_second"] = network["macs"] / way["ms_p50"] / 1e6
            way["share_of_ceiling"] = way["gmacs_per_second"] / ceiling
            if way["share_of_ceiling"] > 1:
                found.append(
                    f"{network['variant']}, {name}: {100 * way['share_of_ceiling']:.0f} % of the "
                    "measured ceiling"
                )
    return found


def _network(
    variant: str, size: tuple[int, int], rule: Rule, device: torch.device
) -> dict[str, Any]:
    model, weights = _model(variant)
    eager = TorchNetwork(model, device)
    pixels = (np.random.default_rng(0).random((1, 3, *size), dtype=np.float32) - 0.5) * 255
    ways: Ways = {AUTHORS: ("torchvision", lambda: eager(pixels))}
    if device.type == "cpu":
        ways[OURS] = ("auto", lambda: eager(pixels))
    skipped = {}
    for runtime in RUNTIMES[device.type]:
        try:
            ways[runtime] = ("auto", _in_runtime(runtime, model, weights, pixels, device))
        except InputError as error:
            skipped[runtime] = {"not_measured": str(error)}
    return {
        "variant": variant,
        "weights": weights,
        "macs": network_cost(variant, *size).macs,
        "ways": {**_times(ways, rule), **skipped},
    }


def _model(variant: str) -> tuple[FeatherFace, str]:
    try:
        return load(variant), "published"
    except CheckpointError:
        return make_random_network(CONFIGS[variant]), FRESH


def _in_runtime(
    runtime: Runtime, model: FeatherFace, weights: str, pixels: FloatArray, device: torch.device
) -> Callable[[], Any]:
    if weights != FRESH:
        height, width = pixels.shape[-2:]
        network, _ = make_network(model, runtime, device, size=(height, width))
        return lambda: network(pixels)
    # Fresh weights amplify rounding: two right answers may differ, so they are not compared.
    if runtime == "cuda-graph":
        runner = GraphRunner(model, device)
        return lambda: runner.run(pixels)
    if runtime == "openvino":
        forward = in_openvino(model)
    else:
        forward = in_onnx_runtime(model, "the exported network")
    return lambda: forward(torch.from_numpy(pixels))


def _pictures(picture: Path | None, rule: Rule, device: torch.device) -> dict[str, Any]:
    try:
        model = load("official")
    except CheckpointError as error:
        return {"not_measured": str(error)}
    with tempfile.TemporaryDirectory() as folder:
        path = picture
        if path is None:
            path = Path(folder) / "crowd.png"
            path.write_bytes(make_crowd())
        theirs = copy.deepcopy(model).to(device)
        ours = Detector(model, score_threshold=0.02, runtime="auto", device=device)
        eager = Detector(model, score_threshold=0.02, runtime="torch", device=device)
        ways: Ways = {
            AUTHORS: ("torchvision", lambda: authors_way.detect(theirs, path)),
            OURS: ("auto", lambda: eager.detect_arrays(path)),
        }
        if ours.runtime != "torch":
            ways[ours.runtime] = ("auto", lambda: ours.detect_arrays(path))
        times = _times(ways, rule)
        answer = authors_way.detect(theirs, path)
        with Image.open(path) as opened:
            width, height = opened.size
        return {
            "picture": "made of a drawn face" if picture is None else picture.name,
            "height": height,
            "width": width,
            "faces": {AUTHORS: len(answer.faces), OURS: len(ours.detect_arrays(path).scores)},
            "ways": times,
            "authors_stages_ms": {name: 1e3 * spent for name, spent in answer.seconds.items()},
            "peers": _peers(path, rule) if device.type == "cpu" else [],
        }


def make_crowd(columns: int = 8, tile: int = 128) -> bytes:
    """Return a PNG with `CROWD` drawn faces, smaller and larger, mirrored every second time."""
    face = Image.fromarray(draw_crowd()).crop((20, 40, 320, 340))
    canvas = Image.new("RGB", (columns * tile, CROWD // columns * tile), (90, 100, 110))
    for i in range(CROWD):
        side = tile - 8 * (i % 7)
        one = face.resize((side, side), Image.Resampling.BILINEAR)
        if i % 2:
            one = one.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        canvas.paste(one, (i % columns * tile, i // columns * tile))
    content = io.BytesIO()
    canvas.save(content, "PNG")
    return content.getvalue()


def _times(ways: Ways, rule: Rule) -> dict[str, dict[str, Any]]:
    """Run all ways in turns; returns times, and how many times faster than the authors' each is."""

    def timed(kernel: DeformKernel, run: Callable[[], Any]) -> Callable[[], dict[str, float]]:
        def once() -> dict[str, float]:
            with deform_kernel(kernel):
                return {"ms": Clock().time(run)}

        return once

    times = take_turns({name: timed(*way) for name, way in ways.items()}, rule)
    records = {name: summarise(found["ms"], rule) for name, found in times.items()}
    for record in records.values():
        record["times_faster"] = records[AUTHORS]["ms_p50"] / record["ms_p50"]
    return records


def _peers(picture: Path, rule: Rule) -> list[dict[str, Any]]:
    """Return the times from file to faces of other detectors, or why there are none."""
    records = [_mtcnn(picture, rule)]
    for package, searched in WITHOUT_A_MODEL.items():
        reason = f"its wheel ({searched}) holds no weights of a detector: they are a download"
        records.append({"name": package, "package": package, "not_measured": reason})
    return records


def _mtcnn(picture: Path, rule: Rule) -> dict[str, Any]:
    record: dict[str, Any] = {"name": "MTCNN", "package": MTCNN}
    try:
        record["version"] = version(MTCNN)
    except PackageNotFoundError:
        return {**record, "not_measured": f"not installed: pip install --no-deps {MTCNN}"}
    import facenet_pytorch

    detector = facenet_pytorch.MTCNN(keep_all=True, device="cpu")

    def detect() -> Any:
        with Image.open(picture) as image:
            return detector.detect(np.asarray(image.convert("RGB")))[0]

    boxes = detect()
    times = measure_alone(lambda: Clock().time(detect), rule)
    return {**record, **times, "faces": 0 if boxes is None else len(boxes)}
