"""Called by MkDocs before each build (`hooks:` in mkdocs.yml): generates what pages include.

A site generator without hooks is run after `featherface site`, which does the same.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

_log = logging.getLogger("mkdocs.featherface")


def on_config(config: Any) -> Any:
    """Fragments are found wherever MkDocs was started."""
    from analysis.report.pages.generate import CACHE

    root = Path(config.config_file_path).resolve().parent
    config.mdx_configs["pymdownx.snippets"]["base_path"] = [str(root / CACHE / "fragments")]
    return config


def on_pre_build(config: Any) -> None:
    """Write what changed; what cannot be generated ends the build with one line."""
    import typer
    from mkdocs.exceptions import PluginError

    from analysis.cli.main import app
    from analysis.report.pages.generate import generate
    from featherface.errors import InputError

    root = Path(config.config_file_path).resolve().parent
    try:
        result = generate(root, typer.main.get_command(app))
    except InputError as error:
        raise PluginError(str(error)) from error
    _log.info(
        "%d files generated; notebooks: %d ran, %d unchanged",
        len(result.written),
        len(result.ran),
        len(result.kept),
    )
