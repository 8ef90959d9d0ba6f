"""The verdict on every published figure, computed on networks that are built for it.

- *confirmed*: the figure holds as stated on the network it speaks of;
- *explained*: it does not, but another convention that the ledger names gives it within its
  printed digits;
- *refuted*: measured otherwise, and no such convention gives it;
- *untested*: the measurement that would decide cannot be made; the explanation says what it takes,
  and *replications* show what somebody else reached.

A verdict is never written down by hand. The ones accepted last are recorded in `RECORD`, and
`changes` lists what moved since.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from analysis.claims.expression import Expression, Value, Vocabulary, parse, parse_template
from analysis.claims.ledger import CLAIMS, Claim, Frozen, Ledger, LedgerError, is_number, load_all
from analysis.claims.measurements import UntestableError, vocabulary
from analysis.widerface.history import first_error
from featherface.config import FeatherFaceConfig
from featherface.errors import InputError
from featherface.files import read_text, write_bytes

RECORD = CLAIMS / "recorded.json"
"""The verdicts as last accepted: of each, what `changes` compares. It ships with the package."""

Name = Literal["confirmed", "explained", "refuted", "untested"]

VERDICTS: tuple[Name, ...] = get_args(Name)


@dataclass(frozen=True)
class Recorded:
    """The recorded part of a verdict."""

    id: str
    source: str
    claimed: Frozen
    measured: Frozen | None
    verdict: Name
    row: dict[str, Any] = field(compare=False, repr=False)
    """All that the file says of it."""

    @property
    def name(self) -> str:
        """Source and claim, as in the node ids of the tests: "card:total"."""
        return f"{self.source}:{self.id}"


@dataclass(frozen=True)
class Verdict:
    """One claim, what was measured for it, and what follows; other fields as in `Claim`."""

    id: str
    source: str
    lines: list[int]
    where: str | None
    statement: str
    kind: str
    claimed: Value
    unit: str
    printed: str
    tolerance: float
    variant: str | None
    network: str | None
    """`variant` or, for arithmetic, the network that the figures belong to."""
    blocks: list[str]
    published: bool
    measure: str
    convention: str
    measured: Value | None
    """`None` where the measurement cannot be made here."""
    verdict: Name
    readings: tuple[str, ...]
    """The other readings that reproduce the figure."""
    explanation: str
    replications: tuple[dict[str, Any], ...]
    """Measurements near to the claim: `statement`, `measured`, and whether the figure `holds`."""
    missing: tuple[str, ...]
    """Measurements that failed because a program is not installed here."""

    @property
    def name(self) -> str:
        """Source and claim: "card:total"."""
        return f"{self.source}:{self.id}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Change:
    """One difference between the verdicts now and those recorded."""

    name: str
    what: Literal["verdict", "measured", "claim", "new", "gone"]
    before: Any
    after: Any

    def __str__(self) -> str:
        match self.what:
            case "new":
                return f"{self.name}: not recorded yet: {self.after}"
            case "gone":
                return f"{self.name}: recorded as {self.before}, in no ledger any more"
        return f"{self.name}: {self.what}: {' → '.join(apart(self.before, self.after))}"


def audit(
    ledgers: Iterable[Ledger] | None = None,
    *,
    track: Callable[[Sequence[tuple[Claim, Ledger]]], Iterable[tuple[Claim, Ledger]]] = iter,
) -> list[Verdict]:
    """Return the verdict on every claim, in the order of the ledgers.

    Args:
        ledgers: all of the project's, unless given.
        track: wraps what is iterated over, to show progress.

    Raises:
        LedgerError: for a claim whose measurement makes no sense on the network.
    """
    given = load_all() if ledgers is None else ledgers
    claims = [(claim, ledger) for ledger in given for claim in ledger.claims]
    return [judge(claim, ledger) for claim, ledger in track(claims)]


def judge(claim: Claim, ledger: Ledger) -> Verdict:
    """Return the verdict on one claim.

    Raises:
        LedgerError: for a measurement that makes no sense on the network.
    """
    place = f"{ledger.name}: claim {claim.id!r}"
    gaps: list[UntestableError] = []
    words = vocabulary(ledger.network)
    measured = _measure(parse(claim.measure, words), f"{place}: measure", gaps)
    holds = measured is not None and _holds(measured, claim)
    readings: list[tuple[str, Value]] = []
    for i, other in enumerate(() if holds else claim.alternatives):
        value = _measure(parse(other.measure, words), f"{place}: alternatives[{i}].measure", gaps)
        if value is not None and _holds(value, claim):
            readings.append((other.reading, value))
    if measured is None:
        verdict: Name = "untested"
    elif holds:
        verdict = "confirmed"
    elif readings:
        verdict = "explained"
    else:
        # A reading that cannot be tried might be the one that reproduces the figure.
        verdict = "untested" if gaps else "refuted"
    unreplicated: list[UntestableError] = []
    replications = tuple(_replicate(claim, words, place, unreplicated))
    doubt = gaps[0].reason if gaps else ""
    whose = "Calculated" if claim.kind == "arithmetic" else f"On {_subject(claim, ledger)}"
    finding = _finding(claim, whose, verdict, measured, readings, doubt, replications)
    reason = _explain(claim, words, place, gaps)
    taken = {field.name for field in fields(Verdict)} & set(Claim.model_fields)
    found: dict[str, Any] = {name: getattr(claim, name) for name in taken} | {
        "network": claim.variant or claim.network or ledger.source.network or ledger.subject,
        "convention": ledger.convention(claim),
        "explanation": f"{finding} {reason}".strip(),
        "replications": replications,
    }
    return Verdict(
        **found,
        source=ledger.source.id,
        tolerance=float(claim.tolerance),
        measured=measured,
        verdict=verdict,
        readings=tuple(reading for reading, _ in readings),
        missing=tuple(dict.fromkeys(gap.reason for gap in [*gaps, *unreplicated] if gap.tool)),
    )


def record(verdicts: Iterable[Verdict], path: str | Path = RECORD) -> None:
    """Accept the verdicts: write what `changes` compares as JSON, one a line.

    Raises:
        InputError: where the file cannot be written.
    """
    names = [field.name for field in fields(Recorded) if field.compare]
    rows = [{name: getattr(verdict, name) for name in names} for verdict in verdicts]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    write_bytes(path, f"[\n{lines}\n]\n".encode())


def recorded(path: str | Path = RECORD) -> list[Recorded]:
    """Return the verdicts as last accepted.

    Args:
        path: a file that `record` or `featherface audit --json` wrote.

    Raises:
        InputError: where the file cannot be read, or is something else.
    """
    content = read_text(path)
    try:
        rows = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON: {error}") from None
    if not isinstance(rows, list):
        raise InputError(f"{path}: is not a list of verdicts")
    adapter = TypeAdapter(Recorded)
    found: dict[str, Recorded] = {}
    for number, row in enumerate(rows, start=1):
        where = f"{path}: entry {number} is not a verdict"
        try:
            known = {**row, "row": row} if isinstance(row, dict) else row
            one = adapter.validate_python(known)
        except ValidationError as error:
            raise InputError(f"{where}: {first_error(error)}") from None
        if one.name in found:
            raise InputError(f"{where}: {one.name} is there twice")
        found[one.name] = one
    return list(found.values())


def as_recorded(now: Iterable[Verdict], before: Iterable[Recorded]) -> list[Verdict]:
    """Return the verdicts, those that lack a program here as recorded; their explanations say so.

    A counter that is not installed must not undo what was found with it elsewhere.
    """
    old = {recorded.name: recorded for recorded in before}
    kept = []
    for verdict in now:
        then = old.get(verdict.name)
        if then and verdict.verdict == "untested" and unchecked(verdict, then):
            verdict = replace(
                verdict,
                verdict=then.verdict,
                measured=then.measured,
                explanation=f"As recorded; not rechecked here. {verdict.explanation}",
            )
        kept.append(verdict)
    return kept


def unchecked(verdict: Verdict, then: Recorded) -> bool:
    """Return whether a program is missing here, and what was found without it is as recorded."""
    return (
        bool(verdict.missing)
        and verdict.verdict in ("untested", then.verdict)
        and (verdict.measured is None or same(verdict.measured, then.measured))
        and same(verdict.claimed, then.claimed)
    )


def changes(now: Iterable[Verdict], before: Iterable[Verdict | Recorded] | None) -> list[Change]:
    """Return what differs between two audits: first in the order of `now`, then what is gone.

    Explanations may be reworded freely; verdicts, measured values and the claimed figures count.
    Without an audit before, the claims that are refuted differ.
    """
    if before is None:
        return [Change(v.name, "new", None, v.verdict) for v in now if v.verdict == "refuted"]
    old = {verdict.name: verdict for verdict in before}
    new = {verdict.name: verdict for verdict in now}
    found: list[Change] = []
    for name, verdict in new.items():
        if name not in old:
            found.append(Change(name, "new", None, verdict.verdict))
            continue
        then = old[name]
        if not same(verdict.claimed, then.claimed):
            found.append(Change(name, "claim", then.claimed, verdict.claimed))
        if not same(verdict.measured, then.measured):
            found.append(Change(name, "measured", then.measured, verdict.measured))
        if verdict.verdict != then.verdict:
            found.append(Change(name, "verdict", then.verdict, verdict.verdict))
    found += [Change(name, "gone", v.verdict, None) for name, v in old.items() if name not in new]
    return found


def beside(ledger: str | Path) -> Path:
    """Return the path of the record of a ledger of one's own."""
    return Path(ledger).with_suffix(".recorded.json")


