"""Multiply-accumulates (MACs) of a network, with every operator it runs accounted for.

A forward pass on the "meta" device, where tensors have shapes and no contents, shows every
operator that a network dispatches, for any picture size and without its cost. Each operator is

- *counted*: convolutions, matrix products and the kernels of deformable convolutions; or
- *free* by convention: it stands in `FREE`, in a group that gives the reason; or
- *uncounted*: anything else. It is listed with its calls, never left out in silence.

One MAC is a multiplication and the addition of its product. fvcore calls it a "flop"; elsewhere
it is two FLOPs. `CONVENTIONS` states the rest.

`fvcore_macs` and `torch_macs` have fvcore and PyTorch count the same network, with the formula
for deformable kernels that both lack. Their formulas for convolutions and linear layers are their
own, and fvcore's way of finding the operators is, too: it reads a TorchScript trace.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any, NamedTuple

import torch
import torchvision  # noqa: F401  (registers the operator torchvision::deform_conv2d)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry, register_flop_formula

from analysis.cost.parameters import is_below
from featherface.config import MIN_SIZE
from featherface.errors import InputError

MAX_SIZE = 1 << 20
"""The largest height and width accepted, far below where sizes in bytes exceed 64 bits."""

KINDS = ("conv", "linear", "deformable_kernel")
"""The kinds of operators that are counted; `MacCount.total` is their sum."""

CONVENTIONS = {
    "macs": "conv + linear + deformable_kernel; a multiplication and the addition of its product "
    "are one MAC; a bias is an addition and costs none",
    "conv": "convolutions: output values × kernel taps × input channels of a group",
    "linear": "matrix products: output values × inner dimension",
    "deformable_kernel": "deformable convolutions, as the plain convolution with the same kernel",
    "offset_and_mask_conv": "the part of conv whose output becomes an offset or a mask of a "
    "deformable convolution",
    "sampling": "not in macs: bilinear interpolation in deformable convolutions, 4 MACs for each "
    "of the taps × input channels × output positions sampled values; the interpolation weights "
    "and the product with the mask are left out",
}
"""What each item of a count means."""

DEFORM_CONV = torch.ops.torchvision.deform_conv2d
"""The operator that the public counters do not know."""


class FreeOperators(NamedTuple):
    """Operators that cost no MACs by convention, and why."""

    reason: str
    operators: frozenset[str]


def _aten(names: str) -> frozenset[str]:
    return frozenset(f"aten::{name}" for name in names.split())


FREE = {
    "elementwise": FreeOperators(
        "at most one product per value, and no accumulation",
        _aten("add sub mul div relu leaky_relu sigmoid silu"),
    ),
    "reduction": FreeOperators(
        "additions or comparisons of values, no products",
        _aten("sum mean amax"),
    ),
    "pooling": FreeOperators(
        "additions or comparisons of values, no products",
        _aten(
            "max_pool2d max_pool2d_with_indices avg_pool2d adaptive_avg_pool2d _adaptive_avg_pool2d"
        ),
    ),
    "normalisation": FreeOperators(
        "at inference a batch normalisation folds into the convolution before it",
        _aten(
            "batch_norm native_batch_norm _native_batch_norm_legit_no_training "
            "_batch_norm_no_update cudnn_batch_norm"
        ),
    ),
    "interpolation": FreeOperators(
        "the nearest neighbour is copied, nothing is weighted",
        _aten("upsample_nearest2d"),
    ),
    "data movement": FreeOperators(
        "fills, copies and views",
        _aten(
            "empty zeros ones detach alias clone copy _to_copy view _unsafe_view t transpose "
            "permute expand select slice split unbind unsqueeze squeeze cat constant_pad_nd pad "
            "index_select"
        ),
    ),
}
"""By group, the operators that cost nothing: as the dispatcher names them and, where it differs,
as a TorchScript trace does. In-place versions (`relu_`) share the entry of the plain one."""

_FREE_NAMES = frozenset[str]().union(*(group.operators for group in FREE.values()))


class SizeError(InputError):
    """A picture size that cannot be measured; the message names the value and why."""


def check_size(height: int, width: int, batch: int = 1) -> None:
    """Refuse the sizes that the networks do not take.

    Raises:
        SizeError: for a height or width outside `MIN_SIZE` to `MAX_SIZE`, or a batch below 1.
    """
    for name, value, least, most in (
        ("height", height, MIN_SIZE, MAX_SIZE),
        ("width", width, MIN_SIZE, MAX_SIZE),
        ("batch", batch, 1, MAX_SIZE),
    ):
        if isinstance(value, bool) or not isinstance(value, int):
            raise SizeError(f"{name} (={value!r}) must be an integer")
        if not least <= value <= most:
            raise SizeError(f"{name} (={value}) must be from {least} to {most}")


@dataclass(frozen=True)
class OperatorCall:
    """One operator that a forward pass dispatched."""

    module: str
    """Path of the innermost module that was running; empty for the network itself."""
    operator: str
    """With its namespace, as "aten::convolution"."""
    kind: str
    """One of `KINDS`, or "free", or "uncounted"."""
    macs: int
    sampling_macs: int
    """Bilinear interpolation, apart from `macs`; 0 but for deformable convolutions."""
    steers_sampling: bool
    """Whether it is a convolution whose output becomes an offset or a mask."""


@dataclass(frozen=True)
class ModuleCall:
    """One call of a module."""

    module: str
    """Its path."""
    output_shapes: tuple[tuple[int, ...], ...]
    """Of all tensors it returned, in order."""
    output_bytes: int
    """Of these tensors together, without those among its inputs."""


@dataclass(frozen=True)
class Trace:
    """Everything that one forward pass ran."""

    operators: tuple[OperatorCall, ...]
    modules: tuple[ModuleCall, ...]


@dataclass(frozen=True)
class MacCount:
    """The MACs of one forward pass, exactly.

    Raises:
        AssertionError: where the parts do not add up to the total.
    """

    height: int
    width: int
    batch: int
    total: int
    """The sum of the `KINDS`."""
    by_kind: dict[str, int]
    """Each of `KINDS`, `offset_and_mask_conv` (part of `conv`) and `sampling` (not in `total`)."""
    by_module: dict[str, dict[str, int]]
    """The same by path of the module that ran the operators itself; only modules with any."""
    free: dict[str, int]
    """Calls of each operator that costs nothing by convention."""
    uncounted: dict[str, int]
    """Calls of each operator that nothing is known about; then `total` is a lower bound."""

    def __post_init__(self) -> None:
        assert self.total == counted(self.by_kind), self
        assert self.below("") == self.by_kind, self

    def below(self, path: str) -> dict[str, int]:
        """MACs by kind of the module at `path` and all modules below it."""
        inside = [kinds for module, kinds in self.by_module.items() if is_below(module, path)]
        return {kind: sum(kinds[kind] for kinds in inside) for kind in self.by_kind}

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def counted(kinds: Mapping[str, int]) -> int:
    """The MACs that a count by kind amounts to, without those itemised apart or twice."""
    return sum(kinds.get(kind, 0) for kind in KINDS)


def count_macs(model: nn.Module, height: int, width: int, batch: int = 1) -> MacCount:
    """Count the MACs of a network in evaluation mode for (batch, 3, height, width) pictures.

    The network itself is neither run nor changed.

    Raises:
        SizeError: for a size that the networks do not take.
    """
    return summarise(trace(model, height, width, batch), height, width, batch)


def trace(model: nn.Module, height: int, width: int, batch: int = 1) -> Trace:
    """Run a copy of the network on the meta device and record every operator and module call.

    A module registered under several paths goes by the first. Only calls count: an operator
    applied to a module's weight from outside belongs to the module that applies it.

    Raises:
        SizeError: for a size that the networks do not take.
    """
    check_size(height, width, batch)
    ghost = copy.deepcopy(model).to("meta").eval()
    recorder = _Recorder()
    for path, module in ghost.named_modules():
        recorder.watch(path, module)
    pictures = torch.empty(batch, 3, height, width, device="meta")
    # Not inference_mode: it would dispatch some operators before they are taken apart.
    with torch.no_grad(), recorder:
        ghost(pictures)
    return Trace(recorder.operators(), tuple(recorder.module_calls))


def summarise(traced: Trace, height: int, width: int, batch: int) -> MacCount:
    """Add up a trace."""
    paths = dict.fromkeys(call.module for call in traced.operators if call.kind in KINDS)
    return MacCount(
        height=height,
        width=width,
        batch=batch,
        total=sum(call.macs for call in traced.operators),
        by_kind=_by_kind(traced.operators),
        by_module={
            path: _by_kind([call for call in traced.operators if call.module == path])
            for path in paths
        },
        free=_calls(traced.operators, "free"),
        uncounted=_calls(traced.operators, "uncounted"),
    )


def _by_kind(calls: Sequence[OperatorCall]) -> dict[str, int]:
    macs = {kind: sum(call.macs for call in calls if call.kind == kind) for kind in KINDS}
    macs["offset_and_mask_conv"] = sum(call.macs for call in calls if call.steers_sampling)
    macs["sampling"] = sum(call.sampling_macs for call in calls)
    return macs


def _calls(calls: Sequence[OperatorCall], kind: str) -> dict[str, int]:
    return dict(sorted(Counter(call.operator for call in calls if call.kind == kind).items()))


def _convolution_macs(args: tuple[Any, ...], output: Tensor) -> int:
    inputs: Tensor = args[0]
    weight: Tensor = args[1]
    transposed: bool = args[6]
    # Every value of the output is a product of one slice of the weight; in a transposed
    # convolution every value of the input is multiplied by one.
    return (inputs if transposed else output).numel() * weight[0].numel()


def _product_macs(left: int) -> Callable[[tuple[Any, ...], Tensor], int]:
    """For matrix products, whose left factor is argument `left`."""
    return lambda args, output: output.numel() * args[left].shape[-1]


def _deformable_macs(weight_shape: Sequence[int], output_shape: Sequence[int]) -> int:
    return prod(output_shape) * prod(weight_shape[1:])


# By operator: the kind it counts as, and how many MACs it has.
_FORMULAS: dict[str, tuple[str, Callable[[tuple[Any, ...], Tensor], int]]] = {
    "aten::convolution": ("conv", _convolution_macs),
    "aten::mm": ("linear", _product_macs(0)),
    "aten::bmm": ("linear", _product_macs(0)),
    "aten::addmm": ("linear", _product_macs(1)),
    "aten::baddbmm": ("linear", _product_macs(1)),
    "torchvision::deform_conv2d": (
        "deformable_kernel",
        lambda args, output: _deformable_macs(args[1].shape, output.shape),
    ),
}

_CORNERS = 4  # of a cell, between which bilinear interpolation weighs


def _sampling_macs(args: tuple[Any, ...], output: Tensor) -> int:
    inputs: Tensor = args[0]
    weight: Tensor = args[1]
    positions = output.shape[0] * prod(output.shape[2:])
    return _CORNERS * positions * inputs.shape[1] * prod(weight.shape[2:])


class _Recorder(TorchDispatchMode):
    """Sees every operator, and by hooks which module runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.module_calls: list[ModuleCall] = []
        self._operators: list[OperatorCall] = []
        self._running = [""]
        self._steering: set[int] = set()
        # By identity of a tensor: the tensor, kept so that its identity is not given away again,
        # and the convolutions (by index of their calls) that it comes from through free
        # operators alone.
        self._origins: dict[int, tuple[Tensor, frozenset[int]]] = {}

    def watch(self, path: str, module: nn.Module) -> None:
        """Record the calls of `module` under `path`."""

        def enter(module: nn.Module, inputs: Any) -> None:
            self._running.append(path)

        def leave(module: nn.Module, inputs: Any, outputs: Any) -> None:
            self._running.pop()
            tensors = _tensors(outputs)
            given = {id(x) for x in _tensors(inputs)}
            self.module_calls.append(
                ModuleCall(
                    module=path,
                    output_shapes=tuple(tuple(x.shape) for x in tensors),
                    output_bytes=sum(
                        x.numel() * x.element_size() for x in tensors if id(x) not in given
                    ),
                )
            )

        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)

    def operators(self) -> tuple[OperatorCall, ...]:
        """The calls so far."""
        return tuple(
            replace(call, steers_sampling=index in self._steering)
            for index, call in enumerate(self._operators)
        )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        name = func._schema.name
        base = name.removesuffix("_")
        macs = sampling = 0
        origins: frozenset[int] = frozenset()
        if base in _FORMULAS:
            kind, formula = _FORMULAS[base]
            macs = formula(args, output)
            if kind == "deformable_kernel":
                sampling = _sampling_macs(args, output)
                offset, mask = args[2], args[3]
                self._steering |= self._origins_of(offset) | self._origins_of(mask)
            elif kind == "conv":
                origins = frozenset([len(self._operators)])
        elif base in _FREE_NAMES:
            kind = "free"
            origins = origins.union(*(self._origins_of(x) for x in _tensors((args, kwargs))))
        else:
            kind = "uncounted"
        for x in _tensors(output):
            self._origins[id(x)] = (x, origins)
        self._operators.append(
            OperatorCall(
                module=self._running[-1],
                operator=name,
                kind=kind,
                macs=macs,
                sampling_macs=sampling,
                steers_sampling=False,
            )
        )
        return output

    def _origins_of(self, x: Tensor) -> frozenset[int]:
        return self._origins[id(x)][1] if id(x) in self._origins else frozenset()


