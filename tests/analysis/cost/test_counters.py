"""The figures of public counters, and that each difference to ours is the one named."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import DeformConv2d

from analysis.cost.counters import (
    REGISTER,
    CounterRecord,
    ask_counters,
    out_of_the_box,
    reconcile,
)
from featherface.config import CONFIGS, ConfigError, SizeError
from featherface.model import FeatherFace

needs_thop = pytest.mark.skipif(
    importlib.util.find_spec("thop") is None, reason="thop is not installed (extra: test)"
)
DEFORMABLE_KERNELS = 290_304_000  # MACs of official at 640×640
SIZE = (97, 131)


def by_counter(variant: str, *size: int) -> dict[str, CounterRecord]:
    return {record.counter: record for record in out_of_the_box(variant, *size)}


@pytest.fixture(scope="module")
def official() -> dict[str, CounterRecord]:
    return by_counter("official")


@pytest.fixture(scope="module", params=["v1", "official", "retinaface"])
def odd(request: pytest.FixtureRequest) -> tuple[str, dict[str, CounterRecord]]:
    return request.param, by_counter(request.param, *SIZE)


def totals(variant: str, height: int, width: int) -> Counter[str]:
    """Values that each kind of layer puts out or holds, seen by hooks on the real network."""
    seen: Counter[str] = Counter()

    def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        match module:
            case nn.BatchNorm2d():
                seen["normalised"] += output.numel()
                seen["norm_params"] += sum(p.numel() for p in module.parameters())
            case nn.Conv2d() if module.bias is not None:
                seen["conv_biased"] += output.numel()
            case nn.Linear():
                seen["linear_biased"] += output.numel()
            case nn.AdaptiveAvgPool2d():
                seen["pooled"] += inputs[0].numel()
                seen["means"] += output.numel()

    model = FeatherFace(variant).eval()
    for module in model.modules():
        module.register_forward_hook(after)
    with torch.no_grad():
        model(torch.zeros(1, 3, height, width))
    return seen


def test_what_the_counters_say_of_official(official: dict[str, CounterRecord]) -> None:
    said = {name: (r.value, r.params) for name, r in official.items() if name != "thop"}
    assert said == {
        "fvcore": (985_838_976, 592_371),
        "torch": (1_906_996_352, None),
        "torchinfo": (957_496_970, 592_371),
    }
    assert official["torch"].macs == 1_906_996_352 // 2
    assert {name: r.quantity for name, r in official.items()} == {
        "fvcore": "flops",
        "torch": "FLOPs",
        "torchinfo": "mult-adds",
        "thop": "MACs",
    }
    assert [r.per_mac for r in official.values()] == [1, 2, 1, 1]


@needs_thop
def test_what_thop_says_of_official(official: dict[str, CounterRecord]) -> None:
    thop = official["thop"]
    assert (thop.value, thop.params) == (1_013_854_016, 488_661)
    assert thop.params_difference == {"DeformConv2d": -3 * 34_560, "Fusion": -3 * 10}


def test_every_counter_misses_the_deformable_kernels(official: dict[str, CounterRecord]) -> None:
    asked = {name: r for name, r in official.items() if r.value is not None}
    assert {name: r.macs_difference["deformable_kernel"] for name, r in asked.items()} == (
        dict.fromkeys(asked, -DEFORMABLE_KERNELS)
    )
    assert {r.our_macs for r in asked.values()} == {1_243_802_176}


def test_fvcore_admits_what_it_leaves_out(official: dict[str, CounterRecord]) -> None:
    unsupported = official["fvcore"].unsupported
    assert unsupported is not None
    assert unsupported["torchvision::deform_conv2d"] == 3 * 5


def test_differences_are_what_they_are_called(
    odd: tuple[str, dict[str, CounterRecord]],
) -> None:
    """Each item is worked out from what hooks see, without any counter."""
    variant, records = odd
    seen = totals(variant, *SIZE)
    items = {name: dict(record.macs_difference) for name, record in records.items()}
    for record in items.values():
        record.pop("deformable_kernel", None)
    fvcore, torchinfo = items["fvcore"], items["torchinfo"]
    assert fvcore.get("batch_norm", 0) == 2 * seen["normalised"]
    assert torchinfo.get("conv", 0) == seen["conv_biased"]
    assert torchinfo.get("linear", 0) == seen["linear_biased"]
    assert torchinfo.get("BatchNorm2d", 0) == seen["norm_params"]
    assert items["torch"] == {}


@needs_thop
def test_thop_adds_normalisation_and_pooling(
    odd: tuple[str, dict[str, CounterRecord]],
) -> None:
    variant, records = odd
    seen = totals(variant, *SIZE)
    extra = {k: v for k, v in records["thop"].macs_difference.items() if k != "deformable_kernel"}
    expected = {
        "BatchNorm2d": 4 * seen["normalised"],
        "AdaptiveAvgPool2d": seen["pooled"] + seen["means"],
    }
    assert extra == {name: macs for name, macs in expected.items() if macs}


def test_items_that_do_not_add_up_are_refused(official: dict[str, CounterRecord]) -> None:
    with pytest.raises(AssertionError):
        dataclasses.replace(official["fvcore"], macs_difference={})
    with pytest.raises(AssertionError):
        dataclasses.replace(official["fvcore"], params=1)


@needs_thop
def test_reconciliation_of_official() -> None:
    found = reconcile("official")
    groups = {group["type"]: group for group in found["dropped"]}
    level = 9 * (64 * 32 + 64 * 16 + 3 * 16 * 16)
    kernels, fusions = groups.pop("DeformConv2d"), groups.pop("Fusion")
    assert groups == {}
    assert kernels["by_part"] == {f"context.levels.{i}": level for i in range(3)}
    assert kernels["params"] == 3 * level == 103_680
    assert len(kernels["tensors"]) == 3 * 5
    assert fusions["by_part"] == {f"pyramid.cells.{i}": 2 + 2 + 3 + 3 for i in range(3)}
    assert fusions["params"] == 30
    assert (found["params"], found["thop_params"]) == (592_371, 488_661)


@needs_thop
@pytest.mark.parametrize("variant", CONFIGS)
def test_reconciliation(variant: str) -> None:
    found = reconcile(variant)
    parameters = {name: p.numel() for name, p in FeatherFace(variant).named_parameters()}
    dropped: dict[str, int] = {}
    for group in found["dropped"]:
        assert sum(group["by_part"].values()) == group["params"]
        dropped |= group["tensors"]
    # By the rule instead of by thop's totals: tensors whose modules are never called as a layer.
    model = FeatherFace(variant)
    layers = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    owners = {name: model.get_submodule(name.rpartition(".")[0]) for name in parameters}
    expected = {n: parameters[n] for n, owner in owners.items() if not isinstance(owner, layers)}
    assert dropped == expected
    assert found["thop_params"] == found["params"] - sum(expected.values())
    assert json.loads(json.dumps(found)) == found


def test_without_thop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "thop", None)  # importing it raises ImportError
    record = out_of_the_box("v1", 32, 32)[-1]
    assert (record.counter, record.value, record.macs, record.params) == ("thop", None, None, None)
    assert record.reason is not None
    assert record.reason.startswith("thop cannot be imported: ")
    found = reconcile("v1")
    assert (found["params"], found["thop_params"], found["dropped"]) == (487_103, None, [])
    assert found["reason"] == record.reason


def test_records_are_json(official: dict[str, CounterRecord]) -> None:
    for record in official.values():
        assert CounterRecord(**json.loads(json.dumps(record.as_dict()))) == record


class Deformed(nn.Module):
    """torchvision's own module, called as one."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Conv2d(3, 18, 3, padding=1)
        self.deform = DeformConv2d(3, 4, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.deform(x, self.offset(x))


@needs_thop
def test_what_is_registered_is_counted() -> None:
    """The lines for fvcore and torch are run in test_trace, with more networks."""
    import thop

    picture = torch.zeros(1, 3, 9, 9)
    answers = {answer.counter: answer for answer in ask_counters(Deformed(), (picture,))}
    kernel = 4 * 3 * 9 * 81
    assert answers["thop"].macs_difference == {"deformable_kernel": -kernel}
    assert answers["torchinfo"].macs_difference == {"conv": 18 * 81}  # its bias
    seen: dict[str, Any] = {}
    names = {"thop": thop, "model": Deformed(), "images": picture}
    lines = REGISTER["thop"].replace("thop.profile", "said = thop.profile")
    exec(lines.replace("custom_ops", "verbose=False, custom_ops"), names, seen)
    assert seen["said"][0] == answers["thop"].our_macs


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_networks_of_one_layer_of_shared_weights_and_of_torchscript() -> None:
    layer, pair = nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False))
    pair[1].weight = pair[0].weight
    for network, macs in ((layer, 9), (pair, 2 * 9), (torch.jit.script(layer), 9)):
        answers = {a.counter: a for a in ask_counters(network.eval(), (torch.zeros(1, 3),))}
        assert {answer.our_macs for answer in answers.values()} == {macs}
        assert answers["torch"].macs == macs
        if network is pair:  # torchinfo takes the shared weight for two
            assert answers["torchinfo"].params_difference == {"Linear": 9}
        if network is layer and answers["thop"].value is not None:
            assert (answers["thop"].macs, answers["thop"].params) == (9, 0)


