"""The origin of the paper, code, card and weights: who published what, when, at which revision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from featherface.files import read_text

FILE = Path(__file__).with_name("provenance.yaml")

_FIELDS = ("date", "what", "who", "repository", "revision", "weights", "until", "doi")


def provenance() -> dict[str, Any]:
    """Return the publications by date, and the address of a line of the card, as JSON document."""
    content = yaml.safe_load(read_text(FILE))
    publications = []
    for entry in content["publications"]:
        record = {name: entry.get(name) for name in _FIELDS}
        record |= {"who": content["people"][entry["who"]], "weights": entry.get("weights", [])}
        tree = f"/tree/{record['revision']}" if record["revision"] else ""
        link = record["doi"] or f"https://github.com/{record['repository']}{tree}"
        publications.append(record | {"link": link})
    return {"publications": publications, "card_line": content["card_line"]}
