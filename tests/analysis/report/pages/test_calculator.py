"""The calculator in a browser: the numbers of Python, by key, by address, without scripts."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.design_space.closed_form import Fields, macs, parameters
from analysis.design_space.space import FAMILY, FIELDS, OPTIONAL, VARIANTS
from analysis.report.pages.calculator import calculator, card
from analysis.report.pages.records import Records
from featherface.config import ConfigError, FeatherFaceConfig

pytestmark = pytest.mark.slow

SCRIPT = "calculator.js"

SET = """(configs) => configs.map((config) => {
  const form = document.getElementById("calculator-form");
  for (const [name, value] of Object.entries(config)) form.elements[name].value = value;
  form.dispatchEvent(new Event("input"));
  const cells = document.querySelector("#calculator-blocks .ff-total").cells;
  return [...cells].slice(1).map((cell) => cell.textContent);
})"""


def body(records: Records) -> str:
    return f'<h2 id="calculator">Calculator</h2>{calculator(records)}'


def expected(values: dict[str, Any]) -> list[str]:
    """Parameters, parameters as thop counts, MACs; dashes for what cannot be built."""
    try:
        fields = Fields.of(FeatherFaceConfig(**values))
    except ConfigError:
        return ["–"] * 3
    counts = parameters(fields), parameters(fields, "thop"), macs(fields, 640, 640)
    return [f"{int(count):,}" for count in counts]


def test_hundreds_of_architectures_have_the_numbers_of_the_closed_form(page: Any) -> None:
    rng = random.Random(0)
    drawn = [{name: rng.choice(getattr(FAMILY, name)) for name in FIELDS} for _ in range(500)]
    shown = page.evaluate(SET, drawn)
    wrong = [
        (values, found)
        for values, found in zip(drawn, shown, strict=True)
        if found != expected(values)
    ]
    assert not wrong
    assert sum(found[0] == "–" for found in shown) in range(50, 450)  # both kinds were drawn


def test_the_cards_contradiction_with_keys_alone(page: Any, records: Records) -> None:
    said = page.locator("#calculator-said")
    assert "532,034 parameters" in said.inner_text()
    page.get_by_label("reduction").focus()
    page.keyboard.type("48")
    assert "v1-deformable: 523,121 parameters" in said.inner_text()
    page.get_by_label("context").focus()
    page.keyboard.press("p")
    assert "v1: 487,103 parameters" in said.inner_text()
    assert "Published: 487,103." in said.inner_text()
    assert page.locator("#calculator-command").inner_text() == "featherface blocks --variant v1"
    page.get_by_label("channels").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_label("channels").input_value() == "76"
    assert "487,103" not in said.inner_text()


def test_a_state_has_an_address(page: Any, file: Path) -> None:
    page.get_by_role("button", name="official").click()
    assert "Published: 488,661 as thop counts, 592,371." in page.inner_text("#calculator-said")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert "official: 592,371 parameters" in page.inner_text("#calculator-said")
    page.goto(f"{file.as_uri()}#calculator?channels=64&context=tensor&reduction=7")
    assert "64" in page.url  # what is no choice stays as it starts
    assert page.get_by_label("context").input_value() == "dcnv1"


def test_what_is_not_there_is_off(page: Any) -> None:
    page.get_by_role("button", name="retinaface").click()
    assert all(page.get_by_label(name).is_disabled() for name in OPTIONAL)
    assert "426,608 parameters" in page.inner_text("#calculator-said")
    page.get_by_role("button", name="official").click()
    assert not any(page.get_by_label(name).is_disabled() for name in OPTIONAL)


def test_without_scripts_the_card_is_shown(plain_page: Any) -> None:
    page = plain_page
    assert not page.locator("#calculator-form").is_visible()
    assert "532,034 parameters" in page.inner_text("#calculator-said")
    assert page.inner_text("#calculator-command").endswith("v1-deformable --set reduction=16")


def test_it_starts_with_what_the_card_states(records: Records) -> None:
    assert card(records) == VARIANTS["v1-deformable"] | {"reduction": 16}
    assert (
        int(parameters(Fields(**{k: np.asarray(v) for k, v in card(records).items()}))) == 532_034
    )
