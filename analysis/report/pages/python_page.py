"""The reference of the Python packages, from their sources. Nothing is imported for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from analysis.report.pages.docstrings import render

_LINKED = re.compile(r"<code>([A-Za-z_][\w.]*)(\(\))?</code>")
_WIDTH = 88
_VALUE = 64
"""So much of a constant's value is shown."""


@dataclass(frozen=True)
class Entry:
    """A public function, class, method or constant."""

    name: str
    """With its module: `featherface.detector.Detector`."""
    kind: str
    signature: str
    docstring: str
    members: Sequence[Entry] = field(default=())


@dataclass(frozen=True)
class Module:
    """A module with a docstring, and what is public in it."""

    name: str
    docstring: str
    entries: Sequence[Entry]


def read_package(folder: Path, skip: Sequence[str] = ()) -> list[Module]:
    """The modules of a package that have something public and documented.

    Args:
        folder: of the package.
        skip: names of modules that are left out, with everything below them.
    """
    modules = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if parts[-1] == "__main__" or any(f"{name}.".startswith(f"{s}.") for s in skip):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        entries = tuple(_entries(tree.body, name))
        if entries:
            modules.append(Module(name, ast.get_docstring(tree) or "", entries))
    return modules


def _entries(body: Sequence[ast.stmt], within: str, *, methods: bool = False) -> Iterator[Entry]:
    for at, node in enumerate(body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring and not node.name.startswith("_"):
                decorators = [ast.unparse(d) for d in node.decorator_list]
                is_property = any(
                    d.split(".")[-1] in ("property", "cached_property") for d in decorators
                )
                kind = "property" if is_property else "method" if methods else "function"
                yield Entry(f"{within}.{node.name}", kind, _signature(node, methods), docstring)
        elif isinstance(node, ast.ClassDef):
            docstring = ast.get_docstring(node)
            if docstring and not node.name.startswith("_"):
                name = f"{within}.{node.name}"
                members = tuple(_entries(node.body, name, methods=True))
                yield Entry(name, "class", _class_signature(node), docstring, members)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            docstring = _after(body, at)
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if docstring and isinstance(target, ast.Name) and not target.id.startswith("_"):
                kind = "field" if methods else "constant"
                yield Entry(f"{within}.{target.id}", kind, _assignment(node, target.id), docstring)


def _after(body: Sequence[ast.stmt], at: int) -> str:
    """The string that documents an assignment, on the line after it."""
    following = body[at + 1] if at + 1 < len(body) else None
    if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
        return following.value.value if isinstance(following.value.value, str) else ""
    return ""


def _assignment(node: ast.Assign | ast.AnnAssign, name: str) -> str:
    kind = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
    value = ast.unparse(node.value) if node.value is not None else ""
    shown = value if len(value) <= _VALUE else f"{value[:_VALUE].rstrip()} …"
    return f"{name}{kind}" + (f" = {shown}" if value else "")


def _class_signature(node: ast.ClassDef) -> str:
    init = next(
        (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None
    )
    if init is not None:
        return f"class {_signature(init, method=True, name=node.name, returns=False)}"
    decorators = {ast.unparse(d).split("(")[0].split(".")[-1] for d in node.decorator_list}
    bases = [ast.unparse(base) for base in node.bases]
    if "dataclass" in decorators or "NamedTuple" in bases:
        fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
        return _fold(f"class {node.name}", [_assignment(n, ast.unparse(n.target)) for n in fields])
    return f"class {node.name}" + (f"({', '.join(bases)})" if bases else "")


def _signature(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    method: bool,
    name: str = "",
    returns: bool = True,
) -> str:
    a = node.args
    plain = [*a.posonlyargs, *a.args]
    defaults = [None] * (len(plain) - len(a.defaults)) + list(a.defaults)
    shown = [_parameter(arg, default) for arg, default in zip(plain, defaults, strict=True)]
    if method and plain and plain[0].arg in ("self", "cls"):
        shown = shown[1:]
    if a.vararg:
        shown.append(f"*{_parameter(a.vararg, None)}")
    elif a.kwonlyargs:
        shown.append("*")
    shown += [_parameter(arg, d) for arg, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    if a.kwarg:
        shown.append(f"**{_parameter(a.kwarg, None)}")
    end = f" -> {ast.unparse(node.returns)}" if returns and node.returns is not None else ""
    return _fold(name or node.name, shown, end)


def _fold(name: str, parameters: Sequence[str], end: str = "") -> str:
    line = f"{name}({', '.join(parameters)}){end}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {p}," for p in parameters), f"){end}"])


def _parameter(arg: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(arg.annotation)}" if arg.annotation is not None else ""
    if default is None:
        return f"{arg.arg}{kind}"
    return f"{arg.arg}{kind}{' = ' if kind else '='}{ast.unparse(default)}"


def addresses(pages: Mapping[str, Sequence[Module]], home: str) -> dict[str, str]:
    """Where each documented name is, as seen from the page `home`: full and unique short names.

    Args:
        pages: the modules on each page, by the page's folder.
        home: one of these.
    """
    found: dict[str, str] = {}
    short: dict[str, set[str]] = {}
    for page, modules in pages.items():
        prefix = "" if page == home else f"../{page}/"
        for module in modules:
            found[module.name] = f"{prefix}#{module.name}"
            for entry in module.entries:
                for one in (entry, *entry.members):
                    found[one.name] = f"{prefix}#{one.name}"
                short.setdefault(entry.name.rsplit(".", 1)[1], set()).add(found[entry.name])
                local = f"{module.name.split('.', 1)[-1]}.{entry.name.rsplit('.', 1)[1]}"
                short.setdefault(local, set()).add(found[entry.name])
    found.update({name: next(iter(at)) for name, at in short.items() if len(at) == 1})
    return found


def reference(modules: Sequence[Module], known: Mapping[str, str]) -> str:
    """The page: a section for each module, an entry with its signature for each name.

    Args:
        modules: of one package.
        known: from `addresses`.
    """

    def link(html: str) -> str:
        def replace(match: re.Match[str]) -> str:
            address = known.get(match[1])
            return f'<a href="{address}">{match[0]}</a>' if address else match[0]

        return _LINKED.sub(replace, html)

    parts = []
    for module in modules:
        parts.append(f"## {module.name} {{ #{module.name} }}")
        parts.append(f'<div class="api-module">{render(module.docstring, link)}</div>')
        parts += [_entry(entry, link, "h3") for entry in module.entries]
    return "\n\n".join(parts) + "\n"


def _entry(entry: Entry, link: object, heading: str) -> str:
    assert callable(link)
    name = entry.name.rsplit(".", 1)[1]
    members = "".join(_entry(member, link, "h4") for member in entry.members)
    title = (
        f'<{heading} id="{entry.name}"><code>{escape(name)}</code> '
        f'<span class="api-kind">{entry.kind}</span> '
        f'<a class="headerlink" href="#{entry.name}" title="Permanent link">#</a></{heading}>'
    )
    signature = f'<pre class="api-signature"><code>{escape(entry.signature)}</code></pre>'
    return (
        f'<div class="api-entry">{title}{signature}{render(entry.docstring, link)}{members}</div>'
    )
