"""Runs: they learn, go on after a stop as if there had been none, and divide among processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from PIL import Image
from safetensors import safe_open

import featherface
from featherface.config import CONFIGS
from featherface.errors import InputError
from featherface.files import locked, part_of
from featherface.model import FeatherFace, save
from featherface.training import loop
from featherface.training.__main__ import main
from featherface.training.distil import Trained
from featherface.training.loop import draw, train
from featherface.training.processes import keep_freed_memory
from featherface.training.recipe import Recipe, RecipeError
from featherface.training.step import Recorded, Step
from featherface.weights.reading import read_contents

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
SETTINGS = ["teacher=none", "backbone=random", "size=64", "batch=4", "holdout=0"]
TINY = Recipe(
    teacher=None,
    backbone="random",
    face_loss=1.0,
    steps=6,
    size=64,
    batch=4,
    holdout=0,
    zoom=(0.5, 1.0),
)


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network of random weights: something to learn from."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save(FeatherFace("retinaface"), path)
    return str(path)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return read_contents(path).tensors


def rows(out: Path, event: str) -> list[dict[str, Any]]:
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [row for row in log if row["event"] == event]


def losses(out: Path) -> dict[int, float]:
    return {row["step"]: row["loss"] for row in rows(out, "loss")}


def assert_equal(one: Path, two: Path) -> None:
    """Two runs ended with the same weights, to the bit."""
    ours, theirs = (tensors(out / "weights.safetensors") for out in (one, two))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


class Stopped(Exception):  # noqa: N818
    pass


@pytest.mark.slow
@pytest.mark.parametrize("taught", [False, True])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    drawn: Path, tmp_path: Path, teacher: str, taught: bool
) -> None:
    recipe = replace(TINY, teacher=teacher, backbone="teacher", frozen=0.6) if taught else TINY
    train(recipe, drawn, tmp_path / "whole", log_every=0, every=0)

    def stop(row: dict[str, Any]) -> None:
        if row["step"] == 4 and row["event"] == "loss":  # after the checkpoint of step 3
            raise Stopped

    with pytest.raises(Stopped):
        train(recipe, drawn, tmp_path / "stopped", log_every=0, every=0, report=stop)
    with (tmp_path / "stopped" / "log.jsonl").open("a") as log:
        log.write('{"event": "loss", "st')  # half a row, as a kill leaves it
    half_written = part_of(tmp_path / "stopped" / "checkpoint.pt")
    others = part_of(tmp_path / "stopped" / "clip.mp4")  # of another program that runs
    half_written.touch()
    others.touch()
    train(recipe, drawn, tmp_path / "stopped", log_every=0, every=0)
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "whole")) == recipe.steps
    assert_equal(tmp_path / "stopped", tmp_path / "whole")
    assert not half_written.exists()
    assert others.exists()


def test_stopped_before_its_first_checkpoint_a_run_logs_every_step_once(
    drawn: Path, tmp_path: Path
) -> None:
    def stop(row: dict[str, Any]) -> None:
        if row["step"] == 2:
            raise Stopped

    with pytest.raises(Stopped):
        train(TINY, drawn, tmp_path, log_every=0, report=stop)
    first = (tmp_path / "log.jsonl").read_text()
    train(TINY, drawn, tmp_path, log_every=0)
    assert [row["step"] for row in rows(tmp_path, "loss")] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "log-1.jsonl").read_text() == first


def test_ctrl_c_leaves_a_checkpoint_of_the_step(drawn: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, optimizer="sgd", learning_rate=1e-3)

    def interrupt(row: dict[str, Any]) -> None:
        if (row["event"], row["step"]) == ("loss", 3):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(recipe, drawn, tmp_path / "stopped", log_every=0, report=interrupt)
    assert torch.load(tmp_path / "stopped" / "checkpoint.pt", weights_only=True)["step"] == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    for name in ("stopped", "whole"):
        train(recipe, drawn, tmp_path / name, log_every=0)
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    assert_equal(tmp_path / "stopped", tmp_path / "whole")


def test_settings_may_stand_behind_options(drawn: Path, tmp_path: Path) -> None:
    options = ["--device", "cpu", "--no-graph", "steps=1"]
    assert main([str(drawn), str(tmp_path), *SETTINGS, *options]) == 0
    assert rows(tmp_path, "end")[0]["step"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["steps=1", "--device", "cuda:99"], "device (='cuda:99') cannot be used: "),
        (["steps=few"], "steps (='few') must be of type int | None"),
        (["steps=1", "zoom=[1]"], "zoom (=[1]) must be two rising numbers above 0"),
        (["pace=1"], "a recipe has no setting pace"),
    ],
)
def test_bad_input_is_one_line(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(drawn), str(tmp_path), *arguments])
    assert f"featherface: {said}" in capsys.readouterr().err


def test_most_of_the_time_is_training_and_its_rate_is_that_of_steps(
    drawn: Path, tmp_path: Path
) -> None:
    train(TINY, drawn, tmp_path, every=0, log_every=1e9)
    assert len(list(tmp_path.glob("weights-epoch-*"))) == 1
    for row in rows(tmp_path, "loss"):
        assert 0 < row["crops_per_s"] < 1e5  # a step of four crops is no less than 40 µs


def test_a_teachers_levels_are_laid_out_for_the_students_normalisation(
    drawn: Path, tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[torch.Tensor] = []
    forward = Trained.forward

    def watched(self: Trained, pixels: torch.Tensor, levels: list[torch.Tensor]) -> Any:
        given.extend(levels)
        return forward(self, pixels, levels)

    monkeypatch.setattr(Trained, "forward", watched)
    train(replace(TINY, teacher=teacher, backbone="teacher", steps=1, frozen=1.0), drawn, tmp_path)
    assert [level.is_contiguous() for level in given] == [True] * 3


def faults(_: int) -> int:
    """The page faults of 64 MiB, which are 16,384 pages."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


