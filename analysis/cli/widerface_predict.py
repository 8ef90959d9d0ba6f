"""`featherface widerface predict`: faces on all pictures of WIDER FACE, as files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from analysis.cli.options import Json, Weights, emit, is_stdout

EXAMPLE = "featherface widerface predict --weights official --images WIDER_val/images --out found"


def predict(
    images: Annotated[
        Path,
        typer.Option(metavar="DIR", help="EVENT/PICTURE.jpg, as in WIDER_val/images; or pictures."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Write EVENT/PICTURE.txt and protocol.json there.")
    ],
    weights: Weights = "official",
    protocol: Annotated[
        str,
        typer.Option(
            help="original (size, as the authors' script does it), exact (the same without "
            "rounding boxes), 1600 (shorter side, longer at most 2150), or multi-scale (5 sizes, "
            "mirrored too)."
        ),
    ] = "original",
    runtime: Annotated[
        str, typer.Option(help="auto (the fastest here), torch, compile or onnx.")
    ] = "auto",
    subset: Annotated[
        Path | None,
        typer.Option(metavar="LIST", help="Only these: a file with an EVENT/PICTURE.jpg a line."),
    ] = None,
    score: Annotated[
        float | None, typer.Option(help="Keep what scores more; the protocol's by default, 0.02.")
    ] = None,
    nms: Annotated[
        float | None,
        typer.Option(
            help="Drop the worse of two boxes that overlap more (IoU); the protocol's by default."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1; a GPU by default where there is one.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Pictures at once; by default one a core.")
    ] = None,
    json: Json = None,
) -> None:
    """Find the faces on every picture of a folder, and write them in the benchmark's format.

    Interrupt it whenever you like: the same command goes on where it was. A picture that cannot
    be read is reported at the end, in unreadable.json too, and the exit code is then 2.

    Several processes and machines share the work under torchrun; on two machines, on each of them:
    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500
    -m featherface widerface predict ... with DIR on a disk that both see.
    """
    from analysis.widerface.protocol import named
    from analysis.widerface.shards import ToldByFirstError, process_group

    chosen = named(protocol, score, nms)
    first = True
    try:
        from analysis.widerface import predicting

        with process_group() as group:
            first = group.first
            with bar(shown=first, processes=group.world) as track:
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
        if first:
            print(
                f"featherface: interrupted; {out} keeps what is done, and the same command goes on "
                "with the rest",
                file=sys.stderr,
            )
        raise typer.Exit(130) from None
    except ToldByFirstError:
        raise typer.Exit(2) from None
    if first:
        emit(record, json)
        if not is_stdout(json):
            print(_summary(record, out))
        for item in record["unreadable"]:
            print(f"featherface: {item['picture']}: {item['reason']}", file=sys.stderr)
    raise typer.Exit(2 if record["unreadable"] else 0)


def _summary(record: dict[str, Any], out: Path) -> str:
    rate = record["pictures_per_second"]
    parts = [f"{record['predicted']:,} of {record['pictures']:,} pictures predicted"]
    if record["done_before"]:
        parts.append(f"{record['done_before']:,} were done before")
    if record["unreadable"]:
        parts.append(f"{len(record['unreadable']):,} cannot be read")
    speed = f", {rate:.2f} pictures/s" if rate else ""
    made = f"{record['weights']['name']}, {record['protocol']['name']}, {record['runtime']}"
    return f"{out}: {', '.join(parts)} ({made}{speed})"


@contextmanager
def bar(*, shown: bool, processes: int) -> Iterator[Callable[[Iterable[Any], int], Iterable[Any]]]:
    """A bar with the rate and the time left, on standard error where somebody looks."""
    from rich import progress as bars
    from rich.console import Console
    from rich.text import Text

    class Rate(bars.ProgressColumn):
        def render(self, task: bars.Task) -> Text:
            return Text(f"{task.speed:.2f} pictures/s" if task.speed else "")

    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield lambda items, total: items
        return
    what = "predicting" if processes == 1 else f"predicting (process 1 of {processes})"
    columns = (
        bars.TextColumn(what),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        Rate(),
        bars.TimeRemainingColumn(),
    )
    # The speed of the last minutes, as one picture may take a hundred times as long as the next.
    with bars.Progress(
        *columns, console=console, transient=True, speed_estimate_period=300
    ) as progress:

        def track(items: Iterable[Any], total: int) -> Iterable[Any]:
            return progress.track(items, total=total)

        yield track
