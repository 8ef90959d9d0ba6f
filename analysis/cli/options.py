"""Options that mean the same in every command, and checks of the paths they name."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from analysis.cli.output import STDOUT
from featherface.errors import InputError, among
from featherface.files import check_writable, list_images, named, read_bytes

if TYPE_CHECKING:
    from analysis.cost.subject import Input

MAX_TEXT_BYTES = 2**28
"""The largest list, record or history that a command reads; they are read as a whole."""

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFCHR: "device",
    stat.S_IFIFO: "pipe",
}


def _path_parser(
    *kinds: str, missing: bool = False, written: bool = False, most: int | None = None
) -> Callable[[str | Path], Path]:
    """Return a check of paths, made before a command does anything: a mistake costs no time.

    Whatever another process undoes in between is reported by whoever opens the file.

    Args:
        kinds: of `_KINDS`, those that a path may name.
        missing: true where there need not be anything by that name.
        written: true where it is made, in folders that are made too, or replaced.
        most: the largest size in bytes.
    """

    def checked(text: str | Path) -> Path:
        found = _stat(text)
        if found is None:
            if not missing and not written:
                raise _bad(text, "no such file or folder")
            if "folder" not in kinds and str(text).endswith(("/", os.sep)):
                raise _bad(text, "the name of a folder, not of a file")
        else:
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "special file")
            if kind not in kinds:
                raise _bad(text, f"a {kind}, not a {kinds[0]}")
            if not written and not os.access(text, os.R_OK):
                raise _bad(text, "no permission to use it")
            if most is not None and found.st_size > most:
                raise _bad(text, f"{found.st_size:,} bytes, more than the {most:,} that are read")
        if written and (found is None or kind in ("file", "folder")):
            _refused(check_writable, text)
        return Path(text)

    return checked


def _stat(text: str | Path) -> os.stat_result | None:
    """Return what a path names; None where there is nothing by that name."""
    if not str(text):
        raise typer.BadParameter("an empty path")
    try:
        return os.stat(text)  # noqa: PTH116 - Path("") would be the current folder
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise _bad(text, getattr(error, "strerror", None) or error) from None


def _refused(check: Callable[[str], object], text: str | Path) -> None:
    """Run a check of the detector's or the files' own; BadParameter, which names the option."""
    try:
        check(str(text))
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


def _bad(text: str | Path, reason: object) -> typer.BadParameter:
    name = str(text)
    return typer.BadParameter(f"{name if len(name) <= 120 else f'{name[:120]}…'}: {reason}")


input_file = _path_parser("file")
input_folder = _path_parser("folder")
input_path = _path_parser("file", "folder")
text_file = _path_parser("file", most=MAX_TEXT_BYTES)
record_file = _path_parser("file", missing=True, most=MAX_TEXT_BYTES)
"""Both read and written."""
output_file = _path_parser("file", "pipe", "device", written=True)
"""A file that is there is replaced."""
output_folder = _path_parser("folder", written=True)


def json_file(text: str | Path) -> Path:
    """Return the path of a JSON file to write; a file that holds anything else is kept."""
    if str(text) == str(STDOUT):
        return STDOUT
    path = output_file(text)

    def check(name: str) -> None:
        content = read_bytes(path)
        try:
            if content.strip():
                json.loads(content.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            raise InputError(f"{name}: is there and is not JSON; it is not replaced") from None

    if path.is_file():
        _refused(check, text)
    return path


def onnx_file(text: str | Path) -> Path:
    """Return the path of an ONNX file to write, by its ending."""
    if Path(text).suffix.lower() != ".onnx":
        raise _bad(text, "must end in .onnx")
    return output_file(text)


NAME_FIRST = "A name comes before a file that is called so, which is ./NAME."


def name_or_file(text: str) -> str:
    """Return a name, whatever is called so here, or the path of a regular file to read."""
    kinds = ("file", "folder") if Path(text).name == text else ("file",)
    _path_parser(*kinds, missing=True)(text)
    return text


def name_or_weights(text: str) -> str:
    """Return the name of weights, or else the path of a file that can be read."""
    from featherface.weights.published import file_of

    _refused(file_of, name_or_file(text))
    return text


def teacher(text: str) -> str:
    """Return the name or the file of weights, or "none"."""
    return text if text == "none" else name_or_weights(text)


def name_or_ledger(text: str) -> str:
    """Return the name of the ledger that is no file, or the path of one that can be read."""
    if text == "torchvision":
        return text
    if _stat(text) is None:
        there = ["torchvision", *map(str, Path(text).parent.glob("*.yaml"))]
        raise _bad(text, f"no such file; {among(text, there)}")
    text_file(text)
    return text  # as a Path, ./torchvision would be the name


def image(text: str | Path) -> Path:
    """Return the path of an image, not looked at: one that is unusable must not stop the others."""
    if not str(text):
        raise typer.BadParameter("an empty path")
    return Path(text)


def find_images(
    arguments: Iterable[Path], unusable: list[str], *, recursive: bool = False
) -> list[Path]:
    """Return the images that arguments name, each once, in their order. See `list_images`.

    Args:
        unusable: is given a line for each folder without images or that cannot be read, and for
            each name of nothing.
        recursive: include folders in folders.
    """
    found = (_images_of(argument, unusable, recursive) for argument in arguments)
    return list(dict.fromkeys(chain.from_iterable(found)))


def _images_of(argument: Path, unusable: list[str], recursive: bool) -> list[Path]:
    if _READ_OTHERWISE.fullmatch(str(argument)):
        return [argument]
    if address := re.match(r"(https?:)/+(.*)", argument.as_posix()):
        # As a path it has lost a slash.
        unusable.append(f"{address[1]}//{address[2]}: URLs are not opened; download it")
        return []
    errors: list[OSError] = []
    found = list_images(argument, recursive=recursive, on_error=errors.append)
    unusable += (f"{error.filename}: cannot be read: {error.strerror}" for error in errors)
    if found is None:
        try:
            with named(argument):
                argument.stat()
            return [argument]
        except InputError as error:
            unusable.append(str(error))
    elif not found and not errors:
        reason = "no images in this folder" if argument.is_dir() else "matches no file"
        unusable.append(f"{argument}: {reason}")
    return found or []


_READ_OTHERWISE = re.compile(r"-|camera:\d+")
"""Names that are of no file: standard input and cameras."""


def model(text: str) -> str:
    """Return the name of a network whose package is installed or in the current folder."""
    package = text.partition(":")[0].partition(".")[0]
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as a text
    try:
        if package.isidentifier() and package not in sys.modules and find_spec(package) is None:
            form = "" if ":" in text else "; --model takes PKG.MOD:FACTORY"
            raise typer.BadParameter(f"{text!r}: no package {package!r} is installed{form}")
    finally:
        del sys.path[0]
    return text


def refuse_both(what: str, given: Mapping[str, object]) -> None:
    """Refuse two options that name the same thing, of which one would not be looked at."""
    if all(given.values()):
        raise InputError(f"{' and '.join(given)} each name a {what}: give one of them")


def images_of(inputs: Sequence[Input]) -> tuple[int, int, int]:
    """Return number, height and width of the images that a network of the family is given."""
    first, *others = inputs
    if others or first.dtype or first.name or len(first.shape) != 4 or first.shape[1] != 3:
        raise InputError("--input must be N 3 H W, once and without a type, without --model")
    number, _, height, width = first.shape
    return number, height, width


def out_folder(help: str, *files: str) -> Any:
    """Return the option of a folder to write into, in which these files can be made."""

    def checked(folder: Path | None) -> Path | None:
        if folder is not None:
            for name in files:
                output_file(folder / name)
        return folder

    return typer.Option(metavar="DIR", parser=output_folder, callback=checked, help=help)


def _choice(help: str, *known: str) -> Any:
    """Return an option of these values; of "cuda:N" with any number, which may not be here."""

    def checked(value: str) -> str:
        if re.sub(r"(?<=^cuda:)\d{1,3}$", "N", value) not in known:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}")
        return value

    return typer.Option(parser=checked, metavar="|".join(known), help=help)


def repeatable(text: str, *known: str) -> Any:
    """Return an option that may be given several times; Typer has no lists of literals."""
    return _choice(f"{text}; may be repeated.", *known)


VariantName = Literal["v1", "v1-deformable", "official", "no-attention", "retinaface"]
RuntimeName = Literal["auto", "torch", "compile", "cuda-graph", "onnx", "openvino"]
ProtocolName = Literal["original", "exact", "1600", "multi-scale"]

Json = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", parser=json_file, help="Also write the records as JSON; - prints them."
    ),
]
WEIGHTS = typer.Option(
    metavar="NAME|FILE",
    parser=name_or_weights,
    help=f"Published weights by name, or a checkpoint file. {NAME_FIRST}",
)
Weights = Annotated[str, WEIGHTS]
SIZE = (640, 640)
"""Height and width of the network's input, unless an option says otherwise."""