def _tensors(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


@dataclass(frozen=True)
class CounterMacs:
    """What another counter says once it knows deformable convolutions, in MACs."""

    total: int
    by_operator: dict[str, int]
    """In the counter's own names."""
    uncounted: dict[str, int] | None
    """Calls of operators it found no formula for and that are not free; `None` where the counter
    does not say."""


def fvcore_macs(model: nn.Module, height: int, width: int, batch: int = 1) -> CounterMacs:
    """Have fvcore count a network, which runs on the CPU for it, with random weights or not.

    Of fvcore's handlers those for convolutions and matrix products remain; those for operators
    that are `FREE` here are taken out, and one for deformable kernels is put in.

    Raises:
        SizeError: for a size that the networks do not take.
    """
    check_size(height, width, batch)
    with fvcore_quietly():
        from fvcore.nn import FlopCountAnalysis, jit_handles

    def deformable(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        weight, output = inputs[1], outputs[0]
        macs = _deformable_macs(jit_handles.get_shape(weight), jit_handles.get_shape(output))
        return Counter({"deform_conv2d": macs})

    handles = dict.fromkeys(_FREE_NAMES | {f"{name}_" for name in _FREE_NAMES})
    handles |= {
        "aten::_convolution": jit_handles.conv_flop_jit,
        "aten::linear": jit_handles.linear_flop_jit,
        "aten::addmm": jit_handles.addmm_flop_jit,
        "aten::mm": jit_handles.matmul_flop_jit,
        "aten::matmul": jit_handles.matmul_flop_jit,
        "aten::bmm": jit_handles.bmm_flop_jit,
        "torchvision::deform_conv2d": deformable,
    }
    pictures = torch.zeros(batch, 3, height, width)
    analysis = FlopCountAnalysis(copy.deepcopy(model).cpu().eval(), pictures)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    # Setting a handle to None does not take out one that fvcore has; clearing all does.
    analysis.clear_op_handles().set_op_handle(**handles)
    by_operator = {name: int(macs) for name, macs in sorted(analysis.by_operator().items())}
    return CounterMacs(
        total=sum(by_operator.values()),
        by_operator=by_operator,
        uncounted=dict(sorted(analysis.unsupported_ops().items())),
    )


@contextmanager
def fvcore_quietly() -> Iterator[None]:
    """Import fvcore in here: it compiles a loss with torch.jit.script, which torch deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is deprecated")
        yield


def deformable_flops(
    input_shape: Sequence[int],
    weight_shape: Sequence[int],
    *args: Any,
    out_shape: Sequence[int],
    **kwargs: Any,
) -> int:
    """A formula for torch's counter, in FLOPs as all of its formulas: two per MAC."""
    return 2 * _deformable_macs(weight_shape, out_shape)


TORCH_FORMULAS = {DEFORM_CONV: deformable_flops}
"""For `FlopCounterMode(custom_mapping=…)`, which then counts deformable kernels."""


def register_deformable_flops() -> None:
    """Have every `FlopCounterMode` of this process count deformable kernels from now on.

    Nothing here calls it: the registry it adds to is the whole process's.
    """
    if DEFORM_CONV not in flop_registry:
        register_flop_formula(DEFORM_CONV)(deformable_flops)


def torch_macs(model: nn.Module, height: int, width: int, batch: int = 1) -> CounterMacs:
    """Have torch's `FlopCounterMode` count a network, on the meta device.

    Raises:
        SizeError: for a size that the networks do not take.
    """
    check_size(height, width, batch)
    ghost = copy.deepcopy(model).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=TORCH_FORMULAS) as counter:
        ghost(torch.empty(batch, 3, height, width, device="meta"))
    flops = counter.get_flop_counts().get("Global", {})
    by_operator = {str(operator): count // 2 for operator, count in flops.items()}
    return CounterMacs(sum(by_operator.values()), dict(sorted(by_operator.items())), None)
