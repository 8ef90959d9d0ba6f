"""What the public counters say of a network as they are installed, and what each of them misses.

Each is called as its own documentation says, on a fresh network in evaluation mode. The
difference to `analysis.cost.macs` and `analysis.cost.parameters` is itemised, and the items add up
to it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from analysis.cost.macs import KINDS, count_macs, fvcore_quietly
from analysis.cost.parameters import count_parameters
from featherface.config import MIN_SIZE, FeatherFaceConfig, config_of
from featherface.model import FeatherFace


@dataclass(frozen=True)
class CounterRecord:
    """What one counter says of one network and picture size."""

    counter: str
    version: str | None
    call: str
    """How it is called, with `model` and the (1, 3, H, W) tensor `pictures`."""
    quantity: str
    """What the counter calls the number."""
    per_mac: int
    """How many of it make one MAC."""
    value: int | None
    """The number as the counter gives it; `None` where it could not be asked, see `reason`."""
    macs: int | None
    params: int | None
    """`None` also for a counter that does not count parameters."""
    our_macs: int
    our_params: int
    macs_difference: dict[str, int]
    """What the counter has beyond ours (above 0) or misses (below), by kind of operator; the
    names are ours for what we count, and its own for the rest."""
    params_difference: dict[str, int]
    """The same for parameters, by class of the module that owns them."""
    unsupported: dict[str, int] | None
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


@dataclass(frozen=True)
class DroppedParameters:
    """Parameters of the modules of one class that thop leaves out."""

    type: str
    """Class of the modules that own them."""
    params: int
    by_part: dict[str, int]
    """The same by part of a block, as "context.levels.0"."""
    tensors: dict[str, int]
    """The same by name of the tensor."""


@dataclass(frozen=True)
class Reconciliation:
    """From the parameters that a network has to those that thop says it has.

    `params` − Σ `dropped` = `thop_params`, where thop is installed.
    """

    variant: str | None
    params: int
    dropped: tuple[DroppedParameters, ...]
    thop_params: int | None
    reason: str | None = None
    """Why thop could not be asked."""

    def __post_init__(self) -> None:
        if self.thop_params is not None:
            left = self.params - sum(group.params for group in self.dropped)
            assert left == self.thop_params, self

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "dropped": [asdict(group) for group in self.dropped]}


def out_of_the_box(
    config: FeatherFaceConfig | str, height: int = 640, width: int = 640
) -> list[CounterRecord]:
    """Ask fvcore, torch, torchinfo and thop, in this order, what a network costs.

    The network runs on the CPU once for each. thop is asked where it can be imported.

    Args:
        config: the architecture, or the name of a variant in `CONFIGS`.

    Raises:
        ConfigError: for an unknown variant.
        SizeError: for a size that the networks do not take.
        AssertionError: where the itemised differences do not add up.
    """
    config = config_of(config) if isinstance(config, str) else config
    with torch.device("meta"):
        model = FeatherFace(config)
    by_kind = count_macs(model, height, width).by_kind
    ours = _Ours(
        macs={kind: by_kind[kind] for kind in KINDS},
        params=_by_owner(model, {name: x.numel() for name, x in model.named_parameters()}),
    )
    return [ask(config, height, width, ours) for ask in (_fvcore, _torch, _torchinfo, _thop)]


def reconcile(config: FeatherFaceConfig | str) -> Reconciliation:
    """Itemise the parameters of a network that thop leaves out.

    thop adds a module's parameters up when that module is called, so a tensor that is used
    without calling the module that owns it is never counted. Which these are is read off the
    totals that thop gives for every module, not off that rule.

    Raises:
        ConfigError: for an unknown variant.
        AssertionError: where what is itemised does not explain the difference.
    """
    config = config_of(config) if isinstance(config, str) else config
    with torch.device("meta"):
        model = FeatherFace(config)
    params = count_parameters(model)
    try:
        said = _run_thop(config, MIN_SIZE, MIN_SIZE)
    except ImportError as error:
        return Reconciliation(config.variant, params, (), None, _not_installed(error))
    dropped: dict[str, dict[str, int]] = {}
    for name, parameter in model.named_parameters():
        if name not in said.counted_params:
            owner = type(model.get_submodule(name.rpartition(".")[0])).__name__
            dropped.setdefault(owner, {})[name] = parameter.numel()
    return Reconciliation(
        variant=config.variant,
        params=params,
        dropped=tuple(
            DroppedParameters(owner, sum(tensors.values()), _by_part(tensors), tensors)
            for owner, tensors in dropped.items()
        ),
        thop_params=said.params,
    )


@dataclass(frozen=True)
class _Ours:
    """Our counts, to hold those of a counter against."""

    macs: Mapping[str, int]
    params: Mapping[str, int]

    def compare(
        self,
        counter: str,
        version: str | None,
        call: str,
        quantity: str,
        *,
        per_mac: int = 1,
        value: int | None = None,
        macs: Mapping[str, int] | None = None,
        params: Mapping[str, int] | None = None,
        unsupported: dict[str, int] | None = None,
        reason: str | None = None,
    ) -> CounterRecord:
        """The record of a counter whose `value` is made up of `macs`, itemised as ours are."""
        if value is not None:
            assert value % per_mac == 0, (counter, value)
        return CounterRecord(
            counter=counter,
            version=version,
            call=call,
            quantity=quantity,
            per_mac=per_mac,
            value=value,
            macs=None if value is None else value // per_mac,
            params=None if params is None else sum(params.values()),
            our_macs=sum(self.macs.values()),
            our_params=sum(self.params.values()),
            macs_difference={} if macs is None else _difference(macs, self.macs),
            params_difference={} if params is None else _difference(params, self.params),
            unsupported=unsupported,
            reason=reason,
        )


def _fvcore(config: FeatherFaceConfig, height: int, width: int, ours: _Ours) -> CounterRecord:
    with fvcore_quietly():
        from fvcore.nn import FlopCountAnalysis, parameter_count
    with _fresh(config, height, width) as (model, pictures):
        analysis = FlopCountAnalysis(model, pictures)
        # Off the log; `unsupported` hands on what it says.
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        value = int(analysis.total())
        params = parameter_count(model)
    return ours.compare(
        "fvcore",
        version("fvcore"),
        "fvcore.nn.FlopCountAnalysis(model, pictures).total()",
        "flops",  # "We count one fused multiply-add as one flop", says its documentation
        value=value,
        macs=_renamed({name: int(macs) for name, macs in analysis.by_operator().items()}),
        params=_by_owner(model, {name: params[name] for name, _ in model.named_parameters()}),
        unsupported=dict(sorted(analysis.unsupported_ops().items())),
    )


def _torch(config: FeatherFaceConfig, height: int, width: int, ours: _Ours) -> CounterRecord:
    per_mac = 2
    with (
        _fresh(config, height, width) as (model, pictures),
        FlopCounterMode(display=False) as counter,
    ):
        model(pictures)
    flops = counter.get_flop_counts()["Global"]
    return ours.compare(
        "torch",
        torch.__version__,
        "with torch.utils.flop_counter.FlopCounterMode() as counter: model(pictures); "
        "counter.get_total_flops()",
        "FLOPs",
        per_mac=per_mac,
        value=counter.get_total_flops(),
        macs=_renamed({str(operator): count // per_mac for operator, count in flops.items()}),
    )


def _torchinfo(config: FeatherFaceConfig, height: int, width: int, ours: _Ours) -> CounterRecord:
    import torchinfo

    with _fresh(config, height, width) as (model, pictures):
        summary = torchinfo.summary(model, input_size=tuple(pictures.shape), verbose=0)
    macs: Counter[str] = Counter()
    params: Counter[str] = Counter()
    for layer in summary.summary_list:
        if layer.is_leaf_layer:
            macs[layer.class_name] += layer.macs
        if not layer.is_recursive:
            own = layer.num_params if layer.is_leaf_layer else layer.leftover_params()
            params[layer.class_name] += own
    assert sum(params.values()) == summary.total_params, (params, summary.total_params)
    return ours.compare(
        "torchinfo",
        version("torchinfo"),
        "torchinfo.summary(model, input_size=pictures.shape).total_mult_adds",
        "mult-adds",
        value=summary.total_mult_adds,
        macs=_renamed(macs),
        params=params,
    )


def _thop(config: FeatherFaceConfig, height: int, width: int, ours: _Ours) -> CounterRecord:
    call = "thop.profile(model, inputs=(pictures,))"
    try:
        said = _run_thop(config, height, width)
    except ImportError as error:
        return ours.compare("thop", None, call, "MACs", reason=_not_installed(error))
    return ours.compare(
        "thop",
        version("thop"),
        call,
        "MACs",
        value=said.macs,
        macs=_renamed(said.macs_by_type),
        params=_by_owner(said.model, said.counted_params),
    )


@dataclass(frozen=True)
class _Thop:
    """What thop says of a network, and which of its parameters it counted."""

    model: FeatherFace
    macs: int
    params: int
    macs_by_type: dict[str, int]
    counted_params: dict[str, int]


def _run_thop(config: FeatherFaceConfig, height: int, width: int) -> _Thop:
    """Profile a network of its own for thop, which leaves buffers behind in the modules.

    Raises:
        ImportError: where thop or distutils, which it needs, is not installed.
        AssertionError: where thop counts a part of a module's parameters.
    """
    with warnings.catch_warnings():
        # thop compares versions with distutils, which is deprecated in all its forms.
        warnings.filterwarnings("ignore", message=r"(?i).*distutils")
        import thop
    with _fresh(config, height, width) as (model, pictures):
        macs, params, layers = thop.profile(
            model, inputs=(pictures,), verbose=False, ret_layer_info=True
        )
    macs_by_type: Counter[str] = Counter()
    counted: dict[str, int] = {}

    def visit(path: str, layers: Mapping[str, tuple[float, float, Any]]) -> None:
        for name, (layer_macs, layer_params, inside) in layers.items():
            below = f"{path}{name}"
            if inside:  # the sums of what follows
                visit(f"{below}.", inside)
                continue
            module = model.get_submodule(below)
            macs_by_type[type(module).__name__] += int(layer_macs)
            if layer_params:
                tensors = {f"{below}.{name}": x.numel() for name, x in module.named_parameters()}
                assert int(layer_params) == sum(tensors.values()), (below, layer_params, tensors)
                counted.update(tensors)

    visit("", layers)
    return _Thop(model, int(macs), int(params), dict(macs_by_type), counted)


def _not_installed(error: ImportError) -> str:
    return f"thop cannot be imported: {error}"


@contextlib.contextmanager
def _fresh(
    config: FeatherFaceConfig, height: int, width: int
) -> Iterator[tuple[FeatherFace, Tensor]]:
    """A new network, without gradients, and a picture; the random state outside stays as it is."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        yield FeatherFace(config).eval(), torch.zeros(1, 3, height, width)


