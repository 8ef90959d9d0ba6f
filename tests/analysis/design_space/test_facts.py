"""Facts: what a ledger states of an architecture, read and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.design_space.facts import load_facts, unstated
from featherface import InputError

GOOD = """
source: {id: card}
facts:
  channels: {any_of: [74], lines: [45, 219], statement: 74 channels}
  context: {any_of: [dcnv1, dcnv2], statement: a deformable context}
"""


def ledger(folder: Path, text: str, name: str = "card") -> Path:
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def test_facts_are_read(tmp_path: Path) -> None:
    channels, context = load_facts("card", ledger(tmp_path, GOOD))
    assert (channels.field, channels.values, channels.lines) == ("channels", (74,), (45, 219))
    assert (channels.source, channels.statement) == ("card", "74 channels")
    assert (context.values, context.lines) == (("dcnv1", "dcnv2"), ())
    assert channels.agrees({"channels": 74})
    assert not channels.agrees({"channels": 64})
    open_fields = ("pyramid", "cells", "attention", "reduction", "shuffle", "anchors")
    assert unstated((channels, context)) == open_fields


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claims: []", "card.yaml: states no facts"),
        ("facts: {}", "card.yaml: states no facts"),
        ("- a list", "card.yaml: states no facts"),
        ("facts: [", "card.yaml: is not YAML: "),
        ("facts: {channels: 74}", "card.yaml: facts: channels: "),
        (
            "facts: {channels: {any_of: [74]}}",
            "card.yaml: facts: channels.statement: Field required",
        ),
        (
            "facts: {channels: {any_of: 74, statement: s}}",
            "card.yaml: facts: channels.any_of: Input should be a valid list",
        ),
        (
            "facts: {channels: {any_of: [74], statement: s, line: 3}}",
            "card.yaml: facts: channels.line: Extra inputs are not permitted",
        ),
        ("facts: {depth: {any_of: [3], statement: s}}", "facts: depth: unknown field 'depth'"),
        (
            "facts: {context: {any_of: [dcnv3], statement: s}}",
            "card.yaml: facts: context: context (='dcnv3') must be one of",
        ),
        (
            "facts: {channels: {any_of: ['74'], statement: s}}",
            "card.yaml: facts: channels: channels (='74') must be an integer",
        ),
    ],
)
def test_bad_facts_name_the_ledger_and_the_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        load_facts("card", ledger(tmp_path, text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_only_known_sources_are_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown source '\.\./card': it must be one of"):
        load_facts("../card", tmp_path)
    with pytest.raises(InputError, match=r"card\.yaml: cannot be read: No such file"):
        load_facts("card", tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_bytes(b"\xff\xfe\x00facts")
    with pytest.raises(InputError, match=r"paper\.yaml: is not YAML"):
        load_facts("paper", tmp_path)
