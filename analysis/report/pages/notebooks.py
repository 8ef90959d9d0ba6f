"""Notebooks become pages with their outputs.

A notebook runs again only where it differs from last time, or what it may use does: the code of
this project, the records, the installed packages, and the weights and data at hand.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Sequence
from html import escape
from importlib import import_module
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NamedTuple

from analysis.report.pages.html import inline
from featherface.errors import InputError
from featherface.files import read_text, write_json

_USED = ("analysis", "featherface", "docs/results")
_NOT_USED = ("analysis/cli", "analysis/report/pages")  # commands and the other pages
_GIVEN = {"FEATHERFACE_WEIGHTS": (None, "*"), "FEATHERFACE_SHARED": ("data", "wider/**/*")}
"""By variable: the folder of the project that is meant where it is not set, and the files that a
notebook may use in the folder."""
_CELL_SECONDS = 600

MARK = '<p class="ff-note">This page is '
"""In every page that is made here, and in no other."""

_NUMBER_CELL = re.compile(r"<td(?=[^>]*>\s*[+−-]?[\d,.]+(?:e[+-]?\d+)?\s?%?\s*</td>)([^>]*>)")


class Page(NamedTuple):
    """A notebook as a page."""

    name: str
    title: str
    summary: str
    """The first paragraph below the title, as Markdown."""
    files: dict[str, str]
    """The page, `NAME.md`, and its images, `NAME_files/….svg`."""
    ran: bool
    """False where it came from the cache."""


def render(source: Path, root: Path, cache: Path) -> Page:
    """Return a notebook as a page; it runs where the cache has none, or one of other inputs.

    Args:
        source: the script that a notebook is paired with.
        root: of the project.
        cache: a JSON file.

    Raises:
        InputError: where the script cannot be read, a cell fails, or the title is missing.
    """
    key, known = _key(source, root), _read_cache(cache)
    ran = known.get("key") != key
    if ran:
        cells = _run(source)
        title, summary = _heading(cells, source)
        files = _page(cells, source.stem, title)
        known = {"key": key, "title": title, "summary": summary, "files": files}
        write_json(cache, known)
    return Page(source.stem, known["title"], known["summary"], known["files"], ran)


def listed(pages: Sequence[Page]) -> str:
    """Return the list of notebooks, each with its first paragraph."""
    items = "".join(
        f'<li><a href="{page.name}/"><b>{escape(page.title)}</b></a>'
        f"<p>{inline(page.summary)}</p><p>{_download('', page.name)}</p></li>"
        for page in pages
    )
    return f'<ol class="ff-notebooks">{items}</ol>\n'


def _download(up: str, name: str) -> str:
    return f'<a href="{up}{name}.ipynb" download>{name}.ipynb</a>'


def _read_cache(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if {"key", "title", "summary", "files"} <= found.keys() else {}
    except (OSError, ValueError, AttributeError):  # none yet, or cut short: it runs again
        return {}


def _key(source: Path, root: Path) -> str:
    """Return a hash of all that the outputs depend on."""
    left_out = {root / folder for folder in _NOT_USED}
    used = [
        path
        for folder in _USED
        for path in sorted((root / folder).rglob("[!.]*"))
        if path.is_file() and path.suffix != ".pyc" and not left_out & {*path.parents}
    ]
    parts = [
        _hash(Path(__file__)),
        *((path.relative_to(root).as_posix(), _hash(path)) for path in (source, *used)),
        platform.python_version(),
        sorted({f"{package.name} {package.version}" for package in distributions()}),
        *(_listing(root, *given) for given in _GIVEN.items()),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _listing(root: Path, variable: str, given: tuple[str | None, str]) -> list[str]:
    """Return paths and sizes of files: which weights or data are there decides what is shown."""
    folder = os.environ.get(variable, given[0])
    files = (root / folder).glob(given[1]) if folder else ()
    return sorted(f"{path} {path.stat().st_size}" for path in files if path.is_file())


def _run(source: Path) -> list[Any]:
    """Return the notebook's cells with their outputs."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    jupytext: Any = import_module("jupytext")
    notebook = jupytext.reads(read_text(source), source.suffix)
    client = NotebookClient(
        notebook,
        timeout=_CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(source.parent)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        first = f"{error.ename}: {error.evalue}".splitlines()[0]
        raise InputError(f"{source}: a cell failed: {first}") from error
    return list(notebook.cells)


def _heading(cells: Sequence[Any], source: Path) -> tuple[str, str]:
    """Return the title and the first paragraph below it."""
    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    title = re.search(r"^# (.+)$", prose, re.MULTILINE)
    if title is None:
        raise InputError(f"{source}: the first heading (# …) is missing")
    first = prose[title.end() :].strip().split("\n\n")[0]
    return title[1], "" if first.startswith("#") else " ".join(first.split())


def _page(cells: Sequence[Any], name: str, title: str) -> dict[str, str]:
    """Return the page as Markdown, and the images that it shows, by file name."""
    files = {}
    title_line = f"title: {json.dumps(title, ensure_ascii=False)}"
    # Their outputs would make the index, which every page loads, a quarter larger.
    parts = [f"---\n{title_line}\nhide: [navigation]\nsearch:\n  exclude: true\n---"]
    for number, cell in enumerate(cells):
        if cell.cell_type != "code":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for at, output in enumerate(cell.outputs):
            data = output.get("data", {})
            if "text/html" in data:
                parts.append(_table(data["text/html"]))
            elif "text/markdown" in data:
                parts.append(data["text/markdown"])
            elif "image/svg+xml" in data:
                image = f"{name}_files/{name}_{number}_{at}.svg"
                files[image] = data["image/svg+xml"]
                alt = escape(_alternative(cell.source))
                parts.append(
                    f'<p class="nb-picture"><img src="../{image}" alt="{alt}"> '
                    f'<a href="../{image}" download>SVG</a></p>'
                )
            else:
                parts.append(_printed(output.get("text") or data["text/plain"]))
    note = (
        f"{MARK}{_download('../', name)} as it ran. "
        "Run it and change it: <code>jupyter lab notebooks/</code>.</p>"
    )
    heading = f"# {title}"
    page = "\n\n".join(filter(None, parts)).replace(heading, f"{heading}\n\n{note}", 1)
    return {f"{name}.md": f"{page.strip()}\n", **files}


def _printed(text: str) -> str:
    """Return printed output, without the colours of a terminal."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text).rstrip("\n")
    return f'<pre class="nb-text" tabindex="0"><code>{escape(plain)}</code></pre>' if plain else ""


def _table(html: str) -> str:
    body = "\n".join(line for line in html.splitlines() if line.strip())
    # The rules of pandas, and the ids that they are for, which differ from run to run.
    body = re.sub(r'<style.*?</style>| id="T_\w+"', "", body, flags=re.DOTALL)
    body = _NUMBER_CELL.sub(r"<td data-n\1", body)
    region = 'role="region" tabindex="0" aria-label="Output"'
    return f'<div class="ff-table nb-html" {region}>{body}</div>'


def _alternative(source: str) -> str:
    """Return the `# Figure: …` comment of a cell."""
    comment = re.search(r"^#\s*Figure:\s*(.+(?:\n#\s.+)*)", source, re.MULTILINE)
    if comment is None:
        first = source.strip().splitlines()[0]
        raise InputError(f"a cell draws a figure without a comment `# Figure: …`: {first}")
    return " ".join(re.sub(r"\n#\s", " ", comment[1]).split())
