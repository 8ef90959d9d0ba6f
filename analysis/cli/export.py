"""`featherface export`: a network as ONNX, compared with PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.cli import options
from analysis.cli.output import emit, tell
from featherface.errors import InputError


def export(
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE.onnx",
            parser=options.onnx_file,
            help="The file; written only after the comparison.",
        ),
    ],
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE", parser=options.input_file, help="Compare on these as well."
        ),
    ] = None,
    weights: Annotated[str | None, options.WEIGHTS] = None,
    variant: Annotated[
        options.VariantName | None,
        typer.Option(help="Instead of weights: this variant with random ones, to measure speed."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random weights.", min=0, max=2**64 - 1)] = 0,
    json: options.Json = None,
) -> None:
    """Write a network as ONNX with its deformable convolutions, for any batch and image size.

    Boxes, scores and landmarks are compared with PyTorch's on images of several odd sizes; where
    they differ, no file is written.
    """
    if (weights is None) == (variant is None):
        raise InputError("give either --weights or --variant")
    from featherface import FeatherFace
    from featherface.runtimes.export import export as export_network

    source: str | FeatherFace | None = weights
    if source is None:
        import torch

        assert variant is not None
        torch.manual_seed(seed)
        source = FeatherFace(variant)
    described = f"random, seed {seed}" if variant else None
    record = export_network(source, out, pictures=images or (), described=described)
    if emit(record, json):
        largest = record["check"]["max_difference"]
        names = dict.fromkeys([record["variant"] or "network", record["weights"]])
        tell(f"{out}: {', '.join(names)}")
        tell(f"  {record['bytes']:,} bytes, sha256 {record['sha256'][:12]}…")
        tell(
            f"  at most {largest['scores']:.1e} from PyTorch in scores and "
            f"{largest['boxes_px']:.1e} pixels in boxes, "
            f"on {len(record['check']['comparisons'])} inputs"
        )
