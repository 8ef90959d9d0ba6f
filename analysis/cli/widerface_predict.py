"""`featherface widerface predict`: faces on all images of WIDER FACE, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from analysis.cli import options
from analysis.cli.output import emit, progress, tell, warn


def predict(
    images: options.Images,
    out: Annotated[
        Path,
        options.out_folder("Write EVENT/IMAGE.txt and protocol.json there.", "protocol.json"),
    ],
    weights: options.Weights = "official",
    protocol: options.Protocol = "original",
    runtime: options.Runtime = "auto",
    subset: options.Subset = None,
    score: Annotated[
        float | None, typer.Option(help="Keep what scores more; the protocol's by default, 0.02.")
    ] = None,
    nms: Annotated[
        float | None,
        typer.Option(
            help="Drop the worse of two boxes that overlap more (IoU); the protocol's by default."
        ),
    ] = None,
    device: options.Device = None,
    threads: options.Threads = None,
    json: options.Json = None,
) -> None:
    """Find the faces on every image of a folder, and write them in the benchmark's format.

    Images are taken in parallel, one a thread. Interrupted, the same command goes on where it
    was. An image that cannot be read is reported at the end, in unreadable.json too, and the exit
    code is then 2. A killed run may leave hidden files .part-* among the results, which nothing
    reads; delete them while no run writes there.

    Several processes and machines share the work under torchrun; on two machines, on each of them:
    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500
    -m featherface widerface predict ... with DIR on a disk that both see.
    """
    from analysis.widerface.protocol import named
    from analysis.widerface.shards import Group, ToldByFirstError, process_group

    chosen = named(protocol, score, nms)
    group = Group()
    try:
        from analysis.widerface import predicting

        with process_group() as group:
            title = f"predicting (process 1 of {group.world})" if group.world > 1 else "predicting"
            with progress(title, "images", shown=group.first) as track:
                record = predicting.predict(
                    images,
                    out,
                    weights=weights,
                    protocol=chosen,
                    runtime=runtime,
                    device=device,
                    threads=threads,
                    subset=subset,
                    group=group,
                    track=track,
                )
    except KeyboardInterrupt:
        if group.first:
            warn(f"interrupted; {out} keeps what is done, the same command goes on with the rest")
        raise typer.Exit(130) from None
    except ToldByFirstError:
        raise typer.Exit(2) from None
    if group.first:
        if emit(record, json):
            tell(_summary(record, out))
        for item in record["unreadable"]:
            warn(f"{item['picture']}: {item['reason']}")
    raise typer.Exit(2 if record["unreadable"] else 0)


def _summary(record: dict[str, Any], out: Path) -> str:
    rate = record["pictures_per_second"]
    parts = [f"{record['predicted']:,} of {record['pictures']:,} images predicted"]
    if record["done_before"]:
        parts.append(f"{record['done_before']:,} were done before")
    if record["unreadable"]:
        parts.append(f"{len(record['unreadable']):,} cannot be read")
    speed = f", {rate:.2f} images/s" if rate else ""
    made = f"{record['weights']['name']}, {record['protocol']['name']}, {record['runtime']}"
    return f"{out}: {', '.join(parts)} ({made}{speed})"
