"""MACs: small networks counted by hand, the variants by three counters that must agree."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torchvision.ops import deform_conv2d

from analysis.cost.macs import (
    DEFORM_CONV,
    FREE,
    KINDS,
    MAX_SIZE,
    MacCount,
    SizeError,
    count_macs,
    fvcore_macs,
    register_deformable_flops,
    torch_macs,
    trace,
)
from featherface.config import CONFIGS, FeatherFaceConfig
from featherface.errors import InputError
from featherface.model import FeatherFace

HEIGHT, WIDTH = 33, 50
POSITIONS_640 = 80**2 + 40**2 + 20**2  # of the three levels at 640×640

# Measured on the reference implementations; conv + linear, and deformable kernels.
TOTALS_640 = {
    "v1": (966_997_688, 0),
    # v1 with its three 3×3 convolutions made deformable, and one more to predict 18 offsets.
    "v1-deformable": (
        966_997_688 - 74 * 74 * 9 * POSITIONS_640 + 74 * 18 * 9 * POSITIONS_640,
        74 * 74 * 9 * POSITIONS_640,
    ),
    "official": (953_498_176, 290_304_000),
    "no-attention": (792_392_800, 222_264_000),
    "retinaface": (981_145_600, 0),
}


def on_meta(config: FeatherFaceConfig | str) -> FeatherFace:
    with torch.device("meta"):
        return FeatherFace(config)


class Calls(nn.Module):
    """A network that is one function of the picture, which may use `layers`."""

    def __init__(self, function: Callable[[nn.ModuleDict, Tensor], Tensor], **layers: nn.Module):
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.function = function

    def forward(self, pictures: Tensor) -> Tensor:
        return self.function(self.layers, pictures)


class Deformable(nn.Module):
    """A 3→5 deformable 3×3 convolution, steered by one convolution for offsets and mask."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Conv2d(3, 4, 1)
        self.steer = nn.Conv2d(4, 27, 3, padding=1)
        self.weight = nn.Parameter(torch.zeros(5, 4, 3, 3))
        self.after = nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.before(x))
        y, x_shift, mask = self.steer(x).chunk(3, dim=1)
        offset = torch.cat([y, x_shift], dim=1)
        out = deform_conv2d(x, offset, self.weight, padding=1, mask=2 * mask.sigmoid())
        return self.after(out)


