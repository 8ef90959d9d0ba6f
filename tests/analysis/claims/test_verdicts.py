"""Verdicts: how they follow from measurements, how they are recorded, and what counts as change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from analysis.claims import measurements as measure
from analysis.claims.ledger import Ledger, LedgerError, load
from analysis.claims.verdicts import (
    Verdict,
    as_recorded,
    audit,
    changes,
    judge,
    record,
    recorded,
    same,
    text,
    unchecked,
)
from featherface.blocks import heads
from featherface.config import CONFIGS
from featherface.errors import InputError
from featherface.files import write_json

HEADS = 3 * (74 + 1) * 2 * 16  # v1: three levels, two anchors, weights and biases


def ledger(**claim: Any) -> Ledger:
    """A ledger of one claim, which holds unless it is changed: the parameters of v1's heads."""
    content = {
        "id": "heads",
        "where": "here",
        "statement": "The heads have so many parameters",
        "claimed": HEADS,
        "unit": "parameters",
        "printed": f"{HEADS:,}",
        "kind": "parameters",
        "variant": "v1",
        "measure": "params('v1', 'heads')",
    } | claim
    kinds = ("arithmetic", "parameters", "structure", "accuracy")
    return Ledger.model_validate(
        {
            "source": {"id": "paper", "title": "t", "what": "w", "where": "u"},
            "conventions": dict.fromkeys(kinds, "as usual"),
            "claims": [{key: value for key, value in content.items() if value is not None}],
        }
    )


def verdict(**claim: Any) -> Verdict:
    (found,) = audit([ledger(**claim)])
    return found


OTHER = {"reading": "weights without biases", "measure": "kernels('v1', 'heads')"}
WRONG = {"reading": "a wrong track", "measure": "biases('v1', 'heads')"}
THOP = {"reading": "as thop counts", "measure": "counted('thop', 'params', 'v1')"}
BY_THOP: dict[str, Any] = {"claimed": 7136, "printed": "7,136", "alternatives": [THOP]}


def test_confirmed() -> None:
    found = verdict(explanation="Of {params('v1')} in all, {params('v1', 'shuffle'):.1f} move.")
    assert (found.verdict, found.measured, found.readings) == ("confirmed", HEADS, ())
    assert found.explanation == "On v1: 7,200 parameters. Of 487,103 in all, 0.0 move."
    assert (found.name, found.convention) == ("paper:heads", "as usual")


def test_confirmed_says_when_it_is_rounding() -> None:
    found = verdict(claimed=7000, printed="7K")
    assert (found.verdict, found.tolerance) == ("confirmed", 500)
    assert found.explanation == "On v1: 7,200 parameters, which rounds to 7K."


def test_explained_names_the_reading_that_reproduces_it() -> None:
    found = verdict(claimed=7104, printed="7,104", alternatives=[WRONG, OTHER])
    assert (found.verdict, found.measured) == ("explained", HEADS)
    assert found.readings == ("weights without biases",)
    assert "weights without biases: 7,104 parameters" in found.explanation
    assert "wrong track" not in found.explanation


def test_all_readings_that_reproduce_it_are_named() -> None:
    again = {"reading": "counted by level", "measure": "3 * kernels('v1', 'heads.*.0')"}
    found = verdict(claimed=7104, printed="7,104", alternatives=[OTHER, again])
    assert found.readings == ("weights without biases", "counted by level")


def test_refuted_shows_what_is_true() -> None:
    found = verdict(claimed=7136, printed="7,136", alternatives=[OTHER])
    assert (found.verdict, found.readings) == ("refuted", ())
    assert found.explanation == "On v1: 7,200 parameters, not 7,136."


@pytest.mark.parametrize(
    ("measured", "claimed", "said"),
    [
        ("(10,)", 10, "[10] parameters, not 10."),
        ("6999.9999", 7000, "6999.9999 parameters, not 7000."),
        ("'10'", 10, '"10" parameters, not 10.'),
        ("1", True, "1 parameters, not yes."),
        ("1 == 1", 1, "yes, not 1."),
        ("1 == 2", True, "no."),
    ],
)
def test_what_is_refuted_does_not_look_like_what_is_claimed(
    measured: str, claimed: Any, said: str
) -> None:
    found = verdict(
        kind="arithmetic", variant=None, measure=measured, claimed=claimed, printed=str(claimed)
    )
    assert (found.verdict, found.explanation) == ("refuted", f"Calculated: {said}")


def test_what_moved_does_not_look_like_what_is_recorded() -> None:
    before = verdict()
    (change,) = changes([replace(before, measured=(HEADS,))], [before])
    assert str(change) == "paper:heads: measured: 7200 → [7200]"