def test_a_convolution_has_one_name_also_in_a_traced_network() -> None:
    images = torch.zeros(1, 3, 9, 9)
    traced = torch.jit.trace(nn.Conv2d(3, 2, 3).eval(), images)
    (answer,) = (a for a in ask_counters(traced, (images,)) if a.counter == "torch")
    assert (answer.macs, answer.macs_difference) == (2 * 49 * 27, {})


def test_a_counter_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("torchinfo.summary", fail)
    answers = {a.counter: a for a in ask_counters(nn.Linear(3, 3), (torch.zeros(1, 3),))}
    assert answers["torchinfo"].value is None
    assert answers["torchinfo"].reason == "torchinfo fails: RuntimeError: two lines"
    assert answers["torch"].macs == 9


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="variant"):
        out_of_the_box("v2")
    with pytest.raises(ConfigError, match="variant"):
        reconcile("v2")
    with pytest.raises(SizeError, match="width \\(=31\\)"):
        out_of_the_box("v1", 64, 31)


def test_counting_leaves_the_random_state() -> None:
    before = torch.get_rng_state()
    out_of_the_box("v1", 32, 32)
    reconcile("v1")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_nothing_reaches_the_screen() -> None:
    """Neither thop's notes nor fvcore's log nor a warning, with the filters users have."""
    program = (
        "from analysis.cost.counters import out_of_the_box, reconcile\n"
        "from analysis.cost.blocks import count_macs\n"
        "from featherface.model import FeatherFace\n"
        "out_of_the_box('official', 32, 32), reconcile('official')\n"
        "count_macs(FeatherFace('official'), 32, 32)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
