"""One traced forward pass: parameters, MACs, bytes and shapes of every module of a network."""

from __future__ import annotations

import copy
import gc
import math
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import _lru_cache_wrapper, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from analysis.cost.foreign import foreign_code
from analysis.cost.operators import (
    DEFORM_CONV,
    ITEMS,
    KINDS,
    find_handler,
    find_module_handler,
    is_free,
    operator_name,
    sampling_macs,
)
from featherface.errors import InputError
from featherface.images import MAX_NETWORK_PIXELS

MAX_COMPUTED = 3 * MAX_NETWORK_PIXELS
"""Values of the inputs that a network is run on to count it."""


class CostError(InputError):
    """A network that cannot be measured; the message says which and why."""


@dataclass
class Cost:
    """The cost of one module in one forward pass, and, in `children`, of the modules in it.

    Fields that begin with `own_` are of the module alone; `params`, `macs`, `macs_by_kind`,
    `bytes_moved` and `uncounted` include all modules below it.
    """

    path: str
    """Dotted, as in `nn.Module.named_modules`; empty for the network."""
    type: str
    """Name of the class."""
    device: str
    """The device of the pass: "meta" without values, else with them."""
    own_params: int
    """Values in learnable tensors; a tensor that modules share belongs to the first of them."""
    own_macs: Counter[str] = field(default_factory=Counter)
    """By item of `operators.ITEMS`, of the operators that the module ran itself."""
    own_bytes: int = 0
    """Read and written by the operators that it ran itself, each reading its tensors once (input,
    weights, statistics) and writing its result once, as if no cache kept anything between two
    operators. Views move nothing; a broadcast tensor is read once. Of sparse tensors their values
    count; under `vmap`, which hides what is a view, the bytes are not exact."""
    own_uncounted: Counter[str] = field(default_factory=Counter)
    """Calls of the operators that nothing is known about; `macs` is then a lower bound."""
    calls: int = 0
    output_shapes: tuple[tuple[int, ...], ...] = ()
    """Of all tensors that the last call returned."""
    output_bytes: int = 0
    """Of the tensors that all calls returned, without those among their inputs."""
    bytes_least: int = 0
    """Of all calls, with every input, weight and activation moved once: what remains of
    `bytes_moved` if caches keep everything in between."""
    children: list[Cost] = field(default_factory=list, repr=False)

    @property
    def params(self) -> int:
        return sum(cost.own_params for cost in self.walk())

    @property
    def macs_by_kind(self) -> dict[str, int]:
        return {item: sum(cost.own_macs[item] for cost in self.walk()) for item in ITEMS}

    @property
    def macs(self) -> int:
        """The sum of `operators.KINDS`."""
        return counted(self.macs_by_kind)

    @property
    def bytes_moved(self) -> int:
        return sum(cost.own_bytes for cost in self.walk())

    @property
    def uncounted(self) -> dict[str, int]:
        """Calls by name of operator."""
        calls = sum((cost.own_uncounted for cost in self.walk()), Counter[str]())
        return dict(sorted(calls.items()))

    def walk(self) -> Iterator[Cost]:
        """Yield this and all costs below, in the order of `nn.Module.named_modules`."""
        yield self
        for child in self.children:
            yield from child.walk()

    def __getitem__(self, path: str) -> Cost:
        """Return the cost of the module at `path`; `KeyError` where there is none."""
        for cost in self.walk():
            if cost.path == path:
                return cost
        raise KeyError(path)


def counted(kinds: Mapping[str, int]) -> int:
    """Return the MACs that a count by item amounts to."""
    return sum(kinds.get(kind, 0) for kind in KINDS)


def count_parameters(module: nn.Module) -> int:
    """Return the number of values in the module's learnable tensors, each tensor once.

    Frozen ones (`requires_grad=False`) count as well, buffers such as running statistics do not.
    """
    return sum(parameter.numel() for parameter in module.parameters())


