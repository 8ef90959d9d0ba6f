"""The totals of fvcore, torch, torchinfo and thop as installed, and what each of them misses.

Each is called as its own documentation says, on a network in evaluation mode. The difference to
`analysis.cost.measure` is itemised, and the items add up to it.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from analysis.cost.blocks import network_cost
from analysis.cost.foreign import foreign_code
from analysis.cost.operators import KINDS
from analysis.cost.subject import check_computable
from analysis.cost.trace import Cost, count_parameters, measure
from featherface.config import CONFIGS, MIN_SIZE, FeatherFaceConfig, check_size
from featherface.errors import InputError
from featherface.model import FeatherFace

REGISTER = {
    "fvcore": """\
from fvcore.nn.jit_handles import get_shape
from math import prod
def deformable(inputs, outputs): return prod(get_shape(outputs[0])) * prod(get_shape(inputs[1])[1:])
analysis.set_op_handle("torchvision::deform_conv2d", deformable)""",
    "torch": """\
from math import prod
from torch.utils.flop_counter import register_flop_formula
@register_flop_formula(torch.ops.torchvision.deform_conv2d)
def deformable(x, weight, *_, out_shape, **__): return 2 * prod(out_shape) * prod(weight[1:])""",
    "torchinfo": """\
# torchinfo has no registry. It counts modules that are called and have "Conv" in the name of their
# class, as torchvision.ops.DeformConv2d has: call the kernel through that.""",
    "thop": """\
from torchvision.ops import DeformConv2d  # thop asks modules that are called, by class
def deformable(m, x, y): m.total_ops += y.numel() * m.weight[0].numel()
thop.profile(model, inputs=(images,), custom_ops={DeformConv2d: deformable})""",
}
"""The lines by which each counter learns `torchvision.ops.deform_conv2d`."""


@dataclass(frozen=True, kw_only=True)
class CounterRecord:
    """The answer of one counter for one network and input."""

    counter: str
    version: str | None = None
    call: str
    """Its call, with `model` and the (1, 3, H, W) tensor `pictures`."""
    quantity: str
    """The counter's name for the number."""
    per_mac: int
    """Units of it that make one MAC."""
    value: int | None = None
    """As the counter gives it; `None` where it gives none, see `reason`."""
    macs: int | None = None
    params: int | None = None
    """`None` also for a counter that does not count parameters."""
    our_macs: int
    our_params: int
    macs_difference: dict[str, int] = field(default_factory=dict)
    """The counter's excess over ours (below 0: what it misses), by kind of operator; the names
    are ours for what we count, and its own for the rest."""
    params_difference: dict[str, int] = field(default_factory=dict)
    """The same for parameters, by class of the module that owns them."""
    unsupported: dict[str, int] | None = None
    """Calls of the operators that the counter itself reports as left out; `None` where it
    reports none by design."""
    reason: str | None = None
    """Why there is no value."""

    def __post_init__(self) -> None:
        if self.macs is not None:
            assert self.macs - self.our_macs == sum(self.macs_difference.values()), self
        if self.params is not None:
            assert self.params - self.our_params == sum(self.params_difference.values()), self

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def out_of_the_box(
    config: FeatherFaceConfig | str, height: int = 640, width: int = 640, batch: int = 1
) -> list[CounterRecord]:
    """Return the answers of the counters for a network of the family, see `ask_counters`.

    Args:
        config: the architecture, or the name of a variant in `CONFIGS`.

    Raises:
        ConfigError: for an unknown variant.
        SizeError: for a size that the networks do not take.
    """
    model, pictures = _fresh(config, height, width, batch)
    return ask_counters(model, (pictures,), network_cost(config, height, width, batch))


def ask_counters(
    model: nn.Module, inputs: tuple[Any, ...], cost: Cost | None = None
) -> list[CounterRecord]:
    """Return the answers of fvcore, torch, torchinfo and thop, in this order.

    The network runs once for each. A counter that is not installed, or that fails, says so in
    `reason`.

    Args:
        model: in evaluation mode.
        inputs: positional arguments, with values.
        cost: of the network with these inputs, if it is known.

    Raises:
        AssertionError: where the itemised differences do not add up.
    """
    cost = cost or measure(model, inputs)
    owners = _by_owner(model, {name: x.numel() for name, x in model.named_parameters()})
    return [_ask(counter, model, inputs, cost, owners) for counter in COUNTERS]


