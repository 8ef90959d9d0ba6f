"""Errors of input, and which errors of libraries are of too little memory."""

from __future__ import annotations

import pytest
import torch

from featherface.errors import first_cause, out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("tried"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
        RuntimeError("unable to mmap 8 bytes from file: Cannot allocate memory (12)"),
        RuntimeError("Failed to allocate memory for requested buffer of size 8"),
        RuntimeError("Exception from src/core: Could not allocate memory"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("bad allocation"),
    ],
)
def test_too_little_memory(error: Exception) -> None:
    assert out_of_memory(error)


@pytest.mark.parametrize(
    "message",
    [
        "Expected self to be allocated on cuda:0",
        "the storage has been deallocated",
        "PYTORCH_CUDA_ALLOC_CONF: expected a number",
    ],
)
def test_other_errors_that_speak_of_allocation(message: str) -> None:
    assert not out_of_memory(RuntimeError(message))


def test_the_first_cause_of_an_error_is_on_one_line() -> None:
    error = ValueError("cannot be fetched")
    error.__cause__ = OSError("no\nroute")
    assert first_cause(error) == "no route"
    assert first_cause(KeyboardInterrupt()) == "KeyboardInterrupt"
