"""Modules that run on every level of the pyramid, and their intermediate results by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from featherface.config import LEVELS

Named = dict[str, Tensor]
"""Intermediate results by name, added to by the modules that are given one."""


def run_named(module: nn.Module, x: Any, named: Named | None, prefix: str) -> Any:
    """Return `module(x)`; where `named` is given, add its intermediate results under a prefix."""
    if named is None:
        return module(x)
    inner: Named = {}
    y = module(x, inner)
    named.update({f"{prefix}.{name}": value for name, value in inner.items()})
    return y


class PerLevel(nn.Module):
    """A module on every level, or, without modules, the levels as they are."""

    def __init__(self, levels: Iterable[nn.Module]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, levels: list[Tensor], named: Named | None = None) -> list[Tensor]:
        if not self.levels:
            return levels
        return [
            run_named(module, x, named, level)
            for level, module, x in zip(LEVELS, self.levels, levels, strict=True)
        ]
