"""Two kernels for one 3×3 deformable convolution, and the choice between them.

torchvision's CPU kernel interpolates every input channel at every tap, and multiplies afterwards.
"gather" multiplies first: as one offset group moves all channels of a tap together, interpolation
(over positions) and product (over channels) commute. One matrix product gives what each cell would
contribute to each tap, nine rows of `outputs` numbers a cell; an output is the weighted sum of 36
of these rows, four corners for each of nine taps, which `embedding_bag` computes, vectorised and
on all threads. `featherface latency --deform-kernel torchvision` shows what that wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, get_args

import torch
import torchvision.ops
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import _get_current_dispatch_mode

KERNEL = 3
TAPS = KERNEL * KERNEL

WORTHWHILE = 2048
"""The numbers of input from which "gather" is the faster one, measured with 16 and 64 channels."""

POSITIONS_AT_ONCE = 8192
"""The positions that "gather" interpolates at a time on a CPU, without gradients."""

POSITIONS_AT_ONCE_GPU = 2**19
"""The same elsewhere, where few positions would leave most of the device idle."""

OUTSIDE = 2.0**20
"""An offset in cells, either way, that leaves every level; points outside are zero."""

DeformKernel = Literal["auto", "gather", "torchvision"]

_HALF = (torch.float16, torch.bfloat16)

_wanted: ContextVar[DeformKernel] = ContextVar("deform_kernel", default="auto")


@contextmanager
def deform_kernel(name: DeformKernel) -> Iterator[None]:
    """Run deformable convolutions with this kernel, in this thread alone.

    Args:
        name: "torchvision", "gather", or "auto", the default: see `runs_gather`.

    Raises:
        ValueError: there is no kernel of this name.
    """
    if name not in get_args(DeformKernel):
        known = ", ".join(get_args(DeformKernel))
        raise ValueError(f"deform_kernel: {name!r} is none of {known}")
    token = _wanted.set(name)
    try:
        yield
    finally:
        _wanted.reset(token)


def runs_gather(x: Tensor) -> bool:
    """Return whether `deform_conv2d` runs "gather" on this input, and not torchvision's kernel.

    Compilers, tracers and exporters always get torchvision's operator, which they know by name;
    so does a `TorchDispatchMode`, as counters of operations are, unless "gather" is asked for.
    Otherwise "auto" is "gather" on a CPU for float32 from `WORTHWHILE` numbers up, and for half
    precisions and under autocast, which torchvision's CPU kernel lacks; and on a GPU while
    another stream than the default one is current, as in a CUDA graph: up to torchvision 0.29
    its kernels run on the default stream all the same (pytorch/vision issue 9513), so that they
    race with what comes before and after, and cannot be recorded.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    if type(x) not in (Tensor, torch.nn.Parameter) or x.is_meta:
        return False
    wanted = _wanted.get()
    if wanted != "auto":
        return wanted == "gather"
    if x.is_cuda:
        return torch.cuda.current_stream(x.device) != torch.cuda.default_stream(x.device)
    if x.device.type != "cpu":
        return False
    if x.dtype in _HALF or torch.is_autocast_enabled("cpu"):
        return True
    fits = x.dtype == torch.float32 and x.numel() >= WORTHWHILE
    return fits and _get_current_dispatch_mode() is None


