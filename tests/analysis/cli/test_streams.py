"""Standard output in any state: closed, full, without a reader, or with few signs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from analysis.cli.output import STDOUT, emit

ROOT = Path(__file__).parents[3]
TABLE = ("search", "--params", "487103", "--facts", "card")


def _run(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command line in which `featherface` is ours."""
    script = f'featherface() {{ "{sys.executable}" -m featherface "$@"; }}\n{command}'
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        encoding=environment.get("PYTHONIOENCODING"),
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=120,
    )


posix = pytest.mark.skipif(sys.platform == "win32", reason="written for a POSIX shell")


@posix
def test_a_closed_output_is_no_failure() -> None:
    done = _run(f"featherface {' '.join(TABLE)} >&-")
    assert (done.returncode, done.stderr) == (0, "")


@posix
@pytest.mark.parametrize("arguments", [TABLE, ("search", "--help")], ids=" ".join)
def test_a_full_disk_is_one_line(arguments: tuple[str, ...]) -> None:
    done = _run(f"featherface {' '.join(arguments)} >/dev/full")
    assert done.returncode == 2
    assert done.stderr == "featherface: standard output: No space left on device\n"


@posix
@pytest.mark.parametrize("arguments", [TABLE, ("search", "--help")], ids=" ".join)
def test_a_reader_that_has_gone_is_no_failure(arguments: tuple[str, ...]) -> None:
    # `true` ends at once, long before anything is printed.
    done = _run(f"featherface {' '.join(arguments)} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, "")


@posix
@pytest.mark.parametrize("lost", ["2>/dev/full", "2>&-", "2>&1 | true; exit ${PIPESTATUS[0]}"])
def test_a_message_that_cannot_be_printed_leaves_the_exit_code(lost: str) -> None:
    done = _run(f"featherface nonsense {lost}")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


PLOT = """
import contextlib
from analysis.cli.main import main
with contextlib.suppress(SystemExit):
    main(["--version"])
import matplotlib
matplotlib.get_configdir()
"""


@posix
def test_a_home_that_cannot_be_written_is_not_mentioned(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    home = {"HOME": str(tmp_path / "home"), "MPLCONFIGDIR": "", "XDG_CONFIG_HOME": ""}
    done = subprocess.run(
        [sys.executable, "-c", PLOT],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **home},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_records_are_printed_to_a_stream_without_an_encoding() -> None:
    with contextlib.redirect_stdout(io.StringIO()) as stream:  # its encoding is None
        assert not emit({"picture": "café"}, STDOUT)
    assert json.loads(stream.getvalue()) == {"picture": "café"}


@pytest.mark.slow
@posix
def test_names_are_written_in_the_encoding_of_the_file_system(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "ü.png")
    (tmp_path / "list").write_text("ü.png", encoding="utf-8")
    done = _run(
        f"cd {tmp_path}; featherface detect ü.png --out é && "
        "featherface widerface predict --weights v1 --images . --subset list --out ß",
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "é").glob("-*.png"))) == 1
    assert (tmp_path / "ß" / "ü.txt").read_text(encoding="utf-8") == "ü\n0\n"


@pytest.mark.slow
@posix
def test_progress_is_for_terminals_alone(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "x.png")
    done = _run(f"featherface detect {tmp_path}/x.png", FORCE_COLOR="1")
    assert (done.returncode, done.stderr) == (0, "")


@posix
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_signs_that_the_encoding_lacks_are_replaced(encoding: str) -> None:
    done = _run(f"featherface {' '.join(TABLE)}", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "966,997,688" in done.stdout
