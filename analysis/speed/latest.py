"""The records of measured times that still stand: the latest of each kind, by machine.

Takes records as plain dicts and imports nothing heavy, so that pages can be written quickly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

Record = Mapping[str, Any]

_COMMON = {"record": str, "variant": str | None, "environment": dict}

FIELDS: dict[str, dict[str, Any]] = {
    "latency": _COMMON | {"runtime": str, "input": list, "whole": dict, "blocks": list | None},
    "growth": _COMMON | {"sizes": list, "batches": list, "fits": dict},
    "roofline": _COMMON | {"input": list, "ceilings": dict, "blocks": list},
    "operators": _COMMON | {"input": list, "blocks": list, "operators": list},
}
"""The fields of each kind of record, for `featherface.records`."""


def latest(records: Iterable[Record]) -> list[Record]:
    """Return of each set of records that differ in nothing but when they were made, the last.

    Two records are of one set where the kind of record, the variant, the runtime, the kernel of
    deformable convolutions, the device and its name, dtype, memory format, threads and input are
    the same. Versions, drivers and commits are not looked at: what they change is what a newer
    record is for. But one with doubts, or from before records had any, never follows one without.

    Args:
        records: in the order they were added; the result is in the order of each set's first.
    """
    found: dict[tuple[Any, ...], Record] = {}
    for record in records:
        key = _key(record)
        if key not in found or record.get("doubts") == [] or found[key].get("doubts") != []:
            found[key] = record
    return list(found.values())


def network_name(record: Record) -> str:
    """Return the variant or, of another network, the model that was measured."""
    changed = ", ".join(f"{name}={value}" for name, value in record.get("settings", {}).items())
    name = str(record["variant"] or record["model"])
    return f"{name} with {changed}" if changed else name


def _key(record: Record) -> tuple[Any, ...]:
    here = record["environment"]
    return (
        record["record"],
        network_name(record),
        record.get("runtime") or "torch",  # older records of blocks and operators name none
        record.get("deform_kernel"),
        record.get("kernel"),
        record.get("flush_l2"),
        here["device"],
        here["device_name"],
        here["dtype"],
        here["memory_format"],
        here["threads"],
        str(record.get("inputs") or record.get("input")),
    )


def measured_last(records: Iterable[Record], device: str, shape: Sequence[int]) -> list[Record]:
    """Return the latest float32 records of the machine that was measured last.

    Those of a CPU are of contiguous tensors; on a GPU runtimes differ in which layout is faster.
    None is of a GPU whose L2 cache was flushed before every pass: it is a slower measurement.

    Args:
        device: "cpu" or "cuda".
        shape: of the input, (batch, 3, height, width); a record of growth, which has many, has any.
    """
    found = [
        record
        for record in latest(records)
        if record["environment"]["device"].startswith(device)
        and record["environment"]["dtype"] == "float32"
        and not record.get("flush_l2")
        and (device != "cpu" or record["environment"]["memory_format"] == "contiguous")
        and record.get("input") in (shape, None)
    ]
    if not found:
        return []
    last = max((record["environment"] for record in found), key=itemgetter("utc"))
    name = itemgetter("device_name", "threads")
    return [record for record in found if name(record["environment"]) == name(last)]


def by_machine(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the latest records by the machine they are of, in words that can head a table."""
    found: dict[str, list[Record]] = {}
    for record in latest(records):
        found.setdefault(machine(record["environment"]), []).append(record)
    return found


def machine(environment: Mapping[str, Any]) -> str:
    """Return a device with its settings in words: "AMD EPYC, 2 threads, float32"."""
    words = [environment["device_name"]]
    if environment["device"].startswith("cpu"):
        threads = environment["threads"]
        words.append(f"{threads} thread{'s' * (threads != 1)}")
    words.append(environment["dtype"])
    if environment["memory_format"] != "contiguous":
        words.append(environment["memory_format"])
    return ", ".join(words)
