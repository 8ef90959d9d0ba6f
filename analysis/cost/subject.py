"""Networks and inputs by name: what a user writes to have any network measured."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from inspect import signature
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from analysis.cost.foreign import foreign_code
from analysis.cost.trace import MAX_COMPUTED, Cost, CostError, measure, refuse_lazy
from featherface.config import FeatherFaceConfig
from featherface.errors import InputError

MAX_VALUES = 2**40
"""Of an input; more is a mistake."""


class SubjectError(InputError):
    """A network or an input that cannot be made; the message names it and says why."""


def load_model(
    name: str, arguments: Mapping[str, Any] | None = None, *, values: bool = True
) -> nn.Module:
    """Return the network of that name, with fresh weights, in evaluation mode.

    Args:
        name: "PACKAGE.MODULE:FACTORY", a class, a function or a network, looked
            for in the current folder too; "torchvision:NAME"; or "timm:NAME". This runs the code
            that it names.
        arguments: of the factory, by name.
        values: False to leave the weights without values, which takes no time and no memory.

    Raises:
        SubjectError: where there is no such network, or making it fails.
    """
    place, colon, factory = name.partition(":")
    named = re.fullmatch(r"[\w.]+", place) and re.fullmatch(r"[\w.\-/]+", factory)
    if not (colon and named) or place.endswith(".py"):
        raise SubjectError(f"model (={name!r}) must be PACKAGE.MODULE:FACTORY or torchvision:NAME")
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        with (
            foreign_code(SubjectError, f"model (={name!r})"),
            torch.random.fork_rng(devices=[]),
        ):
            made = _find(place, factory)
            if not isinstance(made, nn.Module):
                kept = hasattr(made, "cache_clear")  # a cached network serves later calls, too
                with nullcontext() if values or kept else _WithoutValues():
                    made = made(**(arguments or {}))
            if isinstance(made, nn.Module):
                with suppress(NotImplementedError):  # an exported program has a single mode
                    made.eval()
    finally:
        if folder in sys.path:  # that code may have changed it, too
            sys.path.remove(folder)
    if not isinstance(made, nn.Module):
        kind = type(made).__name__
        raise SubjectError(f"model (={name!r}): makes an object of type {kind}, not a network")
    refuse_lazy(made)
    return made


class _WithoutValues(TorchFunctionMode):
    """Puts on the meta device what PyTorch's layers make for their weights, and nothing else."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if function is torch.empty and caller.startswith("torch.") and not kwargs.get("device"):
            kwargs["device"] = "meta"
        return function(*args, **kwargs)


def _find(place: str, factory: str) -> Any:
    """Return the network or the factory of that name; what it needs is imported."""
    if place == "torchvision":
        from torchvision.models import get_model, get_model_builder

        backbone = "weights_backbone" in signature(get_model_builder(factory)).parameters
        without = {"weights": None, **({"weights_backbone": None} if backbone else {})}
        return lambda **arguments: get_model(factory, **arguments | without)
    if place == "timm":
        create = importlib.import_module("timm").create_model
        return partial(create, factory, pretrained=False)
    found: Any = importlib.import_module(place)
    for name in factory.split("."):
        found = getattr(found, name)
    return found


@dataclass(frozen=True)
class Input:
    """One input of a network."""

    shape: tuple[int, ...]
    dtype: str | None = None
    """Name of a type of PyTorch; `None` for that of the network's weights."""
    name: str | None = None
    """Of the argument that it is; `None` for one by position."""


@dataclass(frozen=True)
class Subject:
    """A network by name, with its inputs: all that it takes to make and measure it."""

    model: str
    """As for `load_model`."""
    inputs: tuple[Input, ...]
    arguments: tuple[tuple[str, Any], ...] = ()
    """Of the factory, by name."""

    def load(self, values: bool = True) -> nn.Module:
        """Return the network, see `load_model`."""
        return load_model(self.model, dict(self.arguments), values=values)

    def load_bare(self) -> nn.Module:
        """Return the network without values in its weights, if it can be made so."""
        try:
            return self.load(values=False)
        except SubjectError:  # it calculates with its weights while it is made
            return self.load()

    def measure(self, network: nn.Module) -> Cost:
        """Return the cost of what `load_bare` gave or, where that needs values, of a full one."""
        try:
            return measure(network, make_inputs(network, self.inputs))
        except CostError:
            network = self.load()
            return measure(network, make_inputs(network, self.inputs))

    def with_arguments(self, arguments: Mapping[str, Any]) -> Subject:
        return replace(self, arguments=tuple({**dict(self.arguments), **arguments}.items()))


