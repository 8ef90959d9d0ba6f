"""`featherface site`: what the pages include, brought up to date."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from analysis.cli.options import input_folder, progress


def site(
    context: typer.Context,
    root: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            parser=input_folder,
            help="The folder with mkdocs.yml, docs and notebooks.",
        ),
    ] = Path(),
) -> None:
    """Bring up to date what the site's pages include: tables, references, notebooks.

    `mkdocs build` and `mkdocs serve` do this by themselves before each build; another site
    generator is run after it. A notebook runs again only where something that it depends on has
    changed. Prints each file that was written.
    """
    from analysis.report.pages.generate import generate

    if not (root / "mkdocs.yml").is_file():
        from featherface.errors import InputError

        raise InputError(f"{root}: has no mkdocs.yml; run it in a checkout, or say --root")
    command: Any = context.find_root().command
    with progress("notebooks") as track:
        result = generate(root, command, track)
    for path in result.written:
        print(path)
    for path in result.removed:
        print(f"{path} (removed)")
    words = f"{len(result.ran)} notebooks ran, {len(result.kept)} unchanged"
    print(f"{len(result.written)} files written, {words}", file=sys.stderr)
