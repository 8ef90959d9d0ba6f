from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import pytest

from analysis.claims import measurements as measure
from analysis.report import results
from analysis.report.plots.maps import captions
from analysis.report.results import generate
from analysis.widerface import breakdown
from featherface import CONFIGS, InputError

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATHERFACE_WEIGHTS", raising=False)


def _same_plots() -> bool:
    """True where the Matplotlib here has the version that drew the committed plots."""
    recorded = json.loads((DOCS / "results" / "environment.json").read_text(encoding="utf-8"))
    return bool(recorded["matplotlib"] == matplotlib.__version__)


@pytest.mark.slow
def test_what_is_committed_is_what_is_measured(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    # What needs a counter that is not installed here stays as recorded, and so do rows of times.
    for path in [*DOCS.glob("results/*.jsonl"), DOCS / "results" / breakdown.FILE]:
        shutil.copy(path, tmp_path / "results")
    for name in ("verdicts.json", "counters.json"):
        shutil.copy(DOCS / "results" / name, tmp_path / "results" / name)
    written = {p.relative_to(tmp_path).as_posix(): p for p in generate(tmp_path)}
    compared = [
        name
        for name in written
        if name != "results/environment.json"  # the versions it was made with
        and (name.startswith("results/") or _same_plots())
    ]
    assert "results/blocks.json" in compared
    different = [
        name for name in compared if written[name].read_bytes() != (DOCS / name).read_bytes()
    ]
    assert different == []


@pytest.mark.slow
def test_maps_are_recorded_where_the_weights_are(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not results.has_weights()
    monkeypatch.setenv("FEATHERFACE_WEIGHTS", str(weights))
    assert results.has_weights()
    files = dict(results._portrait(tmp_path))
    record = json.loads(files["results/maps.json"])
    assert set(record["structure"]) == set(CONFIGS)
    assert record["maps"]["official"]["picture"]["name"] == "grace_hopper.jpg"
    for name in captions.names(record["maps"]["official"]):
        for ending in ("", "-dark"):
            assert len(files[f"figures/maps-{name}{ending}.svg"]) < 600_000


@pytest.mark.slow
def test_what_needs_a_counter_that_is_not_here_stays_as_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(DOCS / "results", tmp_path / "results")
    monkeypatch.setitem(sys.modules, "thop", None)  # importing it fails
    measure._counters.cache_clear()
    generate(tmp_path)
    measure._counters.cache_clear()
    for name in ("counters.json", "counters.md", "verdicts.json"):
        here, recorded = tmp_path / "results" / name, DOCS / "results" / name
        assert here.read_bytes() == recorded.read_bytes(), name


def test_the_version_of_a_tool_that_is_not_here_stays_as_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "environment.json").write_text('{"thop": "0.1", "torch": "1.0"}')
    here = [SimpleNamespace(name="torch", version="9.0")]
    monkeypatch.setattr(results, "distributions", lambda: here)
    ((_, text),) = results._environment(tmp_path)
    record = json.loads(text)
    assert (record["thop"], record["torch"], record["fvcore"]) == ("0.1", "9.0", None)


@pytest.mark.slow
def test_recorded_counts_that_are_none_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "counters.json").write_text('{"v1": 3}')
    with pytest.raises(InputError, match=r"counters\.json: a record that cannot be used"):
        generate(tmp_path)


def test_times_that_cannot_be_drawn_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    row = json.loads(
        (DOCS / "results" / "growth.jsonl").read_text(encoding="utf-8").split("\n")[-2]
    )
    shutil.copy(DOCS / "results" / "blocks.json", tmp_path / "results")
    damaged = json.dumps({**row, "fits": {}}) + "\n"
    (tmp_path / "results" / "growth.jsonl").write_text(damaged, encoding="utf-8")
    with pytest.raises(InputError, match=r"growth\.jsonl: a record that cannot be used"):
        list(results._times(tmp_path))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        generate(tmp_path / "docs")
