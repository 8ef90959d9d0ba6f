"""The architecture diagram in a browser: no collisions, and by pointer, key and finger."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.cost.blocks import measure_layers
from analysis.report.diagram.page import architecture_html, block_sections

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[4]
STYLES = ("site", "architecture")
VARIANTS = ("official", "v1", "v1-deformable", "no-attention", "retinaface")

COLLISIONS = """() => {
  const found = [];
  for (const svg of document.querySelectorAll(".fa-svg")) {
    if (!svg.getClientRects().length) continue;
    const {width, height} = svg.viewBox.baseVal;
    const texts = [...svg.querySelectorAll("text")].filter(t => t.textContent.trim());
    const boxes = texts.map(t => [t.textContent, t.getBBox()]);
    boxes.forEach(([text, a], i) => {
      if (a.x < -1 || a.x + a.width > width + 1 || a.y + a.height > height)
        found.push(text + " is cut off");
      for (const [other, b] of boxes.slice(0, i))
        if (a.x < b.x + b.width && b.x < a.x + a.width &&
            a.y + 3 < b.y + b.height - 3 && b.y + 3 < a.y + a.height - 3)
          found.push(text + " lies on " + other);
    });
  }
  return found;
}"""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = ROOT / "docs" / "results"
    records = json.loads((results / "blocks.json").read_text(encoding="utf-8"))
    verdicts = json.loads((results / "verdicts.json").read_text(encoding="utf-8"))
    layers = {variant: measure_layers(variant) for variant in VARIANTS}
    sections = re.sub(r"^## .*$", "", block_sections(records, layers, verdicts), flags=re.M)
    assets = ROOT / "docs" / "assets"
    styles = [(assets / f"{name}.css").read_text(encoding="utf-8") for name in STYLES]
    js = (assets / "architecture.js").read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("diagram") / "page.html"
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Diagram</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>html{{font-size:20px}}body{{margin:16px}}{''.join(styles)}</style>"
        f'<body class="md-typeset">{architecture_html(records, layers, verdicts)}'
        f'<h2 id="block-context">Context</h2>{sections}<script>{js}</script></body></html>',
        encoding="utf-8",
    )
    return path


@pytest.fixture
def visit(browser: Any, page_file: Path) -> Iterator[Any]:
    contexts = []

    def open_page(width: int, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.goto(page_file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize(
    ("width", "shown", "hidden"),
    [(1280, "across", "down"), (820, "down", "across"), (360, "down", "across")],
)
def test_nothing_lies_on_anything(visit: Any, width: int, shown: str, hidden: str) -> None:
    page = visit(width)
    for variant in VARIANTS:
        page.locator(f"input[value={variant}]").check(force=True)
        view = page.locator(f".fa-view[data-variant={variant}]")
        assert view.locator(f".fa-{shown}").is_visible()
        assert not view.locator(f".fa-{hidden}").is_visible()
        assert page.locator(".fa-view:visible").count() == 1
        assert page.evaluate(COLLISIONS) == [], (width, variant)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.errors == []


def test_with_keys_alone(visit: Any) -> None:
    page = visit(1280)
    page.locator("input[value=official]").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".fa-view:visible").get_attribute("data-variant") == "v1"
    for block in ("Backbone", "First attention"):
        page.keyboard.press("Tab")
        assert block in page.locator(".fa-panel:visible .fa-title").inner_text()
    assert "3,956 parameters" in page.locator(".fa-panel .fa-title").inner_text()
    page.keyboard.press("Enter")
    assert page.locator(".fa-panel table:visible").count() == 1
    assert page.url.endswith("?network=v1&block=first_attention")
    page.keyboard.press("Escape")
    assert not page.locator(".fa-panel").is_visible()
    assert page.url.endswith("?network=v1")


def test_the_panel_is_in_sight_beside_the_block_that_is_pointed_at(visit: Any) -> None:
    page = visit(1280)
    for name in ("backbone", "heads"):
        block = page.locator(f".fa-view:visible [data-block={name}]:visible .panel")
        block.hover(position={"x": 12, "y": 12})
        panel, column = page.locator(".fa-panel").bounding_box(), block.bounding_box()
        assert panel["y"] < page.viewport_size["height"]
        assert abs(panel["y"] - column["y"]) < 1
        apart = (
            panel["x"] - column["x"] - column["width"],
            column["x"] - panel["x"] - panel["width"],
        )
        assert max(apart) == pytest.approx(8, abs=1), name
        assert panel["x"] >= 0
        assert panel["x"] + panel["width"] <= 1280


def test_the_panel_follows_the_network(visit: Any) -> None:
    page = visit(1280)
    block = page.locator(".fa-view:visible [data-block=context]:visible .panel")
    block.click(position={"x": 12, "y": 12})
    assert "232,965" in page.locator(".fa-title").inner_text()
    page.locator("input[value=v1]").focus()
    page.keyboard.press("Space")
    assert "148,296" in page.locator(".fa-title").inner_text()


def test_an_address_opens_its_network_and_block(visit: Any, page_file: Path) -> None:
    page = visit(1280)
    page.goto(page_file.as_uri() + "?network=v1&block=context")
    assert page.locator(".fa-view:visible").get_attribute("data-variant") == "v1"
    assert "148,296" in page.locator(".fa-panel:visible .fa-title").inner_text()
    page.goto(page_file.as_uri() + "?network=nonsense&block=nonsense")
    assert page.locator(".fa-view:visible").get_attribute("data-variant") == "official"
    assert not page.locator(".fa-panel").is_visible()
    assert page.errors == []


def test_a_finger_first_shows_and_then_follows(visit: Any) -> None:
    page = visit(360, has_touch=True, is_mobile=True)
    block = page.locator(".fa-view:visible [data-block=context]:visible")
    block.tap()
    assert "232,965" in page.locator(".fa-panel:visible .fa-title").inner_text()
    assert "#" not in page.url
    block.tap()
    assert page.url.endswith("#block-context")


def test_without_a_script(visit: Any) -> None:
    page = visit(1280, java_script_enabled=False)
    assert page.locator(".fa-view:visible").get_attribute("data-variant") == "official"
    assert not page.locator(".fa-panel").is_visible()
    page.locator("label:has([value=retinaface])").click()
    assert page.locator(".fa-view:visible").get_attribute("data-variant") == "retinaface"