Size = Annotated[
    tuple[int, int],
    typer.Option(metavar="H W", help="Height and width of the network's input, from 32 pixels."),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="PKG.MOD:FACTORY",
        parser=model,
        help="Any other network: a factory or class, torchvision:NAME or timm:NAME. Its code runs.",
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="[NAME=]N C H W [DTYPE]",
        help="An input of the network, by default 1 3 and --size; may be repeated.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change a setting of the variant, as reduction=16, or give the factory an argument; "
        "may be repeated.",
    ),
]
LongerSide = Annotated[
    int | None,
    typer.Option(
        min=32,
        metavar="PIXELS",
        help="Resize images to this longer side; by default they keep their size.",
    ),
]


class Command(TyperCommand):
    """A command whose help has no types of Python, and that refuses what no option can mean."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters; numbers are called N, choices are listed, arguments have names."""
        parameters: list[Any] = super().get_params(ctx)
        for parameter in parameters:
            if parameter.param_type_name == "argument":
                parameter.display_type_rich = lambda ctx: None
            elif parameter.metavar is None:
                shown = parameter.display_type(ctx).strip("<>")
                parameter.metavar = "N" if re.match(r"(list\[)?(int|float)", shown) else shown
        return parameters

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, after joining those of `--input` to one value each."""
        own = {parameter.name for parameter in self.params}
        size = re.search(r"(?<!\S)--size[ =](\d+)(?:[x×,](\d+)|(?= -|$))", " ".join(args))
        if size and "size" in own:
            meant = f"--size {size[1]} {size[2] or size[1]}"
            raise InputError(f"{size[0]!r}: must be height and width, as {meant}")
        return super().parse_args(ctx, join_inputs(args) if "inputs" in own else args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; BadParameter for NaN and infinity, and for two documents on stdout."""
        parameters: list[Any] = [*self.params]
        for parameter in parameters:
            value = ctx.params.get(parameter.name)
            if isinstance(value, float) and not math.isfinite(value):
                message = f"'{value}' is not a finite number"
                raise typer.BadParameter(message, ctx=ctx, param=parameter)
        printed = [each.opts[0] for each in parameters if ctx.params.get(each.name) is STDOUT]
        if len(printed) > 1:
            both = " and ".join(printed)
            raise typer.BadParameter(f"{both} would both be printed; give one a file", ctx=ctx)
        return super().invoke(ctx)


