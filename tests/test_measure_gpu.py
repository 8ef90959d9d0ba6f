"""`scripts/measure_gpu.sh`, in its dry run on the CPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("timeout") is None, reason="needs bash and coreutils")
def test_a_dry_run_writes_every_record_and_leaves_the_old_ones(tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in RESULTS.glob("*.jsonl")}
    done = subprocess.run(
        [
            *("bash", ROOT / "scripts" / "measure_gpu.sh", "--device", "cpu"),
            *("--seconds", "0.05", "--out", tmp_path),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHON": sys.executable, "WIDER_IMAGES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (tmp_path / "failures.txt").read_text() + done.stderr
    for kind in ("latency", "roofline", "operators"):
        content = (tmp_path / f"{kind}.jsonl").read_bytes()
        assert content.startswith(before[f"{kind}.jsonl"])
        rows = [json.loads(line) for line in content[len(before[f"{kind}.jsonl"]) :].splitlines()]
        assert {"doubts", "others_load"} <= rows[-1].keys()
    assert json.loads((tmp_path / "bench.json").read_text())["networks"]
    assert {path.name: path.read_bytes() for path in RESULTS.glob("*.jsonl")} == before


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "measure_gpu.sh"
    done = subprocess.run(
        ["bash", script, "--speed", "1"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (2, "measure_gpu.sh: unknown option --speed\n")


@pytest.mark.skipif(os.name == "nt", reason="needs bash")
@pytest.mark.parametrize(("code", "runs"), [(0, 1), (2, 1), (130, 1), (1, 2)])
def test_training_starts_anew_without_graphs_only_after_a_crash(
    tmp_path: Path, code: int, runs: int
) -> None:
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\necho \"$@\" >> '{tmp_path}/calls'\nexit {code}\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["bash", ROOT / "scripts" / "train_v1_gpu.sh", "1"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OUT": str(tmp_path)},
    )
    calls = (tmp_path / "calls").read_text().splitlines()
    assert done.returncode == code
    assert ["--no-graph" in call for call in calls] == [False, True][:runs]
