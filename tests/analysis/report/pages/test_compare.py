"""Before and after in a browser: by key and choice, and side by side without scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.report.pages import maps_page
from analysis.report.pages.records import Records

DOCS = Path(__file__).resolve().parents[4] / "docs"
SCRIPT = "compare.js"


def test_the_finding_has_the_numbers_of_the_table(records: Records) -> None:
    small = records["maps.json"]["images"][-1]
    kept = f"keeps {small['effects']['gates-zero']['found']} with all gates at zero"
    assert kept in maps_page.lead(records)
    assert f"{small['effects']['masks-one']['found']} of {small['faces']}" in maps_page.maps(
        records
    )


def body(records: Records) -> str:
    return maps_page.maps(records).replace('src="../', f'src="{DOCS.as_uri()}/')


@pytest.mark.slow
def test_the_line_moves_by_key_and_cuts_the_image_above(page: Any) -> None:
    line = page.get_by_label("Share of the image as it is")
    line.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    image = page.locator(".ff-compare figure:visible img").nth(1)
    assert image.evaluate("(i) => getComputedStyle(i).clipPath") == "inset(0px 0px 0px 70%)"
    before, after = (page.locator(".ff-compare figure:visible img").nth(i) for i in (0, 1))
    assert before.bounding_box() == after.bounding_box()


@pytest.mark.slow
def test_a_choice_shows_its_state_and_says_the_scores(page: Any) -> None:
    said = page.get_by_role("status")
    assert "Right: Offsets at zero" in said.inner_text()
    page.get_by_label("offsets at zero").focus()
    page.keyboard.press("ArrowDown")
    assert "Right: Masks at one" in said.inner_text()
    page.get_by_label("attention bypassed").check()
    assert "Left: As it is: a box that scores 0.9997." in said.inner_text()
    assert page.locator(".ff-compare figure:visible").count() == 2


@pytest.mark.slow
def test_without_scripts_all_states_stand_side_by_side(plain_page: Any) -> None:
    assert plain_page.locator(".ff-compare figcaption:visible").count() == 5
