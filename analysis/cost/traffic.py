"""How many bytes each block of a network moves, counted operator by operator.

A forward pass on the "meta" device shows every operator with its tensors. Two counts stand beside
each other, and the truth of a machine lies between them:

- `bytes`: each operator reads each of its tensors once (input activations, weights, statistics)
  and writes its result once. That is what eager PyTorch asks of the memory, where no cache keeps
  anything from one operator to the next. Views move nothing; a tensor that is broadcast is read
  once; what a kernel needs inside itself, such as the columns of a deformable convolution, is not
  counted.
- `bytes_least`: a block as a whole reads its input and its weights once and writes its output
  once. That is what remains if everything in between stays in caches or registers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from analysis.cost.macs import check_size
from featherface.config import FeatherFaceConfig, config_of
from featherface.model import FeatherFace


@dataclass(frozen=True)
class Traffic:
    """The bytes that one block moves in one forward pass."""

    bytes: int
    bytes_least: int
    operators: int
    """Calls of operators that move anything."""

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def block_traffic(
    config: FeatherFaceConfig | str, height: int, width: int, batch: int, dtype: torch.dtype
) -> dict[str, Traffic]:
    """The bytes moved by each block, by its name, in the network's order.

    Raises:
        ConfigError: for an unknown variant.
        SizeError: for a size that the networks do not take.
    """
    check_size(height, width, batch)
    config = config_of(config) if isinstance(config, str) else config
    with torch.device("meta"):
        model = FeatherFace(config).eval().to(dtype)
        pictures = torch.empty(batch, 3, height, width, dtype=dtype)
    meter = _Meter()
    for name, block in model.named_children():
        meter.watch(name, block)
    with torch.no_grad(), meter:
        model(pictures)
    return {
        name: Traffic(meter.bytes[name], meter.least[name], meter.operators[name])
        for name, _ in model.named_children()
    }


class _Meter(TorchDispatchMode):
    """Sees every operator and, by hooks, in which block it runs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes: dict[str, int] = {}
        self.least: dict[str, int] = {}
        self.operators: dict[str, int] = {}
        self._block = ""

    def watch(self, name: str, block: nn.Module) -> None:
        """Count what runs in `block` under `name`."""
        self.bytes[name] = self.operators[name] = self.least[name] = 0

        def enter(module: nn.Module, inputs: Any) -> None:
            self._block = name

        def leave(module: nn.Module, inputs: Any, outputs: Any) -> None:
            self._block = ""
            # Attention and context also name what they have in between; it goes no further.
            named = isinstance(outputs, tuple) and isinstance(outputs[-1], dict)
            read, written = _by_identity(inputs), _by_identity(outputs[0] if named else outputs)
            new = {place: size for place, size in written.items() if place not in read}
            if new:
                weights = _by_identity(list(module.parameters()))
                self.least[name] += sum((read | weights | new).values())

        block.register_forward_pre_hook(enter)
        block.register_forward_hook(leave)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if self._block and not _is_view(func, (args, kwargs), output):
            self.bytes[self._block] += _size((args, kwargs)) + _size(output)
            self.operators[self._block] += 1
        return output


def _is_view(func: Any, inputs: Any, output: Any) -> bool:
    """Whether an operator's results are its inputs' memory, seen otherwise.

    Told by the memory: not every operator that makes a view says so (`_unsafe_view`).
    """
    if func._schema.is_mutable:
        return False
    return _storages(output) <= _storages(inputs)


def _storages(tree: Any) -> set[int]:
    return {x.untyped_storage()._cdata for x in tree_leaves(tree) if isinstance(x, Tensor)}


def _size(tree: Any) -> int:
    return sum(_bytes(x) for x in tree_leaves(tree) if isinstance(x, Tensor))


def _bytes(x: Tensor) -> int:
    # A broadcast tensor has more values than memory.
    return min(x.numel() * x.element_size(), x.untyped_storage().nbytes())


def _by_identity(tree: Any) -> dict[int, int]:
    """Bytes by tensor, a tensor that stands there twice once."""
    return {id(x): _bytes(x) for x in tree_leaves(tree) if isinstance(x, Tensor)}
