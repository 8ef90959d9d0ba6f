"""Learnable parameters: of a network, of each of its modules, of each of its seven blocks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from featherface.model import FeatherFace


@dataclass(frozen=True)
class ModuleParameters:
    """What one module of a network holds, in number of values."""

    path: str
    """Dotted, as in `nn.Module.named_modules`; empty for the network itself."""
    depth: int
    """0 for the network, 1 for its children."""
    type: str
    """Name of the class."""
    own_params: int
    """In tensors that are attributes of this very module."""
    total_params: int
    """Its own and those of every module below it."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def count_parameters(module: nn.Module) -> int:
    """Values in the module's learnable tensors, each tensor once.

    Every `nn.Parameter` counts, whether or not it is frozen just now (`requires_grad`), because
    freezing is a matter of training and not of the architecture. Buffers, such as the running
    statistics of a batch normalisation, are not learnt and do not count.
    """
    return sum(parameter.numel() for parameter in module.parameters())


def parameter_tree(model: nn.Module) -> list[ModuleParameters]:
    """Every module of a network with its parameters, in the order of `named_modules`.

    A tensor that several modules share belongs to the first of them, so that `own_params` adds
    up to the network's total.

    Raises:
        AssertionError: if it does not.
    """
    owned: dict[str, int] = {path: 0 for path, _ in model.named_modules()}
    for name, parameter in model.named_parameters():
        owned[name.rpartition(".")[0]] += parameter.numel()
    total = count_parameters(model)
    assert sum(owned.values()) == total, (sum(owned.values()), total)
    return [
        ModuleParameters(
            path=path,
            depth=path.count(".") + 1 if path else 0,
            type=type(module).__name__,
            own_params=owned[path],
            total_params=sum(own for other, own in owned.items() if is_below(other, path)),
        )
        for path, module in model.named_modules()
    ]


def block_parameters(model: FeatherFace) -> dict[str, int]:
    """Parameters of each of the seven blocks, by name, in the network's order.

    Raises:
        AssertionError: if the blocks do not add up to the network.
    """
    tree = parameter_tree(model)
    blocks = {record.path: record.total_params for record in tree if record.depth == 1}
    assert sum(blocks.values()) == tree[0].total_params, (blocks, tree[0].total_params)
    return blocks


def is_below(path: str, ancestor: str) -> bool:
    """Whether the module at `path` is the one at `ancestor` or below it."""
    return not ancestor or path == ancestor or path.startswith(f"{ancestor}.")
