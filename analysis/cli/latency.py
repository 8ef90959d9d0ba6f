"""`featherface latency`: milliseconds of a forward pass, by block, by size, under the roof."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from analysis.cli import options
from analysis.cli.output import emit, progress, show, warn
from featherface.config import CONFIGS, check_size
from featherface.errors import InputError

if TYPE_CHECKING:
    from analysis.speed.setting import Setting
    from analysis.speed.timing import Rule


def latency(
    variant: Annotated[
        list[str] | None,
        options.repeatable(
            "A network of the family, official by default", *get_args(options.VariantName), "all"
        ),
    ] = None,
    size: options.Size = options.SIZE,
    model: options.Model = None,
    inputs: options.Inputs = None,
    settings: options.Settings = None,
    batch: Annotated[
        list[int] | None, typer.Option(help="Images in a pass; may be repeated.")
    ] = None,
    device: options.CpuOrCuda = None,
    dtype: Annotated[
        list[str] | None,
        options.repeatable(
            "float32 by default; half precisions are autocast on a GPU",
            *("float32", "bfloat16", "float16", "float64"),
        ),
    ] = None,
    threads: options.Threads = None,
    channels_last: Annotated[
        bool, typer.Option("--channels-last", help="Lay tensors out with channels innermost.")
    ] = False,
    flush_l2: Annotated[
        bool, typer.Option("--flush-l2", help="Overwrite a GPU's L2 cache before every pass.")
    ] = False,
    runtime: Annotated[
        list[str] | None,
        options.repeatable(
            "torch by default; compile, onnx and openvino time the whole pass alone",
            *("torch", "compile", "cuda-graph", "onnx", "openvino"),
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
    settled_within: Annotated[
        float,
        typer.Option(min=0.01, max=100, help="A median is settled within so many percent (95 %)."),
    ] = 2.0,
    seconds: Annotated[float, typer.Option(min=0, help="For each measurement.")] = 20.0,
    record: Annotated[
        Path | None,
        options.out_folder(
            "Also append each record to DIR/latency.jsonl, growth.jsonl and so on, unless the "
            "measurement doubts itself: the exit code is then 1."
        ),
    ] = None,
    record_doubtful: Annotated[
        bool,
        typer.Option("--record-doubtful", help="Record those too; their doubts are in the record."),
    ] = False,
    json: options.Json = None,
) -> None:
    """Milliseconds of a forward pass, block by block and as a whole.

    Needs no weights: the network has random ones that make the same work as trained ones.
    Variants and runtimes take turns; passes with marks between the blocks alternate with passes
    without, so that the cost of measuring shows. On a GPU, CUDA events take the time.
    """
    variants = list(CONFIGS) if everything or variant == ["all"] else variant or ["official"]
    runtimes, dtypes = runtime or ["torch"], dtype or ["float32"]
    asked = {"roofline": roofline, "operators": operators, "growth": growth}
    wanted = [name for name, chosen in asked.items() if chosen]
    if everything and (wanted or runtime or variant or model or kernel != "auto"):
        raise InputError("--all already has every measurement, variant, runtime and kernel")
    options.refuse_both("network", {"--model": model, "--variant": variant})
    options.refuse_both("size", {"--input": inputs, "--size": size != options.SIZE})
    for name in runtimes if wanted else ():
        if name != "torch" and (name != "cuda-graph" or "operators" in wanted):
            raise InputError(f"--{wanted[0]} looks into PyTorch's operators; runtime (={name!r})")
    if model is None and not inputs:
        check_size(*size, min(batch or [1]))
    from analysis.cost.subject import parse_input, parse_settings
    from analysis.report.tables import latency as tables
    from analysis.speed.latest import FIELDS, network_name
    from analysis.speed.setting import Setting
    from analysis.speed.timing import Rule
    from featherface.records import append, read
    from featherface.runtimes.network import checked_device

    given = tuple(map(parse_input, inputs or ()))
    if given and model is None:
        options.images_of(given)
    if given and len(given[0].shape) >= 4:
        height, width = given[0].shape[-2:]
        size = (height, width)
    batches = batch or [given[0].shape[0] if given else 1]
    if device is None and {"onnx", "openvino"} & set(runtimes):
        device = "cpu"
    place = str(checked_device(device))
    base = Setting(
        height=size[0],
        width=size[1],
        device=place,
        memory_format="channels-last" if channels_last else "contiguous",
        threads=threads,
        flush_l2=flush_l2,
        kernel=kernel,
        model=model,
        arguments=parse_settings(settings or []),
        inputs=given,
    )
    groups = [
        [
            base.at(variant=name, batch=images, dtype=precision, runtime=runs)
            for name, runs in product(variants, apart)
        ]
        for images, precision in product(batches, dtypes)
        # On a GPU each runtime apart: a graph keeps its memory.
        for apart in ([[each] for each in runtimes] if place != "cpu" else [runtimes])
    ]
    for setting in chain(*groups):
        setting.check_memory()
    if record is not None:  # before taking time that could not be written down
        for kind, fields in FIELDS.items():
            read(record / f"{kind}.jsonl", fields)
    plans = [_everything(group) if everything else _plan(group, wanted) for group in groups]
    rule = Rule(within=settled_within / 100, seconds=seconds)
    records: list[dict[str, Any]] = []
    kept = True
    with progress("timing") as track:
        total = sum(len(chosen) for plan in plans for chosen in plan.values())
        for done in track(_measure(plans, rule), total):
            records.append(done)
            if record is None:
                continue
            if not done["doubts"] or record_doubtful:
                kind = done["record"]
                append(record / f"{kind}.jsonl", done, FIELDS[kind])
                continue
            kept = False
            warn(f"{done['record']} of {network_name(done)} ({done['runtime']}) not recorded")
            for doubt in done["doubts"]:
                warn(f"  {doubt}")
    if emit(records, json):
        for done in records:
            show(tables.table(done))
    if not kept:
        raise typer.Exit(1)


Plan = Mapping[str, Sequence["Setting"]]
"""The settings of each kind of record."""


def _plan(settings: Sequence[Setting], wanted: Sequence[str]) -> Plan:
    """Return a plan for what was asked; without anything in particular, the latency."""
    plan = dict.fromkeys(wanted, settings)
    return plan if wanted and "roofline" not in wanted else {"latency": settings, **plan}


def _everything(settings: Sequence[Setting]) -> Plan:
    """Return a plan with every runtime and kernel, the roofs, and `official` in depth."""
    (official,) = (setting for setting in settings if setting.variant == "official")
    on_gpu = official.device != "cpu"  # which has torchvision's deformable kernel alone
    faster = ["cuda-graph"] if on_gpu else ["onnx"]
    if not on_gpu and find_spec("openvino"):
        faster.append("openvino")
    turns = [*settings, *(s.at(runtime=runtime) for runtime in faster for s in settings)]
    kernels = ("auto",) if on_gpu else ("auto", "torchvision")
    for kernel in kernels[1:]:
        turns += [s.at(kernel=kernel) for s in settings if "dcn" in CONFIGS[s.variant].context]
    inside = [official.at(kernel=kernel) for kernel in kernels]
    return {"latency": turns, "roofline": settings, "operators": inside, "growth": [official]}


def _measure(plans: Iterable[Plan], rule: Rule) -> Iterator[dict[str, Any]]:
    """Yield the records of the plans; networks of one plan take turns in its latency."""
    from analysis.speed.growth import measure_growth
    from analysis.speed.latency import measure_latencies
    from analysis.speed.operators import measure_operators
    from analysis.speed.roofline import measure_ceilings, under_roof

    ceilings = cache(measure_ceilings)
    for plan in plans:
        turns, roofs = plan.get("latency", ()), plan.get("roofline", ())
        found = measure_latencies(turns, rule)
        yield from found
        for setting, latency in zip(turns, found, strict=True):
            if setting in roofs:
                yield under_roof(setting, latency, ceilings(setting.plain, rule))
        for setting in plan.get("operators", ()):
            yield measure_operators(setting, rule)
        for setting in plan.get("growth", ()):
            yield measure_growth(setting, rule)
