"""The operators of a training step on a GPU, checked where there is none.

Gradients and the optimiser's fused kernel, which are PyTorch's own, are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException

from featherface.model import FeatherFace
from featherface.training import losses, step
from featherface.training.augment import DRAWS
from featherface.training.data import Images, decode, read_source
from featherface.training.distil import as_teacher, prepare
from featherface.training.processes import Processes
from featherface.training.recipe import Recipe


class _NoGradients(Processes):
    """One process, which gives every trained parameter a gradient of zeros."""

    def wrap(self, module: nn.Module) -> nn.Module:
        self.module = module
        return module

    def backward(self, loss: Tensor) -> None:
        assert loss.requires_grad
        for parameter in self.module.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)


def take_two(gpu: Any, data: Path, frozen: bool, **settings: Any) -> int:
    """Take two steps of a recipe; return how many operators the second one ran."""
    recipe = Recipe(steps=10, size=64, batch=2, **settings)
    source = read_source(data)
    images = decode(source, source.samples, "cpu")
    student = prepare(FeatherFace(recipe.variant))
    teacher = as_teacher(FeatherFace(recipe.teacher)) if recipe.teacher else None
    with gpu.there():
        there = Images(*(tensor.to(gpu.device) for tensor in vars(images).values()))
        taught_by = gpu.moved(teacher) if teacher else None
        steps = step.Step(recipe, there, gpu.moved(student), taught_by, _NoGradients(gpu.device))
        steps.set_mode(frozen)
        index = torch.zeros(recipe.batch, dtype=torch.int64, device=gpu.device)
        draws = torch.zeros(recipe.batch, DRAWS, device=gpu.device)
        for number in range(2):
            steps.set_rates(0.5, number)
            steps.optimizer.zero_grad(set_to_none=True)
            with gpu.alone() as operators:
                steps(index, draws, frozen)
    return len(operators)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_step_stays_on_the_gpu_and_waits_for_nothing(
    fake_gpu: Any, drawn: Path, frozen: bool
) -> None:
    assert take_two(fake_gpu, drawn, frozen) > 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd"},
        {"variant": "v1-deformable"},
        {"variant": "official"},
        {"teacher": None, "backbone": "random"},
        {"face_loss": 0.0},
        {"precision": "float32"},
    ],
    ids=str,
)
def test_every_kind_of_step_does(fake_gpu: Any, drawn: Path, settings: dict[str, Any]) -> None:
    assert take_two(fake_gpu, drawn, frozen=False, **settings) > 1000


def test_a_step_that_waits_is_noticed(
    fake_gpu: Any, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waiting(*given: Any) -> Any:
        sums, count = losses.face_losses(*given)
        return sums, torch.full_like(count, count.item())

    monkeypatch.setattr(step, "face_losses", waiting)
    with pytest.raises(DataDependentOutputException):
        take_two(fake_gpu, drawn, frozen=True)


def test_a_step_that_leaves_the_gpu_is_noticed(
    fake_gpu: Any, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaving(*given: Any) -> Any:
        sums, count = losses.face_losses(*given)
        return sums, count.cpu().to(fake_gpu.device)

    monkeypatch.setattr(step, "face_losses", leaving)
    with pytest.raises(AssertionError, match="_to_copy"):
        take_two(fake_gpu, drawn, frozen=True)