def measure(module: nn.Module, inputs: Any) -> Cost:
    """Return the cost of one forward pass in evaluation mode.

    The pass runs on the meta device, which computes shapes alone. A network that needs values, as
    one that branches on its data does, runs on its own device with the inputs as given, or with
    zeros for inputs on the meta device, of `MAX_COMPUTED` values at most. The attributes of its
    modules are left as they were, with what is in their lists, dictionaries, sets and deques,
    except for what its own code writes into its tensors. Where the pass left tensors without values
    in variables of its classes, or of the files that define them, these are as before; caches of
    functions (`functools.lru_cache`) are emptied.

    What runs past PyTorch's dispatcher or in another thread is not seen, but for classes of modules
    with a handler (`operators.register`). Among the `uncounted` are modules that run so, and floats
    and complex numbers that leave as arrays, lists or DLPack capsules.

    Args:
        module: any network. Of a TorchScript module the parts cannot be told apart.
        inputs: one tensor, a sequence of positional arguments, or a mapping of named ones.

    Raises:
        CostError: for a network that does not run with these inputs.
    """
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    named = dict(inputs) if isinstance(inputs, Mapping) else {}
    given = (inputs,) if isinstance(inputs, Tensor) else () if named else tuple(inputs)
    refuse_lazy(module)
    tensors = [*module.parameters(), *module.buffers()]
    home = next((x.device for x in tensors), torch.device("cpu"))
    for device in dict.fromkeys([torch.device("meta"), home]):
        made: Any = WeakTensorKeyDictionary()
        try:
            with (
                foreign_code(CostError, f"{_type(module)}: cannot be measured"),
                _forgotten(module, made) if device.type == "meta" else nullcontext(),
                _prepared(module, device),
            ):
                arguments = tree_map_only(Tensor, partial(_to, device), (given, named))
                cost = _trace(module, device, made, *arguments)
                params = count_parameters(module)
            if params == cost.params:
                return cost
            failure = CostError(f"{_type(module)}: changes its parameters, {_RUN_ONCE}")
        except CostError as error:
            failure = error
        if sum(x.numel() for x in _leaves((given, named))) > MAX_COMPUTED:
            raise CostError(f"{failure}; with values the input is too large to run")
    raise failure


def refuse_lazy(module: nn.Module) -> None:
    """Raise `CostError` for a network whose parameters get their shapes from its first input."""
    if any(nn.parameter.is_lazy(x) for x in (*module.parameters(), *module.buffers())):
        raise CostError(f"{_type(module)}: has lazy modules, {_RUN_ONCE}")