@pytest.mark.slow
def test_a_step_takes_the_memory_that_the_last_one_freed() -> None:
    pytest.importorskip("resource", reason="counts page faults on Unix")
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another C library than glibc")
    # in a process of its own, as it is for the whole process
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=keep_freed_memory) as fresh:
        kept = min(fresh.map(faults, range(40)))  # once the heap has grown
    assert kept < 1000


def test_the_weights_say_what_they_were_made_from(drawn: Path, tmp_path: Path) -> None:
    path = train(replace(TINY, steps=1), drawn, tmp_path)
    with safe_open(path, framework="pt") as file:
        noted = json.loads(file.metadata()["training"])
    assert noted["recipe"]["batch"] == TINY.batch
    assert noted["versions"]["torch"] == torch.__version__
    assert noted["data"]["images"] == 8
    assert len(noted["data"]["sha256"]) == 64
    model = featherface.load(path)
    assert model.config == CONFIGS["v1"]


def test_a_checkpoint_of_another_recipe_or_damaged_is_refused(drawn: Path, tmp_path: Path) -> None:
    train(replace(TINY, steps=1), drawn, tmp_path)
    with pytest.raises(InputError, match=r"checkpoint\.pt: of a run with another recipe: batch"):
        train(replace(TINY, steps=1, batch=2), drawn, tmp_path)
    checkpoint = tmp_path / "checkpoint.pt"
    flipped = bytearray(checkpoint.read_bytes())
    flipped[len(flipped) // 2] ^= 255  # of a tensor's values: PyTorch would take them
    for content in (b"PK\x03\x04 and then nothing", bytes(range(200, 240)), flipped):
        checkpoint.write_bytes(content)
        with pytest.raises(InputError, match=r"checkpoint\.pt: cannot be read as a ch") as refused:
            train(replace(TINY, steps=1), drawn, tmp_path)
        assert "weights_only" not in str(refused.value)  # PyTorch's advice to read it unsafely


def test_two_runs_do_not_write_one_folder(drawn: Path, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "checkpoint.pt"),
        pytest.raises(InputError, match=r"checkpoint\.pt: cannot be written: another process"),
    ):
        train(TINY, drawn, tmp_path)
    train(TINY, drawn, tmp_path)