def test_a_confirmed_figure_needs_no_other_reading() -> None:
    same_again = {"reading": "another", "measure": "params('v1', 'heads')"}
    assert verdict(alternatives=[same_again]).readings == ()


ACCURACY: dict[str, Any] = {
    "kind": "accuracy",
    "claimed": 50.0,
    "printed": "50.0%",
    "unit": "% AP",
    "variant": "v1-deformable",
    "measure": "ap('v1-deformable', 'easy')",
    "requires": "trained weights",
}


def test_untested_says_what_is_missing() -> None:
    found = verdict(**ACCURACY)
    assert (found.verdict, found.measured, found.missing) == ("untested", None, ())
    assert found.explanation == (
        "Not measured: nobody has published trained weights of v1-deformable. "
        "Needed: trained weights."
    )


def test_replications_stand_beside_a_claim_that_cannot_be_tested() -> None:
    replications = [
        {"statement": "one training", "measure": "mean(40, 60)"},
        {"statement": "another", "measure": "mean(40, 50)"},
        {"statement": "not there", "measure": "ap('v1', 'easy')"},
    ]
    found = verdict(**ACCURACY, replications=replications)
    assert (found.verdict, found.measured) == ("untested", None)
    assert found.replications == (
        {"statement": "one training", "measured": 50.0, "holds": True},
        {"statement": "another", "measured": 45.0, "holds": False},
    )
    assert "Replications — one training: 50% AP; another: 45% AP." in found.explanation


def test_an_untested_claim_stays_so_though_its_figure_is_anothers() -> None:
    """That another quantity has the figure neither confirms nor refutes what was said of this."""
    other = {"reading": "the mean of another", "measure": "mean(40, 60)"}
    found = verdict(**ACCURACY, alternatives=[other])
    assert (found.verdict, found.readings) == ("untested", ("the mean of another",))
    assert "printed figure: the mean of another: 50% AP" in found.explanation


@pytest.mark.parametrize(
    ("measured", "printed", "claimed", "expected"),
    [
        ("43.75", "43.7%", 43.7, "confirmed"),
        ("43.65", "43.7%", 43.7, "confirmed"),
        ("43.7501", "43.7%", 43.7, "refuted"),
        ("43.6499", "43.7%", 43.7, "refuted"),
        ("7499", "7K", 7000, "confirmed"),
        ("7500 + 1", "7K", 7000, "refuted"),
        ("7001", "7,000", 7000, "refuted"),
        ("6999.9999", "7,000", 7000, "refuted"),
        ("7000.0", "7,000", 7000, "confirmed"),
        ("0.5", "~0", 0, "confirmed"),
        ("(1, 2)", "1, 2", [1, 2], "confirmed"),
        ("(1, 2.0)", "1, 2", [1, 2], "confirmed"),
        ("(2, 1)", "1, 2", [1, 2], "refuted"),
        ("(1, 2, 3)", "1, 2", [1, 2], "refuted"),
        ("(1, (2,))", "1, 2", [1, [2]], "confirmed"),
        ("1 == 1", "yes", True, "confirmed"),
        ("1 == 2", "yes", True, "refuted"),
        ("1", "yes", True, "refuted"),
        ("1 == 1", "1", 1, "refuted"),
        ("'a'", "a", "a", "confirmed"),
    ],
)
def test_a_figure_holds_within_its_printed_digits_and_not_beyond(
    measured: str, printed: str, claimed: Any, expected: str
) -> None:
    found = verdict(
        kind="arithmetic", variant=None, measure=measured, printed=printed, claimed=claimed
    )
    assert found.verdict == expected


def test_a_measurement_that_makes_no_sense_names_ledger_entry_and_field() -> None:
    with pytest.raises(LedgerError, match=r"^paper: claim 'heads': measure: v1 has no mod"):
        verdict(measure="params('v1', 'feet')")
    bad = [{"reading": "r", "measure": "params('v1', 'feet')"}]
    with pytest.raises(LedgerError, match=r"claim 'heads': alternatives\[0\]\.measure: v1 has no"):
        verdict(claimed=1, printed="1", alternatives=bad)
    with pytest.raises(LedgerError, match=r"claim 'heads': explanation: v1 has no module"):
        verdict(explanation="{params('v1', 'feet')}")
    with pytest.raises(LedgerError, match=r"claim 'heads': explanation: .* variant \(='v3'\) must"):
        verdict(explanation="{params('v' + '3')}")
    with pytest.raises(LedgerError, match=r"claim 'heads': explanation: "):
        verdict(explanation="{params('v1'):spaced}")


def test_progress_is_shown_on_request() -> None:
    seen: list[str] = []

    def track(claims: Any) -> Iterator[Any]:
        for claim, book in claims:
            seen.append(f"{book.source.id}:{claim.id}")
            yield claim, book

    assert len(audit([ledger(), ledger(id="feet")], track=track)) == len(seen)
    assert seen == ["paper:heads", "paper:feet"]


