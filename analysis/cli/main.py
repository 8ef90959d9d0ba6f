"""The command `featherface`: gathers the commands, and turns what goes wrong into one line.

torch takes seconds to import, so every command imports what it needs when it runs.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from analysis.cli.audit import audit
from analysis.cli.bench import bench
from analysis.cli.blocks import blocks
from analysis.cli.detect import detect
from analysis.cli.export import export
from analysis.cli.identify import identify
from analysis.cli.latency import latency
from analysis.cli.maps import MapsCommand, maps
from analysis.cli.report import report
from analysis.cli.search import search
from analysis.cli.site import site
from analysis.cli.train import train
from analysis.cli.widerface import app as widerface
from featherface.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"featherface {version('featherface')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version, and stop."
        ),
    ] = False,
) -> None:
    """FeatherFace: what its networks cost and do, and whether what was published holds."""


for command, example in (
    (audit, "audit --json verdicts.json"),
    (blocks, "blocks --variant v1 --size 480 640"),
    (latency, "latency --variant v1 --threads 2"),
    (bench, "bench --picture crowd.jpg"),
    (search, "search --params 487103 --facts card"),
    (identify, "identify weights.pth"),
    (detect, "detect --weights official picture.jpg --out found"),
    (export, "export --weights official --out official.onnx"),
    (train, "train --data faces --teacher official --minutes 60 --out run"),
    (report, "report --out docs"),
    (site, "site"),
):
    app.command(epilog=f"Example: featherface {example}")(command)
app.command(
    cls=MapsCommand, epilog="Example: featherface maps --weights official picture.jpg --out maps"
)(maps)
app.add_typer(widerface, name="widerface")

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
