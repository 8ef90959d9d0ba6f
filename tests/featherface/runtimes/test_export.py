"""ONNX files: that they compute what PyTorch does, say what they hold, or do not exist."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from featherface import CONFIGS, Detector, FeatherFace, FeatherFaceConfig, InputError
from featherface.blocks.attention import SpatialGate
from featherface.blocks.deform_kernel import deform_kernel
from featherface.blocks.deformable import DeformConv2d
from featherface.config import ConfigError
from featherface.runtimes import agreement
from featherface.runtimes.agreement import DisagreementError, compare, evaluated
from featherface.runtimes.export import (
    ExportError,
    export,
    exported,
    state_sha256,
)
from featherface.runtimes.onnx_graph import build_graph
from featherface.weights.reading import stated

DEFORMABLE = {"v1": 0, "v1-deformable": 3, "official": 15, "no-attention": 15, "retinaface": 0}


def rough(config: FeatherFaceConfig | str, seed: int = 0) -> FeatherFace:
    """A network in which nothing is at its neutral start: offsets, masks, statistics, fusion."""
    generator = torch.Generator().manual_seed(seed)

    def normal(shape: torch.Size, scale: float) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * scale

    torch.manual_seed(seed)
    model = FeatherFace(config).eval()
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight += normal(module.weight.shape, 0.1)
                module.bias += normal(module.bias.shape, 0.1)
                module.running_mean += normal(module.bias.shape, 0.1)
                module.running_var *= 1 + normal(module.bias.shape, 0.1).abs()
            if isinstance(module, DeformConv2d):
                for conv in filter(None, (module.offset, module.mask)):
                    conv.weight += normal(conv.weight.shape, 0.05)
                    conv.bias += normal(conv.bias.shape, 1.0)
            if isinstance(module, SpatialGate):
                module.conv.weight += normal(module.conv.weight.shape, 0.3)
            if name.startswith("heads.") and isinstance(module, nn.Conv2d):
                module.weight += normal(module.weight.shape, 0.1)
            if name.rpartition(".")[2].startswith("fuse_"):
                module.weight += normal(module.weight.shape, 0.7)  # some below zero
    return model


def session_of(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def run(proto: onnx.ModelProto, pixels: np.ndarray) -> list[np.ndarray]:
    return session_of(proto).run(["boxes", "scores", "landmarks"], {"pictures": pixels})


def pixels(batch: int, height: int, width: int) -> np.ndarray:
    """Smooth, as pictures are, in the range of pixels less their mean."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(-120, 130, (batch, 3, 9, 11)).astype(np.float32))
    return nn.functional.interpolate(coarse, (height, width), mode="bilinear").numpy()


@pytest.mark.parametrize("variant", CONFIGS)
def test_every_variant_agrees_with_pytorch(variant: str, tmp_path: Path) -> None:
    out = tmp_path / f"{variant}.onnx"
    record = export(rough(variant), out)
    assert out.is_file()
    assert record["nodes"].get("DeformConv", 0) == DEFORMABLE[variant]
    onnx_model = onnx.load(out)
    assert [value.name for value in onnx_model.graph.output] == ["boxes", "scores", "landmarks"]
    assert [v.name for v in onnx_model.graph.input] == ["pictures"]
    assert [entry.version for entry in onnx_model.opset_import] == [19]


@pytest.mark.parametrize(
    "config",
    [
        FeatherFaceConfig(channels=20, cells=1, reduction=4, context="ssh-dcnv1", anchors=3),
        FeatherFaceConfig(channels=34, context="dcnv2", attention="pyramid", shuffle="none"),
        FeatherFaceConfig(channels=24, pyramid="fpn", context="none", shuffle="free", anchors=1),
        FeatherFaceConfig(
            channels=80, context="ssh", shuffle_order="interleave", attention="backbone"
        ),
        FeatherFaceConfig(channels=16, context="dcnv1", cells=4, shuffle="none"),
    ],
    ids=lambda config: f"{config.channels}-{config.context}",
)
@pytest.mark.parametrize("lanes", [1, 8, 16])
def test_any_configuration_agrees_with_pytorch(config: FeatherFaceConfig, lanes: int) -> None:
    model = rough(config)
    proto = build_graph(model, lanes)
    session = session_of(proto)
    compare(model, lambda x: session.run(["boxes", "scores", "landmarks"], {"pictures": x}))


