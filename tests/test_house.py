"""The floors of the house: every import points down."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("featherface", "analysis")
    for path in (ROOT / package).rglob("*.py")
}
TOP = {"analysis.cli.main", "analysis.report.results", "featherface.__main__"} | {
    m for m in MODULES if m.startswith(("analysis.cli", "analysis.report.pages"))
}
DRAWING = {"featherface.drawing"} | {
    m
    for m in MODULES
    if m.startswith(("analysis.report.plots", "analysis.report.diagram", "analysis.report.tables"))
}
SHOWS = ("matplotlib", "rich", "typer")


def imports(module: str) -> set[str]:
    """What a module imports, also inside functions, but not for type checking alone."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{module}: relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_the_detector_knows_nothing_of_the_analysis() -> None:
    up = {
        (module, name)
        for module in MODULES
        if module.startswith("featherface") and module not in TOP
        for name in imports(module)
        if name.split(".")[0] in ("analysis", *SHOWS)
    }
    assert up == set()


def test_measurements_neither_draw_nor_print() -> None:
    measuring = [m for m in MODULES if m.startswith("analysis") and m not in TOP | DRAWING]
    up = {
        (module, name)
        for module in measuring
        for name in imports(module)
        if name in TOP | DRAWING or name.split(".")[0] in SHOWS
    }
    printing = {m for m in measuring if "print(" in MODULES[m].read_text(encoding="utf-8")}
    assert (up, printing) == (set(), set())


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module: imports(module) & MODULES.keys() for module in MODULES}
    for package in ("featherface", "analysis"):  # __init__ forwards names when they are asked for
        graph[package] = set()
    assert list(TopologicalSorter(graph).static_order())


def test_checkpoints_are_only_ever_read_as_tensors() -> None:
    careless = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("featherface", "analysis", "tests", "notebooks")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "torch.load" + "(" in line and "weights_only=True" not in line
    ]
    assert careless == []


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys, analysis.cli.main, contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    analysis.cli.main.main(['blocks', '--help'])\n"
        "slow = {'torch', 'numpy', 'matplotlib', 'pandas', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported for --help: {slow}' if slow - {'pydantic'} else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
