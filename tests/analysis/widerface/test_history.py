"""The history of AP: rows are checked on their way in and out, and nobody's row is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from analysis.widerface import history
from analysis.widerface.history import Row
from featherface.errors import InputError
from featherface.weights.published import PUBLISHED

SHA = "0123456789abcdef" * 4


def row(**changes: Any) -> Row:
    measured: dict[str, Any] = {
        "date": "2026-01-31",
        "source": "measured",
        "by": "featherface",
        "detector": "official",
        "variant": "official",
        "checkpoint_sha256": SHA,
        "protocol": {"name": "original", "score_threshold": 0.02},
        "runtime": "torch",
        "images": 3226,
        "easy": 0.75,
        "medium": 0.5,
        "hard": 0.25,
        "boxes": 1000,
        "versions": {"torch": "2"},
        "device": "CPU",
    }
    return Row.model_validate(measured | changes)


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    rows = [row(), row(images=488, images_sha256=SHA, epoch=10), row(mean=0.5)]
    for one in rows:
        history.append(one, path)
    assert history.read(path) == rows
    assert [one.average for one in rows] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"easy": 75.0}, "easy"),
        ({"easy": None}, "without easy"),
        ({"checkpoint_sha256": "f7656f99"}, "checkpoint_sha256"),
        ({"checkpoint_sha256": None}, "without checkpoint_sha256"),
        ({"images": 488}, "images_sha256 goes with"),
        ({"images_sha256": SHA}, "images_sha256 goes with"),
        ({"images": 3227}, "images"),
        ({"date": "yesterday"}, "date"),
        ({"source": "guessed"}, "source"),
        ({"protocol": {}}, "protocol.name"),
        ({"accuracy": 0.9}, "accuracy"),
        ({"source": "published", "hard": None}, "neither a mean nor"),
    ],
)
def test_a_row_that_says_too_little_or_too_much_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "history.jsonl"
    history.append(row(), path)
    stray = row().model_dump(mode="json") | changes
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(stray) + "\n")
    with pytest.raises(InputError, match="line 2") as error:
        history.read(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_publication_may_state_less_than_a_measurement() -> None:
    published = row(
        source="published",
        runtime=None,
        boxes=None,
        versions=None,
        device=None,
        easy=None,
        mean=0.5,
    )
    assert published.average == 0.5
    with pytest.raises(ValidationError, match="without runtime"):
        row(runtime=None)


def test_rows_are_comparable_only_under_one_protocol_and_on_the_same_images() -> None:
    others = [row(protocol={"name": "vga"}), row(images=488, images_sha256=SHA)]
    assert all(other.comparable != row().comparable for other in others)
    assert row(detector="retinaface").comparable == row().comparable


def test_the_last_of_the_same_is_the_latest() -> None:
    rows = [row(easy=0.1), row(detector="retinaface"), row(easy=0.2), row(runtime="onnx")]
    assert history.latest(rows) == [rows[2], rows[1], rows[3]]


def test_the_projects_history_is_whole() -> None:
    rows = history.read()
    assert {"FeatherFace", "SCRFD-0.5GF", "YuNet_n", "EResFD-1x", "FDLite"} <= {
        one.detector for one in rows if one.source == "published"
    }
    for one in rows:
        recorded = PUBLISHED[one.checkpoint].recorded if one.checkpoint in PUBLISHED else None
        if one.source == "published" and recorded:
            assert one.checkpoint_sha256 == PUBLISHED[str(one.checkpoint)].sha256
            assert [one.easy, one.medium, one.hard] == pytest.approx(
                [recorded.easy / 100, recorded.medium / 100, recorded.hard / 100], abs=1e-9
            )