# --- tools that are not installed ----------------------------------------------------------------


@pytest.fixture
def without_thop(monkeypatch: pytest.MonkeyPatch) -> None:
    thop_says(monkeypatch, None)


def thop_says(monkeypatch: pytest.MonkeyPatch, params: int | None) -> None:
    """Let thop count so many parameters, or be missing."""
    said = SimpleNamespace(counter="thop", value=1, macs=1, params=params)
    absent = SimpleNamespace(counter="thop", value=None, reason="thop is not installed")
    monkeypatch.setattr(measure, "_counters", lambda config: [absent if params is None else said])


def test_a_missing_tool_leaves_a_figure_undecided(without_thop: None) -> None:
    found = verdict(**BY_THOP)
    assert (found.verdict, found.measured) == ("untested", HEADS)
    assert found.missing == ("thop cannot be asked here: thop is not installed",)
    assert found.explanation.startswith("On v1: 7,200 parameters, not 7,136; undecided because ")


def test_a_missing_tool_does_not_matter_where_another_reading_decides(without_thop: None) -> None:
    found = verdict(claimed=7104, printed="7,104", alternatives=[THOP, OTHER])
    assert (found.verdict, found.readings) == ("explained", ("weights without biases",))


def test_a_replication_that_a_missing_tool_would_make_is_not_lost(without_thop: None) -> None:
    found = verdict(replications=[{"statement": "by thop", "measure": THOP["measure"]}])
    assert (found.verdict, found.replications) == ("confirmed", ())
    assert found.missing == ("thop cannot be asked here: thop is not installed",)


def test_a_missing_tool_is_said_in_explanations(without_thop: None) -> None:
    found = verdict(explanation="thop says {counted('thop', 'params', 'v1')}.")
    assert found.explanation.endswith(
        "thop says (not measured: thop cannot be asked here: thop is not installed)."
    )


def as_json(records: list[Any]) -> Any:
    return json.loads(json.dumps([getattr(r, "as_dict", lambda r=r: r)() for r in records]))


def test_a_missing_tool_is_no_change_and_not_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    thop_says(monkeypatch, 7136)
    before = verdict(**BY_THOP)
    assert before.verdict == "explained"
    thop_says(monkeypatch, None)
    now = verdict(**BY_THOP)
    (kept,) = as_recorded([now], [before])
    assert changes([kept], [before]) == []
    assert kept.explanation.startswith("As recorded; not rechecked here. On v1: 7,200 parameters, ")
    assert as_recorded([now], []) == [now]
    write_json(tmp_path / "v.json", [before.as_dict()])
    (then,) = recorded(tmp_path / "v.json")
    assert unchecked(now, then)
    assert [then.row] == as_json([before])


def test_a_missing_tool_hides_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    thop_says(monkeypatch, 7136)
    before = replace(verdict(**BY_THOP), measured=HEADS - 1)
    thop_says(monkeypatch, None)
    now = verdict(**BY_THOP)
    assert as_recorded([now], [before]) == [now]
    assert [c.what for c in changes([now], [before])] == ["measured", "verdict"]


def test_a_tool_that_counts_otherwise_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    thop_says(monkeypatch, 7136)
    before = verdict(**BY_THOP)
    thop_says(monkeypatch, 7137)
    (change,) = changes([verdict(**BY_THOP)], [before])
    assert (change.what, change.before, change.after) == ("verdict", "explained", "refuted")


