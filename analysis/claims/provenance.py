"""The origin of the paper, code, card and weights: who published what, when, at which revision."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PAPER = "https://doi.org/10.3390/electronics14030517"
CARD_LINE = (
    "https://github.com/fokouarnaud/FeatherFace/blob/0d2dce0/docs/V1_ARCHITECTURE_DIAGRAM.md"
    "?plain=1#L{line}"
)
"""The address of a line of the card, as the ledger cites it."""

AUTHORS = "the paper's authors: Kim, Jung and Kim"
FORK_OWNER = "the owner of the fork, fokouarnaud"


@dataclass(frozen=True)
class Publication:
    """One thing that somebody published."""

    date: str
    """First day, as far as it is known: "2025-01" is a month."""
    what: str
    who: str
    repository: str | None = None
    """On GitHub."""
    revision: str | None = None
    weights: tuple[str, ...] = ()
    """Names in `featherface.weights.published.PUBLISHED`."""
    until: str | None = None
    """Last day, of something that changed for a while."""
    doi: str | None = None

    @property
    def link(self) -> str:
        """The address of the publication at its revision."""
        if self.doi:
            return self.doi
        tree = f"/tree/{self.revision}" if self.revision else ""
        return f"https://github.com/{self.repository}{tree}"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "link": self.link}


PUBLICATIONS = (
    Publication("2025-01", "the paper, Electronics 14(3), 517", AUTHORS, doi=PAPER),
    Publication(
        "2025-01-06",
        "the code of `official`, without weights",
        AUTHORS,
        "dohun-mat/FeatherFace",
        until="2025-08-28",
    ),
    Publication(
        "2025-06-27",
        "weights of `official`, which hold the counters that thop leaves behind",
        FORK_OWNER,
        "fokouarnaud/FeatherFace",
        "d9c5756",
        weights=("official-2025-06",),
    ),
    Publication(
        "2025-07-04",
        "the card, first version",
        FORK_OWNER,
        "fokouarnaud/FeatherFace",
        "f43a6de",
    ),
    Publication(
        "2025-07-05",
        "the card as judged here, and the code of `v1`",
        FORK_OWNER,
        "fokouarnaud/FeatherFace",
        "0d2dce0",
    ),
    Publication(
        "2025-07-08",
        "weights of `no-attention`, a network of the fork, with thop's counters",
        FORK_OWNER,
        "fokouarnaud/FeatherFace",
        "7174747",
    ),
    Publication(
        "2025-07-11",
        "the same weights of `no-attention` without the counters",
        FORK_OWNER,
        "fokouarnaud/FeatherFace",
        "503d2c5",
        weights=("no-attention",),
    ),
    Publication(
        "2025-11-17",
        "the authors' code trained again: 23 checkpoints of `official`",
        FORK_OWNER,
        "fokouarnaud/featherface-train",
        "a8966ed",
        weights=("official",),
    ),
)
"""In the order of their dates, from the histories of the repositories."""


def provenance() -> dict[str, Any]:
    """Return the publications, and the address of a line of the card, as a JSON document."""
    records = [publication.as_dict() for publication in PUBLICATIONS]
    return {"publications": records, "card_line": CARD_LINE}