# name: network, and its MACs by kind on a (1, 3, 33, 50) picture.
TINY: dict[str, tuple[nn.Module, dict[str, int]]] = {
    "a convolution with bias": (nn.Conv2d(3, 8, 3, padding=1), {"conv": 8 * 33 * 50 * 3 * 9}),
    "stride 2": (nn.Conv2d(3, 8, 3, 2, padding=1), {"conv": 8 * 17 * 25 * 3 * 9}),
    "groups": (nn.Conv2d(3, 6, (1, 5), groups=3), {"conv": 6 * 33 * 46 * 1 * 5}),
    "dilation": (nn.Conv2d(3, 2, 3, dilation=4), {"conv": 2 * 25 * 42 * 3 * 9}),
    "transposed": (nn.ConvTranspose2d(3, 4, 2, 2, bias=False), {"conv": 33 * 50 * 3 * 4 * 4}),
    "transposed, in groups": (
        nn.ConvTranspose2d(3, 6, 3, stride=2, groups=3),
        {"conv": 33 * 50 * 3 * 2 * 9},
    ),
    "linear with bias": (nn.Linear(50, 7), {"linear": 3 * 33 * 50 * 7}),
    "linear without": (nn.Linear(50, 7, bias=False), {"linear": 3 * 33 * 50 * 7}),
    "linear of flat rows": (
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 11)),
        {"linear": 3 * 11},
    ),
    "products in a batch": (
        Calls(lambda _, x: torch.bmm(x[0], x[0].transpose(1, 2))),
        {"linear": 3 * 33 * 33 * 50},
    ),
    "nothing that is counted": (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Sigmoid()), {}),
    "one layer called twice": (
        Calls(lambda layers, x: layers["conv"](layers["conv"](x)), conv=nn.Conv2d(3, 3, 1)),
        {"conv": 2 * 3 * 33 * 50 * 3},
    ),
    "deformable": (
        Deformable(),
        {
            "conv": (4 * 3 + 27 * 4 * 9 + 2 * 5) * 33 * 50,
            "offset_and_mask_conv": 27 * 4 * 9 * 33 * 50,
            "deformable_kernel": 5 * 4 * 9 * 33 * 50,
            "sampling": 4 * 9 * 4 * 33 * 50,
        },
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_tiny_networks(name: str) -> None:
    network, expected = TINY[name]
    count = count_macs(network, HEIGHT, WIDTH)
    everything = dict.fromkeys([*KINDS, "offset_and_mask_conv", "sampling"], 0) | expected
    assert count.by_kind == everything
    assert count.total == sum(expected.get(kind, 0) for kind in KINDS)
    assert count.uncounted == {}


@pytest.mark.parametrize("name", TINY)
def test_other_counters_agree_on_tiny_networks(name: str) -> None:
    network, _ = TINY[name]
    total = count_macs(network, HEIGHT, WIDTH).total
    fvcore = fvcore_macs(network, HEIGHT, WIDTH)
    assert fvcore.uncounted == {}
    assert (fvcore.total, torch_macs(network, HEIGHT, WIDTH).total) == (total, total)


def test_deformable_stride_and_groups() -> None:
    class Strided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.offset = nn.Conv2d(3, 8, 3, 2)
            self.weight = nn.Parameter(torch.zeros(6, 1, 2, 2))

        def forward(self, x: Tensor) -> Tensor:
            return deform_conv2d(x[..., 1:, 1:], self.offset(x), self.weight, stride=2)

    # 34×52 → 16×25 for the 3×3 with stride 2; 33×51 → 16×25 for the 2×2 with stride 2.
    count = count_macs(Strided(), 34, 52)
    assert count.by_kind == {
        "conv": 8 * 16 * 25 * 3 * 9,
        "linear": 0,
        "deformable_kernel": 6 * 16 * 25 * 1 * 4,  # one input channel a group
        "offset_and_mask_conv": 8 * 16 * 25 * 3 * 9,
        "sampling": 4 * 4 * 3 * 16 * 25,  # but all three are sampled
    }


def test_batch_multiplies_everything() -> None:
    one, five = (count_macs(Deformable(), HEIGHT, WIDTH, batch) for batch in (1, 5))
    assert five.by_kind == {kind: 5 * macs for kind, macs in one.by_kind.items()}
    assert fvcore_macs(Deformable(), HEIGHT, WIDTH, 5).total == 5 * one.total
    assert torch_macs(Deformable(), HEIGHT, WIDTH, 5).total == 5 * one.total


def test_by_module() -> None:
    count = count_macs(Deformable(), HEIGHT, WIDTH)
    assert {path: sum(kinds[k] for k in KINDS) for path, kinds in count.by_module.items()} == {
        "before": 4 * 3 * 33 * 50,
        "steer": 27 * 4 * 9 * 33 * 50,
        "": 5 * 4 * 9 * 33 * 50,
        "after": 2 * 5 * 33 * 50,
    }
    assert count.below("") == count.by_kind
    assert count.below("steer") == count.by_module["steer"]
    assert set(count.below("no such module").values()) == {0}


def test_below_does_not_take_a_name_for_its_beginning() -> None:
    network = Calls(
        lambda layers, x: layers["ab"](layers["a"](x)), a=nn.Conv2d(3, 3, 1), ab=nn.Conv2d(3, 1, 3)
    )
    count = count_macs(network, HEIGHT, WIDTH)
    assert count.below("layers.a")["conv"] == 3 * 33 * 50 * 3
    assert count.below("layers")["conv"] == count.total


def test_an_operator_belongs_to_the_module_that_applies_it() -> None:
    network = Calls(
        lambda layers, x: F.conv2d(x, layers["conv"].weight), conv=nn.Conv2d(3, 2, 3, bias=False)
    )
    assert list(count_macs(network, HEIGHT, WIDTH).by_module) == [""]


def test_unknown_operators_are_listed() -> None:
    network = Calls(
        lambda layers, x: layers["conv"](x.cumsum(2).cumsum(3)), conv=nn.Conv2d(3, 2, 1)
    )
    count = count_macs(network, HEIGHT, WIDTH)
    assert count.uncounted == {"aten::cumsum": 2}
    assert "aten::cumsum" not in count.free
    assert count.total == 2 * 3 * 33 * 50
    assert fvcore_macs(network, HEIGHT, WIDTH).uncounted == {"aten::cumsum": 2}


def test_weighted_interpolation_is_not_free() -> None:
    network = nn.Upsample(scale_factor=2, mode="bilinear")
    assert list(count_macs(network, HEIGHT, WIDTH).uncounted) == ["aten::upsample_bilinear2d"]


def test_in_place_operators_share_the_entry() -> None:
    count = count_macs(nn.ReLU(inplace=True), HEIGHT, WIDTH)
    assert count.uncounted == {}
    assert count.free["aten::relu_"] == 1


def test_free_operators_are_counted_by_call() -> None:
    network = nn.Sequential(nn.ReLU(), nn.Sigmoid(), nn.ReLU())
    assert count_macs(network, HEIGHT, WIDTH).free["aten::relu"] == 2


def test_free_groups_do_not_overlap() -> None:
    names = [name for group in FREE.values() for name in group.operators]
    assert len(names) == len(set(names))
    assert all(group.reason for group in FREE.values())


def test_parts_must_add_up() -> None:
    count = count_macs(nn.Conv2d(3, 2, 1), HEIGHT, WIDTH)
    with pytest.raises(AssertionError):
        dataclasses.replace(count, total=count.total + 1)
    with pytest.raises(AssertionError):
        dataclasses.replace(count, by_module={})


def test_network_is_not_touched() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).train()
    before = {name: x.clone() for name, x in network.state_dict().items()}
    for counter in (count_macs, fvcore_macs, torch_macs):
        counter(network, HEIGHT, WIDTH)
    assert all(module.training for module in network.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    for name, x in network.state_dict().items():
        assert torch.equal(x, before[name]), name  # and so on the CPU, still


def test_as_dict_is_json() -> None:
    count = count_macs(Deformable(), HEIGHT, WIDTH)
    assert MacCount(**json.loads(json.dumps(count.as_dict()))) == count


def test_trace_lists_module_calls() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Identity())
    calls = {call.module: call for call in trace(network, HEIGHT, WIDTH).modules}
    assert calls["0"].output_shapes == ((1, 2, 31, 48),)
    assert calls["0"].output_bytes == 2 * 31 * 48 * 4
    assert calls["1"].output_shapes == ((1, 2, 31, 48),)
    assert calls["1"].output_bytes == 0  # its input, handed on
    assert calls[""].output_bytes == 2 * 31 * 48 * 4


