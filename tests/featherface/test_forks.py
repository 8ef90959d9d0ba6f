"""Locks in processes that were forked."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_forked_inside_a_lock_leaves_it() -> None:
    code = (
        "import os\n"
        "from featherface.forks import Lock\n"
        "lock = Lock()\n"
        "with lock:\n"
        "    child = os.fork()\n"
        "with lock:\n"
        "    pass\n"
        "if child:\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
