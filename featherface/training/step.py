"""One step of training: crops, teacher, student, losses, optimiser, averaged weights.

A step neither waits for the device nor branches on its values, so that on a GPU all of it can be
recorded once as a CUDA graph and replayed: the networks are so small that launching their
kernels one by one would take longer than running them.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from featherface.blocks.heads import Outputs
from featherface.boxes import make_anchors
from featherface.model import FeatherFace
from featherface.training.augment import DRAWS, Augment
from featherface.training.data import Images
from featherface.training.distil import Trained, after_backbone, level_losses, score_losses
from featherface.training.losses import face_losses, margin
from featherface.training.processes import Processes
from featherface.training.recipe import Recipe

PARTS = ("scores", "boxes", "landmarks", "levels", "face_scores", "face_boxes", "face_landmarks")
"""Parts of the loss, as they are logged: before their weights."""

_MOMENTUM = 0.9

_KNOWN = 0.3  # an anchor that the teacher scores higher is no example of background


def state_of(model: nn.Module) -> list[Tensor]:
    """Return a network's parameters and running statistics of normalisation, in their order."""
    return [t.detach() for t in model.state_dict().values() if t.is_floating_point()]


def _parameter_groups(model: FeatherFace, recipe: Recipe) -> list[dict[str, Any]]:
    """Groups for the optimiser; `rate` is relative to the recipe's learning rate."""
    groups = []
    slow = recipe.backbone_rate if recipe.backbone == "teacher" else 1.0
    for backbone, rate in ((True, slow), (False, 1.0)):
        for kernels in (True, False):
            chosen = [
                parameter
                for name, parameter in model.named_parameters()
                if name.startswith("backbone.") == backbone and (parameter.ndim > 1) == kernels
            ]
            # On a GPU a tensor, so that a recorded step sees it change.
            initial = torch.zeros((), device=chosen[0].device) if chosen[0].is_cuda else 0.0
            decay = recipe.weight_decay if kernels else 0.0
            groups.append({"params": chosen, "weight_decay": decay, "lr": initial, "rate": rate})
    return groups


def schedule(elapsed: float, warmup: float) -> float:
    """Return the factor of the learning rate at an elapsed fraction: linear, then cosine."""
    if elapsed < warmup:
        return max(elapsed, 1e-3) / warmup
    rest = (min(elapsed, 1.0) - warmup) / max(1 - warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * rest))


