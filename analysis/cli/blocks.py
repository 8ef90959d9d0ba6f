"""`featherface blocks`: the cost of each block."""

from __future__ import annotations

from typing import Annotated

import typer

from analysis.cli import options
from analysis.cli.output import emit, show, warn
from featherface.config import CONFIGS, check_size


def blocks(
    variant: Annotated[
        options.VariantName | None,
        typer.Option(help="A network of the family, official by default."),
    ] = None,
    size: options.Size = options.SIZE,
    settings: options.Settings = None,
    model: options.Model = None,
    inputs: options.Inputs = None,
    layers: Annotated[bool, typer.Option("--layers", help="Every module, as a tree.")] = False,
    depth: Annotated[
        int | None, typer.Option(min=0, help="The tree of modules down to this depth.")
    ] = None,
    counters: Annotated[
        bool, typer.Option("--counters", help="What fvcore, torch, torchinfo and thop say instead.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where an operator is not counted.")
    ] = False,
    json: options.Json = None,
) -> None:
    """Measure parameters, MACs, activations and output shapes of each block of a network.

    MACs are multiply-accumulates of convolutions, linear layers and deformable kernels. An
    operator that nothing is known about is named, and the MACs are then a lower bound.
    """
    options.refuse_both("network", {"--model": model, "--variant": variant})
    options.refuse_both("size", {"--input": inputs, "--size": size != options.SIZE})
    if model is None and not inputs:
        check_size(*size)
    from analysis.cost import blocks as costs
    from analysis.cost import counters as counting
    from analysis.cost import subject
    from analysis.report.tables import networks as tables

    chosen = subject.parse_settings(settings or [])
    given = [subject.parse_input(text) for text in inputs or [f"1 3 {size[0]} {size[1]}"]]
    answers = []
    if model is None:
        config = subject.with_settings(CONFIGS[variant or "official"], chosen)
        batch, height, width = options.images_of(given)
        cost = costs.network_cost(config, height, width, batch)
        record = costs.measure_blocks(config, height, width, batch)
        if counters:
            answers = counting.out_of_the_box(config, height, width, batch)
    else:
        named = subject.Subject(model, tuple(given), tuple(chosen.items()))
        cost = named.measure(named.load_bare())
        shapes = [list(each.shape) for each in given]
        record = {"variant": None, "model": model, **costs.describe_blocks(cost, shapes[0])}
        if len(given) > 1:
            record["inputs"] = shapes
        if counters:
            network = named.load()
            values = subject.positional(network, given)
            answers = counting.ask_counters(network, values, cost)
    tree = layers or depth is not None
    if tree:
        record["layers"] = costs.describe_layers(cost, depth)
    if counters:
        record["counters"] = [answer.as_dict() for answer in answers]
        record["register"] = {
            answer["counter"]: counting.REGISTER[answer["counter"]]
            for answer in record["counters"]
            if "deformable_kernel" in answer["macs_difference"]
        }
    if emit(record, json):
        show(tables.layers(record) if tree else tables.blocks(record))
        show(tables.kinds(record))
        if counters:
            show(tables.counters(record["variant"] or model or "unnamed", record))
            for name, lines in record["register"].items():
                show(f"\n# {name} counts deformable convolutions with\n{lines}")
    if cost.uncounted:
        calls = ", ".join(f"{name} ({n})" for name, n in cost.uncounted.items())
        warn(f"not counted, calls in brackets: {calls}")
        raise typer.Exit(1 if strict else 0)