@pytest.mark.parametrize("variant", CONFIGS)
def test_totals_of_the_variants(variant: str) -> None:
    count = count_macs(on_meta(variant), 640, 640)
    products, kernels = TOTALS_640[variant]
    assert count.by_kind["conv"] + count.by_kind["linear"] == products
    assert count.by_kind["deformable_kernel"] == kernels
    assert count.total == products + kernels


def test_official_costs_more_than_the_baseline_only_with_its_deformable_kernels() -> None:
    official, baseline = (count_macs(on_meta(v), 640, 640) for v in ("official", "retinaface"))
    assert official.total - official.by_kind["deformable_kernel"] < baseline.total < official.total


def test_offsets_and_masks_of_official() -> None:
    kinds = count_macs(on_meta("official"), 640, 640).below("context")
    inputs = 64 + 64 + 3 * 16  # of the five deformable convolutions of a level
    assert kinds["offset_and_mask_conv"] == (18 + 9) * 9 * inputs * POSITIONS_640 == kinds["conv"]
    assert kinds["deformable_kernel"] == 9 * (64 * 32 + 64 * 16 + 3 * 16 * 16) * POSITIONS_640
    assert kinds["sampling"] == 4 * 9 * inputs * POSITIONS_640


@pytest.mark.parametrize("size", [(640, 640), (97, 131)])
@pytest.mark.parametrize("variant", CONFIGS)
def test_counters_agree(variant: str, size: tuple[int, int]) -> None:
    model = FeatherFace(variant)
    ours = count_macs(model, *size)
    fvcore = fvcore_macs(model, *size)
    assert ours.uncounted == {}
    assert fvcore.uncounted == {}
    assert (fvcore.total, torch_macs(model, *size).total) == (ours.total, ours.total)
    assert fvcore.by_operator.get("deform_conv2d", 0) == ours.by_kind["deformable_kernel"]


