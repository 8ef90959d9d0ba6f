"""The architecture diagram: what it draws is what was measured."""

from __future__ import annotations

import functools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from analysis.cost.blocks import measure_layers
from analysis.report.diagram import nodes, svg
from analysis.report.diagram.card import card_comparison
from analysis.report.diagram.claims import claim_address, claims_by_block
from analysis.report.diagram.drawing import architecture_svg, static_svg
from analysis.report.diagram.nodes import Squares
from analysis.report.diagram.page import architecture_html, block_sections, layer_rows
from analysis.report.formats import MARKS

ROOT = Path(__file__).resolve().parents[4]
SVG = "{http://www.w3.org/2000/svg}"
VARIANTS = ("v1", "v1-deformable", "official", "no-attention", "retinaface")

Record = dict[str, Any]


@functools.cache
def recorded(name: str) -> list[Record]:
    found: list[Record] = json.loads((ROOT / "docs" / "results" / name).read_text(encoding="utf-8"))
    return found


def record_of(variant: str) -> Record:
    return next(record for record in recorded("blocks.json") if record["variant"] == variant)


layers_of = functools.cache(measure_layers)

every_variant = pytest.mark.parametrize(
    "variant",
    [
        v if v == "retinaface" else pytest.param(v, marks=pytest.mark.slow)  # seconds to trace
        for v in VARIANTS
    ],
)


def squares(path: str, columns: int) -> float:
    """Return the number of squares that a path of dashes shows, the last one in part."""
    count = 0.0
    for length in re.findall(r"h([\d.]+)", path):
        whole, rest = divmod(float(length), nodes.PITCH)
        count += whole + rest / nodes.SIDE
    return count


# --- squares ------------------------------------------------------------------------------------


def test_a_square_is_a_thousand() -> None:
    assert Squares(2500).paths(0, 0) == ("M0 2h9M0 7h2", "")  # 2 columns: two squares, then a half
    assert (Squares(2500).width, Squares(2500).height) == (9, 9)


def test_predicting_squares_are_the_last_ones() -> None:
    assert Squares(4000, predicting=2000).paths(10, 20) == ("M10 22h9M10 27h9", "M10 27h9")


def test_no_parameters_no_squares() -> None:
    assert Squares(0).paths(0, 0) == ("", "")
    assert (Squares(0).width, Squares(0).height) == (0, 0)


@pytest.mark.parametrize("params", [1, 999, 1000, 1001, 23_456, 103_552])
def test_squares_add_up(params: int) -> None:
    mark = Squares(params)
    assert squares(mark.paths(0, 0)[0], mark.columns) == pytest.approx(params / 1000, abs=0.03)


@every_variant
def test_nodes_add_up_to_the_network(variant: str) -> None:
    record = record_of(variant)
    found = nodes.nodes(record, layers_of(variant))
    assert sum(node.params for node in found.values()) == record["params"]


def test_a_layer_without_a_place_is_an_error() -> None:
    stray = {"path": "pyramid.elsewhere.weight", "name": "weight", "own_params": 7}
    with pytest.raises(AssertionError, match="no place"):
        nodes.nodes(record_of("retinaface"), [*layers_of("retinaface"), stray])


@pytest.mark.slow
def test_hollow_squares_predict_offsets_and_masks() -> None:
    found = nodes.nodes(record_of("official"), layers_of("official"))
    # Per level five deformable convolutions with 27 outputs of 3×3: two over 64 channels, three
    # over 16, each output with a bias.
    level = 27 * (2 * (9 * 64 + 1) + 3 * (9 * 16 + 1))
    assert {node.predicting for (block, *_), node in found.items() if block == "context"} == {level}
    assert {node.predicting for (block, *_), node in found.items() if block != "context"} == {0}


# --- the drawing --------------------------------------------------------------------------------