# The counters' names of what we count too, by operator or class of module.
_SAME = {
    "aten.convolution": "conv",
    "Conv2d": "conv",
    "addmm": "linear",
    "aten.addmm": "linear",
    "Linear": "linear",
}


def _renamed(macs: Mapping[str, int]) -> dict[str, int]:
    renamed: Counter[str] = Counter()
    for name, count in macs.items():
        renamed[_SAME.get(name, name)] += count
    return dict(renamed)


def _difference(theirs: Mapping[str, int], ours: Mapping[str, int]) -> dict[str, int]:
    names = dict.fromkeys([*ours, *theirs])
    differences = {name: theirs.get(name, 0) - ours.get(name, 0) for name in names}
    return {name: difference for name, difference in differences.items() if difference}


def _by_owner(model: nn.Module, params: Mapping[str, int]) -> dict[str, int]:
    """Parameters, given by name, by class of the modules that own them."""
    owners: Counter[str] = Counter()
    for name, count in params.items():
        owners[type(model.get_submodule(name.rpartition(".")[0])).__name__] += count
    return dict(owners)


def _by_part(params: Mapping[str, int]) -> dict[str, int]:
    parts: Counter[str] = Counter()
    for name, count in params.items():
        parts[".".join(name.split(".")[:3])] += count
    return dict(parts)
