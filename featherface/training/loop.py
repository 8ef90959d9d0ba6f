"""A training run from a recipe to weights: schedule, log, checkpoints, going on after a stop."""

from __future__ import annotations

import copy
import io
import itertools
import json
import math
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

import featherface
from featherface.errors import InputError, first_sentence, out_of_memory
from featherface.files import (
    locked,
    named,
    read_text,
    remove_parts,
    to_json,
    write_bytes,
    write_text,
)
from featherface.model import FeatherFace, load, save
from featherface.runtimes.cuda_graph import on_device
from featherface.runtimes.network import checked_device
from featherface.training import holdout
from featherface.training.augment import DRAWS
from featherface.training.data import decode, read_source, split
from featherface.training.distil import as_teacher, prepare
from featherface.training.processes import Processes, join
from featherface.training.recipe import Recipe, RecipeError
from featherface.training.step import PARTS, Recorded, Step, schedule, state_of

_WARM_STEPS = 100  # the learning rate rises for at least so many
_NORM_BATCHES = 20
_LEAST_TRAINING = 9  # between weights, times what it took to write and measure the last ones

CHECKPOINT, LOG, WEIGHTS = "checkpoint.pt", "log.jsonl", "weights.safetensors"

Log = Callable[[dict[str, Any]], None]


class TrainingError(InputError):
    """A run that cannot go on; the message names the file or value and why."""