@every_variant
@pytest.mark.parametrize("upright", [False, True])
def test_the_drawing_says_what_was_measured(variant: str, upright: bool) -> None:
    record = record_of(variant)
    drawing = ElementTree.fromstring(
        architecture_svg(record, layers_of(variant), {}, upright=upright)
    )
    links = drawing.findall(f"{SVG}a")
    assert [link.get("data-block") for link in links] == [b["name"] for b in record["blocks"]]
    for link, block in zip(links, record["blocks"], strict=True):
        words = [text for text in ("".join(t.itertext()) for t in link.iter(f"{SVG}text")) if text]
        assert link.get("href") == f"#block-{block['name'].replace('_', '-')}"
        absent = "absent" in (link.get("class") or "")
        assert absent == ("none" in words or "none" in (link.get("aria-label") or ""))
        if absent:
            assert block["params"] == block["macs"] == 0
            continue
        assert f"{block['params']:,}" in words
        assert f"{block['params']:,} parameters" in (link.get("aria-label") or "")
        if block["name"] != "heads":
            for sizes in block["output_shapes"].values():
                assert "×".join(map(str, sizes[1:])) in words
    heads = ["".join(t.itertext()) for t in links[-1].iter(f"{SVG}text")]
    assert {"12,800×16", "3,200×16", "800×16"} <= set(heads)


@every_variant
def test_bars_are_as_long_as_shares(variant: str) -> None:
    record = record_of(variant)
    drawing = ElementTree.fromstring(architecture_svg(record, layers_of(variant), {}))
    for link, block in zip(drawing.findall(f"{SVG}a"), record["blocks"], strict=True):
        for kinds, key in ((("bp",), "params_share"), (("bc", "bd"), "macs_share")):
            length = sum(
                float(part)
                for mark in link.iter(f"{SVG}path")
                if mark.get("class") in kinds
                for part in re.findall(r"h([\d.]+)", mark.get("d") or "")
            )
            assert length == pytest.approx(190 * block[key], abs=0.15)


def test_the_same_records_give_the_same_bytes() -> None:
    record, layers = record_of("retinaface"), layers_of("retinaface")
    assert static_svg(record, layers) == static_svg(record, layers)


def test_a_file_of_its_own_needs_nothing_else() -> None:
    drawing = static_svg(record_of("retinaface"), layers_of("retinaface"))
    root = ElementTree.fromstring(drawing)
    assert (root.get("role"), drawing[-1]) == ("img", "\n")
    named = {element.get("id") for element in root.iter()}
    assert set((root.get("aria-labelledby") or "").split()) <= named
    assert "prefers-color-scheme:dark" in drawing
    assert not re.search(r"(?:href|src|url\(|@import)", drawing)
    used = set(re.findall(r"var\((--fa-[a-z]+)", drawing))
    assert used <= set(re.findall(r"(--fa-[a-z]+):", drawing))


# --- legible ------------------------------------------------------------------------------------


OWN = svg.COLOURS.items()


def colours_of(scheme: str, on_the_site: bool) -> dict[str, str]:
    """The drawing's colours; on the site, its own take the place of some."""
    if not on_the_site:
        return {name: dark if scheme == "dark" else light for name, (light, dark) in OWN}
    name = {"light": "default", "dark": "slate"}[scheme]
    css = (ROOT / "docs" / "assets" / "site.css").read_text(encoding="utf-8")
    rules = re.findall(rf'\[data-md-color-scheme="{name}"\] {{([^}}]*)}}', css)
    site = dict(re.findall(r"--(ff-[\w-]+): *(#[0-9a-f]{6})", " ".join(rules)))
    rule = r"\.fa{([^}]*)}" if scheme == "light" else r"slate\] \.fa{([^}]*)}"
    found = re.search(rule, svg.page_style())
    assert found
    return {
        name: site.get(own, colour)
        for name, own, colour in re.findall(
            r"--fa-(\w+):(?:var\(--([\w-]+),)?(#[0-9a-f]{6})", found[1]
        )
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["ground", "panel", "active"])
@pytest.mark.parametrize("on_the_site", [False, True])
def test_contrast_is_enough(contrast: Any, scheme: str, ground: str, on_the_site: bool) -> None:
    colours = colours_of(scheme, on_the_site)
    assert colours.keys() == svg.COLOURS.keys()
    for name in ("text", "muted", "params", "macs", *MARKS):
        assert contrast(colours[name], colours[ground]) >= 4.5, name
    for name in ("flow", "frame"):
        assert contrast(colours[name], colours[ground]) >= 3, name


def test_text_is_legible_on_a_phone() -> None:
    sizes = [float(size) for size in re.findall(r"font-size:([\d.]+)px", svg.file_style())]
    shown = (360 - 2 * 16) / 360  # the page leaves 16 pixels on either side
    assert min(sizes) * shown >= 11


# --- the page -----------------------------------------------------------------------------------


