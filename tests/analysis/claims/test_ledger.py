"""Ledgers: what a good one holds, and that a bad one is named by file, entry and field."""

from __future__ import annotations

import copy
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.claims.ledger import (
    SOURCES,
    Claim,
    Ledger,
    LedgerError,
    load,
    load_all,
    read_figure,
)
from analysis.claims.measurements import expression
from analysis.design_space.facts import SOURCES as SOURCES_OF_FACTS
from analysis.design_space.facts import load_facts

TOTAL: dict[str, Any] = {
    "id": "total",
    "lines": [10, 216],
    "statement": "The network has 487,103 parameters",
    "claimed": 487_103,
    "unit": "parameters",
    "printed": "487,103",
    "kind": "parameters",
    "variant": "v1",
    "measure": "params('v1')",
}
GOOD: dict[str, Any] = {
    "source": {"id": "card", "title": "t", "what": "w", "where": "u"},
    "conventions": {"parameters": "learnable values"},
    "claims": [TOTAL],
}


def written(folder: Path, content: Any, name: str = "card") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), "utf-8")
    return path


def with_claim(**changes: Any) -> dict[str, Any]:
    """The good ledger, its claim changed; a field set to None is left out."""
    ledger = copy.deepcopy(GOOD)
    claim = {k: v for k, v in (TOTAL | changes).items() if v is not None}
    ledger["claims"] = [claim]
    return ledger


def test_an_earlier_ledger_is_read(tmp_path: Path) -> None:
    for earlier in (True, False):
        ledger = GOOD | {"source": GOOD["source"] | {"cites_lines": earlier}}
        assert load(written(tmp_path, ledger)).claims == load(written(tmp_path, GOOD)).claims


def test_a_good_ledger_is_read(tmp_path: Path) -> None:
    (claim,) = load(written(tmp_path, GOOD)).claims
    assert (claim.id, claim.lines, claim.claimed) == ("total", [10, 216], 487_103)
    assert claim.tolerance == 0