# --- records and changes -------------------------------------------------------------------------


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    verdicts = [
        verdict(),
        verdict(
            id="pair",
            kind="structure",
            claimed=[[74, 4]] * 3,
            printed="p",
            measure="channels('v1', 'heads.classes.*')",
        ),
        verdict(id="open", **ACCURACY),
    ]
    path = tmp_path / "new" / "verdicts.json"
    record(verdicts, path)
    assert [(v.name, v.verdict, v.measured) for v in recorded(path)] == [
        ("paper:heads", "confirmed", HEADS),
        ("paper:pair", "confirmed", ((74, 4),) * 3),
        ("paper:open", "untested", None),
    ]
    assert changes(verdicts, recorded(path)) == []
    before = path.read_bytes()
    record(verdicts, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["verdicts.json"]


def test_a_record_is_read_from_the_json_that_the_command_writes_too(tmp_path: Path) -> None:
    write_json(tmp_path / "v.json", [verdict().as_dict()])
    assert changes([verdict()], recorded(tmp_path / "v.json")) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("[", "is not JSON"),
        ("{}", "is not a list of verdicts"),
        ("[1]", "entry 1 is not a verdict"),
        ('[{"id": "x"}]', "entry 1 is not a verdict: source: Field required"),
        ("[NaN]", "entry 1 is not a verdict"),
        *(
            (json.dumps([verdict().as_dict() | damage]), "entry 1 is not a verdict")
            for damage in (
                {"verdict": "plausible"},
                {"verdict": ["confirmed"]},
                {"id": 3},
                {"claimed": {"a": 1}},
                {"claimed": None},
                {"measured": float("nan")},
                {"measured": 10**400},
            )
        ),
        (
            json.dumps([verdict().as_dict()] * 2),
            "entry 2 is not a verdict: paper:heads is there twice",
        ),
    ],
)
def test_damaged_records_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "verdicts.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as error:
        recorded(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_a_record_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        recorded(tmp_path / "none.json")


def test_changes_are_told_apart() -> None:
    v = verdict()
    kept, moved, turned, reworded, gone, new, restated = (
        replace(v, id=name)
        for name in ("kept", "moved", "turned", "reworded", "gone", "new", "restated")
    )
    before = [kept, moved, turned, reworded, gone, restated]
    now = [
        kept,
        replace(moved, measured=HEADS + 1),
        replace(turned, verdict="refuted"),
        replace(reworded, explanation="In other words.", statement="Also in other words"),
        new,
        replace(restated, claimed=HEADS - 1),
    ]
    found = changes(now, before)
    assert [(c.name.removeprefix("paper:"), c.what) for c in found] == [
        ("moved", "measured"),
        ("turned", "verdict"),
        ("new", "new"),
        ("restated", "claim"),
        ("gone", "gone"),
    ]
    assert str(found[0]) == "paper:moved: measured: 7,200 → 7,201"


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1, True),
        (10**12, 10**12 + 1, False),
        (1.0, 1.0 + 1e-10, True),
        (1.0, 1.0 + 1e-8, False),
        (0.0, 1e-300, False),
        (1, 1.0, True),
        (True, 1, False),
        (True, True, True),
        ("a", "a", True),
        (None, None, True),
        (None, 0, False),
        ((1, (2.0,)), (1, (2.0 + 1e-10,)), True),
        ((1, 2), (1, 2, 3), False),
        ((1,), 1, False),
    ],
)
def test_measurements_are_compared_exactly_but_for_floating_point(
    a: Any, b: Any, equal: bool
) -> None:
    assert same(a, b) is equal
    assert same(b, a) is equal


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (213_072, "213,072"),
        (43.7328, "43.7328"),
        (8.0, "8"),
        (True, "yes"),
        (False, "no"),
        ((64, 80, 80), "64, 80, 80"),
        (((7, 7), (7, 7)), "(7, 7), (7, 7)"),
        ((), "none"),
        ("both", "both"),
        (None, "nothing"),
    ],
)
def test_values_are_written_for_people(value: Any, said: str) -> None:
    assert text(value) == said


# --- a layer that changes ------------------------------------------------------------------------


def card() -> dict[str, Verdict]:
    """Verdicts on the claims of the card that no counter has to be asked for."""
    book = load("card")
    return {
        claim.id: judge(claim, book)
        for claim in book.claims
        if not any("counted" in other.measure for other in claim.alternatives)
    }


@pytest.mark.slow
@pytest.mark.usefixtures("fresh")
def test_heads_without_biases_fail_the_claims_on_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = card()
    measure._built.cache_clear()

    def convs(channels: int, outputs: int) -> nn.ModuleList:
        return nn.ModuleList(nn.Conv2d(channels, outputs, 1, bias=False) for _ in range(3))

    monkeypatch.setattr(heads, "_convs", convs)
    found = {c.name.removeprefix("card:") for c in changes(card().values(), before.values())}
    on_heads = {
        "heads-params",
        "class-head-params",
        "box-head-params",
        "landmark-head-params",
        "level-heads-params",
        "three-levels-params",
        "flow-heads",
    }
    on_the_whole = {
        "total",
        "total-with-reduction-16",
        "total-with-deformable-context",
        "total-as-drawn",
    }
    assert found == on_heads | on_the_whole


@pytest.mark.slow
def test_another_reduction_fails_the_claims_on_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    before = card()
    monkeypatch.setitem(CONFIGS, "v1", replace(CONFIGS["v1"], reduction=16))
    now = card()
    moved = {c.name.removeprefix("card:") for c in changes(now.values(), before.values())}
    assert moved == {
        "total",  # confirmed no more
        "total-with-deformable-context",
        "first-attention-params",
        "second-attention-params",
        "both-attentions-params",
        "pyramid-share",  # of another total
        "reduction",  # confirmed now
        "flow-first-attention",
        "flow-second-attention",
    }
    assert (now["total"].verdict, now["reduction"].verdict) == ("refuted", "confirmed")
