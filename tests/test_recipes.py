"""Every block of the recipes for faces runs as it stands."""

from __future__ import annotations

import re
import shlex
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from featherface.synthetic import draw_crowd

PAGE = Path(__file__).resolve().parents[1] / "docs" / "use" / "faces.md"
BLOCKS = re.findall(
    r"^## [^\n]*\{ #(\w+) \}|^```(\w+)\n(.*?)^```",
    PAGE.read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
RECIPES = [name for name, _, _ in BLOCKS if name]


def code() -> list[Any]:
    """The blocks as parameters, named after their recipes."""
    found, recipe = [], ""
    for name, language, text in BLOCKS:
        recipe = name or recipe
        if language:
            found.append(pytest.param(language, text, id=f"{recipe}-{language}"))
    return found


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with photo.jpg, photos and, where PyAV is installed, clip.mp4."""
    image = Image.fromarray(draw_crowd())
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for name in ("photo.jpg", "photos/a.jpg", "photos/more/b.png"):
        image.save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_recipe_has_a_block_that_runs() -> None:
    assert set(RECIPES) == {parameter.id.rpartition("-")[0] for parameter in code()}


@pytest.mark.parametrize(("language", "text"), code())
def test_a_recipe_runs(workplace: Path, call: Any, language: str, text: str) -> None:
    if "clip.mp4" in text:
        pytest.importorskip("av")
        from analysis.cli.video import write_video

        with write_video(workplace / "clip.mp4", Fraction(10)) as add:
            for _ in range(2):
                add(Image.fromarray(draw_crowd()))
    if language == "python":
        exec(compile(text, str(PAGE), "exec"), {})
    for line in text.splitlines() if language == "sh" else ():
        name, *arguments = shlex.split(line)
        assert name == "featherface"
        assert call(*arguments).code == 0
    wanted = re.findall(r'save\("(.*?)"\)|to_csv\("(.*?)"|--out (\w+)|, "(\w+\.onnx)"', text)
    written = {path.relative_to(workplace).as_posix() for path in workplace.rglob("*")}
    assert {name for names in wanted for name in names if name} <= written