_RUN_ONCE = "run it once, as in its factory"


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds every operator to the cost of the module that runs it, which hooks tell."""

    supports_higher_order_operators = True

    def __init__(self, costs: dict[str, Cost], made: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.costs = costs
        self.running = [costs[""]]
        # From which convolutions a tensor, with all its views, comes through free operators and
        # interpolation.
        self._origins = made

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name, module, kwargs = operator_name(func), self.running[-1], kwargs or {}
        found = find_handler(name)
        ordinary = all(x.layout is torch.strided and not x.is_nested for x in _leaves(args))
        if ordinary and not found and isinstance(func, OpOverload) and func.namespace != "prim":
            # In inference mode operators come here before PyTorch replaces them by simpler ones.
            with self:
                output = func.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
        output = func(*args, **kwargs)
        origins: list[_Convolution] = []
        if ordinary and found:
            kind, handler = found
            macs = handler(args, output)
            module.own_macs[kind] += macs
            if kind == "conv":
                origins = [_Convolution(module, macs)]
            elif kind == "sampling":
                origins = self._come_from((args, kwargs))
            elif name == DEFORM_CONV:
                module.own_macs["sampling"] += sampling_macs(args, output)
                for convolution in self._come_from(args[2:4]):
                    convolution.steers()
        elif is_free(func, (args, kwargs)):
            origins = self._come_from((args, kwargs))
        else:
            module.own_uncounted[name] += 1
        for x in _tensors(output):
            self._origins[x] = origins
            if x._base is not None:  # written into a part of a tensor
                self._origins[x._base] = [*self._come_from(x._base), *origins]
        if not _is_view(func, (args, kwargs), output):
            module.own_bytes += sum(map(_bytes, _tensors((args, kwargs, output))))
        return output

    def enter(self, path: str) -> None:
        self.running.append(self.costs[path])
        if self not in _get_current_dispatch_mode_stack():
            self.running[-1].own_uncounted["module outside the trace"] += 1

    def leave(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        cost = self.running.pop()
        if handler := find_module_handler(module):
            cost.own_macs[handler[0]] += handler[1]((module, *inputs[0]), outputs)
        read = {id(x): _bytes(x) for x in _tensors(_opened(inputs))}
        tensors = _tensors(_opened(outputs))
        new = {id(x): x for x in tensors if id(x) not in read}
        cost.calls += 1
        cost.output_shapes = tuple(tuple(x.shape) for x in tensors)
        cost.output_bytes += sum(map(_bytes, new.values()))
        if new:
            moved = read | {id(x): _bytes(x) for x in [*module.parameters(), *new.values()]}
            cost.bytes_least += sum(moved.values())

    def _come_from(self, tree: Any) -> list[_Convolution]:
        wholes = (x if x._base is None else x._base for x in _tensors(tree))
        found = (origin for whole in wholes for origin in self._origins.get(whole, ()))
        return list(dict.fromkeys(found))


_LEAVING = (Tensor.numpy, Tensor.__array__, Tensor.tolist, Tensor.__dlpack__)


class _Leaving(TorchFunctionMode):
    """Notes values that leave PyTorch: nothing is known about what is calculated with them."""

    def __init__(self, trace: _Trace) -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if function in _LEAVING and (args[0].is_floating_point() or args[0].is_complex()):
            self.trace.running[-1].own_uncounted[f"Tensor.{function.__name__}"] += 1
        return function(*args, **(kwargs or {}))


@dataclass(eq=False)
class _Convolution:
    module: Cost
    macs: int
    steering: bool = False

    def steers(self) -> None:
        """Count it once among those whose output steers a deformable convolution."""
        if not self.steering:
            self.module.own_macs["offset_and_mask_conv"] += self.macs
        self.steering = True


def _trace(
    module: nn.Module,
    device: torch.device,
    made: Any,
    given: Sequence[Any],
    named: Mapping[str, Any],
) -> Cost:
    """Return the cost of one call; `made`, a weak dictionary, gets the tensors that it makes."""
    owned: Counter[str] = Counter()
    for name, parameter in module.named_parameters():
        owned[name.rpartition(".")[0]] += parameter.numel()
    costs: dict[str, Cost] = {}
    for path, part in module.named_modules():
        costs[path] = Cost(path, _type(part), device.type, owned[path])
        if path:
            costs[path.rpartition(".")[0]].children.append(costs[path])
    trace = _Trace(costs, made)
    with ExitStack() as stack:
        for path, part in module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):  # takes no hooks
                continue
            enter = part.register_forward_pre_hook(lambda m, x, path=path: trace.enter(path))
            stack.callback(enter.remove)
            leave = part.register_forward_hook(
                lambda m, x, named, out: trace.leave(m, (x, named), out),
                with_kwargs=True,
                always_call=True,
            )
            stack.callback(leave.remove)
        with torch.random.fork_rng(devices=[]), torch.no_grad(), trace, _Leaving(trace):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
            outputs = module(*given, **named)
        for x in tree_leaves(outputs):
            if isinstance(x, Iterator | Coroutine):  # what it does is still to come
                costs[""].own_uncounted[type(x).__name__] += 1
        if isinstance(module, torch.jit.ScriptModule):
            trace.leave(module, (given, named), outputs)
    return costs[""]


@contextmanager
def _prepared(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Have the network in evaluation mode and, for "meta", its tensors without values."""
    owned = [part.__dict__ for part in module.modules()]
    # With the attributes, what is in them: hooks, and what forward passes cache.
    before = _copies(owned)
    training = [part for part in module.modules() if getattr(part, "training", False)]
    moved: dict[int, Tensor] = {}  # a shared tensor stays shared

    def move(x: Tensor) -> Tensor:
        if id(x) not in moved:
            bare = torch.empty_like(x, device=device)
            parameter = isinstance(x, nn.Parameter)
            moved[id(x)] = nn.Parameter(bare, requires_grad=False) if parameter else bare
        return moved[id(x)]

    try:
        with ExitStack() as stack:
            fast = torch.backends.mha.get_fastpath_enabled()
            stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
            torch.backends.mha.set_fastpath_enabled(False)  # its operators would hide the parts
            for part in training:
                part.training = False
            if device.type == "meta":
                for own in owned:
                    own |= {k: tree_map_only(Tensor, move, v) for k, v in own.items() if _leaves(v)}
                stack.enter_context(device)
            yield
    finally:
        for x, then in before:
            _restore(x, then)
        for part in training:
            part.training = True