@pytest.mark.parametrize(
    "config",
    [
        FeatherFaceConfig(channels=8, attention="none", context="none", shuffle="none", cells=1),
        FeatherFaceConfig(channels=10, attention="backbone", context="plain", shuffle="free"),
        FeatherFaceConfig(channels=22, attention="pyramid", context="dcnv1", anchors=1),
        FeatherFaceConfig(channels=30, context="dcnv2", shuffle_order="interleave", anchors=3),
        FeatherFaceConfig(channels=68, context="ssh-dcnv1", pyramid="fpn"),
    ],
    ids=lambda config: f"{config.channels}-{config.context}",
)
def test_every_operator_of_other_architectures_is_known(config: FeatherFaceConfig) -> None:
    count = count_macs(on_meta(config), 47, 96)
    assert count.uncounted == {}
    assert torch_macs(on_meta(config), 47, 96).total == count.total


@pytest.mark.parametrize("counter", [count_macs, fvcore_macs, torch_macs, trace])
@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((31, 640), "height (=31) must be from 32 to"),
        ((640, 0), "width (=0) must be from 32 to"),
        ((-640, 640), "height (=-640) must be from 32 to"),
        ((640, MAX_SIZE + 1), f"width (={MAX_SIZE + 1}) must be from 32 to {MAX_SIZE}"),
        ((640.0, 640), "height (=640.0) must be an integer"),
        ((640, True), "width (=True) must be an integer"),
        ((640, 640, 0), "batch (=0) must be from 1 to"),
    ],
)
def test_sizes_that_cannot_be(
    counter: Callable[..., object], size: tuple[int, ...], message: str
) -> None:
    with pytest.raises(SizeError) as error:
        counter(nn.Conv2d(3, 1, 1), *size)
    assert isinstance(error.value, InputError)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("variant", CONFIGS)
def test_largest_size(variant: str) -> None:
    model = on_meta(variant)
    # Convolutions grow with the area, linear layers not at all.
    small, large = count_macs(model, 32, 32).by_kind, count_macs(model, MAX_SIZE, MAX_SIZE).by_kind
    area = (MAX_SIZE // 32) ** 2
    growth = {"linear": 1}
    assert large == {kind: macs * growth.get(kind, area) for kind, macs in small.items()}


@pytest.fixture
def registry() -> Iterator[dict[object, object]]:
    """The formulas that every `FlopCounterMode` uses, put back afterwards."""
    saved = dict(flop_registry)
    yield flop_registry
    flop_registry.clear()
    flop_registry.update(saved)


def flops_as_installed(network: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, HEIGHT, WIDTH))
    return counter.get_total_flops()


def test_registering_the_formula(registry: dict[object, object]) -> None:
    count = count_macs(Deformable(), HEIGHT, WIDTH)
    kernels = count.by_kind["deformable_kernel"]
    assert flops_as_installed(Deformable()) == 2 * (count.total - kernels)
    register_deformable_flops()
    assert flops_as_installed(Deformable()) == 2 * count.total
    register_deformable_flops()  # a second time changes nothing
    assert flops_as_installed(Deformable()) == 2 * count.total


def test_counting_registers_nothing(registry: dict[object, object]) -> None:
    torch_macs(Deformable(), HEIGHT, WIDTH)
    assert DEFORM_CONV not in registry