def _ask(
    counter: _Counter,
    model: nn.Module,
    inputs: tuple[Any, ...],
    cost: Cost,
    owners: Mapping[str, int],
) -> CounterRecord:
    record = CounterRecord(
        counter=counter.name,
        call=counter.call,
        quantity=counter.quantity,
        per_mac=counter.per_mac,
        our_macs=cost.macs,
        our_params=cost.params,
    )
    try:
        with (
            foreign_code(InputError, f"{counter.name} fails"),
            torch.random.fork_rng(devices=[]),
            torch.no_grad(),
        ):
            answer = counter.ask(model, inputs)
    except InputError as error:
        if isinstance(error.__cause__, ImportError):
            return replace(record, reason=f"{counter.name} cannot be imported: {error.__cause__}")
        return replace(record, reason=str(error))
    macs, params = answer.macs, answer.params
    assert answer.value == counter.per_mac * sum(macs.values()), (counter.name, answer)
    kinds = {kind: cost.macs_by_kind[kind] for kind in KINDS}
    named = _summed((_SAME.get(name, name), count) for name, count in macs.items())
    return replace(
        record,
        version=torch.__version__ if counter.name == "torch" else version(counter.name),
        value=answer.value,
        macs=sum(macs.values()),
        params=None if params is None else sum(params.values()),
        macs_difference=_difference(named, kinds),
        params_difference={} if params is None else _difference(params, owners),
        unsupported=answer.unsupported,
    )


def reconcile(config: FeatherFaceConfig | str) -> dict[str, Any]:
    """Return the parameters of a network that thop leaves out, as a JSON document.

    thop adds a module's parameters up when that module is called, so a tensor that is used
    without calling the module that owns it is never counted. They are found from the totals that
    thop gives for every module, not from that rule.

    Returns:
        `params`; `dropped`, by class of the module that owns them, with `params` `by_part` of a
        block and by `tensors`; and `thop_params`, what remains, or `None` with a `reason`.

    Raises:
        ConfigError: for an unknown variant.
        AssertionError: where what is itemised does not explain the difference.
    """
    config = CONFIGS[config] if isinstance(config, str) else config
    model, pictures = _fresh(config, MIN_SIZE, MIN_SIZE, 1)
    params = count_parameters(model)
    document: dict[str, Any] = {
        "variant": config.variant,
        "params": params,
        "dropped": [],
        "thop_params": None,
        "reason": None,
    }
    try:
        with torch.no_grad():
            _, total, counted = _profile(model, (pictures,))
    except ImportError as error:
        return document | {"reason": f"thop cannot be imported: {error}"}
    dropped: dict[str, dict[str, int]] = {}
    for name, parameter in model.named_parameters():
        if name not in counted:
            dropped.setdefault(_owner(model, name), {})[name] = parameter.numel()
    groups: list[dict[str, Any]] = []
    for owner, tensors in dropped.items():
        parts = ((".".join(name.split(".")[:3]), count) for name, count in tensors.items())
        params_of = {"params": sum(tensors.values()), "by_part": _summed(parts)}
        groups.append({"type": owner, **params_of, "tensors": tensors})
    assert params - sum(group["params"] for group in groups) == total, (params, groups, total)
    return document | {"dropped": groups, "thop_params": total}


@dataclass(frozen=True)
class _Answer:
    value: int
    macs: Mapping[str, int]  # by the counter's names of operators or classes
    params: Mapping[str, int] | None = None  # by class of the owner
    unsupported: dict[str, int] | None = None


def _fvcore(model: nn.Module, inputs: tuple[Any, ...]) -> _Answer:
    with warnings.catch_warnings():
        # It compiles a loss with torch.jit.script when it is imported.
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is deprecated")
        from fvcore.nn import FlopCountAnalysis, parameter_count
    analysis = FlopCountAnalysis(model, inputs)
    # Off the log; `unsupported` has the same.
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    value = int(analysis.total())
    params = parameter_count(model)
    return _Answer(
        value,
        {name: int(macs) for name, macs in analysis.by_operator().items()},
        _by_owner(model, {name: params[name] for name, _ in model.named_parameters()}),
        dict(sorted(analysis.unsupported_ops().items())),
    )


