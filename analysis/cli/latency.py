"""`featherface latency`: how long a pass takes, where, and how that grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from analysis.cli.options import (
    Json,
    Size,
    Threads,
    Variant,
    device_name,
    emit,
    is_stdout,
    output_folder,
    progress,
    show,
)
from featherface.errors import InputError

if TYPE_CHECKING:
    from analysis.speed.latency import Setting
    from analysis.speed.timing import Rule

Job = Callable[[], dict[str, Any]]

KINDS = ("latency", "growth", "roofline", "operators")
"""Of records; each has a file of its name."""


def latency(
    variant: Variant = "official",
    size: Size = (640, 640),
    batch: Annotated[int, typer.Option(help="Images in a forward pass.")] = 1,
    device: Annotated[
        str,
        typer.Option(
            metavar="cpu|cuda|cuda:N|mps", parser=device_name, help="Device of the network."
        ),
    ] = "cpu",
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16", "float64"],
        typer.Option(help="Type of the weights and activations."),
    ] = "float32",
    threads: Threads = None,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Lay tensors out with channels innermost.")
    ] = False,
    flush_l2: Annotated[
        bool, typer.Option("--flush-l2", help="Overwrite a GPU's L2 cache before every pass.")
    ] = False,
    runtime: Annotated[
        Literal["torch", "compile", "onnx"],
        typer.Option(help="What computes the network; only torch is timed by block."),
    ] = "torch",
    kernel: Annotated[
        Literal["auto", "gather", "torchvision"],
        typer.Option("--deform-kernel", help="The kernel of deformable convolutions."),
    ] = "auto",
    growth: Annotated[
        bool,
        typer.Option(
            "--growth", help="Latency and memory by size, 320 to 1600, and batch, 1 to 16."
        ),
    ] = False,
    roofline: Annotated[
        bool, typer.Option("--roofline", help="Blocks against matrix product and copying here.")
    ] = False,
    operators: Annotated[
        bool, typer.Option("--operators", help="Where the time goes inside the blocks.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All of this for all variants, kernels and runtimes.")
    ] = False,
    within: Annotated[
        float, typer.Option(help="Stop when p50 is certain (95 %) within so many percent.")
    ] = 2.0,
    seconds: Annotated[
        float, typer.Option(help="Or after so many seconds, for each measurement.")
    ] = 20.0,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="DIR",
            parser=output_folder,
            help="Also append each record to DIR/latency.jsonl, growth.jsonl and so on.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Milliseconds of a forward pass, block by block and as a whole.

    Needs no weights: the network has random ones that make the same work as trained ones. Passes
    with marks between the blocks alternate with passes without, so that the cost of measuring
    shows. On a GPU, CUDA events take the time.
    """
    from analysis.report.tables import latency as tables_latency
    from analysis.speed.latency import Setting
    from analysis.speed.timing import Rule
    from featherface.records import append, read

    rule = Rule(within=within / 100, seconds=seconds)
    setting = Setting(
        variant=variant,
        height=size[0],
        width=size[1],
        batch=batch,
        device=device,
        dtype=dtype,
        memory_format="channels-last" if channels_last else "contiguous",
        threads=threads,
        flush_l2=flush_l2,
        kernel=kernel,
    )
    wanted = [
        name
        for name, asked in (("growth", growth), ("roofline", roofline), ("operators", operators))
        if asked
    ]
    if everything and (wanted or runtime != "torch" or kernel != "auto"):
        raise InputError("--all already has every measurement, runtime and kernel")
    if wanted and runtime != "torch":
        raise InputError(f"--{wanted[0]} looks into PyTorch's operators; runtime (={runtime!r})")
    if record is not None:  # before taking time that could not be written down
        for kind in KINDS:
            read(record / f"{kind}.jsonl", _fields(kind))
    records = []
    with progress("timing") as track:
        if everything:
            jobs = list(_all_jobs(setting, rule))
        else:
            jobs = list(_jobs(setting, rule, runtime, wanted, track))
        for job in track(jobs) if len(jobs) > 1 else jobs:
            done = job()
            records.append(done)
            if record is not None:
                append(record / f"{done['record']}.jsonl", done, _fields(done["record"]))
    emit(records, json)
    if not is_stdout(json):
        for done in records:
            show(tables_latency.table(done))


def _jobs(
    setting: Setting,
    rule: Rule,
    runtime: str,
    wanted: list[str],
    track: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Iterator[Job]:
    """What was asked for; without anything in particular, the latency."""
    from analysis.speed.growth import measure_growth
    from analysis.speed.latency import measure_latency
    from analysis.speed.operators import measure_operators
    from analysis.speed.roofline import measure_roofline

    if not wanted:
        yield lambda: measure_latency(setting, rule, runtime)
    if "roofline" in wanted:
        yield lambda: measure_roofline(setting, rule)
    if "operators" in wanted:
        yield lambda: measure_operators(setting, rule)
    if "growth" in wanted:
        alone = len(wanted) == 1  # else the bar is of the measurements
        yield lambda: measure_growth(setting, rule, track=track if alone else iter)


def _all_jobs(setting: Setting, rule: Rule) -> Iterator[Job]:
    """Every variant in every runtime and kernel, the roofs, and `setting` in depth."""
    from analysis.speed.growth import measure_growth
    from analysis.speed.latency import measure_latency
    from analysis.speed.operators import measure_operators
    from analysis.speed.roofline import measure_roofline
    from featherface.config import CONFIGS

    gpu = setting.device != "cpu"

    def timed(
        subject: Setting, runtime: str = "torch", to: list[dict[str, Any]] | None = None
    ) -> Job:
        def job() -> dict[str, Any]:
            measured = measure_latency(subject, rule, runtime)
            if to is not None:
                to.append(measured)
            return measured

        return job

    def roof(subject: Setting, just_now: list[dict[str, Any]]) -> dict[str, Any]:
        return measure_roofline(subject, rule, just_now[0])

    for name, config in CONFIGS.items():
        subject = setting.at(variant=name)
        just_now: list[dict[str, Any]] = []
        yield timed(subject, to=just_now)
        yield partial(roof, subject, just_now)
        if "dcn" in config.context and not gpu:  # a GPU has torchvision's kernel alone
            yield timed(subject.at(kernel="torchvision"))
        if not gpu:
            yield timed(subject, "onnx")
    for kernel in ("auto",) if gpu else ("auto", "torchvision"):
        yield partial(measure_operators, setting.at(kernel=kernel), rule)
    yield lambda: measure_growth(setting, rule)


def _fields(kind: str) -> Any:
    from analysis.speed import growth, latency, operators, roofline

    kinds = {"latency": latency, "growth": growth, "roofline": roofline, "operators": operators}
    return kinds[kind].FIELDS