@pytest.mark.parametrize(
    ("claimed", "frozen"), [([1, [2, 3]], (1, (2, 3))), (True, True), ("x", "x"), (0.5, 0.5)]
)
def test_claimed_values_keep_their_kind(tmp_path: Path, claimed: Any, frozen: Any) -> None:
    (claim,) = load(written(tmp_path, with_claim(claimed=claimed, printed="as printed"))).claims
    assert (claim.claimed, type(claim.claimed)) == (frozen, type(frozen))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"statement": None}, "claim 'total': statement: Field required"),
        ({"claimed": None}, "claim 'total': claimed: Field required"),
        ({"colour": "red"}, "claim 'total': colour: there is no such field; known: id, lines, "),
        (
            {"claimed": None, "claimd": 487_103},
            "claim 'total': claimd: there is no such field; did you mean 'claimed'? (and 1 more)",
        ),
        (
            {"alternatives": [{"readng": "r", "measure": "1"}]},
            "claim 'total': alternatives[0].readng: there is no such field; did you mean 'reading'",
        ),
        ({"id": "Total Sum"}, "claim 'Total Sum': id: must be lower-case letters, digits and hyp"),
        ({"printed": 487_103}, "claim 'total': printed: must be text: put it in quotes"),
        (
            {"claimed": "4.87103e5"},
            "claim 'total': claimed: '4.87103e5' is text to YAML; write 487103",
        ),
        (
            {"claimed": "1.5", "printed": "1.5"},
            "claim 'total': claimed: '1.5' is text to YAML; write 1.5",
        ),
        ({"id": None}, "claim number 1: id: Field required"),
        ({"lines": ["ten"]}, "claim 'total': lines[0]: Input should be a valid integer"),
        ({"lines": [0]}, "claim 'total': lines: they count from 1"),
        ({"lines": [3, 2]}, "claim 'total': lines: each once and in order"),
        ({"lines": None}, "claim 'total': where: it must say where it stands"),
        ({"claimed": {"a": 1}}, "claim 'total': claimed: {'a': 1} is not a number"),
        ({"claimed": [1, {"a": 1}]}, "claim 'total': claimed: {'a': 1} is not a number"),
        ({"claimed": 487_104}, "claim 'total': claimed: 487104 is not what '487,103' says"),
        ({"statement": ""}, "claim 'total': statement: String should have at least 1 character"),
        ({"kind": "gossip"}, "claim 'total': kind: Input should be 'arithmetic', 'parameters'"),
        ({"kind": "shape"}, "claim 'total': convention: none for kind 'shape'"),
        ({"variant": "v2"}, "claim 'total': variant: 'v2' must be one of v1, "),
        ({"variant": None}, "claim 'total': variant: every kind but arithmetic speaks of one"),
        ({"kind": "arithmetic"}, "claim 'total': variant: every kind but arithmetic"),
        (
            {"kind": "arithmetic", "variant": None},
            "claim 'total': measure: arithmetic calculates with figures of the source alone",
        ),
        ({"variant": "official"}, "claim 'total': measure: it does not look at 'official'"),
        ({"measure": "params('v1'"}, "claim 'total': measure: \"params('v1'\" is not an expr"),
        ({"measure": "weigh('v1')"}, "claim 'total': measure: \"weigh('v1')\": there is no func"),
        ({"measure": "params('v2')"}, "claim 'total': measure: \"params('v2')\": variant (='v2')"),
        (
            {"alternatives": [{"reading": "r", "measure": "ap(subset='easy', variant='v2')"}]},
            "claim 'total': alternatives[0].measure: \"ap(subset='easy', variant='v2')\": variant",
        ),
        ({"explanation": "{params('v3')}"}, "claim 'total': explanation: \"params('v3')\": vari"),
        ({"measure": "open('x')"}, "claim 'total': measure: \"open('x')\": there is no function"),
        (
            {"alternatives": [{"reading": "r", "measure": "1"}, {"reading": "r", "measure": "!"}]},
            "claim 'total': alternatives[1].measure: '!' is not an expression",
        ),
        ({"alternatives": [{"measure": "1"}]}, "claim 'total': alternatives[0].reading: Field"),
        ({"explanation": "{"}, "claim 'total': explanation: '{' is not a template"),
        ({"requires": "data"}, "claim 'total': requires: claims of accuracy, and only these"),
        ({"kind": "accuracy"}, "claim 'total': requires: claims of accuracy, and only these"),
        ({"claimed": float("inf")}, "claim 'total': claimed: inf is not a number"),
        ({"claimed": [float("nan")]}, "claim 'total': claimed: nan is not a number"),
        ({"blocks": ["neck"]}, "claim 'total': blocks: 'neck' must be one of backbone, "),
        ({"blocks": "heads"}, "claim 'total': blocks: Input should be a valid list"),
        ({"network": "v1"}, "claim 'total': network: the claim already names its variant"),
        ({"network": "v9"}, "claim 'total': network: 'v9' must be one of v1, "),
        (
            {"claimed": [[[[1]]]], "printed": "x"},
            "claim 'total': claimed: lists of at most 100 entries",
        ),
        (
            {"replications": [{"statement": "s"}]},
            "claim 'total': replications[0].measure: Field required",
        ),
    ],
)
def test_a_bad_claim_is_named_by_entry_and_field(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(LedgerError) as error:
        load(written(tmp_path, with_claim(**changes)))
    assert str(error.value).startswith(f"card.yaml: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD | {"claims": [TOTAL, TOTAL]}, "claim 'total': id: there is another of that name"),
        (GOOD | {"claims": ["total"]}, "claim number 1: must be a mapping of fields"),
        (GOOD | {"source": {"id": "card"}}, "source.title: Field required (and 2 more)"),
        (GOOD | {"conventions": {"gossip": "x"}}, "conventions.gossip"),
        ({"claims": []}, "source: Field required"),
        (GOOD | {"sorce": {}}, "sorce: there is no such field; did you mean 'source'?"),
        (GOOD | {"source": {"titel": "t"}}, "source.titel: there is no such field; did you mean"),
        ("", "is empty; featherface audit --init NAME writes one to fill in"),
        ("- a\n- b\n", "is no ledger: it has no fields; featherface audit --init"),
        ("claims: [", "is not YAML: "),
        ("claims: []\nclaims: []\n", "'claims' comes twice"),
        ("facts: &f {a: 1}\nsource: {<<: *f}\n", "'<<' is not understood: write the fields out"),
        ("a: !!python/object:os.system x\n", "is not YAML: could not determine a constructor"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(LedgerError) as error:
        load(written(tmp_path, content))
    assert "card.yaml: " in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"none\.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LedgerError, match=r"binary\.yaml: cannot be read: not UTF-8"):
        load(tmp_path / "binary.yaml")


# --- printed figures -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "number", "tolerance"),
    [
        ("487,103", 487_103, 0),
        ("72", 72, 0),
        ("0", 0, 0),
        ("43.7%", Fraction(437, 10), Fraction(5, 100)),
        ("0%", 0, Fraction(1, 2)),
        ("87.0%", 87, Fraction(5, 100)),
        ("~87%", 87, Fraction(1, 2)),
        ("+4.0%", 4, Fraction(5, 100)),
        ("0.25", Fraction(1, 4), Fraction(5, 1000)),
        ("92.645", Fraction(92_645, 1000), Fraction(5, 10_000)),
        ("213K", 213_000, 500),
        ("488.7K", 488_700, 50),
        ("488.7k", 488_700, 50),
        ("0.49 M", 490_000, 5_000),
        ("1.013G", 1_013_000_000, 500_000),
        ("~3,584", 3_584, Fraction(1, 2)),
        ("~489,000", 489_000, 500),
        ("~10K", 10_000, 500),
        ("~0", 0, Fraction(1, 2)),
        ("4.07 MFLOPs", 4_070_000, 5_000),
        ("1.2GMACs", 1_200_000_000, 50_000_000),
        ("25K parameters", 25_000, 500),
        ("43.7 % mAP", Fraction(437, 10), Fraction(5, 100)),
        ("1.8 G MACs", 1_800_000_000, 50_000_000),
        ("16 kernels", 16, 0),
        ("3 Modules", 3, 0),
    ],
)
def test_printed_figures_are_read_with_their_rounding(
    printed: str, number: Fraction, tolerance: Fraction
) -> None:
    assert read_figure(printed) == (number, tolerance)


@pytest.mark.parametrize(
    "printed",
    [
        *("", "7×7", "[N, 2]", "640³", "1,23", "12,3456", "3x", "3 by 3"),
        *("11.7 million", "11.7 Mparams", "1.8 GMac", "1.8 GFlops", "1.2 TFLOPs", "46.8 MB"),
        *("7 B", "1.2 thousand"),
    ],
)
def test_other_text_is_no_figure(printed: str) -> None:
    assert read_figure(printed) is None


# --- the project's own ---------------------------------------------------------------------------

LEDGERS = load_all()
FIGURE = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")

# What arithmetic needs beside the source's figures: the whole, and how far seven (five) rounded
# shares of it can miss it.
OWN_LITERALS = {
    "shares-add-up": {100.0, 7.0, 0.05},
    "released-shares-add-up": {100.0, 5.0, 0.05},
}


def figures(ledger: Ledger) -> set[float]:
    """Every figure that its claims quote, "488.7K" both as 488.7 and as 488,700."""
    found: set[float] = set()
    for claim in ledger.claims:
        for piece in (claim.printed, *claim.operands):
            found |= {float(f.replace(",", "")) for f in FIGURE.findall(piece)}
            if figure := read_figure(piece):
                found.add(float(figure[0]))
    return found


def test_the_ledgers_are_of_the_sources_that_their_files_name() -> None:
    assert tuple(ledger.source.id for ledger in LEDGERS) == SOURCES


@pytest.mark.parametrize("ledger", LEDGERS, ids=lambda ledger: ledger.source.id)
def test_arithmetic_calculates_with_figures_of_its_source(ledger: Ledger) -> None:
    printed = figures(ledger)
    strange = {
        claim.id: sorted(foreign)
        for claim in ledger.claims
        if claim.kind == "arithmetic"
        and (
            foreign := {float(x) for x in expression(claim.measure).literals()}
            - printed
            - OWN_LITERALS.get(claim.id, set())
        )
    }
    assert strange == {}


@pytest.mark.parametrize("source", SOURCES_OF_FACTS)
def test_the_facts_of_the_ledgers_are_usable(source: str) -> None:
    assert load_facts(source)


# --- whatever a file may hold --------------------------------------------------------------------


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["params('v1')", "{params('v1'):x}", "487,103", "v1", "accuracy", "9" * 5000]),
)
CONTENT = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = [*Claim.model_fields, "extra"]


