"""Notebooks become pages with their outputs; one whose inputs have not changed does not run again.

What a notebook depends on is observed while it runs: the files of this project that it opens and
the modules that it imports. The page is made anew when one of these, the notebook itself, the
versions of what it runs on, or the weights at hand differ from last time.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from analysis.report.pages.prose import inline
from featherface.errors import InputError
from featherface.files import write_bytes, write_json

_VERSIONS = (
    "torch",
    "torchvision",
    "onnxruntime",
    "numpy",
    "pandas",
    "matplotlib",
    "thop",
    "nbclient",
    "nbconvert",
    "ipykernel",
)
_FOLDERS = ("FEATHERFACE_WEIGHTS", "FEATHERFACE_SHARED")
_CELL_SECONDS = 600

_OBSERVE = """\
import sys as _sys
_opened = set()
_sys.addaudithook(lambda event, args: event == "open" and isinstance(args[0], str) and (
    not isinstance(args[1], str) or "r" in args[1]) and _opened.add(args[0]) or None)
"""
_TELL = """\
import json as _json
print(_json.dumps(sorted(_opened | {
    m.__file__ for m in list(_sys.modules.values()) if isinstance(getattr(m, "__file__", None), str)
})))
"""

_TEMPLATE = """\
{%- extends 'markdown/index.md.j2' -%}
{% block stream %}
{{ output.text | shown }}
{% endblock stream %}
{% block execute_result %}{% block data_priority scoped %}{{ super() }}{% endblock %}{% endblock %}
{% block data_text %}
{{ output.data['text/plain'] | shown }}
{% endblock data_text %}
{% block data_html %}
{{ output.data['text/html'] | framed }}
{% endblock data_html %}
{% block data_svg %}
{{ output.metadata.filenames['image/svg+xml'] | pictured(cell, output) }}
{% endblock data_svg %}
{% block data_png %}
{{ output.metadata.filenames['image/png'] | pictured(cell, output) }}
{% endblock data_png %}
"""


_NUMBER_CELL = re.compile(r"<td(?=[^>]*>\s*[+−-]?[\d,.]+(?:e[+-]?\d+)?\s?%?\s*</td>)([^>]*>)")


@dataclass(frozen=True)
class Page:
    """A notebook as a page."""

    name: str
    title: str
    summary: str
    """The first paragraph below the title, as Markdown."""
    ran: bool
    """Whether it was run for this, or came from the cache."""
    unpaired: bool
    """Whether the `.ipynb` differs from the `.py`, which is what runs."""


def sources(folder: Path) -> list[Path]:
    """The notebooks of a folder: the paired scripts, and notebooks without one."""
    scripts = {path.stem: path for path in folder.glob("*.py")}
    books = {path.stem: path for path in folder.glob("*.ipynb")}
    return [path for _, path in sorted((books | scripts).items())]


def render(source: Path, root: Path, cache: Path) -> Page:
    """Run a notebook where it has to, and leave its page in the cache.

    Args:
        source: a notebook, or the script it is paired with.
        root: of the project.
        cache: a folder of its own; afterwards it holds `page.md` and `NAME_files/`.

    Raises:
        InputError: where it cannot be read, or a cell fails.
    """
    manifest = cache / "manifest.json"
    before = _read_manifest(manifest)
    key = _key(source)
    ran = not (before and before["key"] == key and _same(root, before["files"]))
    if ran:
        shutil.rmtree(cache, ignore_errors=True)
        notebook, opened = _run(source)
        name, text, files = _export(notebook, source.stem)
        for path, content in files.items():
            write_bytes(cache / path, content)
        write_bytes(cache / "page.md", text.encode())
        before = {"key": key, "files": _hashes(root, opened), "title": name[0], "summary": name[1]}
        write_json(manifest, before)
    assert before is not None
    return Page(source.stem, before["title"], before["summary"], ran, unpaired(source))


def unpaired(source: Path) -> bool:
    """Return whether the `.ipynb` beside a script differs from it: an edit that is not shown."""
    jupytext: Any = import_module("jupytext")
    pair = source.with_suffix(".ipynb")
    if source.suffix == ".ipynb" or not pair.exists():
        return False
    texts = (
        [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]
        for path in (source, pair)
    )
    return next(texts) != next(texts)


def listed(pages: Sequence[Page]) -> str:
    """Return the list of notebooks, each with its first paragraph; or that there is none."""
    if not pages:
        return (
            '<div class="ff-missing"><p><strong>No notebook yet.</strong> Those in '
            "<code>notebooks/</code> appear here with their outputs.</p></div>\n"
        )
    items = "".join(
        f'<li><a href="{page.name}/"><b>{escape(page.title)}</b></a>'
        f"<p>{inline(page.summary)}</p><p><code>notebooks/{page.name}.ipynb</code></p></li>"
        for page in pages
    )
    return f'<ol class="ff-notebooks">{items}</ol>\n'


def _read_manifest(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if {"key", "files", "title", "summary"} <= found.keys() else None
    except (OSError, ValueError, AttributeError):  # none yet, or cut short: it runs again
        return None


def _key(source: Path) -> str:
    """Everything but files of the project that the outputs depend on."""
    parts = {
        "source": _hash(source),
        "renderer": _hash(Path(__file__)),
        "python": platform.python_version(),
        **{name: _version(name) for name in _VERSIONS},
        **{name: _listing(os.environ.get(name)) for name in _FOLDERS},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _listing(folder: str | None) -> list[str] | None:
    """Names and sizes: whether weights or data are there decides what a notebook can show."""
    if not folder or not Path(folder).is_dir():
        return None
    found = [path for path in Path(folder).iterdir() if path.is_file()]
    return sorted(f"{path.name} {path.stat().st_size}" for path in found)


def _hash(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _hashes(root: Path, opened: list[str]) -> dict[str, str]:
    found = {}
    for name in opened:
        path = Path(name).resolve()
        if path.is_relative_to(root) and path.is_file() and path.suffix != ".pyc":
            below = path.relative_to(root)
            hidden = any(part.startswith(".") or part == "site-packages" for part in below.parts)
            if not hidden:
                found[below.as_posix()] = str(_hash(path))
    return dict(sorted(found.items()))


def _same(root: Path, files: Mapping[str, str]) -> bool:
    return all(_hash(root / name) == digest for name, digest in files.items())


def _run(source: Path) -> tuple[Any, list[str]]:
    """The notebook with its outputs, and the files that were opened meanwhile."""
    jupytext: Any = import_module("jupytext")
    nbformat: Any = import_module("nbformat")
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    try:
        notebook = jupytext.read(source)
    except Exception as error:  # whatever the parser of the day raises
        raise InputError(f"{source}: is no notebook: {error}") from error
    cells = notebook.cells
    extra = [nbformat.v4.new_code_cell(text) for text in (_OBSERVE, _TELL)]
    notebook.cells = [extra[0], *cells, extra[1]]
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
    opened = json.loads("".join(output.text for output in notebook.cells[-1].outputs))
    notebook.cells = cells
    return notebook, [str(source.parent / name) for name in opened]


def _export(notebook: Any, name: str) -> tuple[tuple[str, str], str, dict[str, bytes]]:
    """Title and summary, the page, and the files that it shows."""
    from jinja2 import DictLoader

    exporter = import_module("nbconvert").MarkdownExporter(
        template_file="page.md.j2", extra_loaders=[DictLoader({"page.md.j2": _TEMPLATE})]
    )
    for filter_name, function in _filters(name).items():
        exporter.register_filter(filter_name, function)
    resources = {"unique_key": name, "output_files_dir": f"{name}_files"}
    text, resources = exporter.from_notebook_node(notebook, resources=resources)
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    title = re.search(r"^# (.+)$", prose, re.MULTILINE)
    if title is None:
        raise InputError(f"notebooks/{name}: the first heading (# …) is missing")
    paragraphs = prose[title.end() :].strip().split("\n\n")
    summary = "" if paragraphs[0].startswith("#") else " ".join(paragraphs[0].split())
    note = (
        f'<p class="ff-note">This page is <code>notebooks/{name}.ipynb</code> as it ran. '
        "Run it and change it: <code>jupyter lab notebooks/</code>.</p>"
    )
    text = re.sub(r"^(# .+)$", lambda m: f"{m[1]}\n\n{note}", text, count=1, flags=re.MULTILINE)
    front = f"---\ntitle: {json.dumps(title[1], ensure_ascii=False)}\n---\n\n"
    body = re.sub(r"\n{3,}", "\n\n", text).strip()
    return (title[1], summary), f"{front}{body}\n", dict(resources.get("outputs", {}))


def _filters(name: str) -> dict[str, Callable[..., str]]:
    def shown(text: str) -> str:
        """Printed output. Markup that a terminal would act on is dropped."""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text).rstrip("\n")
        return (
            f'<pre class="nb-text" tabindex="0"><code>{escape(plain)}</code></pre>' if plain else ""
        )

    def framed(html: str) -> str:
        body = "\n".join(line for line in html.splitlines() if line.strip())
        body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
        body = _NUMBER_CELL.sub(r"<td data-n\1", body)
        region = 'role="region" tabindex="0" aria-label="Output"'
        return f'<div class="ff-table nb-html" {region}>{body}</div>'

    def pictured(path: str, cell: Any, output: Any) -> str:
        alt = next(_alternatives(cell, output))
        return f'<p class="nb-picture"><img src="../{escape(path)}" alt="{escape(alt)}"></p>'

    def _alternatives(cell: Any, output: Any) -> Iterator[str]:
        """A `# Figure: …` comment in the cell, then what the figure says of itself."""
        comment = re.search(r"^#\s*Figure:\s*(.+(?:\n#\s.+)*)", cell.source, re.MULTILINE)
        if comment:
            yield " ".join(re.sub(r"\n#\s", " ", comment[1]).split())
        plain = output.get("data", {}).get("text/plain", "")
        if plain and not plain.startswith("<"):
            yield " ".join(plain.split())
        first = cell.source.strip().splitlines()[0].lstrip("# ")
        yield f"Figure drawn by the cell above: {first}"

    return {"shown": shown, "framed": framed, "pictured": pictured}