def same(a: Value | None, b: Value | None) -> bool:
    """Return whether two measurements are equal: whole numbers exactly, others to 1 in 10⁹."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if not (is_number(a) and is_number(b)):
        return type(a) is type(b) and a == b
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def text(value: Value | None) -> str:
    """Return a measured or claimed value for people: 213,072; 43.74; yes; 64 × 80 × 80."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if value.is_integer() else f"{value:,.6g}"
        case tuple():
            items = [f"({text(item)})" if isinstance(item, tuple) else text(item) for item in value]
            return ", ".join(items) or "none"
    return value


def apart(a: Value | None, b: Value | None) -> tuple[str, str]:
    """Return two values as `text`, or as JSON where they differ and their texts do not."""
    shown = text(a), text(b)
    alike = shown[0] == shown[1] and not same(a, b)
    return (json.dumps(a), json.dumps(b)) if alike else shown


def _measure(measure: Expression, place: str, gaps: list[UntestableError]) -> Value | None:
    """Return what is measured; `None`, and one more of the `gaps`, where that cannot be done."""
    try:
        return measure.evaluate()
    except UntestableError as gap:
        gaps.append(gap)
        return None
    except InputError as error:
        raise LedgerError(f"{place}: {error}") from None


def _replicate(
    claim: Claim, words: Vocabulary, place: str, gaps: list[UntestableError]
) -> Iterator[dict[str, Any]]:
    for i, replication in enumerate(claim.replications):
        measure = parse(replication.measure, words)
        value = _measure(measure, f"{place}: replications[{i}].measure", gaps)
        if value is not None:
            holds = _holds(value, claim)
            yield {"statement": replication.statement, "measured": value, "holds": holds}


