"""`featherface blocks`: the cost of each block."""

from __future__ import annotations

from typing import Annotated

import typer

from analysis.cli.options import Json, Size, Variant, emit, is_stdout, show
from analysis.cli.subject import Input, Model, Set, configured, imported, settings
from featherface.errors import InputError


def blocks(
    variant: Variant = "official",
    model: Model = None,
    input: Input = None,
    changes: Set = None,
    size: Size = (640, 640),
    layers: Annotated[bool, typer.Option("--layers", help="Every module, as a tree.")] = False,
    json: Json = None,
) -> None:
    """Measure parameters, MACs, activations and output shapes of each block of a network.

    MACs are multiply-accumulates of convolutions, linear layers and deformable kernels. Of a
    network that is not of the family, the blocks are its direct children.
    """
    from analysis.cost import blocks as cost
    from analysis.cost import trace
    from analysis.report.tables import networks as tables

    chosen = settings(changes or ())
    if model is None:
        if input and input[:2] != (1, 3):
            raise InputError(f"--input (={input}) must begin with 1 3 without --model")
        height, width = input[2:] if input else size
        config = configured(variant, chosen)
        record = cost.measure_blocks(config, height, width)
        if layers:
            record["layers"] = cost.measure_layers(config, height, width)
    else:
        import torch

        shape = list(input or (1, 3, *size))
        if min(shape) < 1:
            raise InputError(f"--input (={shape}) must be positive")
        measured = trace.measure(imported(model, chosen), torch.empty(shape, device="meta"))
        titles = {child.path: f"{child.path} ({child.type})" for child in measured.children}
        document = cost.describe_blocks(measured, shape, titles)
        record = {"variant": None, "model": model, **document}
        if layers:
            record["layers"] = cost.describe_layers(measured)
    emit(record, json)
    if not is_stdout(json):
        show(tables.layers(record) if layers else tables.blocks(record))
        show(tables.kinds(record))
