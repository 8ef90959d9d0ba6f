"""Devices and settings that are refused, threads, and free memory."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from analysis.speed import setting
from featherface.errors import InputError

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "mps", "", "cpu:0"])
def test_an_unknown_device_is_named(name: str) -> None:
    with pytest.raises(InputError, match=rf"device \(={re.escape(repr(name))}\) must be"):
        setting.device_of(name)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="PyTorch finds 0 CUDA devices here"):
        setting.device_of("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert setting.device_of("cuda") == torch.device("cuda", 0)
    assert setting.device_of("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InputError, match="PyTorch finds 2 CUDA devices here"):
        setting.device_of("cuda:2")


def test_a_graph_cannot_record_torchvisions_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    graph = setting.Setting(device="cuda", runtime="cuda-graph")
    with pytest.raises(InputError, match="cannot record torchvision's kernel"):
        graph.at(kernel="torchvision")


def test_threads_are_set_and_given_back() -> None:
    before = torch.get_num_threads()
    with setting.using_threads(1):
        assert torch.get_num_threads() == 1
    with setting.using_threads(None):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [0, -1, (os.cpu_count() or 1) + 1])
def test_impossible_threads_are_refused(threads: int) -> None:
    with pytest.raises(InputError, match=r"must be from 1 to"), setting.using_threads(threads):
        pytest.fail("threads were accepted")


def test_a_container_may_leave_less_memory_than_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting, "_CONTROL_GROUP", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=5000))
    assert setting.memory_free(CPU) == 5000
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert setting.memory_free(CPU) == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert setting.memory_free(CPU) == 5000
