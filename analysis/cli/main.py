"""The command `featherface`: gathers the commands, and turns what goes wrong into one line.

torch takes seconds to import, so every command imports what it needs when it runs.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import analysis
import featherface
from analysis.cli.audit import audit
from analysis.cli.bench import bench
from analysis.cli.blocks import blocks
from analysis.cli.detect import detect
from analysis.cli.export import export
from analysis.cli.identify import identify
from analysis.cli.latency import latency
from analysis.cli.maps import maps
from analysis.cli.options import Command
from analysis.cli.output import discard, warn
from analysis.cli.report import report
from analysis.cli.search import search
from analysis.cli.train import train
from analysis.cli.widerface import app as widerface
from featherface.errors import InputError
from featherface.files import named

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"featherface {featherface.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """FeatherFace: what its networks cost and do, and whether what was published holds."""


for command, example in (
    (audit, "audit --json verdicts.json"),
    (blocks, "blocks --variant v1 --size 480 640"),
    (latency, "latency --variant v1 --threads 2"),
    (bench, "bench --image crowd.jpg"),
    (search, "search --params 487103 --facts card"),
    (identify, "identify weights.pth"),
    (detect, "detect image.jpg folder 'more/*.png' --out found"),
    (maps, "maps --weights official image.jpg --out maps"),
    (export, "export --weights official --out official.onnx"),
    (train, "train --data faces --teacher official --minutes 60 --out run"),
    (report, "report --out docs"),
):
    # After \b Click does not wrap lines, so that a long example can be copied.
    app.command(cls=Command, epilog=f"\b\nExample: featherface {example}")(command)
app.add_typer(widerface, name="widerface")

# Typer re-exports one of Click's exceptions; recent versions carry a Click of their own inside.
_ClickException: Any = typer.BadParameter.__mro__[2]

RENAMED = {
    "detect": {"--size": "--longer-side"},
    "maps": {"--size": "--longer-side"},
    "bench": {"--picture": "--image"},
    "train": {"--size": "--crop"},
    "search": {"--reading": "--convention"},
    "latency": {"--within": "--settled-within"},
    "track": {"--no-record": "--no-history"},
    "evaluate": {"--predictions": ""},
    "gallery": {"--predictions": ""},
}
"""Options by their earlier names, by command; "" for what is an argument now."""

ALIKE = (
    ("--weights", "--variant", "--model", "--teacher", "CHECKPOINT"),
    ("--size", "--longer-side", "--crop", "--input", "--protocol"),
    ("--image", "--images", "--data", "IMAGE"),
    ("--out", "--json", "--record"),
    ("--runtime", "--deform-kernel"),
    ("--limit", "--number"),
    ("--seconds", "--minutes", "--steps"),
    ("--within", "--settled-within", "--tolerance"),
    ("--expect", "--recorded"),
)
"""Options and arguments that are for the same in different commands."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 a finding fails a gate, 2 bad input, 130 interrupted."""
    _open_streams()
    warnings.showwarning = _show_warning
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # warns of a HOME it cannot write to
    logging.getLogger("torch.utils.cpp_extension").addFilter(_is_news)
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as error:
        # The reader of our output has gone, as `| head` does. Click and rich exit with 1 then.
        if not any(isinstance(e, BrokenPipeError) for e in (error, error.__context__)):
            raise
        discard(sys.stdout)
        code = 0
    except OSError as error:
        # The last resort: a path that a command gave to the system without looking at it first,
        # or, without a name, what was printed.
        name = error.filename
        if name is None and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF):
            name = "standard output"
            discard(sys.stdout)
        reason = error.strerror or str(error) or type(error).__name__
        _fail(reason if name is None else f"{os.fsdecode(name)}: {reason}")
    sys.exit(code)


def _open_streams() -> None:
    """Make printing safe: to closed streams, and of signs that their encoding lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif name == "stdout" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # standard error escapes them by itself


def _is_news(record: logging.LogRecord) -> bool:
    """Return False for what torch.compile logs wherever CUDA's compiler is and no GPU."""
    return not record.getMessage().startswith("No CUDA runtime is found")


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, *_: object, **__: object
) -> None:
    """Print a warning of ours in one line, and one of a library only if Python's -W asks for it."""
    if sys.warnoptions:
        warn(f"{filename}: {category.__name__}: {message}")
    elif any(package in Path(filename).parents for package in _OURS):
        warn(message)


_OURS = [Path(package.__path__[0]) for package in (analysis, featherface)]


def _run(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        with named(os.curdir):
            os.getcwd()  # noqa: PTH109 - libraries fail in their own ways where it was deleted
        given = _with_new_names(arguments)
        code = command.main(args=given, prog_name="featherface", standalone_mode=False)
    except InputError as error:
        _fail(error)
    except MemoryError:
        _fail("too little memory")
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("analysis", "featherface"):
            raise
        _fail(f"a package cannot be imported: {error}")
    except _ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
            return 2
        if type(error).__name__ == "NoSuchOption":
            near = [name for name in error.possibilities or () if name != "--help"]
            error.possibilities = _alike(error) or near
        message = error.format_message().replace("Value error, ", "")
        if hasattr(error.__cause__, "errors"):  # of pydantic, which leaves the value out
            value = error.__cause__.errors()[0]["input"]
            message = message.replace("Input should", f"{value!r} should")
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        if type(error).__name__ == "NoSuchOption":
            files = (each for each in arguments if each.startswith("-") and Path(each).is_file())
            hint += "".join(f"; the file is ./{name}" for name in files)
        _fail(f"{message}{hint}")
    except (KeyboardInterrupt, typer.Abort):
        return 130
    return code if isinstance(code, int) else 0


def _alike(error: Any) -> list[str]:
    """Return what the command has for an option of another command, see `ALIKE`."""
    names: dict[str, str] = {}
    for parameter in error.ctx.command.params:
        if parameter.param_type_name == "argument":
            names[parameter.metavar] = f"{parameter.metavar} as an argument"
        else:
            names |= {option: option for option in parameter.opts}
    meant = next((group for group in ALIKE if error.option_name in group), ())
    return [names[name] for name in meant if name in names]


def _with_new_names(arguments: list[str]) -> list[str]:
    """Return the arguments with earlier names of options replaced, see `RENAMED`."""
    if arguments[:1] == ["site"]:
        arguments = ["report", "--pages", *arguments[1:]]
    renamed = next((RENAMED[word] for word in arguments[:2] if word in RENAMED), {})
    result = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        new = renamed.get(name)
        if new is None:
            result.append(argument)
        elif new or equals:
            result.append(new + equals + value if new else value)
    return result


def _fail(message: object) -> NoReturn:
    warn(message)
    sys.exit(2)


if __name__ == "__main__":
    main()
