from __future__ import annotations

from pathlib import Path

import pytest

from analysis import compliance
from analysis.report import generate
from featherface import InputError

DOCS = Path(__file__).resolve().parents[2] / "docs"
OF_A_MACHINE = {"results/environment.json"}  # the versions it was made with
DRAWN_BY_OTHERS = ("figures/sensitivity-", "figures/design-space")  # by matplotlib's version


@pytest.mark.slow
def test_what_is_committed_is_what_is_measured(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    # What needs a counter that is not installed here stays as recorded.
    compliance.record(compliance.recorded(), tmp_path / "results" / "verdicts.json")
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


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        generate(tmp_path / "docs")
