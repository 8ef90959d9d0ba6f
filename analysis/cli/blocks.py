"""`featherface blocks`: the cost of each block."""

from __future__ import annotations

from typing import Annotated

import typer

from analysis.cli.options import Json, Size, Variant, emit, is_stdout, show


def blocks(
    variant: Variant = "official",
    size: Size = (640, 640),
    layers: Annotated[bool, typer.Option("--layers", help="Every module, as a tree.")] = False,
    json: Json = None,
) -> None:
    """Measure parameters, MACs, activations and output shapes of each block.

    MACs are multiply-accumulates of convolutions, linear layers and deformable kernels.
    """
    from analysis.cost.blocks import measure_blocks, measure_layers
    from analysis.report.tables import networks as tables

    record = measure_blocks(variant, *size)
    if layers:
        record["layers"] = measure_layers(variant, *size)
    emit(record, json)
    if not is_stdout(json):
        show(tables.layers(record) if layers else tables.blocks(record))
        show(tables.kinds(record))
