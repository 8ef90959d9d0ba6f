"""`python -m featherface.training`: `featherface train` without typer and rich.

Every setting of the recipe is given as NAME=VALUE, the value as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from featherface.errors import InputError
from featherface.training.loop import train
from featherface.training.processes import keep_freed_memory
from featherface.training.recipe import Recipe, RecipeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; exit code 0, 2 for bad input, or 130 for an interrupt."""
    parser = argparse.ArgumentParser(
        prog="python -m featherface.training",
        epilog="Example: python -m featherface.training faces run minutes=60 variant=v1",
    )
    parser.add_argument("data", help="images and annotated faces: a folder or a pack")
    parser.add_argument("out", help="folder for checkpoint, log and weights; an old run goes on")
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="of the recipe")
    parser.add_argument("--device", help="by default a GPU where there is one, else the CPU")
    parser.add_argument("--no-graph", action="store_true", help="do not record steps")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between checkpoints")
    options = parser.parse_intermixed_args(arguments)  # settings may stand behind options
    keep_freed_memory()
    try:
        weights = train(
            _recipe(options.settings),
            options.data,
            options.out,
            device=options.device,
            record=not options.no_graph,
            every=options.every,
            report=lambda row: print(json.dumps(row), file=sys.stderr, flush=True),
        )
    except InputError as error:
        parser.exit(2, f"featherface: {error}\n")
    except KeyboardInterrupt:
        return 130
    if int(os.environ.get("RANK", 0)) == 0:
        print(weights)
    return 0


def _recipe(pairs: Sequence[str]) -> Recipe:
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in Recipe.__dataclass_fields__:
            raise RecipeError(f"a recipe has no setting {name}")
        try:
            settings[name] = None if value == "none" else json.loads(value)
        except ValueError:
            settings[name] = value  # a word
    return Recipe(**settings)


if __name__ == "__main__":
    raise SystemExit(main())