@pytest.mark.parametrize("lanes", [1, 16])
def test_channels_that_are_added_are_never_the_largest(lanes: int) -> None:
    """Where all lie below zero, as in places here, one of zeros would be the largest."""
    model = rough(FeatherFaceConfig(channels=2, context="plain", reduction=1, shuffle="none"))
    with torch.no_grad():
        for level in (3, 4, 5):
            last = getattr(model.pyramid.cells[-1], f"conv_p{level}_out")
            last.pointwise.weight[1] = last.pointwise.weight[0]  # so that they have one sign
            last.norm.momentum = 1.0
            last.norm.bias.zero_()
        model.pyramid.cells[-1].train()
        model(torch.from_numpy(pixels(1, 129, 96)))  # brings their mean to zero
        model.eval()
    session = session_of(build_graph(model, lanes))
    compare(model, lambda x: session.run(["boxes", "scores", "landmarks"], {"pictures": x}))


def test_any_size_and_batch() -> None:
    """Every parity at every stride: 32 to 64 pixels, both sides, and more than one picture."""
    model = rough(FeatherFaceConfig(channels=16, cells=2, reduction=4, context="ssh-dcnv2"))
    session = session_of(build_graph(model))
    worst = 0.0
    for i, side in enumerate(range(32, 65)):
        x = pixels(1 + i % 3, side, 96 - side + i % 2)
        with torch.inference_mode(), deform_kernel("torchvision"):
            reference = model(torch.from_numpy(x))
        boxes, scores, _ = session.run(None, {"pictures": x})
        assert boxes.shape == reference.boxes.shape
        worst = max(worst, np.abs(scores - reference.logits.softmax(-1)[..., 1].numpy()).max())
    assert worst < 1e-5


def test_offsets_matter_to_the_exported_graph() -> None:
    """A graph with plain convolutions in the place of deformable ones would not notice."""
    model = rough("official")
    x = pixels(1, 64, 80)
    proto = build_graph(model)
    before = run(proto, x)
    moved = [tensor for tensor in proto.graph.initializer if "predicted.bias" in tensor.name]
    assert len(moved) == 9  # three a level: for a and b1, for b2 and c1, for c2
    for tensor in moved:
        bias = numpy_helper.to_array(tensor).copy()
        bias[:18] += 0.5  # of the first offsets: half a cell down and to the right
        changed = onnx.ModelProto()
        changed.CopyFrom(proto)
        (there,) = (t for t in changed.graph.initializer if t.name == tensor.name)
        there.CopyFrom(numpy_helper.from_array(bias, tensor.name))
        assert np.abs(run(changed, x)[0] - before[0]).max() > 1e-4, tensor.name
        # and it is what PyTorch computes when its offsets move by as much
        branch = tensor.name.split(".")[1:3]
        shifted = evaluated(model)
        conv = getattr(shifted.context.levels[int(branch[0][1]) - 3], branch[1]).conv
        with torch.no_grad():
            conv.offset.bias += 0.5
        with torch.inference_mode(), deform_kernel("torchvision"):
            reference = shifted(torch.from_numpy(x)).boxes
        np.testing.assert_allclose(run(changed, x)[0], reference, rtol=0, atol=1e-5)


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    model = rough("retinaface")
    record = export(model, tmp_path / "r.onnx", described="random, seed 0")
    assert record["sha256"] == hashlib.sha256((tmp_path / "r.onnx").read_bytes()).hexdigest()
    session = onnxruntime.InferenceSession(tmp_path / "r.onnx", providers=["CPUExecutionProvider"])
    said = stated(session.get_modelmeta().custom_metadata_map, "r.onnx")
    assert said["variant"] == "retinaface"
    assert said["weights"] == "random, seed 0"
    assert said["weights_sha256"] == ""
    assert said["state_sha256"] == state_sha256(model) == record["state_sha256"]
    assert FeatherFaceConfig(**json.loads(said["config"])) == model.config
    assert json.loads(said["preprocessing"])["mean"] == [104, 117, 123]
    decoding = json.loads(said["decoding"])
    assert decoding["anchor_sizes"] == [[16, 32], [64, 128], [256, 512]]
    assert decoding["variances"] == [0.1, 0.2]
    assert decoding["strides"] == [8, 16, 32]
    assert json.loads(said["versions"])["torch"] == torch.__version__


