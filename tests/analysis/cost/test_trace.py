"""The trace: small networks counted by hand, the variants by three counters that must agree."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fft, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torchvision._meta_registrations import get_meta_lib
from torchvision.models import squeezenet1_1
from torchvision.ops import deform_conv2d, nms, roi_align

from analysis.cost import CostError, measure, operators, register
from analysis.cost.blocks import count_macs
from analysis.cost.counters import REGISTER
from analysis.cost.operators import KINDS
from analysis.cost.trace import MAX_COMPUTED, count_parameters
from featherface.config import CONFIGS, MAX_SIZE, FeatherFaceConfig, SizeError
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


@pytest.fixture
def torch_knows() -> Iterator[None]:
    """The formula that we give to users is registered with PyTorch's counter, for one test."""
    saved = dict(flop_registry)
    exec(REGISTER["torch"], {"torch": torch})
    yield
    flop_registry.clear()
    flop_registry.update(saved)


def torch_macs(network: nn.Module, picture: Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(picture)
    return counter.get_total_flops() // 2


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def fvcore_macs(network: nn.Module, picture: Tensor) -> int:
    """Convolutions and matrix products by fvcore, and the lines that we give to users."""
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(network.eval(), picture)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    exec(REGISTER["fvcore"], {"analysis": analysis})
    kinds = ("conv", "linear", "addmm", "mm", "matmul", "bmm", "deform_conv2d")
    return int(sum(n for name, n in analysis.by_operator().items() if name in kinds))


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
    assert count.macs_by_kind == everything
    assert count.macs == sum(expected.get(kind, 0) for kind in KINDS)
    assert count.uncounted == {}


@pytest.mark.parametrize("name", TINY)
def test_other_counters_agree_on_tiny_networks(name: str, torch_knows: None) -> None:
    network, _ = TINY[name]
    total = count_macs(network, HEIGHT, WIDTH).macs
    picture = torch.zeros(1, 3, HEIGHT, WIDTH)
    assert (fvcore_macs(network, picture), torch_macs(network, picture)) == (total, total)


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
    assert count.macs_by_kind == {
        "conv": 8 * 16 * 25 * 3 * 9,
        "linear": 0,
        "deformable_kernel": 6 * 16 * 25 * 1 * 4,  # one input channel a group
        "offset_and_mask_conv": 8 * 16 * 25 * 3 * 9,
        "sampling": 4 * 4 * 3 * 16 * 25,  # but all three are sampled
    }


def interleaved(x: Tensor, dy: Tensor, dx: Tensor) -> Tensor:
    offset = x.new_zeros(1, 9, 2, *dx.shape[2:])
    taps = offset.view(1, 18, *dx.shape[2:])
    offset[:, :, 0] = dy
    offset[:, :, 1].add_(dx)
    return taps


@pytest.mark.parametrize(
    "offset",
    [
        interleaved,
        lambda x, *both: F.interpolate(torch.cat(both, 1), (HEIGHT, WIDTH), mode="bilinear"),
    ],
    ids=["written in parts", "enlarged"],
)
def test_steering_is_followed(offset: Callable[..., Tensor]) -> None:
    kernel = torch.zeros(5, 3, 3, 3)

    def deform(layers: nn.ModuleDict, x: Tensor) -> Tensor:
        return deform_conv2d(x, offset(x, layers["dy"](x), layers["dx"](x)), kernel, padding=1)

    steer = {name: nn.Conv2d(3, 9, 3, padding=1) for name in ("dy", "dx")}
    kinds = count_macs(Calls(deform, **steer), HEIGHT, WIDTH).macs_by_kind
    assert kinds["offset_and_mask_conv"] == kinds["conv"] == 2 * 9 * 27 * HEIGHT * WIDTH


def test_batch_multiplies_everything() -> None:
    one, five = (count_macs(Deformable(), HEIGHT, WIDTH, batch) for batch in (1, 5))
    assert five.macs_by_kind == {kind: 5 * macs for kind, macs in one.macs_by_kind.items()}


def test_by_module() -> None:
    cost = count_macs(Deformable(), HEIGHT, WIDTH)
    assert {part.path: sum(part.own_macs.get(k, 0) for k in KINDS) for part in cost.walk()} == {
        "": 5 * 4 * 9 * 33 * 50,
        "before": 4 * 3 * 33 * 50,
        "steer": 27 * 4 * 9 * 33 * 50,
        "after": 2 * 5 * 33 * 50,
    }
    with pytest.raises(KeyError):
        cost["no such module"]


def test_below_does_not_take_a_name_for_its_beginning() -> None:
    network = Calls(
        lambda layers, x: layers["ab"](layers["a"](x)), a=nn.Conv2d(3, 3, 1), ab=nn.Conv2d(3, 1, 3)
    )
    count = count_macs(network, HEIGHT, WIDTH)
    assert count["layers.a"].macs_by_kind["conv"] == 3 * 33 * 50 * 3
    assert count["layers"].macs_by_kind["conv"] == count.macs


def test_an_operator_belongs_to_the_module_that_applies_it() -> None:
    network = Calls(
        lambda layers, x: F.conv2d(x, layers["conv"].weight), conv=nn.Conv2d(3, 2, 3, bias=False)
    )
    cost = count_macs(network, HEIGHT, WIDTH)
    assert (cost.own_macs["conv"], cost["layers.conv"].macs) == (cost.macs, 0)
    assert cost["layers.conv"].own_params == 2 * 3 * 9


def test_unknown_operators_are_listed() -> None:
    network = Calls(
        lambda layers, x: layers["conv"](fft.fft(fft.fft(x).real).real), conv=nn.Conv2d(3, 2, 1)
    )
    cost = count_macs(network, HEIGHT, WIDTH)
    assert cost.uncounted == {"aten::_fft_r2c": 2}
    assert cost.macs == 2 * 3 * 33 * 50


def test_weighted_interpolation_is_sampling() -> None:
    network = nn.Upsample(scale_factor=2, mode="bilinear")
    cost = count_macs(network, HEIGHT, WIDTH)
    assert (cost.macs, cost.macs_by_kind["sampling"]) == (0, 4 * 3 * 66 * 100)


def test_in_place_operators_share_the_entry() -> None:
    assert count_macs(nn.ReLU(inplace=True), HEIGHT, WIDTH).uncounted == {}


def test_free_operators_are_named_once_and_not_counted() -> None:
    names = [name for text in operators.FREE.values() for name in operators._names(text)]
    assert len(names) == len(set(names))
    assert [name for name in names if operators.find_handler(name)] == []


class Stateful(nn.Module):
    """Old weight normalisation, a plain tensor, a list of tensors, and a branch on the data."""

    def __init__(self, branch: bool) -> None:
        super().__init__()
        self.conv = nn.utils.weight_norm(nn.Conv2d(3, 2, 1))
        self.norm = nn.BatchNorm2d(2)
        self.mean = torch.ones(1, 3, 1, 1)
        self.scales = [torch.ones(1), torch.ones(1)]
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        if self.branch and x.sum() > 1e9:
            return x
        return self.norm(self.conv(x - self.mean)) * self.scales[0]


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize("branch", [False, True])
def test_network_is_not_touched(branch: bool) -> None:
    network = Stateful(branch).train()
    attributes = [(part, dict(part.__dict__)) for part in network.modules()]
    before = {name: x.clone() for name, x in network.state_dict().items()}
    random = torch.get_rng_state()
    cost = count_macs(network, HEIGHT, WIDTH)
    assert (cost.macs, cost.device) == (2 * 3 * HEIGHT * WIDTH, "cpu" if branch else "meta")
    assert torch.equal(torch.get_rng_state(), random)
    for part, own in attributes:
        assert part.__dict__.keys() == own.keys()
        assert all(part.__dict__[name] is value for name, value in own.items())
    assert all(part.training for part in network.modules())
    assert not any(m._forward_hooks for m in network.modules())
    for name, x in network.state_dict().items():
        assert torch.equal(x, before[name]), name  # and so on the CPU, still


def test_outputs_of_modules() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Identity())
    cost = count_macs(network, HEIGHT, WIDTH)
    assert cost["0"].output_shapes == cost["1"].output_shapes == ((1, 2, 31, 48),)
    assert cost["0"].output_bytes == cost[""].output_bytes == 2 * 31 * 48 * 4
    assert cost["1"].output_bytes == 0  # its input, handed on
    assert [part.calls for part in cost.walk()] == [1, 1, 1]
    assert cost["0"].bytes_moved == 4 * (3 * 33 * 50 + 2 * 3 * 9 + 2 + 2 * 31 * 48)


