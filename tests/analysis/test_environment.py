"""The stamp of a measurement."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
import torch

from analysis import environment
from analysis.speed.setting import using_threads

CPU = torch.device("cpu")


def test_a_stamp_is_plain_and_says_what_there_is() -> None:
    with using_threads(1):
        found = environment.stamp(CPU, "float32", "contiguous")
    assert json.loads(json.dumps(found)) == found
    assert (found["device"], found["threads"], found["dtype"]) == ("cpu", 1, "float32")
    assert found["device_name"]
    assert found["torch"] == torch.__version__
    assert (found["cuda"], found["driver"], found["cudnn"]) == (None, None, None)
    assert found["commit"] is None or re.fullmatch(r"[0-9a-f]{40}", found["commit"])


def test_outside_a_repository_the_commit_is_unknown(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment._commit.cache_clear()
    monkeypatch.setattr(environment, "_ROOT", tmp_path)
    try:
        found = environment.stamp(CPU, "float32", "contiguous")
    finally:
        environment._commit.cache_clear()
    assert (found["commit"], found["commit_dirty"]) == (None, None)


def test_what_is_not_installed_is_unknown() -> None:
    assert environment._output("featherface-has-no-such-command") is None


def test_a_gpu_without_nvidia_smi_has_no_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="7f-of-another-order")
    )
    monkeypatch.setattr(environment, "_output", lambda *_: None)
    assert environment._nvidia_smi(gpu, "clocks.sm", "clocks.mem") == [None, None]
    asked: list[str] = []
    monkeypatch.setattr(environment, "_output", lambda *words: asked.extend(words) or "1980, [N/A]")
    assert environment._nvidia_smi(gpu, "clocks.sm", "clocks.mem") == ["1980", None]
    assert "--id=GPU-7f-of-another-order" in asked
