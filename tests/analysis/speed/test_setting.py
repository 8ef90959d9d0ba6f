"""Networks that are not ours: their blocks, inputs and records, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.cost.subject import Input
from analysis.speed import roofline
from analysis.speed.growth import measure_growth
from analysis.speed.latency import measure_latency
from analysis.speed.operators import KERNEL, measure_operators
from analysis.speed.roofline import measure_roofline
from analysis.speed.running import entered
from analysis.speed.setting import Setting
from analysis.speed.timing import Rule
from featherface.errors import InputError

SHORT = Rule(seconds=0.0)
IMAGES = (Input((1, 3, 16, 16)),)

OTHERS = """
import torch
from torch import nn
from torchvision.ops import DeformConv2d


class Listed(nn.Module):
    \"""A list of modules, a deformable convolution, and a part that is never called.\"""

    def __init__(self, channels=4):
        super().__init__()
        self.steps = nn.ModuleList([nn.Conv2d(3, channels, 3), nn.Conv2d(channels, 18, 3)])
        self.deform = DeformConv2d(3, 2, 3, padding=2)
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        offset = x
        for step in self.steps:
            offset = step(offset)
        return self.deform(x[..., :-4, :-4], nn.functional.pad(offset, (1, 1, 1, 1)))


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(9, 5)
        self.mix = nn.Linear(5, 5)

    def forward(self, words, scale):
        assert words.dtype == torch.int64 and 0 < scale.mean() < 1
        return self.mix(self.words(words)) * scale


class Picky(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        if x.shape[-1] != 16:
            raise ValueError("takes 16 alone")
        return self.conv(x)

class Leaves(Picky):
    def forward(self, x):
        raise SystemExit(4)



class Mixed(nn.Linear):
    def __init__(self):
        super().__init__(6, 6, dtype=torch.cfloat)
        self.stored = nn.Parameter(torch.ones(6).to(torch.float8_e4m3fn), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x):
        print("runs")
        return super().forward((x * self.scale * self.stored.to(x.dtype)).to(self.weight.dtype))


def in_inference_mode():
    with torch.inference_mode():
        return nn.Linear(6, 6)


def scripted():
    return torch.jit.script(Picky())
"""


@pytest.fixture(autouse=True)
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "others_to_time.py").write_text(OTHERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(roofline, "SIZES", {"cpu": (64,)})
    monkeypatch.setattr(roofline, "COPIES", {"cpu": (2**20,)})


def other(name: str, inputs: tuple[Input, ...] = IMAGES, **changes: Any) -> Setting:
    shape = inputs[0].shape
    size = {"height": shape[-2], "width": shape[-1]} if len(shape) == 4 else {}
    return Setting(model=f"others_to_time:{name}", inputs=inputs, batch=shape[0], **size, **changes)


def test_the_blocks_of_another_network_are_its_children_with_the_members_of_lists() -> None:
    record = measure_latency(other("Listed"), SHORT)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["variant"], record["model"]) == (None, "others_to_time:Listed")
    times = {block["name"]: block["ms_p50"] for block in record["blocks"]}
    assert list(times) == ["steps", "deform", "unused"]
    assert times["steps"] > 0
    assert times["unused"] == 0


def test_a_roofline_counts_what_the_network_is_made_of() -> None:
    setting = other("Listed", arguments={"channels": 6})
    found = measure_roofline(setting, SHORT)
    assert found["settings"] == {"channels": 6}
    macs = {block["name"]: block["macs"] for block in found["blocks"]}
    assert macs["steps"] == 14 * 14 * 9 * 3 * 6 + 12 * 12 * 9 * 6 * 18
    assert macs["unused"] == 0
    assert sum(macs.values()) == found["whole"]["macs"]


def test_a_deformable_convolution_of_torchvision_is_a_deformable_kernel() -> None:
    found = measure_operators(other("Listed"), SHORT)
    (kernel,) = (r for r in found["operators"] if r["operator"] == "torchvision::deform_conv2d")
    assert (kernel["block"], kernel["part"]) == ("deform", KERNEL)
    assert 0 < found["deformable_share"] < 1


