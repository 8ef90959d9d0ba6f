"""Our kernel for deformable convolutions computes what torchvision's does, derivatives too."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
import torchvision.ops
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from featherface.blocks.deform_kernel import (
    deform_conv2d,
    deform_kernel,
    gather_deform_conv2d,
    runs_gather,
)
from featherface.blocks.deformable import DeformConv2d
from featherface.model import FeatherFace

NAN, INF = float("nan"), float("inf")


def arguments(
    shape: tuple[int, int, int, int],
    outputs: int,
    spread: float = 1.0,
    version: int = 2,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Input, offset (standard deviation `spread`), weight and mask."""
    batch, inputs, *size = shape
    x, offset = torch.randn(shape, dtype=dtype), torch.randn(batch, 18, *size, dtype=dtype)
    weight = torch.randn(outputs, inputs, 3, 3, dtype=dtype) / (3 * inputs**0.5)
    mask = 2 * torch.rand(batch, 9, *size, dtype=dtype) if version == 2 else None
    return x, spread * offset, weight, mask


def reference(x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None) -> Tensor:
    y: Tensor = torchvision.ops.deform_conv2d(x, offset, weight, padding=1, mask=mask)
    return y


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
@pytest.mark.parametrize(
    ("shape", "outputs"),
    [
        ((1, 64, 24, 20), 32),
        ((3, 16, 7, 9), 16),
        ((2, 5, 1, 1), 7),
        ((1, 3, 1, 6), 2),
        ((2, 4, 6, 1), 1),
        ((1, 1, 2, 2), 20),
    ],
)
def test_the_kernels_agree(
    shape: tuple[int, int, int, int], outputs: int, spread: float, version: int
) -> None:
    args = arguments(shape, outputs, spread, version)
    torch.testing.assert_close(gather_deform_conv2d(*args), reference(*args), rtol=0, atol=1e-5)
    double = arguments(shape, outputs, spread, version, torch.float64)
    torch.testing.assert_close(
        gather_deform_conv2d(*double), reference(*double), rtol=0, atol=1e-12
    )