def test_a_shared_module_counts_once_and_its_calls_each_time() -> None:
    conv = nn.Conv2d(3, 3, 1)
    cost = count_macs(nn.Sequential(conv, nn.ReLU(), conv), HEIGHT, WIDTH)
    assert (cost.params, cost.macs) == (3 * 3 + 3, 2 * 3 * 33 * 50 * 3)
    assert (cost["0"].calls, [part.path for part in cost.children]) == (2, ["0", "1"])


@pytest.mark.parametrize("variant", CONFIGS)
def test_totals_of_the_variants(variant: str) -> None:
    model = on_meta(variant)
    count = count_macs(model, 640, 640)
    products, kernels = TOTALS_640[variant]
    assert [b.params for b in count.children] == [count_parameters(b) for b in model.children()]
    assert count.macs_by_kind["conv"] + count.macs_by_kind["linear"] == products
    assert count.macs_by_kind["deformable_kernel"] == kernels
    assert count.macs == products + kernels


def test_offsets_and_masks_of_official() -> None:
    kinds = count_macs(on_meta("official"), 640, 640)["context"].macs_by_kind
    inputs = 64 + 64 + 3 * 16  # of the five deformable convolutions of a level
    assert kinds["offset_and_mask_conv"] == (18 + 9) * 9 * inputs * POSITIONS_640 == kinds["conv"]
    assert kinds["deformable_kernel"] == 9 * (64 * 32 + 64 * 16 + 3 * 16 * 16) * POSITIONS_640
    assert kinds["sampling"] == 4 * 9 * inputs * POSITIONS_640