def deform_conv2d(x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None = None) -> Tensor:
    """`torchvision.ops.deform_conv2d` for a 3×3 kernel, padding 1, stride 1, one offset group.

    Where an offset is not a number, torchvision's kernel reads beyond its memory. On a CPU such a
    call goes to "gather", whose outputs there are not a number; on a GPU, where looking would
    wait for the device, such a point lies outside of the input.

    Args:
        x: (batch, inputs, H, W).
        offset: (batch, 18, H, W), (dy, dx) of each tap in cells.
        weight: (outputs, inputs, 3, 3).
        mask: (batch, 9, H, W), a factor of each tap; `None` for version 1.

    Returns:
        (batch, outputs, H, W).
    """
    if runs_gather(x):
        return gather_deform_conv2d(x, offset, weight, mask)
    if torch._C._get_tracing_state() is None and not torch.compiler.is_compiling():
        if x.device.type != "cpu":
            offset = offset.nan_to_num(OUTSIDE, OUTSIDE, -OUTSIDE)
        elif not offset.is_meta and offset.isnan().any():
            return gather_deform_conv2d(x, offset, weight, mask)
    y: Tensor = torchvision.ops.deform_conv2d(x, offset, weight, padding=KERNEL // 2, mask=mask)
    return y


def gather_deform_conv2d(
    x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Return what `deform_conv2d` does, by the kernel "gather"; in memory (batch, H, W, outputs).

    Zero outside the input, as in torchvision: a point less than a cell away from it is
    interpolated with zeros, and one at infinity lies outside. An offset that is not a number
    makes its outputs not a number. Half precisions are computed in float32. Differentiable once
    in every floating argument, on whole cells towards the next cell down or right, as in
    torchvision.
    """
    given = [t for t in (x, offset, weight, mask) if t is not None]
    if any(t.dtype in _HALF for t in given):  # all of them, or, under autocast, some
        with torch.autocast(x.device.type, enabled=False):
            return gather_deform_conv2d(*(t.float() for t in given)).to(x.dtype)
    batch, inputs, height, width = x.shape
    outputs = weight.shape[0]
    stride, frame = _frame(height, width)
    cells = x.new_zeros(batch * frame + 1, inputs)  # the last row's column to the right is one more
    inner = cells[:-1].view(batch, height + 2, stride, inputs)[:, 1:-1, 1:]
    inner.copy_(x.permute(0, 2, 3, 1))
    contributions = cells @ weight.permute(1, 2, 3, 0).reshape(inputs, TAPS * outputs)
    del cells, inner
    # In parts, as indices and weights take more memory than outputs; not with gradients, as each
    # call of embedding_bag would keep its own of the contributions.
    learns = torch.is_grad_enabled() and any(t.requires_grad for t in given)
    at_once = POSITIONS_AT_ONCE if x.device.type == "cpu" else POSITIONS_AT_ONCE_GPU
    step = height if learns else max(1, at_once // max(1, batch * width))
    parts = []
    for top in range(0, height, step):
        here = slice(top, top + step)
        index, weights = _corners(
            offset[:, :, here], None if mask is None else mask[:, :, here], (height, width), top
        )
        y = F.embedding_bag(
            index, contributions.view(-1, outputs), per_sample_weights=weights, mode="sum"
        )
        parts.append(y.view(batch, min(step, height - top), width, outputs))
    rows = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return rows.permute(0, 3, 1, 2)


def _corners(
    offset: Tensor, mask: Tensor | None, size: tuple[int, int], start: int
) -> tuple[Tensor, Tensor]:
    """Return which 36 rows every position sums, and with which weights; both (positions, 36).

    Args:
        offset, mask: those of some rows of positions.
        size: height and width of the whole level.
        start: the first of these rows.
    """
    height, width = size
    stride, frame = _frame(height, width)
    dtype, device = offset.dtype, offset.device
    tap = torch.arange(KERNEL, dtype=dtype, device=device) - KERNEL // 2
    moved = offset.permute(0, 2, 3, 1).contiguous()
    moved = moved.view(*moved.shape[:-1], TAPS, 2)
    rows = torch.arange(start, start + offset.shape[2], dtype=dtype, device=device)[
        :, None, None
    ] + tap.repeat_interleave(KERNEL)
    columns = torch.arange(width, dtype=dtype, device=device)[:, None] + tap.repeat(KERNEL)
    y, top = _along(moved[..., 0] + rows, height)
    x, left = _along(moved[..., 1] + columns, width)
    with torch.no_grad():
        rows_in_all = len(offset) * frame * TAPS
        cell = top.to(torch.int32 if rows_in_all < 2**31 - 1 else torch.int64)
        cell = cell.mul_(stride).add_(left.to(cell.dtype)).mul_(TAPS)
        first = torch.arange(len(offset), dtype=cell.dtype, device=cell.device) * frame
        first = (first[:, None] + stride + 1) * TAPS + torch.arange(TAPS, device=cell.device)
        cell = cell.add_(first[:, None, None]).view(-1, TAPS)
        corners = (0, TAPS, stride * TAPS, (stride + 1) * TAPS)
        index = torch.cat([cell + corner for corner in corners], dim=1)
    if mask is None:
        high, low = y, 1 - y
    else:
        scale = mask.permute(0, 2, 3, 1).contiguous()
        high = y * scale
        low = scale - high
    high_right, low_right = high * x, low * x
    weights = torch.cat(
        [
            part.view(-1, TAPS)
            for part in (low - low_right, low_right, high - high_right, high_right)
        ],
        dim=1,
    )
    return index, weights


def _frame(height: int, width: int) -> tuple[int, int]:
    """Return the cells in a row and in a level, with a frame of zeros for points outside.

    It is a row above and one below, and one column, right of a row and left of the next.
    """
    return width + 1, (height + 2) * (width + 1)


def _along(at: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return positions along one axis as a fraction and the cell before, −1 ≤ cell < size."""
    if at.requires_grad:  # as `clamp`, but its derivative is 1 at −1 and 0 at `size`
        at = torch.where(at >= size, size, torch.where(at < -1, -1, at))
    else:
        at = at.clamp_(-1, size)
    before = at.detach().floor().clamp_(max=size - 1).nan_to_num_(nan=0.0)
    return at - before, before