def _reached(values: Iterable[Any], most: float = math.inf) -> list[Any]:
    """Return values and all that is in those that are containers, each once.

    Args:
        most: larger containers are left out, with what is in them.
    """
    found: dict[int, Any] = {}
    waiting = list(values)
    for x in waiting:
        contains = type(x) in (*_CONTAINERS, tuple)
        if id(x) not in found and not (contains and len(x) > most):
            found[id(x)] = x
            if contains:
                waiting += x.values() if isinstance(x, dict) else x
    return list(found.values())


def _copies(values: Iterable[Any], most: float = math.inf) -> list[tuple[Any, Any]]:
    """Return the containers among values, and those in them, each with a copy."""
    return [(x, copy.copy(x)) for x in _reached(values, most) if type(x) in _CONTAINERS]


def _restore(container: Any, then: Any) -> None:
    container.clear()
    (container.extend if isinstance(container, list | deque) else container.update)(then)


@contextmanager
def _forgotten(module: nn.Module, made: Any) -> Iterator[None]:
    """Afterwards, have no cache hold a tensor that was made: not of classes, files or functions.

    Of classes and files, variables and containers that hold one are as they were before.
    """
    classes = {base for part in module.modules() for base in type(part).__mro__}
    own = [x for x in classes if x.__module__.partition(".")[0] not in ("builtins", "torch")]
    places = {*own, *(sys.modules.get(x.__module__) for x in own)} - {None}
    variables = [(place, dict(vars(place))) for place in places]
    # Not of data: a cache of tensors does not have that many.
    before = _copies((x for _, names in variables for x in names.values()), most=10_000)
    try:
        yield
    finally:
        kept = {id(x) for x in made}

        def holds(tree: Any) -> bool:
            return any(id(x) in kept for x in _reached([tree]))

        for x, then in before if kept else ():
            if holds(x):
                _restore(x, then)
        for place, names in variables if kept else ():
            for name, x in dict(vars(place)).items():
                if x is not names.get(name) and holds(x):
                    setattr(place, name, names[name]) if name in names else delattr(place, name)
        caches = [x for x in gc.get_objects() if type(x) is _lru_cache_wrapper] if kept else []
        for cache in caches:
            if holds(gc.get_referents(cache)):
                cache.cache_clear()


def _to(device: torch.device, x: Tensor) -> Tensor:
    return torch.zeros_like(x, device=device) if x.is_meta else x.to(device)


_CONTAINERS = (dict, OrderedDict, defaultdict, list, set, deque)


def _is_view(operator: Any, inputs: Any, output: Any) -> bool:
    """Return whether an operator's results are its inputs' memory, seen otherwise.

    Told by the memory: not every operator that makes a view says so (`_unsafe_view`).
    """
    changes = isinstance(operator, OpOverload) and operator._schema.is_mutable
    results = _storages(output)
    return not changes and None not in results and results <= _storages(inputs)


def _storages(tree: Any) -> set[int | None]:
    memories = map(_memory, _tensors(tree))
    return {None if memory is None else memory._cdata for memory in memories}


def _bytes(x: Tensor) -> int:
    memory = _memory(x)
    values = x._nnz() if x.is_sparse or x.is_sparse_csr else x.numel()
    size = int(values * x.element_size())
    # A broadcast tensor has more values than memory.
    return size if memory is None else min(size, memory.nbytes())


def _memory(x: Tensor) -> torch.UntypedStorage | None:
    """Return the memory of a tensor; sparse tensors, and those of `vmap`, have no single one."""
    try:
        return x.untyped_storage()
    except NotImplementedError:
        return None


def _opened(tree: Any) -> Any:
    """Return what a tree holds, and in place of objects of other classes their attributes."""
    plain = (Tensor, nn.Module, type)
    leaves = tree_leaves(tree)
    return [x if isinstance(x, plain) else getattr(x, "__dict__", None) for x in leaves]


def _tensors(tree: Any) -> list[Tensor]:
    """Return the tensors in a tree, without nested ones, which have no shape."""
    return [x for x in _leaves(tree) if not x.is_nested]


def _leaves(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


def _type(module: nn.Module) -> str:
    return str(getattr(module, "original_name", type(module).__name__))