@pytest.mark.parametrize("variant", CONFIGS)
def test_counters_agree(variant: str, torch_knows: None) -> None:
    model, picture = FeatherFace(variant), torch.zeros(1, 3, 97, 131)
    cost = measure(model, picture)
    assert cost.uncounted == {}
    assert (fvcore_macs(model, picture), torch_macs(model, picture)) == (cost.macs, cost.macs)


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
def test_sizes_that_cannot_be(size: tuple[int, ...], message: str) -> None:
    with pytest.raises(SizeError) as error:
        count_macs(nn.Conv2d(3, 1, 1), *size)
    assert isinstance(error.value, InputError)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("variant", CONFIGS)
def test_largest_size(variant: str) -> None:
    model = on_meta(variant)
    # Convolutions grow with the area, linear layers not at all.
    small, large = (
        count_macs(model, 32, 32).macs_by_kind,
        count_macs(model, MAX_SIZE, MAX_SIZE).macs_by_kind,
    )
    area = (MAX_SIZE // 32) ** 2
    growth = {"linear": 1}
    assert large == {kind: macs * growth.get(kind, area) for kind, macs in small.items()}


# --- any network ---------------------------------------------------------------------------------

Q = torch.zeros(2, 4, 5, 8)  # batch, heads, steps, channels
STEPS = torch.zeros(2, 5, 16)
PRODUCT = torch.zeros(2, 4, 5), torch.zeros(2, 5, 6)
X = torch.zeros(6, dtype=torch.cfloat)
RECURRENT = 2 * 5 * (16 + 8) * 8  # of one gate of one direction


class Item(nn.Module):
    """Adds a branch on the data in front of a network, so that it runs with values."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Any) -> Any:
        return inputs if next(self.parameters()).sum().item() > 1e9 else self.network(*inputs)


class Does(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.zeros(6, 6))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.function(self.weight, *inputs, **named)


# name: network, its inputs, and its MACs.
ANY: dict[str, tuple[nn.Module, Any, int]] = {
    "matrix times vector": (Does(lambda w, x: w @ x), torch.zeros(6), 36),
    "addmv": (Does(lambda w, x: torch.addmv(x, w, x)), torch.zeros(6), 36),
    "dot": (Does(lambda w, x: w[0] @ x), torch.zeros(6), 6),
    "outer product": (Does(lambda w, x: torch.addr(w, x, x)), torch.zeros(6), 36),
    "baddbmm": (Does(lambda w, x, y: torch.baddbmm(w[:4], x, y)), PRODUCT, 2 * 4 * 5 * 6),
    "addbmm": (Does(lambda w, x, y: torch.addbmm(w[:4], x, y)), PRODUCT, 2 * 4 * 5 * 6),
    "einsum": (
        Does(lambda w, x, y: torch.einsum("bij,bkj->bik", x, y)),
        (torch.zeros(2, 3, 4), torch.zeros(2, 5, 4)),
        2 * 3 * 5 * 4,
    ),
    "named inputs": (Does(lambda w, *, x: x @ w), {"x": torch.zeros(2, 6)}, 72),
    "a list of tensors": (
        Does(lambda w, x: x[0] @ x[1]),
        ([torch.zeros(2, 6), torch.zeros(6, 6)],),
        72,
    ),
    "attention": (Does(lambda w, q: F.scaled_dot_product_attention(q, q, q)), Q, 2 * 4 * 25 * 16),
    "multi-head attention": (
        nn.MultiheadAttention(16, 4, batch_first=True),
        (STEPS, STEPS, STEPS),
        2 * 5 * 16 * 64 + 2 * 4 * 25 * 8,
    ),
    "transformer layer": (
        nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
        STEPS,
        2 * 5 * 16 * 64 + 2 * 4 * 25 * 8 + 2 * 5 * 2 * 16 * 32,
    ),
    "LSTM": (nn.LSTM(16, 8, bidirectional=True, batch_first=True), STEPS, 2 * 4 * RECURRENT),
    "GRU": (nn.GRU(16, 8, batch_first=True), STEPS, 3 * RECURRENT),
    "RNN": (nn.RNN(16, 8, batch_first=True), STEPS, RECURRENT),
    "one channel": (nn.Conv2d(1, 8, 3, padding=1), torch.zeros(1, 1, 64, 64), 8 * 64 * 64 * 9),
    "three dimensions": (nn.Conv3d(2, 4, 3), torch.zeros(1, 2, 5, 5, 5), 4 * 27 * 2 * 27),
    "bilinear": (nn.Bilinear(5, 6, 7), (torch.zeros(2, 5), torch.zeros(2, 6)), 2 * 7 * 5 * 6),
    "complex products": (Does(lambda w, x: x @ x), torch.zeros(6, 6, dtype=torch.cfloat), 4 * 6**3),
    "complex dot": (Does(lambda w, x: torch.vdot(x, x)), X, 4 * 6),
    "complex outer product": (Does(lambda w, x: torch.addr(w, x, x)), X, 4 * 36),
    "complex addbmm": (Does(lambda w, x: torch.addbmm(x[0], x, x)), X.expand(2, 6, 6), 8 * 6**3),
    "complex bilinear": (Does(lambda w, x: F.bilinear(x, x, x.expand(6, 6, 6))), X[None], 4 * 6**3),
    "complex convolution": (  # PyTorch makes it of three
        Does(lambda w, x: F.conv1d(x, x)),
        X.expand(1, 1, 6),
        3 * 6,
    ),
    "whole numbers": (
        Does(lambda w, x: torch.randint_like(x, 9) // 2 @ x),
        torch.arange(6),
        6,
    ),
    "lists, primitives and questions": (
        Does(
            lambda w, x: (
                torch._foreach_mul(torch._foreach_add([x, w], 1), 2),
                torch.ops.prims.add(x, x),
                torch.linspace(x[0, 0], x[0, 1], 3),
                torch.ops.aten._has_same_storage_numel(x, x),
                F.embedding(torch.zeros(3, dtype=torch.int64), w.clone(), max_norm=1),
                F.multilabel_margin_loss(x, torch.zeros(6, 6, dtype=torch.int64)),
            )
        ),
        torch.zeros(6, 6),
        0,
    ),
    "affine grid": (
        Does(lambda w, x: F.affine_grid(x, [2, 1, 4, 5], align_corners=False)),
        torch.zeros(2, 2, 3),
        2 * 4 * 5 * 2 * 3,
    ),
    "sums of embeddings": (nn.EmbeddingBag(9, 6), torch.zeros(4, 3, dtype=torch.int64), 0),
    "weighted sums of embeddings": (
        Does(lambda w, i, x: F.embedding_bag(i, w, per_sample_weights=x, mode="sum")),
        (torch.zeros(4, 3, dtype=torch.int64), torch.zeros(4, 3)),
        4 * 3 * 6,
    ),
    "in place": (Does(lambda w, x: x.clone().masked_fill_(x > 0, 1).cumsum(0)), torch.zeros(6), 0),
    "vmap": (
        Does(lambda w, x: torch.vmap(nn.Linear(6, 5, device=x.device))(x)),
        torch.zeros(2, 4, 6),
        2 * 4 * 6 * 5,
    ),
    "transposed, one dimension": (nn.ConvTranspose1d(2, 4, 3), torch.zeros(1, 2, 7), 7 * 2 * 4 * 3),
}


@pytest.mark.parametrize("name", ANY)
def test_any_network(name: str) -> None:
    network, inputs, macs = ANY[name]
    cost = measure(network, inputs)
    assert (cost.macs, cost.uncounted, cost.device) == (macs, {}, "meta")


@pytest.mark.parametrize("name", [name for name in ANY if name != "named inputs"])
def test_any_network_with_values(name: str) -> None:
    network, inputs, macs = ANY[name]
    cost = measure(Item(network), inputs)
    assert (cost.macs, cost.uncounted, cost.device) == (macs, {}, "cpu")


@pytest.mark.parametrize("name", ANY)
def test_any_network_in_inference_mode(name: str) -> None:
    network, inputs, macs = ANY[name]
    network.forward = torch.inference_mode()(network.forward)
    cost = measure(network, inputs)
    del network.forward
    assert (cost.macs, cost.uncounted) == (macs, {})


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_attention_written_for_the_compiler() -> None:
    attend = pytest.importorskip("torch.nn.attention.flex_attention").flex_attention
    q, k = torch.zeros(2, 4, 16, 8), torch.zeros(2, 4, 32, 8)
    try:
        cost = measure(Does(lambda w, q, k: attend(q, k, k)), (q, k))
    except CostError as error:
        if "no rule registered" not in str(error):
            raise
        pytest.skip("this version of PyTorch shows no mode such operators")
    assert cost.macs == 2 * 4 * 16 * 32 * 16
    cost = measure(Does(lambda w, x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,))), q)
    assert cost.uncounted == {"higher_order::cond": 1}


@pytest.mark.skipif(not hasattr(torch, "_grouped_mm"), reason="PyTorch has no grouped products")
def test_products_of_a_matrix_for_each_group() -> None:
    weights = torch.zeros(2, 8, 16, dtype=torch.bfloat16)
    ends = torch.tensor([1, 4], dtype=torch.int32)
    network = Does(lambda w, x: torch._grouped_mm(x, weights, offs=ends))
    assert measure(network, torch.zeros(4, 8, dtype=torch.bfloat16)).macs == 4 * 8 * 16
    pair = torch.zeros(8, 16, dtype=torch.bfloat16), torch.zeros(16, 8, dtype=torch.bfloat16)
    ends = torch.tensor([8, 16], dtype=torch.int32)
    assert (
        measure(Does(lambda w, x, y: torch._grouped_mm(x, y, offs=ends)), pair).macs == 8 * 8 * 16
    )


def test_products_of_scaled_values() -> None:
    one = torch.ones(())
    eight = torch.zeros(32, 32).to(torch.float8_e4m3fn)
    network = Does(lambda w, x: torch._scaled_mm(x, x.t(), one, one))
    assert measure(network, eight).macs == 32**3
    if hasattr(torch.ops.aten, "_scaled_mm_v2"):
        network = Does(
            lambda w, x: torch.ops.aten._scaled_mm_v2(
                x, x.t(), [one], [0], [0], [one], [0], [0], None, torch.bfloat16
            )
        )
        assert measure(network, eight).macs == 32**3
    if hasattr(torch, "float4_e2m1fn_x2"):
        four = torch.zeros(128, 64, dtype=torch.uint8, device="meta").view(torch.float4_e2m1fn_x2)
        scale = torch.ones(128 * 8, device="meta").to(torch.float8_e4m3fn)
        network = Does(lambda w, x: torch._scaled_mm(x, x.t(), scale, scale))
        assert measure(network, four).macs == 128**3  # of 64 bytes, two values in each


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.skipif(torch.backends.quantized.engine == "none", reason="no quantized kernels")
def test_quantized_networks() -> None:
    def quantized(shape: tuple[int, ...]) -> Tensor:
        return torch.quantize_per_tensor(torch.zeros(shape), 1.0, 0, torch.qint8)

    pair = [1, 1]
    conv = torch.ops.quantized.conv2d_prepack(quantized((8, 2, 3, 3)), None, pair, pair, pair, 2)
    linear = torch.ops.quantized.linear_prepack(quantized((5, 8)), None)

    def run(w: Tensor, x: Tensor) -> Tensor:
        x = torch.quantize_per_tensor(x, 1.0, 0, torch.quint8)
        x = torch.ops.quantized.conv2d(x, conv, 1.0, 0)
        x = torch.ops.quantized.linear(x.mean((2, 3)), linear, 1.0, 0)
        x = torch.ops.quantized.add(x, x, 1.0, 0)
        return x.dequantize() + x.int_repr() * x.q_scale() - x.q_zero_point()

    cost = measure(Does(run), torch.zeros(1, 4, 7, 7))
    assert (cost.macs, cost.uncounted) == (8 * 49 * 2 * 9 + 5 * 8, {})


@torch.library.custom_op("featherface_test::packed_product", mutates_args=())
def packed_product(x: Tensor) -> Tensor:
    return x @ x


SPARSE = torch.eye(6).to_sparse()
NOT_SEEN: dict[str, tuple[nn.Module, Tensor, set[str]]] = {
    "operators of others on whole numbers": (
        Does(lambda w, x: packed_product(x)),
        torch.zeros(6, 6, dtype=torch.int64),
        {"featherface_test::packed_product"},
    ),
    "NumPy": (Does(lambda w, x: x.numpy() @ w.numpy()), torch.zeros(2, 6), {"Tensor.numpy"}),
    "complex arrays": (Does(lambda w, x: x.numpy() * 2), X, {"Tensor.numpy"}),
    "lists": (Does(lambda w, x: sum(x.tolist())), torch.zeros(6), {"Tensor.tolist"}),
    "DLPack": (Does(lambda w, x: np.from_dlpack(x) * 2), torch.zeros(6), {"Tensor.__dlpack__"}),
    "a thread": (
        Calls(lambda m, x: ThreadPoolExecutor(1).submit(m["a"], x).result(), a=nn.Linear(6, 6)),
        torch.zeros(2, 6),
        {"module outside the trace"},
    ),
    "what is still to run": (
        Does(lambda w, x: (w @ y for y in x)),
        torch.zeros(2, 6),
        {"generator"},
    ),
    "sparse products": (
        Does(lambda w, x: torch.sparse.mm(SPARSE, x)),
        torch.zeros(6, 5),
        {"aten::_sparse_addmm"},
    ),
    "sparse products of whole numbers": (
        Does(lambda w, x: SPARSE.long() @ x),
        torch.zeros(6, 5, dtype=torch.int64),
        {"aten::mm"},
    ),
    "distances": (
        Does(lambda w, x: (F.pdist(x), torch.cdist(x, x))),
        torch.zeros(6, 5),
        {"aten::_pdist_forward", "aten::_cdist_forward"},
    ),
    "compressed products": (
        Does(lambda w, x: SPARSE.to_sparse_csr() @ x),
        torch.zeros(6, 5),
        {"aten::mm"},
    ),
    "a graph": (
        Does(
            lambda w, x: (
                torch.sparse_coo_tensor(x.nonzero().T, x.diag(), check_invariants=False).coalesce()
                @ w
            )
        ),
        torch.eye(6),
        {"aten::mm"},
    ),
    "nested tensors": (
        Does(lambda w, x: F.linear(torch.nested.nested_tensor([x, x[:1]]), w).to_padded_tensor(0)),
        torch.zeros(2, 6),
        {"aten::linear"},
    ),
    "graphs for MKL-DNN": (
        Does(lambda w, x: torch._C._nn.mkldnn_linear(x.to_mkldnn(), w.to_mkldnn()).to_dense()),
        torch.zeros(2, 6),
        {"aten::to_mkldnn", "aten::mkldnn_linear"},
    ),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("name", NOT_SEEN)
def test_what_cannot_be_counted_is_named(name: str) -> None:
    network, x, names = NOT_SEEN[name]
    cost = measure(network, x)
    assert (cost.macs, set(cost.uncounted)) == (0, names)


@pytest.mark.parametrize(("mode", "neighbours"), [("bilinear", 4), ("nearest", 0), ("bicubic", 16)])
def test_sampling_of_a_grid(mode: str, neighbours: int) -> None:
    network = Does(lambda w, x, grid: F.grid_sample(x, grid, mode, align_corners=False))
    cost = measure(network, (torch.zeros(1, 3, 9, 9), torch.zeros(1, 4, 5, 2)))
    assert cost.macs_by_kind["sampling"] == neighbours * 3 * 4 * 5


@pytest.mark.parametrize(
    ("mode", "dimensions", "neighbours"),
    [
        ("linear", 1, 2),
        ("bilinear", 2, 4),
        ("bicubic", 2, 16),
        ("trilinear", 3, 8),
        ("nearest", 2, 0),
    ],
)
def test_sampling_of_an_enlarged_map(mode: str, dimensions: int, neighbours: int) -> None:
    network = Does(lambda w, x: F.interpolate(x, scale_factor=2, mode=mode))
    cost = measure(network, torch.zeros(1, 3, *[5] * dimensions))
    assert cost.macs_by_kind["sampling"] == neighbours * 3 * 10**dimensions
    assert (cost.macs, dict(cost.uncounted)) == (0, {})


@pytest.mark.skipif(
    not hasattr(torch.ops.aten, "_upsample_lanczos2d_aa"), reason="this PyTorch has no such mode"
)
def test_sampling_with_lanczos() -> None:
    network = Does(lambda w, x: F.interpolate(x, (10, 10), mode="lanczos", antialias=True))
    cost = measure(network, torch.zeros(1, 3, 5, 5))
    assert (cost.macs_by_kind["sampling"], cost.uncounted) == (36 * 3 * 100, {})


def test_what_quantised_training_adds_is_free() -> None:
    def forward(w: Tensor, x: Tensor, on: Tensor) -> Tensor:
        low, high, scale = torch.ones(3, 1)
        torch.ops.aten._fused_moving_avg_obs_fq_helper(
            x, on, on, low, high, scale, on.int(), 0.1, 0, 9, 0
        )
        return torch._fake_quantize_learnable_per_tensor_affine(x @ w, scale, scale, 0, 9)

    cost = measure(Does(forward), (torch.zeros(2, 6), torch.ones(1, dtype=torch.int64)))
    assert (cost.macs, cost.uncounted) == (72, {})


def test_cross_products_random_numbers_and_checks_are_free() -> None:
    def forward(w: Tensor, x: Tensor) -> Any:
        torch.ops.aten._linalg_check_errors(torch.zeros((), dtype=torch.int32), "x", is_matrix=True)
        drawn = torch.binomial(x, x), torch._standard_gamma(x), torch._sample_dirichlet(x)
        return torch.linalg.cross(x, x), drawn, torch.empty(3).cauchy_()

    cost = measure(Does(forward), torch.ones(2, 3))
    assert (cost.macs, cost.uncounted) == (0, {})


def test_questions_about_tensors_are_free() -> None:
    def masked(w: Tensor, x: Tensor) -> Tensor:
        return torch.masked.masked_tensor(x, x > -9).sum().get_data() + torch.histogram(x, 3)[0][0]

    cost = measure(Does(masked), torch.zeros(2, 6))
    assert (cost.macs, cost.uncounted) == (0, {})


@pytest.mark.parametrize(
    "name",
    ["_cslt_sparse_mm", "_sparse_semi_structured_mm", "_weight_int4pack_mm", "_sparse_mm"],
)
def test_packed_products_of_whole_numbers_are_not_free(name: str) -> None:
    operator = getattr(torch.ops.aten, name).default
    assert not operators.is_free(operator, [torch.zeros(2, 2, dtype=torch.int8)])


def test_operators_of_others_are_not_free_for_taking_no_tensors() -> None:
    @torch.library.custom_op("featherface_tests::product_of_nothing", mutates_args=())
    def product_of_nothing(size: int) -> torch.Tensor:
        return torch.ones(size, size) @ torch.ones(size, size)

    assert product_of_nothing(2).tolist() == [[2, 2], [2, 2]]
    theirs = torch.ops.featherface_tests.product_of_nothing.default
    assert not operators.is_free(theirs, (3,))
    assert operators.is_free(torch.ops.aten.randperm.default, (3,))


def test_sparse_results_of_modules_have_the_bytes_of_their_values() -> None:
    network = nn.Sequential(Does(lambda w, x: x.to_sparse()))
    cost = measure(network, torch.eye(6))
    assert (cost.output_bytes, cost.bytes_moved) == (6 * 4, (6 * 6 + 6) * 4)


def test_tensors_in_objects_of_any_class() -> None:
    network = nn.Sequential(Does(lambda w, x: SimpleNamespace(found=[x @ w], size=3)))
    cost = measure(network, torch.zeros(2, 6))
    assert (cost["0"].output_shapes, cost["0"].output_bytes) == (((2, 6),), 2 * 6 * 4)


class Remembers(nn.Module):
    """Keeps tensors by size, and looks with a hook that it sets once, at the first call."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)
        self.ones: dict[int, Tensor] = {}
        self.seen: list[Tensor] = []
        self.looks = False
        self.deep: dict[str, Any] = {"a": ({}, [{}]), "recent": deque(maxlen=3)}

    def forward(self, x: Tensor) -> Tensor:
        self.deep["a"][0]["x"] = self.deep["a"][1][0]["x"] = x
        self.deep["recent"].append(x)
        if not self.looks:
            self.layer.register_forward_hook(lambda _, __, output: self.seen.append(output))
            self.looks = True
        self.ones.setdefault(len(x), torch.ones(6))
        return self.layer(x) * self.ones[len(x)]


@pytest.mark.parametrize("size", [None, 9])
@pytest.mark.parametrize("limit", [1e9, None])
def test_tensors_without_values_in_caches_are_forgotten(
    limit: float | None, size: int | None
) -> None:
    @lru_cache(size)
    def numbers(count: int) -> tuple[Tensor, int]:
        return torch.arange(float(count)), count

    @lru_cache(size)
    def other(count: int) -> list[int]:
        return [count]

    def forward(w: Tensor, x: Tensor) -> Tensor:
        y = (x + numbers(6)[0]) @ w
        return y if limit is None or y.sum() < limit else x

    @lru_cache(size)
    def bare(count: int) -> Tensor:
        return torch.empty(count, device="meta")

    network, kept, bare_kept = Does(forward), other(3), bare(3)
    assert measure(network, torch.zeros(2, 6)).device == ("meta" if limit is None else "cpu")
    assert network(torch.zeros(2, 6)).device.type == "cpu"
    assert (other(3) is kept, bare(3) is bare_kept) == (True, True)


GRIDS: dict[str, Any] = {"counts": [1]}
GRIDS["itself"] = GRIDS


class Grids(nn.Module):
    """Keeps tensors in variables of its class and of its file."""

    ones: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        global LAST
        if "grid" not in GRIDS:
            GRIDS["grid"] = (torch.ones(6),)
            GRIDS["counts"].append(torch.ones(6))
            Grids.ones = LAST = torch.ones(6)
        return x * GRIDS["grid"][0] * GRIDS["counts"][-1] * self.ones * LAST


def test_what_classes_and_files_keep_is_forgotten() -> None:
    network = Grids()
    assert measure(network, torch.zeros(2, 6)).device == "meta"
    assert (GRIDS, Grids.ones) == ({"counts": [1], "itself": GRIDS}, None)
    assert "LAST" not in globals()
    assert network(torch.zeros(2, 6)).device.type == "cpu"


def test_what_torchvision_caches_is_kept() -> None:
    kernels = get_meta_lib()  # of its operators, without values
    measure(squeezenet1_1(), torch.empty(1, 3, 32, 32, device="meta"))
    assert get_meta_lib() is kernels


def test_what_a_network_keeps_is_forgotten() -> None:
    network = Remembers()
    assert measure(network, torch.zeros(2, 6)).macs == 2 * 6 * 6
    assert (network.ones, network.seen, network.looks) == ({}, [], False)
    assert network.deep == {"a": ({}, [{}]), "recent": deque(maxlen=3)}
    assert network.deep["recent"].maxlen == 3
    assert network(torch.zeros(2, 6)).device.type == "cpu"
    assert len(network.seen) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_changes_bytes_alone(dtype: torch.dtype) -> None:
    wide, other = (
        measure(nn.Conv2d(3, 4, 3).to(d), torch.zeros(1, 3, 9, 9, dtype=d))
        for d in (torch.float32, dtype)
    )
    assert other.macs == wide.macs
    assert other.bytes_moved * 4 == wide.bytes_moved * dtype.itemsize


def test_tensors_made_on_the_way_follow_the_device() -> None:
    network = Calls(lambda layers, x: x + torch.arange(50).float())
    assert measure(network, torch.zeros(1, 3, 33, 50)).device == "meta"


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_torchscript() -> None:
    network = torch.jit.script(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()))
    cost = count_macs(network, 64, 64)
    assert (cost.macs, cost.params, cost.type) == (8 * 64 * 64 * 27, 8 * 27 + 8, "Sequential")
    assert cost.output_shapes == ((1, 8, 64, 64),)