def _holds(measured: Value, claim: Claim) -> bool:
    claimed: Value = claim.claimed
    if is_number(measured) and is_number(claimed):
        return abs(Fraction(str(measured)) - Fraction(str(claimed))) <= claim.tolerance
    return same(measured, claimed)


def _finding(
    claim: Claim,
    whose: str,
    verdict: Name,
    measured: Value | None,
    readings: Sequence[tuple[str, Value]],
    doubt: str,
    replications: Sequence[dict[str, Any]],
) -> str:
    """Return what was found, in a few sentences, from the measured values alone."""

    def said(value: Value, shown: str = "") -> str:
        shown = shown or text(value)
        if isinstance(value, bool) or not claim.unit:
            return shown
        return shown + ("" if claim.unit.startswith("%") else " ") + claim.unit

    shown, stated = apart(measured, claim.claimed)
    found = "" if measured is None else f"{whose}: {said(measured, shown)}"
    also = "; ".join(
        reading if isinstance(value, bool) else f"{reading}: {said(value)}"
        for reading, value in readings
    )
    hint = f" Another convention gives the printed figure: {also}." if also else ""
    truths = isinstance(measured, bool) and isinstance(claim.claimed, bool)
    otherwise = "" if truths else f", not {stated}"
    match verdict:
        case "confirmed":
            rounded = claim.tolerance and not same(measured, claim.claimed)
            return f"{found}, which rounds to {claim.printed}." if rounded else f"{found}."
        case "explained":
            return f"{found}.{hint}"
        case "refuted":
            return f"{found}{otherwise}."
    what = f"{found}{otherwise}; undecided because" if found else "Not measured:"
    needs = f" Needed: {claim.requires}." if claim.requires else ""
    others = "; ".join(f"{r['statement']}: {said(r['measured'])}" for r in replications)
    nearest = f" Replications — {others}." if others else ""
    return f"{what} {doubt}.{needs}{hint}{nearest}"


def _subject(claim: Claim, ledger: Ledger) -> str:
    """Return the network that a claim is measured on, and what the measure changes in it."""
    if claim.variant is None:
        return str(ledger.subject)
    settings = {field.name for field in fields(FeatherFaceConfig)}
    changes = {
        f"{keyword.arg} {ast.literal_eval(keyword.value)}": None
        for node in ast.walk(ast.parse(claim.measure, mode="eval"))
        if isinstance(node, ast.Call) and node.args
        if isinstance(node.args[0], ast.Constant) and node.args[0].value == claim.variant
        for keyword in node.keywords
        if keyword.arg in settings and isinstance(keyword.value, ast.Constant)
    }
    return f"{claim.variant} with {' and '.join(changes)}" if changes else str(claim.variant)


def _explain(claim: Claim, words: Vocabulary, place: str, gaps: list[UntestableError]) -> str:
    """Return the ledger's explanation with its measurements filled in."""
    explained = ""
    for before, measure, spec in parse_template(claim.explanation, words):
        explained += before
        if measure is None:
            continue
        value = _measure(measure, f"{place}: explanation", gaps)
        if value is None:
            explained += f"(not measured: {gaps[-1].reason})"
            continue
        try:
            explained += format(value, spec) if spec else text(value)
        except (ValueError, TypeError) as error:
            raise LedgerError(f"{place}: explanation: {error}") from None
    return explained