@pytest.mark.parametrize("row", ["no JSON", "[]", '{"event": "loss"}', '{"step": "one"}'])
def test_a_damaged_log_is_refused(drawn: Path, tmp_path: Path, row: str) -> None:
    train(TINY, drawn, tmp_path, log_every=0)
    (tmp_path / "log.jsonl").write_text(f"{row}\n")
    with pytest.raises(InputError, match=r"log\.jsonl: .* is no row of a run's log"):
        train(TINY, drawn, tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named_with_the_log(drawn: Path, tmp_path: Path) -> None:
    def fill(row: dict[str, Any]) -> None:
        if row["event"] == "start":
            (tmp_path / "log.jsonl").unlink()
            (tmp_path / "log.jsonl").symlink_to("/dev/full")

    with pytest.raises(InputError, match=r"log\.jsonl: cannot be written: No space left"):
        train(TINY, drawn, tmp_path, report=fill)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_checkpoint_of_a_gpu_goes_on_with_the_optimiser_of_this_device(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    recipe = replace(TINY, optimizer=optimizer)

    def stop(row: dict[str, Any]) -> None:
        if row["step"] == 4:
            raise Stopped

    with pytest.raises(Stopped):
        train(recipe, drawn, tmp_path, log_every=0, every=0, report=stop)
    checkpoint = tmp_path / "checkpoint.pt"
    saved = torch.load(checkpoint, weights_only=True)
    for group in saved["optimizer"]["param_groups"]:
        group |= {"lr": torch.tensor(1.0), "fused": True, "capturable": True}
    torch.save(saved, checkpoint)
    used: list[dict[str, Any]] = []
    original = Step.set_rates

    def watched(self: Step, factor: float, step: int) -> None:
        original(self, factor, step)
        used.extend(self.optimizer.param_groups)

    monkeypatch.setattr(Step, "set_rates", watched)
    train(recipe, drawn, tmp_path)
    assert {group["fused"] for group in used} == {False}
    assert {group.get("capturable", False) for group in used} == {False}
    assert not any(isinstance(group["lr"], torch.Tensor) for group in used)


def test_a_run_makes_its_gpu_the_current_one(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams and captures are of the current GPU."""
    entered: list[torch.device] = []

    @contextmanager
    def on_device(device: torch.device) -> Iterator[None]:
        entered.append(device)
        yield

    monkeypatch.setattr(loop, "on_device", on_device)
    train(replace(TINY, steps=1), drawn, tmp_path, device="cpu")
    assert entered == [torch.device("cpu")]


def test_steps_are_recorded_on_a_stream_of_the_current_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyTorch's own stream for captures is of the GPU that captured first."""
    recorded_on: list[Any] = []

    @contextmanager
    def graph(_: object, stream: Any = None) -> Iterator[None]:
        recorded_on.append(stream)
        yield

    stand_ins = {"Stream": lambda: "new", "synchronize": lambda: None, "CUDAGraph": object}
    for name, stand_in in {**stand_ins, "graph": graph}.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    step = MagicMock(**{"images.device": torch.device("cpu")})
    recorded = Recorded(step, batch=1, frozen=False, record=True)
    recorded._record()
    assert recorded_on == ["new"]
    step.assert_called_once()


def test_a_teachers_backbone_is_taken_over_and_stays_while_frozen(
    drawn: Path, tmp_path: Path, teacher: str
) -> None:
    recipe = replace(TINY, teacher=teacher, backbone="teacher", frozen=1.0, steps=2)
    ours, theirs = tensors(train(recipe, drawn, tmp_path)), tensors(Path(teacher))
    backbone = [name for name in theirs if name.startswith("backbone.")]
    assert backbone
    for name in backbone:
        assert torch.equal(ours[name], theirs[name].to(ours[name].dtype)), name


def test_stopped_after_its_last_step_a_run_writes_the_same_weights(
    drawn: Path, tmp_path: Path, teacher: str
) -> None:
    recipe = replace(TINY, teacher=teacher, backbone="teacher", frozen=0.5, steps=2)
    train(recipe, drawn, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    (tmp_path / "stopped" / "weights.safetensors").unlink()
    train(recipe, drawn, tmp_path / "stopped")
    assert_equal(tmp_path / "stopped", tmp_path / "whole")


def test_a_run_starts_from_weights(drawn: Path, tmp_path: Path) -> None:
    start = train(replace(TINY, steps=2), drawn, tmp_path / "first")
    recipe = replace(TINY, start=str(start), steps=1, learning_rate=1e-9)
    ours, theirs = tensors(train(recipe, drawn, tmp_path / "second")), tensors(start)
    learned = [name for name, _ in FeatherFace("v1").named_parameters()]
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in learned)
    with pytest.raises(RecipeError, match="holds no official"):
        train(replace(recipe, variant="official"), drawn, tmp_path / "third")


def test_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (90, 70)).save(tmp_path / "images" / "a.png")
    for boxes in ("", "[50, 40, -20, 30]", "[9000, 10, 20, 20]", "[5, 5, 0, 9]"):
        (tmp_path / "boxes.json").write_text(f'{{"a.png": {{"boxes": [{boxes}]}}}}')
        with pytest.raises(InputError, match="without faces and without a teacher"):
            train(TINY, tmp_path, tmp_path / "run")


@pytest.mark.parametrize("size", [(1, 1), (300, 2)])
def test_one_tiny_grey_image_without_faces_is_trained_on(
    tmp_path: Path, teacher: str, size: tuple[int, int]
) -> None:
    data = tmp_path / "a folder"
    (data / "images").mkdir(parents=True)
    Image.new("L", size).save(data / "images" / "a.png")
    (data / "boxes.json").write_text('{"a.png": {"boxes": []}}')
    train(replace(TINY, teacher=teacher, steps=2), data, tmp_path / "run", log_every=0)
    assert len(losses(tmp_path / "run")) == 2


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_too_little_memory_is_said_with_what_takes_it(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr(Step, "__call__", full)
    wanted = rf"^cpu: too little memory for .* {TINY.batch} crops of {TINY.size}×{TINY.size} "
    with pytest.raises(InputError, match=wanted):
        train(TINY, drawn, tmp_path / "run")


def test_a_loss_that_is_not_finite_ends_the_run(drawn: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, learning_rate=1e30, warmup=0.0, steps=40)
    with pytest.raises(InputError, match=r"step \d+: the loss is not finite"):
        train(recipe, drawn, tmp_path, every=0, log_every=1e9)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)  # of the steps before
    assert all(value.isfinite().all() for value in saved["model"].values())


def test_an_epoch_is_every_image_once_and_a_step_its_own() -> None:
    recipe = replace(TINY, batch=5)
    index = torch.cat([draw(recipe, 10, step)[0] for step in range(4)])
    assert sorted(index[:10].tolist()) == sorted(index[10:].tolist()) == list(range(10))
    assert index[:10].tolist() != index[10:].tolist()
    assert torch.equal(draw(recipe, 10, 3)[1], draw(recipe, 10, 3)[1])
    assert not torch.equal(draw(recipe, 10, 3)[1], draw(recipe, 10, 2)[1])
    assert not torch.equal(draw(recipe, 10, 3)[1], draw(replace(recipe, seed=1), 10, 3)[1])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"variant": "v9"}, "variant"),
        ({"steps": 0}, "steps"),
        ({"steps": True}, "steps"),
        ({"minutes": 1.0}, "either steps or minutes"),
        ({"size": 100}, "multiple of 32"),
        ({"size": 2**63}, "must not exceed"),
        ({"size": 8192}, "at most 4096"),
        ({"batch": 10**8, "size": 512}, "of 512×512 pixels must not exceed"),
        ({"learning_rate": float("inf")}, "must be finite"),
        ({"zoom": (2.0, 1.0)}, "zoom"),
        ({"zoom": (0.5, float("inf"))}, "zoom"),
        ({"backbone": "teacher"}, "needs a teacher"),
        ({"face_loss": 0.0}, "nothing to learn from"),
        ({"precision": "float8"}, "precision"),
        ({"optimizer": "lion"}, "optimizer"),
        ({"frozen": 1.5}, "frozen"),
        ({"holdout": -1}, "holdout"),
        ({"longest": 0}, "longest .=0. must be above 0"),
        ({"weight_decay": -0.1}, "weight_decay .=-0.1. must be 0 or more"),
    ],
)
def test_recipes_that_cannot_be_followed(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        replace(TINY, **settings)


def test_a_recipe_from_json_equals_its_own() -> None:
    assert hash(replace(TINY, zoom=[0.5, 1.0])) == hash(TINY)  # type: ignore[arg-type]


def test_a_step_never_reads_back_from_the_device(drawn: Path, teacher: str, tmp_path: Path) -> None:
    """Else a GPU could not record it."""
    from torch.utils._python_dispatch import TorchDispatchMode

    from featherface.training import step as steps

    reads = {"aten._local_scalar_dense.default", "aten.nonzero.default", "aten.item.default"}
    seen: set[str] = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            seen.add(str(func))
            return func(*args, **(kwargs or {}))

    original = steps.Step.__call__

    def watched(self: steps.Step, *args: Any) -> None:
        # The optimiser's CPU code does read; on a GPU it is another one, made for recording.
        self.optimizer.step = lambda: None  # type: ignore[method-assign]
        with Watch():
            original(self, *args)

    recipe = replace(TINY, teacher=teacher, backbone="teacher", frozen=0.5, steps=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps.Step, "__call__", watched)
        train(recipe, drawn, tmp_path)
    assert "aten.convolution_backward.default" in seen
    assert seen & reads == set()


@pytest.mark.slow
def test_killed_outright_a_run_goes_on(drawn: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "featherface.training", "--device", "cpu", str(drawn)]
    settings = [*SETTINGS, "steps=40"]
    killed = [*command, str(tmp_path / "killed"), *settings, "--every", "0"]
    process = subprocess.Popen(killed, cwd=ROOT, env=ENVIRONMENT)
    for _ in range(600):
        time.sleep(0.1)
        if list((tmp_path / "killed").glob("weights-epoch-*")):
            break
    process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    process.wait()
    done = torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)["step"]
    assert 0 < done < 40
    for name in ("killed", "whole"):
        run = [*command, str(tmp_path / name), *settings]
        subprocess.run(run, cwd=ROOT, env=ENVIRONMENT, check=True)
    assert_equal(tmp_path / "killed", tmp_path / "whole")