def test_the_same_weights_give_the_same_bytes() -> None:
    model = rough("retinaface")
    first, second = (exported(model, {"weights": "", "weights_sha256": ""})[0] for _ in range(2))
    assert first == second


def test_the_hash_of_the_state_is_of_what_counts() -> None:
    model, other = rough("retinaface"), rough("retinaface")
    assert state_sha256(model) == state_sha256(other)
    other.backbone.stem.norm.num_batches_tracked += 1  # of training alone
    assert state_sha256(model) == state_sha256(other)
    with torch.no_grad():
        other.heads.boxes[0].bias[0] += 1e-6
    assert state_sha256(model) != state_sha256(other)


def test_a_mismatch_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: FeatherFace, lanes: int) -> onnx.ModelProto:
        proto = build_graph(model, lanes)
        (bias,) = (t for t in proto.graph.initializer if t.name == "heads.p5.bias")
        values = numpy_helper.to_array(bias).copy()
        values[4] += 1e-3  # the logit of one anchor of the coarsest level
        bias.CopyFrom(numpy_helper.from_array(values, bias.name))
        return proto

    monkeypatch.setattr("featherface.runtimes.onnx_graph.build_graph", wrong)
    (tmp_path / "kept.onnx").write_bytes(b"from before")
    for name in ("new.onnx", "kept.onnx"):
        with pytest.raises(DisagreementError, match=r"differs from PyTorch .* in scores") as caught:
            export(rough("retinaface"), tmp_path / name)
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.onnx"]
    assert (tmp_path / "kept.onnx").read_bytes() == b"from before"