def test_any_memory_layout_will_do() -> None:
    x, offset, weight, mask = arguments((2, 8, 6, 5), 4)
    assert mask is not None
    expected = reference(x, offset, weight, mask)
    layout = torch.channels_last
    laid = [t.contiguous(memory_format=layout) for t in (x, offset, weight, mask)]
    torch.testing.assert_close(gather_deform_conv2d(*laid), expected, rtol=0, atol=1e-5)
    wide = torch.randn(2, 8, 6, 10)
    wide[..., ::2] = x
    torch.testing.assert_close(
        gather_deform_conv2d(wide[..., ::2], offset, weight, mask), expected, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("at_once", [1, 13, 24])
def test_positions_may_be_taken_in_parts(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    args = arguments((2, 6, 7, 4), 5, spread=3.0)
    monkeypatch.setattr("featherface.blocks.deform_kernel.POSITIONS_AT_ONCE", at_once)
    torch.testing.assert_close(gather_deform_conv2d(*args), reference(*args), rtol=0, atol=1e-5)


def test_an_empty_batch_stays_empty() -> None:
    assert gather_deform_conv2d(*arguments((0, 4, 5, 5), 3)).shape == (0, 3, 5, 5)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("at", [-2.0, -1.0, -0.5, 0.0, 3.0, 3.5, 4.0, 4.5, 1e9, -1e30, INF, -INF])
def test_points_on_and_beyond_the_edge(axis: int, at: float) -> None:
    """A single tap, the centre of the kernel, at the first cell of a 4×4 level moves to `at`."""
    x, offset, weight, mask = arguments((1, 2, 4, 4), 2, spread=0.2)
    offset[0, 2 * 4 + axis, 0, 0] = at
    args = x, offset, weight, mask
    torch.testing.assert_close(gather_deform_conv2d(*args), reference(*args), rtol=0, atol=1e-5)


def test_an_offset_that_is_no_number_spoils_its_own_outputs_alone() -> None:
    x, offset, weight, mask = arguments((2, 3, 5, 4), 6)
    expected = reference(x, offset, weight, mask)
    offset[1, 7, 2, 3] = NAN
    y = gather_deform_conv2d(x, offset, weight, mask)
    assert y[1, :, 2, 3].isnan().all()
    expected[1, :, 2, 3] = NAN
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-5, equal_nan=True)
    offset.fill_(NAN)
    assert gather_deform_conv2d(x, offset, weight, mask).isnan().all()


def test_an_input_that_is_not_finite_does_not_leak_from_beyond_the_edge() -> None:
    x, offset, weight, mask = arguments((1, 2, 4, 4), 3)
    x[0, 0, 0, 0] = INF
    offset += 100  # every tap far outside
    assert torch.equal(gather_deform_conv2d(x, offset, weight, mask), torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precisions_are_computed_in_float32(dtype: torch.dtype) -> None:
    args = [t.to(dtype) for t in arguments((1, 8, 6, 5), 4) if t is not None]
    y = gather_deform_conv2d(*args)
    expected = reference(*(t.float() for t in args))
    assert y.dtype == dtype
    torch.testing.assert_close(y, expected.to(dtype), rtol=0.01, atol=1e-3)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("whole", [False, True])
def test_the_derivatives_agree(spread: float, whole: bool, version: int) -> None:
    """On whole cells too, where the derivative of an offset has a jump and a fresh network is."""
    given = arguments((2, 5, 6, 4), 3, spread, version, torch.float64)
    if whole:
        given = (given[0], (given[1] / 4).round(), *given[2:])
    found = []
    for kernel in (gather_deform_conv2d, reference):
        args = [None if t is None else t.clone().requires_grad_() for t in given]
        y = kernel(*args)
        y.backward(torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y))
        found.append([t.grad for t in args if t is not None])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("version", [1, 2])
def test_the_derivatives_are_those_of_the_function(version: int) -> None:
    given = arguments((1, 2, 2, 3), 2, 1.0, version, torch.float64)
    args = [None if t is None else t.requires_grad_() for t in given]
    assert torch.autograd.gradcheck(gather_deform_conv2d, args)


# Which kernel runs.


def test_auto_takes_ours_for_float32_on_a_cpu() -> None:
    x = torch.randn(1, 16, 40, 40)
    assert runs_gather(x)
    assert not runs_gather(torch.randn(1, 16, 4, 4))  # too few to be worth it
    assert not runs_gather(x.double())
    assert runs_gather(x.half())  # torchvision's kernel has no half precision on a CPU
    assert not runs_gather(x.to("meta"))
    with FlopCounterMode(display=False):
        assert not runs_gather(x)


def test_a_kernel_can_be_asked_for_and_the_wish_ends() -> None:
    x = torch.randn(1, 16, 40, 40)
    with deform_kernel("torchvision"):
        assert not runs_gather(x)
        with deform_kernel("gather"):
            assert runs_gather(x.double())
            with deform_kernel("auto"):
                assert not runs_gather(x.double())
        assert not runs_gather(x)
    with pytest.raises(KeyError), deform_kernel("torchvision"):
        raise KeyError
    assert runs_gather(x)


def test_the_wish_is_this_threads() -> None:
    seen: list[bool] = []
    with deform_kernel("torchvision"):
        thread = threading.Thread(
            target=lambda: seen.append(runs_gather(torch.ones(1, 16, 40, 40)))
        )
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_kernel_of_another_name_is_refused() -> None:
    name: Any = "mkl"
    with (
        pytest.raises(ValueError, match=r"'mkl' is none of auto, gather, torchvision"),
        deform_kernel(name),
    ):
        pass


def test_counters_see_a_deformable_convolution() -> None:
    conv = DeformConv2d(16, 8, version=2)
    operators = set()

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
            operators.add(func._schema.name)
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Watch():
        conv(torch.randn(1, 16, 40, 40))
    assert "torchvision::deform_conv2d" in operators


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_traced_module_holds_torchvisions_operator() -> None:
    conv = DeformConv2d(4, 4, version=2).eval()
    x = torch.randn(1, 4, 40, 40)
    with torch.no_grad(), deform_kernel("gather"):
        traced = torch.jit.trace(conv, x, strict=False, check_trace=False)
    assert "torchvision::deform_conv2d" in str(traced.inlined_graph)


@pytest.mark.parametrize("version", [1, 2])
def test_the_module_is_the_same_with_either_kernel(version: int) -> None:
    conv = DeformConv2d(16, 8, version)
    for parameter in conv.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x = torch.randn(2, 16, 30, 20)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            with deform_kernel("torchvision"):
                expected = conv(x, expected_named := {})
            with deform_kernel("gather"):
                y = conv(x, named := {})
        torch.testing.assert_close(y, expected, rtol=0, atol=1e-5)
        assert list(named) == list(expected_named)
        for name, value in named.items():
            assert value.shape == expected_named[name].shape
            torch.testing.assert_close(value, expected_named[name], rtol=0, atol=1e-5)


def test_deform_conv2d_takes_what_was_asked_for() -> None:
    args = arguments((1, 8, 12, 12), 4)
    with deform_kernel("torchvision"):
        assert torch.equal(deform_conv2d(*args), reference(*args))
    with deform_kernel("gather"):
        assert torch.equal(deform_conv2d(*args), gather_deform_conv2d(*args))


@pytest.mark.parametrize("kernel", ["torchvision", "gather"])
def test_no_offset_can_make_a_kernel_read_beyond_its_memory(kernel: Any) -> None:
    """torchvision's own would end the process here: the level is large enough for that."""
    x, offset, weight, mask = arguments((1, 8, 80, 88), 4)
    for value in (NAN, INF, -INF, 1e38, -1e10):
        with deform_kernel(kernel):
            y = deform_conv2d(x, torch.full_like(offset, value), weight, mask)
        assert y.isnan().all() if value != value else (y == 0).all()


@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_runs_on_the_cpu(autocast: bool) -> None:
    model, x = FeatherFace("official").eval(), 50 * torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        expected = model(x).logits.softmax(-1)
        if autocast:
            with torch.autocast("cpu", torch.bfloat16):
                scores = model(x).logits.softmax(-1)
        else:
            scores = model.bfloat16()(x.bfloat16()).logits.softmax(-1)
    torch.testing.assert_close(scores.float(), expected, rtol=0, atol=0.05)
