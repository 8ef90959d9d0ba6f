"""Commands become a reference, and text from records becomes HTML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from analysis.cli.main import app
from analysis.report.pages.generate import reference
from analysis.report.pages.html import inline


def test_code_is_code_and_the_rest_is_text() -> None:
    assert inline("`a<b>` & c") == "<code>a&lt;b&gt;</code> &amp; c"
    assert inline("see https://x.org/a.") == 'see <a href="https://x.org/a">https://x.org/a</a>.'
    assert inline("a ` b") == "a ` b"
    assert inline("*a `b`* 2 * 3 `x.*.y*`") == "<em>a <code>b</code></em> 2 * 3 <code>x.*.y*</code>"


@pytest.fixture(scope="module")
def command() -> Any:
    return typer.main.get_command(app)


def test_every_command_is_in_the_reference_with_its_options(command: Any) -> None:
    text = reference(command)

    def check(group: Any, path: str) -> None:
        for name, one in group.commands.items():
            assert f"# `{path} {name}`\n" in text
            if hasattr(one, "commands"):
                check(one, f"{path} {name}")
            else:
                for parameter in one.params:
                    if parameter.param_type_name == "option" and "--help" not in parameter.opts:
                        assert parameter.opts[0] in text
                assert one.epilog.partition("Example: ")[2] in text

    check(command, "featherface")
    names = re.findall(r"^\* `([^`]+)`", text, re.MULTILINE)
    assert not [name for name in names if re.search(r"<|\b(list|int|float|str|Path)\b", name)]
    for shown in ("--threads N", "--depth N", "--batch N", "--format svg|png", "IMAGE"):
        assert f"\n* `{shown}`: " in text


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