class Step:
    """Steps of a recipe; `average` is the running average of `state_of` the model."""

    def __init__(
        self,
        recipe: Recipe,
        images: Images,
        model: FeatherFace,
        teacher: FeatherFace | None,
        processes: Processes,
    ) -> None:
        self.recipe, self.images, self.model, self.teacher = recipe, images, model, teacher
        self.processes = processes
        device = images.device
        on_gpu = device.type == "cuda"
        groups = _parameter_groups(model, recipe)
        self.optimizer: torch.optim.Optimizer
        if recipe.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(groups, momentum=_MOMENTUM, fused=on_gpu)
        else:
            self.optimizer = torch.optim.AdamW(groups, fused=on_gpu, capturable=on_gpu)
        self.average = [t.clone() for t in state_of(model)]
        taught = (recipe.score_loss, recipe.box_loss, recipe.landmark_loss, recipe.level_loss)
        seen = (recipe.face_loss, 2 * recipe.face_loss, recipe.face_loss)
        self.weights = torch.tensor([*taught, *seen], device=device)  # of PARTS
        self.half = recipe.precision == "bfloat16" or (
            recipe.precision == "auto"
            and on_gpu
            and torch.cuda.is_bf16_supported(including_emulation=False)
        )
        self.augment = Augment(recipe.size, recipe.zoom, recipe.faces, device)
        self.anchors = make_anchors(recipe.size, recipe.size, model.config.anchors, device=device)
        self.fresh = torch.ones((), device=device)  # weight of the new in the averaged weights
        self.totals = torch.zeros(len(PARTS) + 2, device=device)  # parts, loss, gradient's norm

    def _autocast(self, dtype: torch.dtype) -> AbstractContextManager[None]:
        # Without a cache, which would not outlive the recording of a CUDA graph.
        return torch.autocast(
            self.images.device.type, dtype=dtype, enabled=self.half, cache_enabled=False
        )

    def set_mode(self, frozen: bool) -> None:
        """Train all of the student, or all but its backbone.

        A backbone from the teacher keeps its statistics of normalisation: it has seen more
        images than are here.
        """
        self.model.train()
        if self.recipe.backbone == "teacher":
            self.model.backbone.eval()
        self.model.backbone.requires_grad_(not frozen)
        # Anew, since gradients are exchanged of the parameters that were trained when it was made.
        self.trained = self.processes.wrap(Trained(self.model))

    def __call__(self, index: Tensor, draws: Tensor, frozen: bool) -> None:
        """Take one step on the images `index` (batch,) with the crops that `draws` say."""
        with torch.no_grad():
            pixels, faces = self.augment(self.images, index, draws)
            if pixels.is_cuda:  # the faster layout: 60 instead of 97 ms a step on an H100
                pixels = pixels.contiguous(memory_format=torch.channels_last)
        theirs, their_levels = self._teach(self.teacher, pixels) if self.teacher else (None, [])
        with self._autocast(torch.bfloat16):
            dtype = torch.bfloat16 if self.half else torch.float32
            given = [level.to(dtype) for level in their_levels] if frozen else None
            levels, outputs = self.trained(pixels, given)
        ours = _wide(outputs)
        mean = self.processes.mean
        parts = {name: pixels.new_zeros(()) for name in PARTS}
        known = None
        if theirs is not None:
            sums, weight = score_losses(ours, theirs)
            weight = mean(weight).clamp(min=1)
            parts |= {name: value / weight for name, value in sums.items()}
            known = torch.sigmoid(margin(theirs.logits)) > _KNOWN
            if not frozen:
                off, size = level_losses(levels, their_levels)
                parts["levels"] = (off / mean(size).clamp(min=1e-6)).mean()
        if self.recipe.face_loss:
            sums, count = face_losses(ours, faces, self.anchors, known)
            count = mean(count).clamp(min=1)
            parts |= {name: value / count for name, value in sums.items()}
        values = torch.stack([parts[name] for name in PARTS])
        loss = self.weights @ values
        self.processes.backward(loss)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.recipe.clip, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            self.totals += torch.stack([*values, loss, norm])
            change = torch._foreach_sub(state_of(self.model), self.average)
            torch._foreach_mul_(change, self.fresh)
            torch._foreach_add_(self.average, change)

    @torch.no_grad()
    def run(self, model: FeatherFace, index: Tensor, draws: Tensor) -> None:
        """Run a network on a batch, for the statistics of its normalisation."""
        with self._autocast(torch.bfloat16):
            model(self.augment(self.images, index, draws)[0])

    def _teach(self, teacher: FeatherFace, pixels: Tensor) -> tuple[Outputs, list[Tensor]]:
        # Half precision with the longer mantissa: a trained network's range is known to fit.
        dtype = torch.float16 if pixels.is_cuda else torch.bfloat16
        with torch.no_grad(), self._autocast(dtype):
            levels = teacher.backbone(pixels)
            outputs = _wide(after_backbone(teacher, levels))
        if not pixels.is_cuda:
            levels = [level.contiguous() for level in levels]  # see `as_teacher`
        return outputs, levels

    def set_rates(self, factor: float, step: int) -> None:
        """Set the learning rate, and how much of the new weights the average takes."""
        for group in self.optimizer.param_groups:
            value = self.recipe.learning_rate * factor * group["rate"]
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value
        # A plain mean at first, so that the random start is soon forgotten.
        self.fresh.fill_(max(1 - self.recipe.average, 1 / (step + 1) ** 0.75))


def _wide(outputs: Outputs) -> Outputs:
    return Outputs(*(output.float() for output in outputs))


class Recorded:
    """Steps that a GPU replays as one CUDA graph, recorded after some ordinary steps.

    Where recording fails, `failure` says why, and all steps are ordinary ones.
    """

    _BEFORE = 4  # ordinary steps: libraries choose their kernels, the optimiser makes its state

    def __init__(self, step: Step, batch: int, frozen: bool, record: bool) -> None:
        device = step.images.device
        self._step, self._frozen = step, frozen
        self._index = torch.zeros(batch, dtype=torch.int64, device=device)
        self._draws = torch.zeros(batch, DRAWS, device=device)
        self._left = self._BEFORE if record and device.type == "cuda" else -1
        self._graph: torch.cuda.CUDAGraph | None = None
        self.failure: str | None = None
        step.set_mode(frozen)
        step.optimizer.zero_grad(set_to_none=True)

    @property
    def settled(self) -> bool:
        """True where all further steps run as the last one did."""
        return self._left < 0 or self._graph is not None or self.failure is not None

    def __call__(self, index: Tensor, draws: Tensor) -> None:
        self._index.copy_(index)
        self._draws.copy_(draws)
        if self._left == 0 and self._graph is None and self.failure is None:
            self._record()
        if self._graph is not None:
            self._graph.replay()
        elif self._left > 0:
            self._left -= 1
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._ordinary()
            torch.cuda.current_stream().wait_stream(side)
        else:
            self._ordinary()

    def _ordinary(self) -> None:
        self._step.optimizer.zero_grad(set_to_none=True)
        self._step(self._index, self._draws, self._frozen)

    def _record(self) -> None:
        torch.cuda.synchronize()
        self._step.optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=torch.cuda.Stream()):  # type: ignore[no-untyped-call]
                self._step(self._index, self._draws, self._frozen)
        except RuntimeError as error:
            self.failure = " ".join(str(error).split())[:300]
            torch.cuda.synchronize()
            return
        self._graph = graph