def parse_input(text: str) -> Input:
    """Return the input that "1 3 224 224", "1 16 int64" or "mask=1 16 bool" describes.

    Raises:
        SubjectError: for anything else.
    """
    match = re.fullmatch(r"(?:([A-Za-z_]\w*)=)?((?:\d{1,12}[ ,]+)*\d{1,12})(?:[ ,:]+(\w+))?", text)
    if not match:
        raise SubjectError(f"input (={text!r}) must be like 1 3 224 224, 1 16 int64 or x=1 3 9 9")
    name, sizes, dtype = match.groups()
    shape = tuple(map(int, re.split(r"[ ,]+", sizes)))
    if prod(shape) > MAX_VALUES or 0 in shape:
        raise SubjectError(f"input (={text!r}) must have from 1 to {MAX_VALUES:,} values")
    if dtype and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise SubjectError(f"input (={text!r}): {dtype} is no type of PyTorch")
    return Input(shape, dtype, name)


def make_inputs(
    model: nn.Module, inputs: Sequence[Input], device: str = "meta"
) -> tuple[Tensor, ...] | dict[str, Tensor]:
    """Return zeros of these shapes, by position or, where they have names, by name.

    Raises:
        SubjectError: where some have names and some have not.
    """
    weights = (x.dtype for x in model.parameters() if is_computed_in(x.dtype))
    usual = next(weights, torch.float32)
    tensors = [
        torch.zeros(i.shape, dtype=getattr(torch, i.dtype) if i.dtype else usual, device=device)
        for i in inputs
    ]
    names = [i.name for i in inputs if i.name]
    if not names:
        return tuple(tensors)
    if len(set(names)) != len(inputs):
        raise SubjectError("inputs: either all have names, each another, or none has")
    return dict(zip(names, tensors, strict=True))


def is_computed_in(dtype: torch.dtype) -> bool:
    """Return whether networks compute in that type: floats, but for those of 8 bits, as stored."""
    return dtype.is_floating_point and dtype.itemsize > 1


def check_computable(shape: Sequence[int]) -> None:
    """Refuse an input that is too large for a network to compute, and not only to be counted.

    Raises:
        SubjectError: for more than `MAX_COMPUTED` values.
    """
    if prod(shape) > MAX_COMPUTED:
        raise SubjectError(
            f"input {'×'.join(map(str, shape))}: counters run the network, and {prod(shape):,} "
            f"values are more than the {MAX_COMPUTED:,} that they are given"
        )


def positional(model: nn.Module, inputs: Sequence[Input]) -> tuple[Any, ...]:
    """Return zeros on the CPU for these inputs, in the order of the network's arguments.

    Raises:
        SubjectError: where an input has a name and cannot be given by position.
    """
    for each in inputs:
        check_computable(each.shape)
    made = make_inputs(model, inputs, device="cpu")
    if isinstance(made, tuple):
        return made
    try:
        bound = signature(model.forward).bind(**made)
    except TypeError as error:
        raise SubjectError(f"inputs: {error}") from None
    bound.apply_defaults()
    if named := made.keys() & bound.kwargs.keys():
        raise SubjectError(f"input {min(named)}: a counter takes inputs by position alone")
    return bound.args


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Return the values by field of texts such as "reduction=16": Python literals, or else text.

    Raises:
        SubjectError: for text that is no FIELD=VALUE, or a field that comes twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not field.isidentifier():
            raise SubjectError(f"setting (={text!r}) must be FIELD=VALUE, as channels=74")
        if field in found:
            raise SubjectError(f"setting {field} comes twice")
        try:
            found[field] = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[field] = value
    return found


def with_settings(config: FeatherFaceConfig, settings: Mapping[str, Any]) -> FeatherFaceConfig:
    """Return the configuration with some fields changed.

    Raises:
        SubjectError: for an unknown field.
        ConfigError: for a value that no network can have.
    """
    known = [field.name for field in fields(FeatherFaceConfig)]
    for field in settings:
        if field not in known:
            raise SubjectError(f"setting {field!r} is none of {', '.join(known)}")
    return replace(config, **settings)
