"""A GPU that is not there, to find what would wait for it or leave it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from featherface.blocks import deform_kernel


class _Watch(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: list[str] = []
        self.elsewhere: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        self.operators.append(str(func))
        out = None  # a fused optimiser changes its arguments, and has no fake kernel
        if "_fused_" not in str(func):
            out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, Tensor)]
        if any(t.device.type != "cuda" for t in tensors):
            self.elsewhere.append(str(func))
        return out


class FakeGpu:
    """PyTorch's fake tensors on CUDA: they have a shape and a device, but no values.

    What would wait for a value raises DataDependentOutputException.
    """

    device = torch.device("cuda")

    def there(self) -> AbstractContextManager[Any]:
        """Within it, what is moved to `device` gets there."""
        return FakeTensorMode(allow_non_fake_inputs=True)

    def moved(self, network: nn.Module) -> nn.Module:
        """Move a network there, in place."""
        for module in network.modules():
            for name, buffer in list(module.named_buffers(recurse=False)):
                setattr(module, name, buffer.to(self.device))
            for name, parameter in list(module.named_parameters(recurse=False)):
                moved = parameter.detach().to(self.device)
                setattr(module, name, nn.Parameter(moved, parameter.requires_grad))
        return network

    @contextmanager
    def alone(self) -> Iterator[list[str]]:
        """Collect the operators of a block, none of which may have a tensor elsewhere."""
        with _Watch() as watch:
            yield watch.operators
        assert watch.elsewhere == []


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    """A GPU that is not there, as in a stream whose work is captured as a CUDA graph.

    Autocast takes it for one with bfloat16; deformable convolutions run "gather".
    """
    try:
        with FakeGpu().there():
            torch.zeros(1).to(FakeGpu.device)
    except RuntimeError:
        pytest.skip("fake tensors of this version of PyTorch need a driver for CUDA")
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    monkeypatch.setattr(deform_kernel, "runs_gather", lambda x: True)
    return FakeGpu()