def test_inputs_have_names_types_and_the_batch_first() -> None:
    inputs = (Input((2, 7), "int64", "words"), Input((2, 7, 5), None, "scale"))
    record = measure_latency(other("Two", inputs).at(batch=3), SHORT)
    assert record["input"] == [3, 7]
    assert record["inputs"] == [[3, 7], [3, 7, 5]]


def test_inputs_that_begin_with_another_number_have_no_batch() -> None:
    inputs = (Input((5, 6)), Input((2, 8), "int64"), Input((5, 1)))
    setting = Setting(model="others_to_time:Two", inputs=inputs, batch=3)
    assert [each.shape for each in setting.shapes] == [(3, 6), (2, 8), (3, 1)]


def test_complex_and_stored_weights_keep_their_type(capsys: pytest.CaptureFixture[str]) -> None:
    setting = other("Mixed", (Input((2, 6)),), dtype="float64")
    with entered(setting) as subject:
        types = {name: x.dtype for name, x in subject.model.named_parameters()}
        assert subject.images.dtype == types["scale"] == torch.float64
    assert (types["weight"], types["stored"]) == (torch.cfloat, torch.float8_e4m3fn)
    assert measure_latency(setting, SHORT)["whole"]["ms_p50"] > 0
    assert setting.cost().macs == 4 * 2 * 6 * 6
    assert capsys.readouterr().out == ""  # where the records go


def test_weights_made_in_inference_mode_take_another_type() -> None:
    setting = other("in_inference_mode", (Input((2, 6)),), dtype="float64")
    assert measure_latency(setting, SHORT)["whole"]["ms_p50"] > 0
    assert setting.cost().macs == 2 * 6 * 6


def test_inputs_of_8_bits_are_filled() -> None:
    setting = Setting(model="torch.nn:Identity", inputs=(Input((2, 6), "float8_e4m3fn"),), batch=2)
    with entered(setting) as subject:
        assert len(subject.images.float().unique()) > 1


def test_torchscript_is_timed_as_a_whole() -> None:
    record = measure_latency(other("scripted"), SHORT)
    assert record["blocks"] is None
    assert record["whole"]["ms_p50"] > 0
    assert measure_operators(other("scripted"), SHORT)["ms_self_total"] > 0


@pytest.mark.slow
def test_growth_skips_the_sizes_that_a_network_refuses() -> None:
    found = measure_growth(other("Picky"), SHORT, sizes=(16, 32), batches=(2,))
    fits, refused = found["sizes"]
    assert fits["skipped"] is None
    assert "input 1×3×32×32 on cpu cannot be run: ValueError: takes 16 alone" in refused["skipped"]
    assert found["batches"][0]["input"] == [2, 3, 16, 16]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"model": "others_to_time:Missing"}, "has no attribute 'Missing'"),
        (
            {"model": "others_to_time:Picky"},
            r"input 1×3×32×32 on cpu cannot be run: ValueError: takes 16",
        ),
        (
            {"model": "others_to_time:Leaves"},
            r"input 1×3×32×32 on cpu cannot be run: SystemExit: 4",
        ),
        ({"arguments": {"chanels": 3}}, "setting 'chanels' is none of"),
    ],
)
def test_what_cannot_be_made_or_run_is_one_line(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        measure_latency(Setting(height=32, width=32, **setting), SHORT)
    assert "\n" not in str(caught.value)


def test_other_networks_are_not_exported() -> None:
    with pytest.raises(InputError, match="'onnx' runs the variants alone"):
        other("Picky", runtime="onnx")


def test_a_changed_variant_is_what_runs() -> None:
    setting = Setting("v1", height=32, width=32, arguments={"channels": 80})
    with entered(setting) as subject:
        assert subject.model.config.channels == 80
    assert setting.record()["settings"] == {"channels": 80}
