"""`featherface blocks`: the cost of each block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from analysis.cli import options
from analysis.cli.output import emit, show, warn
from featherface.errors import InputError

if TYPE_CHECKING:
    from analysis.cost.subject import Input


def blocks(
    variant: options.Variant = "official",
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
    from analysis.cost.blocks import describe_layers
    from analysis.cost.counters import REGISTER
    from analysis.cost.subject import parse_input, parse_settings
    from analysis.report.tables import networks as tables

    chosen = parse_settings(settings or [])
    given = [parse_input(text) for text in inputs or [f"1 3 {size[0]} {size[1]}"]]
    if model is None:
        record, cost, answers = _variant(variant, chosen, given, counters)
    else:
        record, cost, answers = _model(model, chosen, given, counters)
    tree = layers or depth is not None
    if tree:
        record["layers"] = describe_layers(cost, depth)
    if counters:
        record["counters"] = answers
        record["register"] = {
            answer["counter"]: REGISTER[answer["counter"]]
            for answer in answers
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


def _variant(
    variant: str, settings: dict[str, Any], inputs: list[Input], counters: bool
) -> tuple[dict[str, Any], Any, list[dict[str, Any]]]:
    from analysis.cost.blocks import measure_blocks, network_cost
    from analysis.cost.counters import out_of_the_box
    from analysis.cost.subject import with_settings
    from featherface.config import config_of

    config = with_settings(config_of(variant), settings)
    if inputs[0].shape[:2] != (1, 3) or len(inputs) > 1 or len(inputs[0].shape) != 4:
        raise InputError("--input must be 1 3 H W, once, without --model")
    size = inputs[0].shape[2:]
    answers = out_of_the_box(config, *size) if counters else []
    cost = network_cost(config, *size)
    return measure_blocks(config, *size), cost, [answer.as_dict() for answer in answers]


def _model(
    model: str, settings: dict[str, Any], inputs: list[Input], counters: bool
) -> tuple[dict[str, Any], Any, list[dict[str, Any]]]:
    from analysis.cost import measure
    from analysis.cost.blocks import describe_blocks
    from analysis.cost.counters import ask_counters
    from analysis.cost.subject import load_model, make_inputs, positional

    network = load_model(model, settings)
    given = make_inputs(network, inputs)
    cost = measure(network, given)
    answers = []
    if counters:
        values = positional(network, inputs)
        answers = [answer.as_dict() for answer in ask_counters(network, values, cost)]
    record = describe_blocks(cost, list(inputs[0].shape))
    if len(inputs) > 1:
        record["inputs"] = [list(each.shape) for each in inputs]
    return {"variant": None, "model": model, **record}, cost, answers