def test_a_graph_that_ignores_offsets_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export known from the field, which puts plain convolutions in their place."""

    def plain(model: FeatherFace, lanes: int) -> onnx.ModelProto:
        stiff = evaluated(model)
        for module in stiff.modules():
            if isinstance(module, DeformConv2d):
                nn.init.zeros_(module.offset.weight)
                nn.init.zeros_(module.offset.bias)
        return build_graph(stiff, lanes)

    monkeypatch.setattr("featherface.runtimes.onnx_graph.build_graph", plain)
    with pytest.raises(DisagreementError):
        export(rough("v1-deformable"), tmp_path / "plain.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*quantize:UserWarning")
def test_networks_that_were_changed_are_exported_as_they_are_or_refused(tmp_path: Path) -> None:
    def replaced(change: Callable[[FeatherFace], object]) -> FeatherFace:
        model = rough("v1")
        change(model)
        return model

    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(rough("v1"))
    export(synchronised, tmp_path / "x.onnx")
    refused = {
        "activation SiLU": replaced(lambda x: setattr(x.backbone.stem, "act", nn.SiLU())),
        "AssertionError": replaced(lambda x: x.context.levels.insert(0, nn.Identity())),
        "is no tensor": torch.ao.quantization.quantize_dynamic(
            rough("v1"), {nn.Linear}, torch.qint8
        ),
    }
    for reason, model in refused.items():
        with pytest.raises(ExportError, match=reason) as caught:
            export(model, tmp_path / "y.onnx")
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]


def test_not_a_number_is_no_agreement() -> None:
    model = evaluated(FeatherFace("retinaface"))
    count = [0]

    def silent(x: np.ndarray) -> list[np.ndarray]:
        count[0] += 1
        with torch.inference_mode():
            out = model(torch.from_numpy(x))
        scores = out.logits.softmax(-1)[..., 1].numpy().copy()
        scores[0, 0] = np.nan
        return [out.boxes.numpy(), scores, out.landmarks.numpy()]

    with pytest.raises(DisagreementError):
        compare(model, silent)
    assert count == [1]


def test_outputs_of_another_shape_are_no_agreement() -> None:
    model = evaluated(FeatherFace("retinaface"))
    few = np.zeros((1, 3, 4), np.float32), np.zeros((1, 3)), np.zeros((1, 3, 10))
    with pytest.raises(DisagreementError, match="shapes"):
        compare(model, lambda _: few)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    model = evaluated(FeatherFace("retinaface"))
    with pytest.raises(ExportError, match="a folder, not a file"):
        export(model, tmp_path)
    export(model, tmp_path / "new" / "folder" / "x.onnx")
    with pytest.raises(InputError, match=r"y\.onnx: cannot be written"):
        export(model, tmp_path / "new" / "folder" / "x.onnx" / "y.onnx")
    assert [path.name for path in tmp_path.rglob("*.onnx")] == ["x.onnx"]


def test_a_variant_without_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no trained weights"):
        export("v1-deformable", tmp_path / "network.onnx")
    with pytest.raises(ConfigError):
        FeatherFace("v2")


@pytest.mark.parametrize("name", ["official", "no-attention", "retinaface"])
def test_published_weights_agree_within_the_tolerance(
    name: str, weights: Path, tmp_path: Path
) -> None:
    record = export(weights / f"{name}.pth", tmp_path / "x.onnx")
    assert record["variant"] == name
    assert record["weights"] == name
    digest = hashlib.sha256((weights / f"{name}.pth").read_bytes()).hexdigest()
    assert record["weights_sha256"] == digest
    differences = record["check"]["max_difference"]
    assert differences["scores"] <= agreement.TOLERANCE.scores == 1e-5
    assert differences["boxes_px"] <= agreement.TOLERANCE.boxes_px == 1e-3


def test_weights_whose_rounding_shows_are_refused(shared: Path, tmp_path: Path) -> None:
    """Random weights whose boxes are 1e15 pixels wide: no two float32 programs agree on them."""
    path = shared / "vectors" / "v1-random.pth"
    if not path.is_file():
        pytest.skip("the reference's random weights are not here")
    with pytest.raises(DisagreementError, match="differs from PyTorch"):
        export(path, tmp_path / "v1.onnx")
    assert list(tmp_path.iterdir()) == []
    with pytest.warns(RuntimeWarning, match="runtime .onnx. is not used"):
        assert Detector(path).runtime == "torch"


@pytest.mark.parametrize("variant", ["v1-deformable", "official"])
def test_offsets_are_bounded_and_nothing_changes(variant: str) -> None:
    bounded = build_graph(rough(variant))
    produced = {name: node for node in bounded.graph.node for name in node.output}
    sources = [produced[n.input[2]] for n in bounded.graph.node if n.op_type == "DeformConv"]
    assert sources
    while any(node.op_type in ("Split", "Reshape") for node in sources):
        sources = [
            produced[node.input[0]] if node.op_type in ("Split", "Reshape") else node
            for node in sources
        ]
    assert {node.op_type for node in sources} == {"Clip"}
    unbounded = onnx.ModelProto()
    unbounded.CopyFrom(bounded)
    clipped = {name: node.input[0] for name, node in produced.items() if node.op_type == "Clip"}
    for node in unbounded.graph.node:
        node.input[:] = [clipped.get(name, name) for name in node.input]
    x = pixels(1, 96, 131)
    for a, b in zip(run(bounded, x), run(unbounded, x), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
@pytest.mark.parametrize("value", [1e38, float("nan")])
def test_no_weight_can_end_the_process(runtime: str, value: float) -> None:
    """Offsets of 1e38 times the input overflow to what is not a number."""
    model = FeatherFace("official").eval()
    for module in model.modules():
        if isinstance(module, DeformConv2d):
            nn.init.normal_(module.offset.weight).data.mul_(value)
    with pytest.raises(InputError, match=r"not finite|NaN|differs"):
        Detector(model, runtime=runtime)(np.full((320, 352, 3), 99, np.uint8))
