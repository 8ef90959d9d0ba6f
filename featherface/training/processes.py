"""One process, or several that share every batch, as `torchrun` starts them.

Several need Lightning Fabric (extra `train`), which averages gradients. Normalisation is over the
whole batch, so that the number of processes does not change what is learned.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from featherface.errors import InputError


class Processes:
    """This process among those of the run; here the only one."""

    rank, world = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def share(self, rows: Tensor) -> Tensor:
        """Return this process's part of a batch."""
        return rows.chunk(self.world)[self.rank]

    def mean(self, tensor: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes, without gradients."""
        return tensor

    def agree(self, value: float) -> float:
        """Return the mean of a number over all processes, the same for each."""
        return value

    def differ(self, texts: Sequence[str]) -> list[bool]:
        """Return of each text whether it differs between processes."""
        return [False] * len(texts)

    def lost(self, error: RuntimeError) -> bool:
        """Return whether an error says that another process ended or does not answer."""
        return False

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return a module whose gradients are averaged over all processes."""
        return module

    def backward(self, loss: Tensor) -> None:
        """Compute gradients."""
        torch.autograd.backward(loss)


class _FabricProcesses(Processes):
    def __init__(self, device: torch.device) -> None:
        try:
            from lightning.fabric import Fabric
        except ModuleNotFoundError as error:
            raise InputError(
                f"several processes need {error.name} to train: pip install 'featherface[train]'"
            ) from None
        world, local = int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        machines = int(os.environ.get("GROUP_WORLD_SIZE", world // local))
        if world != machines * local:
            raise InputError(f"{world} processes on {machines} machines: run as many on each")
        self.fabric = Fabric(
            accelerator="cuda" if device.type == "cuda" else "cpu",
            devices=local,
            num_nodes=machines,
            strategy="ddp",
        )
        try:
            self.fabric.launch()
        except RuntimeError as error:
            raise InputError(
                f"the processes cannot connect: {error}; GLOO_SOCKET_IFNAME (for GPUs "
                "NCCL_SOCKET_IFNAME) names the network interface to use"
            ) from None
        super().__init__(self.fabric.device)
        self.rank, self.world = self.fabric.global_rank, self.fabric.world_size

    def mean(self, tensor: Tensor) -> Tensor:
        shared: Tensor = _Mean.apply(tensor.detach())
        return shared

    def agree(self, value: float) -> float:
        return float(self.mean(torch.tensor(value, dtype=torch.float64, device=self.device)))

    def differ(self, texts: Sequence[str]) -> list[bool]:
        digests = [hashlib.sha256(text.encode()).digest()[:7] for text in texts]
        low = torch.tensor([int.from_bytes(digest) for digest in digests], device=self.device)
        high = low.clone()
        dist.all_reduce(low, dist.ReduceOp.MIN)
        dist.all_reduce(high, dist.ReduceOp.MAX)
        different: list[bool] = (low != high).tolist()
        return different

    def lost(self, error: RuntimeError) -> bool:
        # Gloo raises nothing more specific, and gives the place in its source code.
        return isinstance(error, dist.DistError) or "gloo" in str(error)

    def wrap(self, module: nn.Module) -> nn.Module:
        for name, child in list(module.named_modules()):
            if isinstance(child, nn.BatchNorm2d):
                module.set_submodule(name, SharedNorm.like(child))
        wrapped: nn.Module = self.fabric.setup_module(module, move_to_device=False)
        return wrapped

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)


def join(device: torch.device) -> Processes:
    """Return this process among those that `torchrun` started, or alone.

    Raises:
        InputError: where there are several and Lightning Fabric is not installed.
    """
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    return _FabricProcesses(device) if several else Processes(device)


def keep_freed_memory() -> None:
    """Let this process keep what a step frees for the next one, where the C library is glibc.

    By default it returns large blocks to the system, which clears every page before it gives it
    out again: half of the processor time of a step of 64 crops of 512×512 pixels.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(-4, 0)  # M_MMAP_MAX: no block is mapped for itself
        mallopt(-1, -1)  # M_TRIM_THRESHOLD: and the heap never shrinks


class SharedNorm(nn.BatchNorm2d):
    """Batch normalisation over all processes, on CPUs too, which PyTorch's SyncBatchNorm is not."""

    num_batches_tracked: Tensor
    running_mean: Tensor
    running_var: Tensor

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> SharedNorm:
        """Return a normalisation with the parameters and statistics of another, not copied."""
        shared = cls(norm.num_features, eps=norm.eps, momentum=norm.momentum)
        shared.weight, shared.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            setattr(shared, name, buffer)
        return shared.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        wide = x.float()
        mean: Tensor = _Mean.apply(wide.mean((0, 2, 3)))
        centred = wide - mean[:, None, None]
        variance: Tensor = _Mean.apply(centred.square().mean((0, 2, 3)))
        count = dist.get_world_size() * x.numel() // x.shape[1]
        self.num_batches_tracked.add_(1)
        weight = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.detach(), weight)
        self.running_var.lerp_(variance.detach() * (count / max(count - 1, 1)), weight)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class _Mean(torch.autograd.Function):
    """The mean over all processes; on the way back, that of the gradients."""

    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total / dist.get_world_size()

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _Mean.forward(_, gradient)