def test_selection_of_regions_is_free() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [1, 1, 5, 5]])
    network = Does(lambda w, x: (nms(boxes, x[0, 0, 0, :2], 0.5), roi_align(x, [boxes], 2)))
    cost = measure(network, torch.zeros(1, 1, 8, 8))
    assert (cost.macs, cost.uncounted) == (0, {})


@pytest.mark.parametrize("groups", [1, 2])
def test_deformable_convolutions_of_any_shape(groups: int) -> None:
    weight = torch.zeros(6, 4 // groups, 3, 3)

    def deform(w: Tensor, x: Tensor) -> Tensor:
        offset = torch.zeros(1, 2 * 2 * 9, 7, 7)
        return deform_conv2d(x, offset, weight, stride=2, dilation=2, padding=1)

    cost = measure(Does(deform), torch.zeros(1, 4, 17, 17))
    assert cost.macs_by_kind["deformable_kernel"] == 6 * 4 // groups * 9 * 49
    assert cost.macs_by_kind["sampling"] == 4 * 4 * 9 * 49


def test_deformable_convolutions_of_other_packages_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their kernels are no operators; a class of that name stands in for the package."""

    class DeformConv2d(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(6, 2, 3, 3))

        def forward(self, x: Tensor, offset: Tensor) -> Tensor:
            return x.new_zeros(1, 6, 7, 7)

    DeformConv2d.__module__, DeformConv2d.__qualname__ = "mmcv.ops.deform_conv", "DeformConv2d"

    class Pack(DeformConv2d):
        pass

    cost = measure(Pack(), (torch.zeros(1, 4, 7, 7), torch.zeros(1, 18, 7, 7)))
    assert cost.macs == 6 * 49 * 2 * 9


@pytest.fixture
def handlers() -> Iterator[None]:
    saved = dict(operators._HANDLERS)
    yield
    operators._HANDLERS.clear()
    operators._HANDLERS.update(saved)


def test_registering_a_handler(handlers: None) -> None:
    network = Does(lambda w, x: fft.fft(x))
    assert measure(network, torch.zeros(9)).uncounted == {"aten::_fft_r2c": 1}
    register(torch.ops.aten._fft_r2c, lambda args, output: output.numel())
    cost = measure(network, torch.zeros(9))
    assert (cost.macs, cost.uncounted) == (9, {})
    register(torch.ops.aten._fft_r2c.default, lambda args, output: 2 * output.numel(), "conv")
    assert measure(network, torch.zeros(9)).macs_by_kind["conv"] == 18
    with pytest.raises(ValueError, match="kind"):
        register("aten::_fft_r2c", lambda args, output: 0, "offset_and_mask_conv")


class Grows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "layer"):
            self.layer = nn.Linear(x.shape[1], 3)
        return self.layer(x)


@pytest.mark.parametrize(
    ("network", "inputs", "message"),
    [
        (nn.LazyLinear(3), torch.zeros(2, 2), "LazyLinear: has lazy modules, run it once"),
        (
            Grows(),
            torch.zeros(2, 2),
            "Grows: changes its parameters, run it once, as in its factory",
        ),
        (nn.Linear(3, 3), torch.zeros(2, 2), "Linear: cannot be measured: RuntimeError: mat1"),
        (nn.Linear(3, 3), (), "Linear: cannot be measured: TypeError: "),
        (Does(lambda w, x: sys.exit(4)), torch.zeros(1), "Does: cannot be measured: SystemExit: 4"),
        (Item(nn.Linear(3, 3, device="meta")), torch.zeros(2, 3), "Item: cannot be measured: "),
        (
            Does(lambda w, x: x if x.sum() > 0 else -x),
            torch.empty(MAX_COMPUTED + 1, device="meta"),
            "Does: cannot be measured: RuntimeError: Tensor.item() cannot be called on meta "
            "tensors; with values the input is too large to run",
        ),
    ],
)
def test_networks_that_cannot_be_measured(network: nn.Module, inputs: Any, message: str) -> None:
    with pytest.raises(CostError) as error:
        measure(network, inputs)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


# --- parameters ----------------------------------------------------------------------------------


def test_parameters_are_learnable_values_without_buffers() -> None:
    network = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Linear(7, 4, bias=False))
    network[2].weight.requires_grad_(False)  # frozen, and still a parameter
    assert count_parameters(network) == (5 * 2 * 3 * 3 + 5) + (5 + 5) + 7 * 4


def test_a_shared_tensor_belongs_to_the_first_module() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False))
    network[1].weight = network[0].weight
    cost = measure(network, torch.zeros(1, 3))
    assert (cost["0"].params, cost["1"].params, cost.params) == (12, 0, 12)
    assert cost.macs == 2 * 9