DYING = """
import os
from featherface.training import loop
draw = loop.draw
def draw_or_die(recipe, images, step):
    if step == 25 and os.environ["RANK"] == "1":
        os._exit(9)
    return draw(recipe, images, step)
loop.draw = draw_or_die
from featherface.training.__main__ import main
main()
"""


def machines(program: list[str], *arguments: list[str]) -> list[str]:
    """Run a program as on several machines, one launcher each; what each wrote on errors."""
    pytest.importorskip("lightning", reason="several processes need the extra train")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = ["--master-addr", "127.0.0.1", "--master-port", str(free.getsockname()[1])]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(len(arguments))]
    started = [
        subprocess.Popen(
            [*launch, "--node-rank", str(rank), *address, *program, *own, "--device", "cpu"],
            cwd=ROOT,
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, own in enumerate(arguments)
    ]
    return [process.communicate(timeout=300)[1] for process in started]


def test_machines_that_do_not_reach_each_other_are_told_of_the_interface(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fabric = pytest.importorskip("lightning.fabric", reason="the extra train")

    def refused(_: object) -> None:
        raise RuntimeError("Gloo connectFullMesh failed")

    monkeypatch.setattr(fabric.Fabric, "launch", refused)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"cannot connect: Gloo .*; GLOO_SOCKET_IFNAME"):
        train(TINY, drawn, tmp_path, device="cpu")


def test_machines_run_as_many_processes_each(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightning.fabric", reason="the extra train")
    for name, value in {"WORLD_SIZE": 3, "LOCAL_WORLD_SIZE": 2, "GROUP_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(InputError, match="3 processes on 2 machines: run as many on each"):
        train(TINY, drawn, tmp_path, device="cpu")


@pytest.mark.slow
def test_machines_that_were_given_something_else_are_refused(drawn: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(drawn, other)
    document = json.loads((other / "boxes.json").read_text())
    document.popitem()
    (other / "boxes.json").write_text(json.dumps(document))
    train(TINY, drawn, tmp_path / "begun")
    settings = [*SETTINGS, "steps=6", "face_loss=1.0", "zoom=[0.5,1.0]"]
    first = [str(drawn), str(tmp_path / "new"), *settings]
    for second, differing in (
        (
            [str(other), *first[1:], "seed=1", "--every", "5"],
            "recipe, data, intervals of checkpoints and of the log",
        ),
        ([str(drawn), str(tmp_path / "begun"), *settings], r"\S+checkpoint\.pt"),
    ):
        for errors in machines(["-m", "featherface.training"], first, second):
            said = rf"featherface: {differing}: must be the same for all processes"
            assert re.search(said, errors), errors


@pytest.mark.slow
def test_a_machine_that_dies_is_missed_in_one_line(drawn: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(DYING)
    run = [str(drawn), str(tmp_path / "run"), *SETTINGS, "steps=40", "--every", "0"]
    survivor, _ = machines([str(program)], run, run)
    said = [line for line in survivor.splitlines() if line.startswith("featherface: ")]
    assert len(said) == 1, survivor
    assert "another process of the run ended or does not answer" in said[0]
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] == 25


PROGRAM = """
import json, sys
from featherface.training.loop import train
from featherface.training.step import Step
from featherface.training.recipe import Recipe
train(Recipe(**json.loads(sys.argv[3])), sys.argv[1], sys.argv[2], device="cpu", log_every=0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("taught", [False, True])
def test_two_processes_learn_what_one_does(
    drawn: Path, tmp_path: Path, teacher: str, taught: bool
) -> None:
    pytest.importorskip("lightning", reason="several processes need the extra train")
    # AdamW would bring rounding to full size where a gradient is nothing else.
    recipe = replace(TINY, optimizer="sgd", learning_rate=0.02, steps=3)
    if taught:
        recipe = replace(recipe, teacher=teacher, backbone="teacher", frozen=0.5, face_loss=0.3)
    (tmp_path / "program.py").write_text(PROGRAM)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, options in (("one", []), ("two", launch)):
        command = [sys.executable, *options, str(tmp_path / "program.py"), str(drawn)]
        command += [str(tmp_path / name), json.dumps(asdict(recipe))]
        done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
    one, two = (losses(tmp_path / name) for name in ("one", "two"))
    assert len(one) == recipe.steps
    assert two == pytest.approx(one, rel=1e-5)
    ours, theirs = (tensors(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.allclose(theirs[name].float(), value.float(), rtol=1e-4, atol=1e-4), name
    assert rows(tmp_path / "two", "start")[0]["processes"] == 2


@pytest.mark.slow
def test_eight_drawn_images_are_learned_by_heart(drawn: Path, tmp_path: Path) -> None:
    from featherface.training import holdout
    from featherface.training.data import decode, read_source

    recipe = replace(TINY, steps=160, size=128, batch=8, zoom=(1.0, 1.0), learning_rate=5e-3)
    model = featherface.load(train(recipe, drawn, tmp_path))
    source = read_source(drawn)
    measured = holdout.measure(model, decode(source, source.samples, "cpu"), zoom=1.0)
    assert measured["ap"] == pytest.approx(1.0)
    assert measured["boxes_an_image"] < 100