def read_or_refused(path: Path) -> None:
    refused = ""
    try:
        load(path)
    except LedgerError as error:
        refused = str(error)
    assert not refused or refused.startswith((path.name, str(path)))
    assert "\n" not in refused


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(field=st.sampled_from(FIELDS), value=CONTENT)
def test_any_value_of_a_claim_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, field: str, value: Any
) -> None:
    ledger = copy.deepcopy(GOOD)
    ledger["claims"][0][field] = value
    read_or_refused(written(tmp_path_factory.mktemp("claim"), ledger))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=CONTENT)
def test_any_document_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: Any
) -> None:
    read_or_refused(written(tmp_path_factory.mktemp("document"), content))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.integers(min_value=0), junk=st.text(max_size=8))
def test_any_damage_to_the_text_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, junk: str
) -> None:
    text = yaml.safe_dump(GOOD)
    at = place % len(text)
    read_or_refused(
        written(tmp_path_factory.mktemp("text"), text[:at] + junk + text[at + len(junk) :])
    )


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1, 1]\nb: &b [*a, *a]\nc: *c",
        "[" * 3000,
        "- " * 3000,
        "? [1]\n: 2",
        "a: 2020-13-45",
        "a: !!python/object:os.system x",
        "a: !!int x",
        "<<: 3",
        "!!binary x",
        "---\n---",
        "\ud800",
        "2: 3\n? {a: b}\n: c",
    ],
)
def test_odd_yaml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(LedgerError) as error:
        load(path)
    assert "\n" not in str(error.value)
