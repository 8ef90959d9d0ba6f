"""The command `featherface`: reads arguments, calls the packages, prints.

torch takes seconds to import, so every command imports what it needs when it runs.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from featherface.errors import InputError

app = typer.Typer(
    help="FeatherFace: what its networks cost and do, and whether what was published holds.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Item = TypeVar("Item")

Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="PATH", help="Also write the records as JSON; - prints them."),
]
Variant = Annotated[
    str,
    typer.Option(help="v1, v1-deformable, official, no-attention or retinaface."),
]
Weights = Annotated[
    str,
    typer.Option(metavar="NAME|FILE", help="Published weights by name, or a checkpoint file."),
]
Size = Annotated[
    tuple[int, int],
    typer.Option(metavar="H W", help="Height and width of the picture, in pixels, from 32."),
]


# Typer re-exports one of Click's exceptions; recent versions carry a Click of their own inside.
_UsageError = typer.BadParameter.__bases__[0]
_ClickException = _UsageError.__bases__[0]


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exit code 0: done, 1: a finding fails a gate, 2: bad usage or input."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="featherface", standalone_mode=False)
    except InputError as error:
        _fail(str(error))
    except _ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
            return 2
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        _fail(f"{error.format_message()}{hint}")
    except (KeyboardInterrupt, typer.Abort):
        return 130
    return code if isinstance(code, int) else 0


def _fail(message: str) -> NoReturn:
    print(f"featherface: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


@app.command(epilog="Example: featherface audit --json verdicts.json")
def audit(
    json: Json = None,
    source: Annotated[
        str | None, typer.Option(help="Show one ledger only: card, paper or repository.")
    ] = None,
    recorded: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Compare with these verdicts, not the recorded ones."),
    ] = None,
) -> None:
    """Judge every published figure by measuring it.

    Prints the claims grouped by verdict: confirmed, explained (holds under another named
    convention, protocol or variant), refuted, untested. Exits with 1 when a verdict differs from
    the recorded one or a measured value has moved.
    """
    from analysis import compliance, tables
    from analysis.claims import ledger

    if source is not None and source not in ledger.SOURCES:
        raise InputError(f"--source (={source}) must be one of {', '.join(ledger.SOURCES)}")
    path = recorded or compliance.RECORD
    before = compliance.recorded(path) if recorded or path.exists() else None
    claims = [(claim, book) for book in ledger.load_all() for claim in book.claims]
    with _progress("judging claims") as track:
        verdicts = [compliance.judge(claim, book) for claim, book in track(claims)]
    records = [v.as_dict() for v in verdicts if source in (None, v.source)]
    _emit(records, json)
    if not _is_stdout(json):
        for verdict in compliance.VERDICTS:
            _print(tables.verdicts(records, verdict))
        _print(tables.summary(records))
    if before is None:
        print(f"{path}: no recorded verdicts to compare with", file=sys.stderr)
        return
    changes = compliance.changes(verdicts, before)
    for change in changes:
        print(change, file=sys.stderr)
    raise typer.Exit(1 if any(change.fails for change in changes) else 0)


@app.command(epilog="Example: featherface blocks --variant v1 --size 480 640")
def blocks(
    variant: Variant = "official",
    size: Size = (640, 640),
    layers: Annotated[bool, typer.Option("--layers", help="Every module, as a tree.")] = False,
    json: Json = None,
) -> None:
    """Parameters, MACs, activations and output shapes of each block.

    MACs are multiply-accumulates of convolutions, linear layers and deformable kernels.
    """
    from analysis import tables
    from analysis.blocks import measure_blocks, measure_layers

    record = measure_blocks(variant, *size)
    if layers:
        record["layers"] = measure_layers(variant, *size)
    _emit(record, json)
    if not _is_stdout(json):
        _print(tables.layers(record) if layers else tables.blocks(record))
        _print(tables.kinds(record))


def _field(name: str) -> Any:
    return typer.Option(metavar="VALUES", help=f"{name}: a value, 8,16,24 or 8-256 or 8-256:2.")


def _kind(name: str, kinds: str) -> Any:
    return typer.Option(metavar="KINDS", help=f"{name}: one or several of {kinds}.")


@app.command(epilog="Example: featherface search --params 487103 --facts card")
def search(
    params: Annotated[int | None, typer.Option(help="How many parameters.")] = None,
    macs: Annotated[int | None, typer.Option(help="How many MACs, at --size.")] = None,
    within: Annotated[int, typer.Option(help="How far from that a network may lie.")] = 0,
    within_macs: Annotated[
        int | None, typer.Option(help="How far its MACs may lie, where not --within.")
    ] = None,
    facts: Annotated[
        str | None,
        typer.Option(help="Best first by what this source states besides: card or paper."),
    ] = None,
    reading: Annotated[
        str,
        typer.Option(help="What counts: parameters, 'weights and biases', weights, or thop."),
    ] = "parameters",
    channels: Annotated[str | None, _field("Channels")] = None,
    cells: Annotated[str | None, _field("BiFPN cells")] = None,
    anchors: Annotated[str | None, _field("Anchors a cell")] = None,
    reduction: Annotated[str | None, _field("CBAM's reduction")] = None,
    pyramid: Annotated[str | None, _kind("Pyramid", "bifpn,fpn")] = None,
    attention: Annotated[
        str | None, _kind("Where a CBAM stands", "none,backbone,pyramid,both")
    ] = None,
    context: Annotated[
        str | None, _kind("Context module", "none,plain,dcnv1,dcnv2,ssh,ssh-dcnv1,ssh-dcnv2")
    ] = None,
    shuffle: Annotated[str | None, _kind("Channel shuffle", "none,free,bottleneck")] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--not", metavar="FIELD=VALUES", help="Leave these out; may be repeated."),
    ] = None,
    size: Size = (640, 640),
    limit: Annotated[int, typer.Option(help="Show at most so many; all are counted.")] = 50,
    json: Json = None,
) -> None:
    """Every architecture of the family with that many parameters, MACs, or both.

    The whole space is counted in closed form, so that finding none is a proof for that space:
    8 to 256 channels (even), a BiFPN of 1 to 8 cells, 1 to 3 anchors, every kind of attention and
    context, the usual reductions, a shuffle. A field that is given takes the place of its range.
    """
    from analysis import tables
    from analysis.design_space import facts as stated
    from analysis.design_space.search import search

    given = {
        "channels": channels,
        "pyramid": pyramid,
        "cells": cells,
        "attention": attention,
        "reduction": reduction,
        "context": context,
        "shuffle": shuffle,
        "anchors": anchors,
    }
    known = stated.load_facts(facts) if facts else ()
    found = search(
        params,
        macs,
        within,
        fixed={name: _values(name, text) for name, text in given.items() if text is not None},
        excluded=dict(_excluded(text) for text in exclude or []),
        facts=known,
        size=size,
        limit=limit,
        within_macs=within_macs,
        reading=reading,
    )
    record = {**found.record(), "unstated": list(stated.unstated(known)) if known else []}
    _emit(record, json)
    if not _is_stdout(json):
        if record["matches"]:
            _print(tables.matches(record))
        _print(tables.looked_at(record))


def _excluded(text: str) -> tuple[str, list[int | str]]:
    field, equals, values = text.partition("=")
    if not equals:
        raise InputError(f"--not (={text!r}) must be FIELD=VALUES, as --not context=none,plain")
    return field, _values(field, values)


def _values(field: str, text: str) -> list[int | str]:
    """The values of "74", "8,16", "8-256" or "8-256:2"; kinds as they are."""
    values: list[int | str] = []
    for part in text.split(","):
        run = re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?", part.strip())
        if run:
            first, last, step = int(run[1]), int(run[2]), int(run[3] or 1)
            if not step or last < first or (last - first) // step >= _LONGEST_RUN:
                raise InputError(f"{field} (={part!r}) is no range of 1 to {_LONGEST_RUN} values")
            values += range(first, last + 1, step)
        else:
            number = re.fullmatch(r"\s*([+-]?\d+)\s*", part)
            values.append(int(number[1]) if number else part.strip())
    return values


_LONGEST_RUN = 100_000


@app.command(epilog="Example: featherface identify weights.pth")
def identify(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="A file, or the name of published weights.")
    ],
    json: Json = None,
) -> None:
    """Which architecture a checkpoint holds, and what in it is stray, missing or misshapen.

    Decided from the tensors alone; nothing in the file is executed.
    """
    from analysis import tables
    from featherface import identify

    record = identify(checkpoint).as_dict()
    _emit(record, json)
    if not _is_stdout(json):
        _print(tables.identity(record))


@app.command(epilog="Example: featherface detect --weights official picture.jpg --out found")
def detect(
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="Pictures of any common format.")
    ],
    weights: Weights = "official",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write annotated pictures and faces.json there."),
    ] = None,
    score: Annotated[
        float, typer.Option(help="Report faces that score more; the official protocol has 0.02.")
    ] = 0.5,
    nms: Annotated[
        float, typer.Option(help="Drop the worse of two boxes that overlap more (IoU).")
    ] = 0.4,
    size: Annotated[
        int | None,
        typer.Option(help="Longer side at the network, in pixels; the original size by default."),
    ] = None,
    json: Json = None,
) -> None:
    """Find faces: boxes, scores and five landmarks, in pixels of the original picture.

    A picture that cannot be read is reported at the end, after all others are done.
    """
    from analysis import tables
    from featherface import Detector

    detector = Detector(weights, score_threshold=score, nms_threshold=nms, size=size)
    records: list[dict[str, Any]] = []
    unusable: list[str] = []
    with _progress("finding faces") as track:
        for picture in track(pictures):
            try:
                faces = [face.as_dict() for face in detector(picture)]
                drawn = _annotate(picture, faces, out, len(records)) if out else None
            except InputError as error:
                unusable.append(str(error))
                continue
            records.append({"picture": str(picture), "faces": faces, "annotated": drawn})
    if out and records:
        _emit(records, out / "faces.json")
    _emit(records, json)
    if not _is_stdout(json):
        for record in records:
            _print(tables.faces(record["faces"], record["picture"]))
            if record["annotated"]:
                print(record["annotated"])
    for message in unusable:
        print(f"featherface: {message}", file=sys.stderr)
    raise typer.Exit(2 if unusable else 0)


def _annotate(picture: Path, faces: list[dict[str, Any]], out: Path, index: int) -> str:
    import io

    from analysis.annotate import draw_faces
    from analysis.files import write_bytes
    from featherface.pictures import read_picture

    buffer = io.BytesIO()
    draw_faces(read_picture(picture), faces).save(buffer, format="PNG")
    # Numbered, as pictures of different folders may share a name.
    path = out / f"{index:04d}-{picture.stem}.png"
    write_bytes(path, buffer.getvalue())
    return str(path)


@app.command(epilog="Example: featherface report --out docs")
def report(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of pages; records go to DIR/results.")
    ] = Path("docs"),
) -> None:
    """Measure everything again: every record, table and figure under docs/.

    Needs no weights and no network. What is measured does not depend on the machine, so the
    files are the same bytes everywhere until the code or a ledger changes.
    """
    from analysis import compliance, tables
    from analysis.report import STEPS, generate

    with _progress("measuring") as track:
        written = generate(out, lambda steps: track(steps, len(STEPS)))
    for path in written:
        print(path)
    if find_spec("thop") is None:
        print("thop is not installed: what it says is kept as recorded", file=sys.stderr)
    verdicts = compliance.recorded(out / "results" / "verdicts.json")
    _print(tables.summary([verdict.as_dict() for verdict in verdicts]))


def _emit(records: Any, path: Path | None) -> None:
    from analysis.files import to_json, write_json

    if path is None:
        return
    if _is_stdout(path):
        print(to_json(records), end="")
    else:
        write_json(path, records)


def _is_stdout(path: Path | None) -> bool:
    return path == Path("-")


def _print(renderable: Any) -> None:
    from rich.console import Console

    # Wide enough for the tables where the output is a file or a pipe, which have no width.
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(renderable)


@contextmanager
def _progress(what: str) -> Iterator[Callable[..., Iterable[Item]]]:
    """A progress bar on standard error, where somebody looks: yields `track(items)`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), Remaining())
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda items, total=None: items
        return
    with Progress(*columns, console=console, transient=True) as progress:

        def track(items: Iterable[Item], total: int | None = None) -> Iterable[Item]:
            return progress.track(items, total=total)

        yield track