def draw(recipe: Recipe, images: int, step: int) -> tuple[Tensor, Tensor]:
    """Return which images a step takes (batch,), and the random numbers of their crops.

    Every epoch is a permutation of the images. Both depend on seed and step alone, so that a run
    that was stopped goes on as it would have.
    """
    epoch, place = divmod(step * recipe.batch, images)
    epochs = range(epoch, epoch + -(-(place + recipe.batch) // images))
    orders = [
        torch.randperm(images, generator=_generator(recipe.seed, 2 * epoch + 1)) for epoch in epochs
    ]
    draws = torch.rand(recipe.batch, DRAWS, generator=_generator(recipe.seed, 2 * step))
    return torch.cat(orders)[place : place + recipe.batch], draws


def train(
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    *,
    device: str | torch.device | None = None,
    record: bool = True,
    every: float = 60.0,
    log_every: float = 2.0,
    report: Log = lambda row: None,
) -> Path:
    """Return the path of trained weights; go on with the run whose checkpoint `out` holds.

    The weights are averaged; their metadata name the recipe, the data and versions. At Ctrl-C a
    checkpoint is written before KeyboardInterrupt is raised; a third one does not wait for it.

    Args:
        data: see `featherface.training.data.read_source`.
        device: by default a GPU where there is one, else the CPU.
        record: on a GPU, record steps as CUDA graphs.
        every, log_every: seconds between checkpoints, and between rows of the log. Weights are
            written with a checkpoint where that leaves nine tenths of the time to training.
        report: is called with every row of the log, too.

    Raises:
        InputError: for a device, data, weights or a checkpoint that cannot be used, and
            (TrainingError) where the loss is no longer finite, memory is too little, or another
            process of the run was given something else or has ended.
    """
    processes = join(checked_device(device))
    record = record and processes.world == 1  # exchanges are not recorded
    try:
        with on_device(processes.device):
            run = _Run(recipe, data, Path(out), processes, report)
            first = processes.rank == 0  # which writes; those of a killed torchrun may still run
            with locked(run.out / CHECKPOINT, wait=False) if first else nullcontext():
                return run.finish(record, every, log_every)
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            raise TrainingError(
                f"{processes.device}: too little memory for all images, reduced to "
                f"{recipe.longest} pixels (longest), and {recipe.batch} crops of "
                f"{recipe.size}×{recipe.size} pixels a step; smaller ones or fewer take less"
            ) from error
        if not (isinstance(error, RuntimeError) and processes.lost(error)):
            raise
        raise TrainingError(
            "another process of the run ended or does not answer; its own output says why, and the "
            "same command on all machines goes on from the last checkpoint"
        ) from error


class _Run:
    def __init__(
        self, recipe: Recipe, data: str | Path, out: Path, processes: Processes, report: Log
    ) -> None:
        if recipe.batch % processes.world:
            raise RecipeError(f"batch (={recipe.batch}) must divide by {processes.world} processes")
        device = processes.device
        self.recipe, self.out, self.processes, self.report = recipe, out, processes, report
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # all steps have the same shapes
            torch.backends.cudnn.benchmark_limit = 4  # kernels tried for each, the likeliest
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
        started = time.monotonic()
        source = read_source(data)
        kept, held = split(source.samples, recipe.holdout)
        self.images = decode(source, kept, device, recipe.longest)
        if recipe.teacher is None and not self.images.have_faces:
            raise TrainingError(
                f"{data}: without faces and without a teacher nothing is learned; the boxes, if "
                "there are any, have no area inside their images"
            )
        self.held = decode(source, held, device, recipe.longest) if held else None
        model, teacher = _networks(recipe, device)
        self.step = Step(recipe, self.images, model, teacher, processes)
        self.done, self.spent = 0, 0.0
        self.facts = {
            "recipe": asdict(recipe),
            "data": {"sha256": source.sha256, "images": len(kept), "held_out": len(held)},
            "versions": {p.__name__: p.__version__ for p in (featherface, torch, torchvision)},
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "processes": processes.world,
        }
        with named(out, "written"):
            out.mkdir(parents=True, exist_ok=True)  # not for what is refused above
        self._prepared_s = round(time.monotonic() - started, 2)

    def finish(self, record: bool, every: float, log_every: float) -> Path:
        """Run to the end and write the weights; at Ctrl-C a checkpoint after the step."""
        path = self.out / CHECKPOINT
        if resumed := path.exists():
            self._restore(path)
        self._compare_processes([every, log_every])
        if self.processes.rank == 0:
            self._clear_up(resumed)
        self._log("start", prepared_s=self._prepared_s, **self.facts)
        with _interrupts() as interrupts:
            self._run(interrupts, record, every, log_every)
        self._checkpoint()
        self._deliver(self.out / WEIGHTS)
        self._log("end", spent_s=self.spent)
        return self.out / WEIGHTS

    def _compare_processes(self, intervals: list[float]) -> None:
        """Refuse processes that were not given the same, and so would not train one network."""
        path = self.out / CHECKPOINT
        given = {
            "recipe": self.facts["recipe"],
            "data": self.facts["data"],
            "intervals of checkpoints and of the log": intervals,
            str(path): self.done,
        }
        differ = self.processes.differ([json.dumps(value) for value in given.values()])
        if any(differ):
            names = ", ".join(name for name, other in zip(given, differ, strict=True) if other)
            raise TrainingError(
                f"{names}: must be the same for all processes; copy the data and {path}, or share "
                "them, and give all the same command"
            )

    def _run(self, interrupts: list[int], record: bool, every: float, log_every: float) -> None:
        recipe = self.recipe
        runner: Recorded | None = None
        frozen: bool | None = None
        self._clock = time.monotonic()
        self._logged = self._saved = self.spent
        self._logged_step = self.done
        self._weights_due = 0.0
        while (elapsed := self._elapsed()) < 1:
            stays = recipe.backbone == "teacher" and elapsed < recipe.frozen
            if runner is None or stays != frozen:
                frozen = stays
                runner = None  # its graph's memory is freed before the next one is recorded
                self._log("phase", backbone_frozen=frozen)
                here = recipe.batch // self.processes.world
                runner = Recorded(self.step, here, frozen, record)
            self._take_step(runner)
            if self.spent - self._logged >= log_every:
                self._log_losses()
            if self.spent - self._saved >= every:
                self._save()
            if self.processes.agree(len(interrupts)):
                self._checkpoint()
                raise KeyboardInterrupt
        if runner is None:  # stopped after its last step: nothing but the weights is missing
            self.step.set_mode(frozen=False)

    def _save(self) -> None:
        """Write a checkpoint, and weights unless the last ones were expensive and are recent."""
        self._log_losses()
        began = self.spent
        self._checkpoint()
        if began >= self._weights_due:
            epoch = self.done * self.recipe.batch // len(self.images)
            name = f"weights-epoch-{epoch:03d}-step-{self.done:06d}.safetensors"
            self._deliver(self.out / name)
        self._tick()
        if began >= self._weights_due:
            self._weights_due = self.spent + _LEAST_TRAINING * (self.spent - began)
        self._logged += self.spent - began  # crops a second are those of steps alone
        self._saved = self.spent

    def _take_step(self, runner: Recorded) -> None:
        # By time alone a slow start would leave but a few steps to warm up.
        factor = min(schedule(self._elapsed(), self.recipe.warmup), (self.done + 1) / _WARM_STEPS)
        self.step.set_rates(factor, self.done)
        drawn = draw(self.recipe, len(self.images), self.done)
        settled = runner.settled
        runner(*(self.processes.share(rows) for rows in drawn))
        self.done += 1
        if runner.settled and not settled:
            memory = torch.cuda.max_memory_allocated()
            self._log("recorded", failure=runner.failure, gpu_bytes=memory)
        if self.done % 10 == 0 and self.images.device.type == "cuda":
            torch.cuda.synchronize()  # else the clock would run ahead of the device
        self._tick()

    def _tick(self) -> None:
        """Count the time since the last call; processes agree on it, and so on what is due."""
        now = time.monotonic()
        self.spent += self.processes.agree(now - self._clock)
        self._clock = now

    def _elapsed(self) -> float:
        if self.recipe.steps is not None:
            return self.done / self.recipe.steps
        assert self.recipe.minutes is not None
        return self.spent / (60 * self.recipe.minutes)

    def _deliver(self, path: Path) -> None:
        """Write the averaged weights, and measure them on the images held out."""
        trained = self._averaged()
        if self.processes.rank != 0:
            return
        model = FeatherFace(self.recipe.variant)
        model.load_state_dict(trained.state_dict())
        save(model, path, {"training": json.dumps(self.facts)})
        if self.held is not None:
            measured = holdout.measure(trained, self.held)
            self._log("measured", spent_s=self.spent, **measured)

    def _checkpoint(self) -> None:
        """Log the losses up to here, and write everything to go on from as one file."""
        self._log_losses()
        if self.processes.rank != 0:
            return
        state = {
            "step": self.done,
            "spent": self.spent,
            "facts": json.dumps(self.facts),
            "model": self.step.model.state_dict(),
            "average": self.step.average,
            "optimizer": self.step.optimizer.state_dict(),
        }
        content = io.BytesIO()
        torch.save(state, content)
        write_bytes(self.out / CHECKPOINT, content.getvalue())

    def _restore(self, path: Path) -> None:
        """Take over the state that a checkpoint holds."""
        try:
            with zipfile.ZipFile(path) as archive:  # PyTorch does not compare its checksums
                if damaged := archive.testzip():
                    raise zipfile.BadZipFile(f"{damaged} is damaged")
            saved = torch.load(path, map_location=self.images.device, weights_only=True)
            facts = json.loads(saved["facts"])
            for name in ("recipe", "data"):
                then, now = facts[name], json.loads(json.dumps(self.facts[name]))
                if then != now:
                    keys = sorted(key for key in now if now[key] != then.get(key))
                    raise TrainingError(f"{path}: of a run with another {name}: {', '.join(keys)}")
            self.step.model.load_state_dict(saved["model"])
            for ours, theirs in zip(self.step.average, saved["average"], strict=True):
                ours.copy_(theirs)
            # With settings for this device: a GPU's checkpoint may go on on a CPU, and the reverse.
            groups = self.step.optimizer.state_dict()["param_groups"]
            self.step.optimizer.load_state_dict({**saved["optimizer"], "param_groups": groups})
            self.done, self.spent = saved["step"], saved["spent"]
        except TrainingError:
            raise
        except Exception as error:  # a damaged file can make the unpickler fail in any way
            reason = f"{type(error).__name__}: {first_sentence(error)}"
            raise TrainingError(f"{path}: cannot be read as a checkpoint ({reason})") from error

    def _clear_up(self, resumed: bool) -> None:
        """Remove what a killed process left half written, and rows of steps that are done again.

        The log of a run whose checkpoint is gone is kept under another name.
        """
        log = self.out / LOG
        for name in (CHECKPOINT, WEIGHTS, LOG):
            remove_parts(self.out / name)
        if not log.exists():
            return
        if not resumed:
            free = (log.with_stem(f"{log.stem}-{i}") for i in itertools.count(1))
            with named(log, "written"):
                log.rename(next(path for path in free if not path.exists()))
            return
        kept = []
        for row in read_text(log).split("\n")[:-1]:
            try:
                if json.loads(row)["step"] <= self.done:
                    kept.append(row + "\n")
            except (ValueError, TypeError, KeyError):
                raise TrainingError(f"{log}: {row[:80]!r} is no row of a run's log") from None
        write_text(log, "".join(kept))

    def _averaged(self) -> FeatherFace:
        """A copy of the network with its averaged weights, in evaluation mode.

        Statistics of normalisation are measured anew: a running mean of them would be of the
        weights of many steps, none of which are the averaged ones (Wu and Johnson 2021, section 3).
        """
        model = copy.deepcopy(self.step.model)
        for tensor, mean in zip(state_of(model), self.step.average, strict=True):
            tensor.copy_(mean)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d) and module.training:
                module.reset_running_stats()
                module.momentum = None  # a plain mean
        for number in range(_NORM_BATCHES):
            drawn = draw(self.recipe, len(self.images), number)
            here = (self.processes.share(rows).to(self.images.device) for rows in drawn)
            self.step.run(model, *here)
        return model.eval()

    def _log_losses(self) -> None:
        steps = self.done - self._logged_step
        if not steps:
            return
        values = self.processes.mean(self.step.totals / steps).tolist()  # waits for the device
        self.step.totals.zero_()
        self._tick()
        taken = max(self.spent - self._logged, 1e-6) / steps
        self._logged, self._logged_step = self.spent, self.done
        parts = dict(zip((*PARTS, "loss", "gradient"), values, strict=True))
        if not math.isfinite(parts["loss"]):
            raise TrainingError(f"step {self.done}: the loss is not finite; {parts}")
        self._log(
            "loss",
            spent_s=round(self.spent, 2),
            elapsed=round(self._elapsed(), 4),
            crops_per_s=round(self.recipe.batch / taken, 1),
            **{name: round(value, 6) for name, value in parts.items()},
        )

    def _log(self, event: str, **values: Any) -> None:
        if self.processes.rank != 0:
            return
        row = {"event": event, "step": self.done, **values}
        log = self.out / LOG
        with named(log, "written"), log.open("a", encoding="utf-8") as file:
            file.write(to_json(row, indent=None))
        self.report(row)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collect Ctrl-C instead of raising it, so that the step can be finished; not the third one.

    The processes of torchrun get the same one twice, from the terminal and from torchrun.
    """
    caught: list[int] = []

    def catch(number: int, _: object) -> None:
        caught.append(number)
        if len(caught) > 2:
            raise KeyboardInterrupt

    arrive = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, catch) if arrive else None
    try:
        yield caught
    finally:
        if arrive:
            signal.signal(signal.SIGINT, before)


def _networks(recipe: Recipe, device: torch.device) -> tuple[FeatherFace, FeatherFace | None]:
    """The network as it starts, and its teacher."""
    teacher = None if recipe.teacher is None else load(recipe.teacher, device=device)
    torch.manual_seed(recipe.seed)
    model = FeatherFace(recipe.variant)
    for conv in model.heads.classes:
        # Every score starts at 0.01, as most anchors hold no face (Lin et al. 2017, section 3.3).
        bias = conv.bias.detach().view(-1, 2)  # type: ignore[operator]
        bias[:, 0], bias[:, 1] = 0.0, math.log(0.01 / 0.99)
    if teacher is not None:
        if teacher.config.anchors != model.config.anchors:
            raise RecipeError(
                f"teacher (={recipe.teacher!r}) has {teacher.config.anchors} anchors a cell, "
                f"{recipe.variant} has {model.config.anchors}"
            )
        if recipe.backbone == "teacher":
            model.backbone.load_state_dict(teacher.backbone.state_dict())
        as_teacher(teacher)
    if recipe.start is not None:
        started_from = load(recipe.start)
        if started_from.config != model.config:
            raise RecipeError(f"start (={recipe.start!r}) holds no {recipe.variant}")
        model.load_state_dict(started_from.state_dict())
    return prepare(model).to(device), teacher


def _generator(seed: int, number: int) -> torch.Generator:
    # PyTorch's CPU generator takes the lower 32 bits of a seed.
    return torch.Generator().manual_seed((seed * 0x9E3779B1 + number) % 2**32)