def _torch(model: nn.Module, inputs: tuple[Any, ...]) -> _Answer:
    with FlopCounterMode(display=False) as counter:
        model(*inputs)
    flops = counter.get_flop_counts().get("Global", {})
    return _Answer(
        counter.get_total_flops(), {str(name): count // 2 for name, count in flops.items()}
    )


def _torchinfo(model: nn.Module, inputs: tuple[Any, ...]) -> _Answer:
    import torchinfo

    summary = torchinfo.summary(model, input_data=inputs, verbose=0)
    macs: Counter[str] = Counter()
    params: Counter[str] = Counter()
    for layer in summary.summary_list:
        if layer.is_leaf_layer:
            macs[layer.class_name] += layer.macs
        if not layer.is_recursive:
            own = layer.num_params if layer.is_leaf_layer else layer.leftover_params()
            params[layer.class_name] += max(own, 0)  # as torchinfo adds up where layers share
    assert sum(params.values()) == summary.total_params, (params, summary.total_params)
    return _Answer(summary.total_mult_adds, macs, params)


def _thop(model: nn.Module, inputs: tuple[Any, ...]) -> _Answer:
    model = copy.deepcopy(model)  # thop leaves buffers behind in the modules
    macs, total, counted = _profile(model, inputs)
    params = _by_owner(model, counted)
    assert total == sum(params.values()), (total, params)
    return _Answer(sum(macs.values()), macs, params)


@dataclass(frozen=True)
class _Counter:
    name: str
    call: str
    quantity: str
    ask: Callable[[nn.Module, tuple[Any, ...]], _Answer]
    per_mac: int = 1


COUNTERS = (
    # "We count one fused multiply-add as one flop", says fvcore's documentation.
    _Counter("fvcore", "fvcore.nn.FlopCountAnalysis(model, pictures).total()", "flops", _fvcore),
    _Counter(
        "torch",
        "with torch.utils.flop_counter.FlopCounterMode() as counter: model(pictures); "
        "counter.get_total_flops()",
        "FLOPs",
        _torch,
        per_mac=2,
    ),
    _Counter(
        "torchinfo",
        "torchinfo.summary(model, input_size=pictures.shape).total_mult_adds",
        "mult-adds",
        _torchinfo,
    ),
    _Counter("thop", "thop.profile(model, inputs=(pictures,))", "MACs", _thop),
)
"""The counters, in the order of the records."""


def _profile(
    model: nn.Module, inputs: tuple[Any, ...]
) -> tuple[dict[str, int], int, dict[str, int]]:
    """Return thop's MACs by class, its parameters, and the sizes of the tensors it counted.

    Raises:
        ImportError: where thop or distutils, which it needs, is not installed.
        AssertionError: where thop counts a part of a module's parameters.
    """
    with warnings.catch_warnings():
        # thop compares versions with distutils, which is deprecated in all its forms.
        warnings.filterwarnings("ignore", message=r"(?i).*distutils")
        import thop
    total, params, layers = thop.profile(model, inputs=inputs, verbose=False, ret_layer_info=True)
    macs: Counter[str] = Counter()
    counted: dict[str, int] = {}

    def visit(path: str, layers: Mapping[str, tuple[float, float, Any]]) -> None:
        for name, (layer_macs, layer_params, inside) in layers.items():
            below = f"{path}{name}"
            if inside:  # the sums of what follows
                visit(f"{below}.", inside)
                continue
            module = model.get_submodule(below)
            macs[type(module).__name__] += int(layer_macs)
            if layer_params:
                named = module.named_parameters(prefix=below)
                tensors = {name: x.numel() for name, x in named}
                assert int(layer_params) == sum(tensors.values()), (below, layer_params, tensors)
                counted.update(tensors)

    visit("", layers or {"": (total, params, {})})  # of a network that is a single layer, none
    assert int(total) == sum(macs.values()), (total, macs)
    return dict(macs), int(params), counted


def _fresh(
    config: FeatherFaceConfig | str, height: int, width: int, batch: int
) -> tuple[FeatherFace, Tensor]:
    """Return a new network and images; the random state stays as it is."""
    check_size(height, width, batch)
    check_computable((batch, 3, height, width))
    with torch.random.fork_rng(devices=[]):
        return FeatherFace(config).eval(), torch.zeros(batch, 3, height, width)


# The counters' names of what we count too, by operator or class of module.
_SAME = {
    **dict.fromkeys(
        ("aten.convolution", "aten._convolution", "Conv1d", "Conv2d", "Conv3d"), "conv"
    ),
    **dict.fromkeys(("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"), "conv"),
    "DeformConv2d": "deformable_kernel",
    **dict.fromkeys(("addmm", "mm", "bmm", "baddbmm", "matmul", "linear", "einsum"), "linear"),
    **dict.fromkeys(("aten.addmm", "aten.mm", "aten.bmm", "aten.baddbmm", "Linear"), "linear"),
}


def _difference(theirs: Mapping[str, int], ours: Mapping[str, int]) -> dict[str, int]:
    names = dict.fromkeys([*ours, *theirs])
    differences = {name: theirs.get(name, 0) - ours.get(name, 0) for name in names}
    return {name: difference for name, difference in differences.items() if difference}


def _by_owner(model: nn.Module, params: Mapping[str, int]) -> dict[str, int]:
    return _summed((_owner(model, name), count) for name, count in params.items())


def _owner(model: nn.Module, parameter: str) -> str:
    if isinstance(model, torch.jit.ScriptModule):  # cannot be asked
        return type(model).__name__
    return type(model.get_submodule(parameter.rpartition(".")[0])).__name__


def _summed(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for name, count in counts:
        total[name] += count
    return dict(total)
