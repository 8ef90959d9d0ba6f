from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from analysis.claims import measurements as measure
from analysis.report.results import generate
from featherface import InputError

DOCS = Path(__file__).resolve().parents[3] / "docs"
OF_A_MACHINE = {"results/environment.json"}  # the versions it was made with
DRAWN_BY_OTHERS = ("figures/sensitivity-", "figures/design-space")  # by matplotlib's version


@pytest.mark.slow
def test_what_is_committed_is_what_is_measured(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    # What needs a counter that is not installed here stays as recorded.
    for name in ("verdicts.json", "counters.json"):
        shutil.copy(DOCS / "results" / name, tmp_path / "results" / name)
    written = {p.relative_to(tmp_path).as_posix(): p for p in generate(tmp_path)}
    different = [
        name
        for name, path in written.items()
        if name not in OF_A_MACHINE
        and not name.startswith(DRAWN_BY_OTHERS)
        and path.read_bytes() != (DOCS / name).read_bytes()
    ]
    assert different == []
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == set(written.values())


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


def test_recorded_counts_that_are_none_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "counters.json").write_text('{"v1": 3}')
    with pytest.raises(InputError, match=r"counters\.json: not the recorded counts"):
        generate(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        generate(tmp_path / "docs")