class Page(HTMLParser):
    """The attributes of a page's elements, and whether they close in order."""

    VOID = frozenset({"input", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def fragments() -> tuple[str, str, str]:
    records, verdicts = recorded("blocks.json"), recorded("verdicts.json")
    layers = {variant: layers_of(variant) for variant in VARIANTS}
    return (
        architecture_html(records, layers, verdicts),
        card_comparison(records, verdicts),
        block_sections(records, layers, verdicts),
    )


@pytest.mark.slow
def test_the_page() -> None:
    drawing, card, sections = fragments()
    page = Page(drawing)
    assert len(drawing.encode()) < 250_000
    assert "\n\n" not in drawing.strip()  # there, Markdown would go on
    assert "\n\n" not in card.strip()
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    radios = page.all("input")
    assert [radio["value"] for radio in radios if "checked" in radio] == ["official"]
    assert {radio["value"] for radio in radios} == set(VARIANTS)

    headings = set(re.findall(r"\{ #([\w-]+) \}", sections))
    links = {link["href"] for link in page.all("a") if (link["href"] or "").startswith("#")}
    assert links == {f"#{heading}" for heading in headings} | {"#card"}
    assert len(headings) == 7
    Page(card)
    Page(re.sub(r"^## .*$", "", sections, flags=re.MULTILINE))


@pytest.mark.slow
def test_every_claim_about_a_block_is_beside_it_and_every_one_of_the_card_is_compared() -> None:
    drawing, card, sections = fragments()
    for variant in VARIANTS:
        for block, claims in claims_by_block(recorded("verdicts.json"), variant).items():
            for claim in claims:
                assert f'"{claim_address(claim)}"' in (sections if block else drawing)
    of_card = [claim for claim in recorded("verdicts.json") if claim["source"] == "card"]
    missing = [claim["id"] for claim in of_card if f'"{claim_address(claim)}"' not in card]
    confirmed = {c["id"] for c in of_card if c["verdict"] == "confirmed"}
    assert set(missing) <= confirmed, missing  # of the whole network, which needs no comparison


def test_the_card_beside_the_network() -> None:
    card = card_comparison(recorded("blocks.json"), recorded("verdicts.json"))
    text = re.sub(r"<[^>]+>", " ", card)
    for says, measured in (("213,024", "213,072"), ("22,080", "3,956"), ("22,080", "969")):
        assert re.search(rf"{says}\s+✗\s+refuted.*?{measured}", text), (says, measured)
    assert re.search(r"add up to\s+526,784\s+✗", text)
    assert re.search(r"487,103\s+✓\s+confirmed", text)
    assert re.search(r"22,080\s+✗\s+refuted\s+off by a factor of 5\.6", text)


def test_the_style_sheet_knows_every_network_and_class() -> None:
    css = (ROOT / "docs" / "assets" / "architecture.css").read_text(encoding="utf-8")
    for variant in VARIANTS:
        assert f'.fa:has([value="{variant}"]:checked) .fa-view[data-variant="{variant}"]' in css
    assert set(re.findall(r"var\(--fa-([a-z]+)", css)) <= set(svg.COLOURS)


def test_layer_rows_are_the_modules_that_cost_something() -> None:
    def layer(path: str, kind: str = "Conv2d", params: int = 1) -> Record:
        return {"path": path, "type": kind, "params": params, "macs": 0}

    layers = [
        layer("context"),
        layer("context.levels", "ModuleList"),
        layer("context.levels.0", "SSH"),
        layer("context.levels.0.a"),
        layer("context.levels.0.act", params=0),
        layer("context_like.levels.0"),
    ]
    assert [row["path"] for row in layer_rows("context", layers)] == [
        "context.levels.0",
        "context.levels.0.a",
    ]


def claim(network: str | None, *blocks: str) -> Record:
    return {"network": network, "blocks": list(blocks)}


def test_claims_stand_with_their_blocks_and_those_about_many_with_the_network() -> None:
    about_two = claim("v1", "context", "shuffle")
    about_all = claim("v1", "backbone", "pyramid", "context", "heads")
    about_none, elsewhere = claim("v1"), claim("official", "context")
    found = claims_by_block([about_two, about_all, about_none, elsewhere], "v1")
    assert {block: claims for block, claims in found.items() if claims} == {
        "context": [about_two],
        "shuffle": [about_two],
        "": [about_all, about_none],
    }
