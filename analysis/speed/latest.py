"""Which of the recorded times still stand: the latest of each kind.

Takes records as plain dicts and imports nothing heavy, so that pages can be written quickly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Record = Mapping[str, Any]

NO_GPU = "not measured on a GPU"
"""What a page says until `has_gpu`."""


def latest(records: Iterable[Record]) -> list[Record]:
    """Of each set of records that differ in nothing but when they were made, the last.

    Two records are of one set where the kind of record, the variant, the runtime, the kernel of
    deformable convolutions, the device and its name, dtype, memory format, threads and input are
    the same. Versions, drivers and commits are not looked at: what they change is what a newer
    record is for.

    Args:
        records: in the order they were added.

    Returns:
        In the order in which the first of each set was added.
    """
    found: dict[tuple[Any, ...], Record] = {}
    for record in records:
        found[key(record)] = record
    return list(found.values())


def key(record: Record) -> tuple[Any, ...]:
    """What tells a record from one that does not take its place."""
    here = record["environment"]
    return (
        record["record"],
        record["variant"],
        record.get("runtime") or "torch",  # older records of blocks and operators name none
        record.get("deform_kernel"),
        record.get("kernel"),
        record.get("flush_l2"),
        here["device"],
        here["device_name"],
        here["dtype"],
        here["memory_format"],
        here["threads"],
        tuple(record.get("input") or ()),
    )


def has_gpu(records: Iterable[Record]) -> bool:
    """Whether any of them was measured on a GPU."""
    return any(not record["environment"]["device"].startswith("cpu") for record in records)


def by_machine(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The latest records by the machine they are of, in words that can head a table."""
    found: dict[str, list[Record]] = {}
    for record in latest(records):
        found.setdefault(machine(record["environment"]), []).append(record)
    return found


def machine(environment: Mapping[str, Any]) -> str:
    """A device with its settings in words: "AMD EPYC, 2 threads, float32"."""
    words = [environment["device_name"]]
    if environment["device"].startswith("cpu"):
        threads = environment["threads"]
        words.append(f"{threads} thread{'s' * (threads != 1)}")
    words.append(environment["dtype"])
    if environment["memory_format"] != "contiguous":
        words.append(environment["memory_format"])
    return ", ".join(words)
