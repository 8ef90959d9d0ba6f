"""Ledgers: what was published about FeatherFace, claim by claim, and what to measure for each.

A ledger is a YAML file in `analysis/claims/`: one source and the figures that it states. It says
nothing about whether they hold. `analysis.claims.verdicts` finds that out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeGuard

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from analysis.claims.expression import (
    Expression,
    ExpressionError,
    Value,
    Vocabulary,
    is_finite,
    parse,
    parse_template,
)
from analysis.claims.measurements import vocabulary
from analysis.cost.blocks import BLOCK_CONVENTIONS
from analysis.cost.subject import Subject, parse_input
from featherface.config import BLOCKS, CONFIGS
from featherface.errors import InputError, among
from featherface.files import read_text

CLAIMS = Path(__file__).parent

SOURCES = ("card", "paper", "repository")
"""The ledgers that there are, in the order in which they are judged."""


Kind = Literal["arithmetic", "parameters", "macs", "shape", "structure", "accuracy"]
"""The subject of a figure; `arithmetic` holds or fails within the source, on no network."""


class LedgerError(InputError):
    """A ledger that cannot be used; the message names the file, the entry and the field."""


def frozen(value: Any, *, depth: int = 3) -> Value:
    """Return a value with lists as tuples.

    Raises:
        ValueError: for what no measurement can be.
    """
    if isinstance(value, list | tuple):
        if not depth or len(value) > 100:
            raise ValueError("lists of at most 100 entries, three deep, are understood")
        return tuple(frozen(item, depth=depth - 1) for item in value)
    if not (is_finite(value) and isinstance(value, bool | int | float | str)):
        raise ValueError(f"{value!r:.60} is not a number, text, truth value or list of these")
    return value


Frozen = Annotated[Any, AfterValidator(frozen)]
"""A claimed or measured value."""


def _one_or_more(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(size, int) for size in value):
        value = " ".join(map(str, value))
    return [value] if isinstance(value, str) else value


def _one_line(text: str) -> str:
    return " ".join(text.split())


Text = Annotated[str, Field(min_length=1), AfterValidator(_one_line)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Alternative(_Strict):
    """Another reading of a figure, under which it may hold."""

    reading: Text
    """The convention, protocol or variant, by a name that a reader understands."""
    measure: Text


class Replication(_Strict):
    """A measurement as near to a claim as there is, where the claim itself cannot be tested."""

    statement: Text
    measure: Text


class Claim(_Strict):
    """One figure that a source states."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    """Unique in its ledger."""
    lines: list[int] = []
    """Lines of the source on which it stands, counted from 1."""
    where: Text | None = None
    """Its place in the source, where lines do not say it."""
    statement: Text
    """The claim in the project's words."""
    claimed: Frozen
    unit: str = ""
    printed: Text
    """The figure as the source prints it, such as "43.7%"."""
    operands: list[str] = []
    """Other pieces of the source that the claim is about or calculates with, as printed."""
    kind: Kind
    variant: str | None = None
    """The network that it speaks of; `None` for arithmetic."""
    network: str | None = None
    """For arithmetic: the network whose figures it calculates with, where not the ledger's."""
    blocks: list[str] = []
    """The blocks that it is about; none for the network as a whole."""
    published: bool = True
    """`False` for what this project asked a counter, or asks itself; no part of any tally."""
    measure: Text
    """The quantity on that network or, for arithmetic, of the source's other figures."""
    convention: Text | None = None
    """Of `measure`; by default the ledger's convention for the kind."""
    alternatives: list[Alternative] = []
    replications: list[Replication] = []
    """Measurements by others, where the claim itself cannot be measured."""
    requires: Text | None = None
    """The requirements of a test of accuracy."""
    explanation: Annotated[str, AfterValidator(_one_line)] = ""
    """Why it is so, for someone who does not know the code; measurements stand in braces."""

    @property
    def tolerance(self) -> Fraction:
        """The largest error of rounding to the printed digits; 0 for what is no number."""
        figure = read_figure(self.printed)
        return figure[1] if figure else Fraction(0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        figure = read_figure(self.printed)
        if figure and isinstance(self.claimed, str):
            number = Decimal(figure[0].numerator) / figure[0].denominator
            raise ValueError(f"claimed: {self.claimed!r} is text to YAML; write {number}")
        if figure and is_number(self.claimed) and Fraction(str(self.claimed)) != figure[0]:
            raise ValueError(f"claimed: {self.claimed} is not what {self.printed!r} says")
        return self

    def check(self, subject: Subject | None) -> None:
        """Refuse, with a `ValueError`, what makes no sense for the network of the ledger."""
        words = vocabulary(subject)
        measure = _parsed("measure", parse, self.measure, words)
        for name in ("alternatives", "replications"):
            for i, other in enumerate(getattr(self, name)):
                _parsed(f"{name}[{i}].measure", parse, other.measure, words)
        _parsed("explanation", parse_template, self.explanation, words)
        if subject is None:
            self._check_names(measure)
        elif self.variant is not None or self.network is not None:
            raise ValueError("variant, network: the ledger already has a subject")
        if self.kind == "arithmetic" and not measure.functions() <= {"percent", "mean", "cut"}:
            raise ValueError("measure: arithmetic calculates with figures of the source alone")
        needs = self.kind == "accuracy" or "unavailable" in measure.functions()
        if needs != (self.requires is not None):
            raise ValueError("requires: claims of accuracy, and only these, say what they need")

    def _check_names(self, measure: Expression) -> None:
        if (self.kind == "arithmetic") != (self.variant is None):
            raise ValueError("variant: every kind but arithmetic speaks of one")
        if unknown := set(self.blocks) - set(BLOCKS):
            raise ValueError(f"blocks: {min(unknown)!r} must be one of {', '.join(BLOCKS)}")
        for field, name in (("network", self.network), ("variant", self.variant)):
            if name is not None and name not in CONFIGS:
                raise ValueError(f"{field}: {name!r} must be one of {', '.join(CONFIGS)}")
        if self.variant is not None and self.network is not None:
            raise ValueError("network: the claim already names its variant")
        looks = self.variant in measure.literals() or "unavailable" in measure.functions()
        if self.variant is not None and not looks:
            raise ValueError(f"measure: it does not look at {self.variant!r}")


def _parsed(field: str, parse: Callable[[str, Vocabulary], Any], text: str, words: Any) -> Any:
    try:
        return parse(text, words)
    except ExpressionError as error:
        raise ValueError(f"{field}: {error}") from None


class Source(_Strict):
    """The source of the claims of a ledger."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
    title: Text
    what: Text
    where: Text
    network: str | None = None
    """The variant that its arithmetic is about, if it is about one."""
    cites_lines: bool | None = None
    """Of no effect: ledgers had to say once whether their claims state `lines`."""


CONVENTIONS: dict[str, str] = {
    "arithmetic": "calculated from the figures that the source itself states",
    "parameters": BLOCK_CONVENTIONS["params"],
    "macs": BLOCK_CONVENTIONS["macs"],
    "shape": "without the batch; of what a module returned",
    "structure": "read off the modules of the network as built",
}
"""Of each kind, in a ledger of another network that states none."""


class Ledger(_Strict):
    """One source and its claims."""

    source: Source
    subject: Text | None = None
    """The network, for `analysis.cost.subject.load_model`, whose code runs; none for a ledger of
    the networks of the family, whose claims name a variant each."""
    input: Annotated[list[str], BeforeValidator(_one_or_more)] = ["1 3 224 224"]
    """The inputs of that network, as `featherface blocks --input` takes them."""
    arguments: dict[str, Frozen] = {}
    """Of the factory of that network, by name."""
    conventions: dict[Kind, Text] = {}
    """The convention of each kind, for claims that state none."""
    claims: list[Claim]
    facts: dict[str, Any] = {}
    """The stated settings of the architecture; read and checked by `analysis.design_space`."""
    _file: str = PrivateAttr("")

    @property
    def name(self) -> str:
        """The ledger in an error message: its file, where it was read from one."""
        return self._file or self.source.id

    def convention(self, claim: Claim) -> str:
        """Return the counting convention of a claim."""
        return claim.convention or self.conventions.get(claim.kind) or CONVENTIONS[claim.kind]

    @property
    def network(self) -> Subject | None:
        """The network that it is about, with inputs, if it is one of anybody's."""
        if self.subject is None:
            return None
        inputs = tuple(map(parse_input, self.input))
        return Subject(self.subject, inputs, tuple(self.arguments.items()))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.claims:
            raise ValueError("claims: there are none, so nothing would be judged")
        subject = self.network
        ids = Counter(claim.id for claim in self.claims)
        for claim in self.claims:
            try:
                claim.check(subject)
                self._check_place(claim)
                if ids[claim.id] > 1:
                    raise ValueError("id: there is another of that name")
                known = claim.kind in self.conventions or (subject and claim.kind in CONVENTIONS)
                if not (claim.convention or known):
                    raise ValueError(f"convention: none for kind {claim.kind!r}")
            except ValueError as error:
                raise ValueError(f"claim {claim.id!r}: {error}") from None
        return self

    def _check_place(self, claim: Claim) -> None:
        if not (claim.lines or claim.where or self.subject):
            raise ValueError("where: it must say where it stands")
        if any(line < 1 for line in claim.lines):
            raise ValueError("lines: they count from 1")
        if claim.lines != sorted(set(claim.lines)):
            raise ValueError("lines: each once and in order")


def load(path: str | Path) -> Ledger:
    """Read and check one ledger.

    Args:
        path: of the file, or one of `SOURCES` for the project's own.

    Raises:
        LedgerError: where the file cannot be read or something in it is wrong.
    """
    path = CLAIMS / f"{path}.yaml" if path in SOURCES else Path(path)
    text = read_text(path, error=LedgerError)
    try:
        content = yaml.load(text, Loader=_PlainKeys)
    except (yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError) as error:
        # PyYAML passes on what Python says of a date or number that is none.
        raise LedgerError(f"{path}: is not YAML: {error}") from None
    if not isinstance(content, dict):
        wrong = "is empty" if content is None else "is no ledger: it has no fields"
        raise LedgerError(f"{path}: {wrong}; featherface audit --init NAME writes one to fill in")
    try:
        ledger = Ledger.model_validate(content)
    except ValidationError as error:
        raise LedgerError(f"{path.name}: {_describe(error, content)}") from None
    ledger._file = path.name
    return ledger


def load_all() -> list[Ledger]:
    """Return the ledgers of `SOURCES`, in that order."""
    return [load(name) for name in SOURCES]


_UNITS = (
    r"\s*(?:FLOPs?|FLOPS|MACs?)|\s+m?AP"
    r"|\s+(?i:parameter|param|weight|channel|kernel|layer|module|face|image|pixel)s?"
)
"""Other words may be factors ("million", "GMac", "MB"), so that no figure is read before them."""

_PLAIN = re.compile(
    rf"([~+-]*)((?:\d{{1,3}}(?:,\d{{3}})+|\d+)(?:\.\d+)?)\s*([KkMG]?)(%?)(?:{_UNITS})?"
)
_FACTORS = {"": 1, "K": 10**3, "k": 10**3, "M": 10**6, "G": 10**9}


def read_figure(printed: str) -> tuple[Fraction, Fraction] | None:
    """Return a printed number, and by how much a number that rounds to it can differ from it.

    "43.7%" is 43.7, "0.49 M" is 490,000, "~3,584" is 3,584. They differ by half a unit of the last
    digit. A whole number that is printed in full is not rounded; after "~" it is, and its trailing
    zeros only fill it up ("~489,000" is exact to half a thousand).

    Returns:
        `None` for anything but a number with an optional sign, a factor K, M or G, `%` and a known
            unit.
    """
    match = _PLAIN.fullmatch(printed)
    if not match:
        return None
    sign, digits, factor, percent = match.groups()
    digits = digits.replace(",", "")
    number = Fraction(digits) * _FACTORS[factor] * (-1 if "-" in sign else 1)
    _, point, decimals = digits.partition(".")
    rounded = point or factor or percent
    if not (rounded or "~" in sign):
        return number, Fraction(0)
    zeros = 0 if rounded or not int(digits) else len(digits) - len(digits.rstrip("0"))
    return number, Fraction(10) ** (zeros - len(decimals)) * _FACTORS[factor] / 2


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a number, which truth values are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


_HOLDERS: dict[Any, type[BaseModel]] = {
    "source": Source,
    "claims": Claim,
    "alternatives": Alternative,
    "replications": Replication,
}
"""What the fields of a ledger hold that have fields of their own."""


_MESSAGES = {
    "string_type": "must be text: put it in quotes",
    "string_pattern_mismatch": "must be lower-case letters, digits and hyphens",
    "model_type": "must be a mapping of fields to values",
}
"""In place of pydantic's, by its type of error."""


def _describe(error: ValidationError, content: Any) -> str:
    """The first thing that is wrong, in one line, and how many more there are."""
    # A field with a misspelt name lacks as well: its name comes first.
    errors = error.errors(include_url=False)
    first, *others = sorted(errors, key=lambda each: each["type"] != "extra_forbidden")
    location = list(first["loc"])
    message = _MESSAGES.get(first["type"], first["msg"].removeprefix("Value error, "))
    if first["type"] == "extra_forbidden":
        holder = next((_HOLDERS[part] for part in location[-2::-1] if part in _HOLDERS), Ledger)
        message = f"there is no such field; {among(location[-1], holder.model_fields)}"
    parts = []
    if location[:1] == ["claims"] and len(location) > 1:
        entry = content["claims"][location[1]]
        name = entry.get("id") if isinstance(entry, dict) else None
        parts.append(f"claim {name!r}" if name else f"claim number {int(location[1]) + 1}")
        location = location[2:]
    if location:
        steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
        parts.append("".join(steps).removeprefix("."))
    parts.append(_one_line(message))
    more = f" (and {len(others)} more)" if others else ""
    return ": ".join(parts) + more


class _PlainKeys(yaml.SafeLoader):
    """Safe YAML in which a key that comes twice is an error rather than the last one's.

    So is the key `<<`, by which a few lines make more fields than fit any memory.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        wrong = [f"{key!r} comes twice" for key, times in keys.items() if times > 1]
        if "<<" in keys:
            wrong.append("'<<' is not understood: write the fields out")
        if wrong:
            raise yaml.composer.ComposerError(
                "while reading a mapping", node.start_mark, wrong[0], node.start_mark
            )
        return node
