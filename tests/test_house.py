"""What holds for the whole source. Directions of imports are contracts in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_checkpoints_are_only_ever_read_as_tensors() -> None:
    careless = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("featherface", "analysis", "tests", "notebooks")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "torch.load" + "(" in line and "weights_only=True" not in line
    ]
    assert careless == []


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys, analysis.cli.main, contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    analysis.cli.main.main(['blocks', '--help'])\n"
        "slow = {'torch', 'numpy', 'matplotlib', 'pandas', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported for --help: {slow}' if slow - {'pydantic'} else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
