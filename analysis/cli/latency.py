"""`featherface latency`: milliseconds of a forward pass, by block, by size, under the roof."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from analysis.cli.options import (
    Json,
    Size,
    Threads,
    VariantName,
    device_name,
    emit,
    is_stdout,
    output_folder,
    progress,
    repeatable,
    show,
    warn,
)
from featherface.errors import InputError

if TYPE_CHECKING:
    from analysis.speed.latency import Setting
    from analysis.speed.timing import Rule

Records = list[dict[str, Any]]
Job = Callable[[], Records]

KINDS = ("latency", "growth", "roofline", "operators")
"""Of records; each has a file of its name."""


def latency(
    variant: Annotated[
        list[str] | None,
        repeatable("A network of the family, official by default", *get_args(VariantName), "all"),
    ] = None,
    size: Size = (640, 640),
    batch: Annotated[
        list[int] | None, typer.Option(help="Images in a pass; may be repeated.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="cpu|cuda|cuda:N", parser=device_name, help="Of the network.")
    ] = "cpu",
    dtype: Annotated[
        list[str] | None,
        repeatable(
            "float32 by default; half precisions are autocast on a GPU",
            *("float32", "bfloat16", "float16", "float64"),
        ),
    ] = None,
    threads: Threads = None,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Lay tensors out with channels innermost.")
    ] = False,
    flush_l2: Annotated[
        bool, typer.Option("--flush-l2", help="Overwrite a GPU's L2 cache before every pass.")
    ] = False,
    runtime: Annotated[
        list[str] | None,
        repeatable(
            "torch by default; compile and onnx time the whole pass alone",
            *("torch", "compile", "cuda-graph", "onnx"),
        ),
    ] = None,
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
        bool, typer.Option("--roofline", help="And blocks against matrix product and copying here.")
    ] = False,
    operators: Annotated[
        bool, typer.Option("--operators", help="Where the time goes inside the blocks.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All of this for all variants, kernels and runtimes.")
    ] = False,
    within: Annotated[
        float, typer.Option(help="A median is settled within so many percent (95 %).")
    ] = 2.0,
    seconds: Annotated[float, typer.Option(help="For each measurement.")] = 20.0,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="DIR",
            parser=output_folder,
            help="Also append each record to DIR/latency.jsonl, growth.jsonl and so on, unless "
            "the measurement doubts itself: the exit code is then 1.",
        ),
    ] = None,
    record_doubtful: Annotated[
        bool,
        typer.Option("--record-doubtful", help="Record those too; their doubts are in the record."),
    ] = False,
    json: Json = None,
) -> None:
    """Milliseconds of a forward pass, block by block and as a whole.

    Needs no weights: the network has random ones that make the same work as trained ones.
    Variants and runtimes take turns; passes with marks between the blocks alternate with passes
    without, so that the cost of measuring shows. On a GPU, CUDA events take the time.
    """
    from analysis.report.tables import latency as tables_latency
    from analysis.speed.latency import Setting
    from analysis.speed.timing import Rule
    from featherface.config import CONFIGS
    from featherface.records import append, read

    variants = list(CONFIGS) if everything or variant == ["all"] else variant or ["official"]
    runtimes, dtypes, batches = runtime or ["torch"], dtype or ["float32"], batch or [1]
    asked = {"growth": growth, "roofline": roofline, "operators": operators}
    wanted = [name for name, chosen in asked.items() if chosen]
    if everything and (wanted or runtime or variant or kernel != "auto"):
        raise InputError("--all already has every measurement, variant, runtime and kernel")
    if wanted:
        for name in runtimes:
            if name == "torch" or (name == "cuda-graph" and "operators" not in wanted):
                continue
            raise InputError(f"--{wanted[0]} looks into PyTorch's operators; runtime (={name!r})")
    rule = Rule(within=within / 100, seconds=seconds)
    groups = [
        [
            Setting(
                variant=name,
                height=size[0],
                width=size[1],
                batch=images,
                device=device,
                dtype=precision,
                memory_format="channels-last" if channels_last else "contiguous",
                threads=threads,
                flush_l2=flush_l2,
                kernel=kernel,
                runtime=runs,
            )
            for name, runs in product(variants, apart)
        ]
        # On a GPU each runtime apart: a graph keeps its memory.
        for apart in ([[each] for each in runtimes] if device != "cpu" else [runtimes])
        for precision, images in product(dtypes, batches)
    ]
    if record is not None:  # before taking time that could not be written down
        for kind in KINDS:
            read(record / f"{kind}.jsonl", _fields(kind))
    records: Records = []
    ceilings: dict[Any, Any] = {}
    kept = True
    with progress("timing") as track:
        jobs = [
            job
            for group in groups
            for job in (
                _all_jobs(group, rule) if everything else _jobs(group, rule, wanted, ceilings)
            )
        ]
        for job in track(jobs):
            for done in job():
                records.append(done)
                if record is None:
                    continue
                if done["doubts"] and not record_doubtful:
                    kept = False
                    warn(f"{done['record']} of {done['variant']} ({done['runtime']}) not recorded")
                    for doubt in done["doubts"]:
                        warn(f"  {doubt}")
                    continue
                append(record / f"{done['record']}.jsonl", done, _fields(done["record"]))
    emit(records, json)
    if not is_stdout(json):
        for done in records:
            show(tables_latency.table(done))
    if not kept:
        raise typer.Exit(1)


def _jobs(
    settings: Sequence[Setting], rule: Rule, wanted: Sequence[str], ceilings: dict[Any, Any]
) -> Iterator[Job]:
    """Yield what was asked for; without anything in particular, the latency.

    Args:
        ceilings: those measured so far, by device, dtype and threads.
    """
    from analysis.speed.ceilings import measure_ceilings
    from analysis.speed.growth import measure_growth
    from analysis.speed.latency import measure_latencies
    from analysis.speed.operators import measure_operators
    from analysis.speed.roofline import measure_rooflines
    from analysis.speed.timing import Rule

    def latency_and_roofs() -> Records:
        measured = measure_latencies(settings, rule)
        setting = settings[0]
        key = (setting.device, setting.dtype, setting.threads)
        if key not in ceilings:
            ceilings[key] = measure_ceilings(setting, Rule(seconds=rule.seconds / 4))
        return measured + measure_rooflines(settings, rule, measured, ceilings[key])

    if not wanted:
        yield partial(measure_latencies, settings, rule)
    if "roofline" in wanted:
        yield latency_and_roofs
    for name, measure in (("operators", measure_operators), ("growth", measure_growth)):
        for setting in settings if name in wanted else ():
            yield partial(_alone, measure, setting, rule)


def _all_jobs(settings: Sequence[Setting], rule: Rule) -> Iterator[Job]:
    """Yield every runtime and kernel of the settings, the roofs, and `official` in depth."""
    from analysis.speed.growth import measure_growth
    from analysis.speed.latency import measure_latencies
    from analysis.speed.operators import measure_operators
    from analysis.speed.roofline import measure_rooflines
    from featherface.config import CONFIGS

    official = next(setting for setting in settings if setting.variant == "official")
    on_gpu = official.device != "cpu"  # which has torchvision's deformable kernel alone
    others = [setting.at(runtime="cuda-graph" if on_gpu else "onnx") for setting in settings]
    if not on_gpu:
        deforming = [s for s in settings if "dcn" in CONFIGS[s.variant].context]
        others += [setting.at(kernel="torchvision") for setting in deforming]

    def latency_and_roofs() -> Records:
        measured = measure_latencies([*settings, *others], rule)
        return measured + measure_rooflines(settings, rule, measured[: len(settings)])

    yield latency_and_roofs
    for kernel in ("auto",) if on_gpu else ("auto", "torchvision"):
        yield partial(_alone, measure_operators, official.at(kernel=kernel), rule)
    yield partial(_alone, measure_growth, official, rule)


def _alone(measure: Callable[..., dict[str, Any]], setting: Setting, rule: Rule) -> Records:
    return [measure(setting, rule)]


def _fields(kind: str) -> Any:
    from analysis.speed import growth, latency, operators, roofline

    kinds = {"latency": latency, "growth": growth, "roofline": roofline, "operators": operators}
    return kinds[kind].FIELDS
