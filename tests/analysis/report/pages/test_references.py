"""Commands, docstrings and sources become references that lead to each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from analysis.cli.main import app
from analysis.report.pages import commands_page, python_page
from analysis.report.pages.docstrings import render
from analysis.report.pages.prose import inline


def test_code_is_code_and_the_rest_is_text() -> None:
    assert inline("`a<b>` & c") == "<code>a&lt;b&gt;</code> &amp; c"
    assert inline("see https://x.org/a.") == 'see <a href="https://x.org/a">https://x.org/a</a>.'
    assert inline("a ` b") == "a ` b"


def test_a_docstring_of_the_google_style() -> None:
    html = render(
        """What it does.

        Args:
            size: how large,
                in pixels.
            *names (str): of `things`.

        Returns:
            A number.

        Raises:
            ValueError: where it is <0.
        """
    )
    assert html.startswith("<p>What it does.</p>")
    assert "<dt><code>size</code></dt><dd>how large, in pixels.</dd>" in html
    assert "<dt><code>*names</code></dt><dd>of <code>things</code>.</dd>" in html
    assert "<p>A number.</p>" in html
    assert "where it is &lt;0." in html


SOURCE = '''
"""A module."""

LIMIT = 3
"""How many."""

_HIDDEN = 4
"""Not public."""


class Box:
    """Holds, see `grow`."""

    def __init__(self, side: int, *, deep: bool = False) -> None:
        pass

    def area(self) -> int:
        """Of one side."""


def grow(box: Box, by: float = 1.5, *more: int) -> Box:
    """Makes it larger.

    Args:
        box: see `Box.area`, and `Box`.
    """


def undocumented() -> None:
    pass
'''


def test_what_is_public_and_documented_is_in_the_reference(tmp_path: Path) -> None:
    package = tmp_path / "thing"
    package.mkdir()
    (package / "__init__.py").write_text('"""Nothing."""\n')
    (package / "box.py").write_text(SOURCE)
    modules = python_page.read_package(package)
    assert [module.name for module in modules] == ["thing.box"]
    assert [entry.name for entry in modules[0].entries] == [
        "thing.box.LIMIT",
        "thing.box.Box",
        "thing.box.grow",
    ]
    assert modules[0].entries[1].signature == "class Box(side: int, *, deep: bool = False)"
    assert modules[0].entries[2].signature == "grow(box: Box, by: float = 1.5, *more: int) -> Box"
    known = python_page.addresses({"here": modules}, "here")
    text = python_page.reference(modules, known)
    assert '<a href="#thing.box.grow"><code>grow</code></a>' in text
    assert '<a href="#thing.box.Box"><code>Box</code></a>' in text
    assert python_page.addresses({"there": modules, "here": []}, "here")["grow"] == (
        "../there/#thing.box.grow"
    )


def test_the_packages_have_what_the_readme_names(root: Path) -> None:
    modules = python_page.read_package(root / "featherface")
    names = {entry.name for module in modules for entry in module.entries}
    assert {
        "featherface.detector.Detector",
        "featherface.model.FeatherFace",
        "featherface.weights.checkpoints.load",
        "featherface.weights.checkpoints.identify",
    } <= names


@pytest.fixture(scope="module")
def command() -> Any:
    return typer.main.get_command(app)


def test_every_command_is_in_the_reference_with_its_options(command: Any) -> None:
    text = commands_page.reference(command)

    def check(group: Any, path: str) -> None:
        for name, one in group.commands.items():
            assert f"# {path} {name}\n" in text
            if hasattr(one, "commands"):
                check(one, f"{path} {name}")
            else:
                for parameter in one.params:
                    if parameter.param_type_name == "option" and "--help" not in parameter.opts:
                        assert parameter.opts[0] in text
                assert re.sub(r"^Examples?:\s*", "", one.epilog).split("\n")[0] in text

    check(command, "featherface")


def _commands_in(path: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [part for part in parts if part.startswith("featherface ")]


def test_every_command_on_a_page_is_one(root: Path, command: Any) -> None:
    found = [line for path in (root / "docs").rglob("*.md") for line in _commands_in(path)]
    assert len(found) >= 10
    wrong = []
    for line in found:
        at, words = command, line.split()[1:]
        while words and hasattr(at, "commands"):
            if words[0] not in at.commands:
                break
            at = at.commands[words.pop(0)]
        options = {name for p in at.params for name in [*p.opts, *p.secondary_opts]}
        if hasattr(at, "commands") or any(w.startswith("-") and w not in options for w in words):
            wrong.append(line)
    assert wrong == []


def test_figures_typed_on_a_page_are_recorded_ones(root: Path) -> None:
    """Pages by hand are about method; a figure with thousands in them must be in a record."""
    results = sorted((root / "docs" / "results").glob("*.json*"))
    recorded = "".join(path.read_text(encoding="utf-8") for path in results)
    known = set(re.findall(r"\d+", recorded)) | {"1000"}  # the protocol's thresholds
    stray = [
        (path.name, figure)
        for path in [*(root / "docs").glob("*.md"), *(root / "docs" / "use").glob("*.md")]
        for figure in re.findall(r"\b\d{1,3}(?:,\d{3})+\b", path.read_text(encoding="utf-8"))
        if figure.replace(",", "") not in known
    ]
    assert stray == []