def join_inputs(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with what follows each `--input` as its one value."""
    result: list[str] = []
    values: list[str] | None = None
    for argument in [*arguments, "--"]:
        if values is not None and not argument.startswith("-"):
            values.append(argument)
            continue
        result += [" ".join(values)] if values else []
        values = [] if argument == "--input" else None
        result.append(argument)
    return result[:-1]


def _below_one(score: float) -> float:
    if score == 1:
        raise typer.BadParameter("must be below 1: no score exceeds it")
    return score


Score = Annotated[
    float,
    typer.Option(
        min=0, max=1, callback=_below_one, help="A face is what scores more than this, below 1."
    ),
]
Runtime = Annotated[
    RuntimeName,
    typer.Option(help="What computes the network; auto takes the fastest with equal results."),
]
_DEVICE = "Device of the network; by default a GPU where there is one, else the CPU."
Device = Annotated[str | None, _choice(_DEVICE, "cpu", "cuda", "cuda:N", "mps")]
CpuOrCuda = Annotated[str | None, _choice(_DEVICE, "cpu", "cuda", "cuda:N")]
"""Of commands that take the time, for which a device needs a clock of its own."""
Threads = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="CPU threads to compute with; by default one a core."),
]


def predictions(name: str = "PREDICTIONS", whose: str = "") -> Any:
    """Return the argument of a detector's predictions; its help says whose they are."""
    help = f"{whose}EVENT/IMAGE.txt in a folder or an archive; or .jsonl, or .parquet."
    return typer.Argument(metavar=name, parser=input_path, help=help)


Predictions = Annotated[Path, predictions()]
GroundTruth = Annotated[
    Path,
    typer.Option(metavar="DIR", parser=input_folder, help="The folder of the four .mat files."),
]
Images = Annotated[
    Path,
    typer.Option(
        metavar="DIR", parser=input_folder, help="Holds EVENT/IMAGE.jpg, as WIDER_val/images."
    ),
]
Subset = Annotated[
    Path | None,
    typer.Option(
        metavar="LIST", parser=text_file, help="Only these: a file with an EVENT/IMAGE.jpg a line."
    ),
]
Protocol = Annotated[
    ProtocolName,
    typer.Option(
        help="original: the image's size, as the authors' script does it; exact: the same without "
        "rounding boxes; 1600: shorter side, longer at most 2150; multi-scale: five sizes, "
        "mirrored too."
    ),
]
