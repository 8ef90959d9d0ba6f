"""Measured times as tables for a terminal. Takes records, imports nothing of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

Record = Mapping[str, Any]


def table(record: Record) -> Group:
    """The table of any record of measured times, with what has to be said under it."""
    return _TABLES[record["record"]](record)


def latency(record: Record) -> Group:
    """From `analysis.speed.latency.measure_latency`."""
    rows = _table(f"{_what(record)}: milliseconds of a pass")
    rows.add_column("")
    for name in ("p10", "p50", "p90", "mean", "n", "p50 within", "share"):
        rows.add_column(name, justify="right")
    for block in record["blocks"] or ():
        rows.add_row(block["name"], *_times(block), _share(block["share"]))
    if record["blocks"]:
        rows.add_section()
        rows.add_row("sum of the blocks", *_times(record["sum_of_blocks"]), "")
        rows.add_row("whole, marked", *_times(record["marked"]), "")
    rows.add_row("whole", *_times(record["whole"]), "", style="bold")
    return Group(rows, *(Text(line) for line in _latency_notes(record)))


def _latency_notes(record: Record) -> Iterator[str]:
    if record["blocks"]:
        yield (
            f"marks cost {_percent(record['overhead'])} of the whole; outside the blocks: "
            f"{_percent(record['outside_blocks'])} of the marked pass"
        )
    yield _rule(record)
    if not record.get("settled", record["whole"]["settled"]):
        yield f"NOT SETTLED: p50 is not within ±{100 * record['rule']['within']:g} %"
    yield from (f"DOUBT: {doubt}" for doubt in record.get("doubts", ()))
    yield (
        f"first run, apart: {_ms(record['first_run_ms'])} ms"
        + (" with compilation" if record["runtime"] != "torch" else "")
        + f"; runtime {record['runtime']}, {_kernel(record)}"
    )
    yield _software(record)


def growth(record: Record) -> Group:
    """From `analysis.speed.growth.measure_growth`."""
    rows = _table(f"{record['variant']} by size and batch, {_machine(record)}")
    for name in ("batch × height × width", "megapixels", "p50 ms", "within", "peak MiB"):
        rows.add_column(name, justify="right")
    for name in ("sizes", "batches"):
        for point in record[name]:
            batch, _, height, width = point["input"]
            cells = [f"{batch} × {height} × {width}", f"{point['megapixels']:.3f}"]
            if point["skipped"] is not None:
                rows.add_row(*cells, "skipped:", point["skipped"], "")
                continue
            peak = f"{point['peak_bytes'] / 2**20:,.1f}"
            rows.add_row(*cells, _ms(point["ms_p50"]), _within(point), peak)
        rows.add_section()
    notes = []
    for name, what in (("sizes", "by size"), ("batches", "by batch")):
        for key, unit, scale in (("ms_p50", "ms", 1.0), ("peak_bytes", "MiB", 2**20)):
            line = record["fits"][name][key]
            if line is not None:
                fitted = "" if line["r_squared"] is None else f", R² {line['r_squared']:.4f}"
                notes.append(
                    f"{what}: {line['per_megapixel'] / scale:,.1f} {unit} per megapixel "
                    f"and {line['at_zero'] / scale:,.1f} {unit} besides{fitted}"
                )
    return Group(rows, *map(Text, (*notes, _rule(record), _software(record))))


def roofline(record: Record) -> Group:
    """From `analysis.speed.roofline.measure_roofline`."""
    rows = _table(f"{_what(record)}: blocks under their roof")
    rows.add_column("block")
    names = ("MMAC", "MB", "MAC/byte", "p50 ms", "GMAC/s", "GB/s", "roof GMAC/s", "of its roof")
    for name in names:
        rows.add_column(name, justify="right")
    rows.add_column("bound by")
    for block in (*record["blocks"], {"name": "whole", **record["whole"]}):
        rows.add_row(
            block["name"],
            f"{block['macs'] / 1e6:,.1f}",
            f"{block['bytes'] / 1e6:,.1f}",
            _some(block["macs_per_byte"]),
            _ms(block["ms_p50"]),
            f"{block['gmacs_per_second']:.2f}",
            f"{block['gigabytes_per_second']:.2f}",
            _some(block["roof_gmacs_per_second"]),
            "" if block["share_of_roof"] is None else _share(block["share_of_roof"]),
            block["bound"] or "nothing to do",
        )
    ceilings = record["ceilings"]
    return Group(
        rows,
        Text(
            f"ceilings, measured: matrix product {ceilings['gmacs_per_second']:.1f} GMAC/s, "
            f"copying {ceilings['gigabytes_per_second']:.1f} GB/s; they meet at "
            f"{ceilings['ridge_macs_per_byte']:.1f} MACs per byte"
        ),
        Text("bytes: every operator reads its inputs and weights once and writes its result once"),
        Text(_software(record)),
    )


def operators(record: Record, most: int = 20) -> Group:
    """From `analysis.speed.operators.measure_operators`."""
    rows = _table(f"{_what(record)}: operators by self time")
    for name in ("block", "part", "operator"):
        rows.add_column(name)
    for name in ("calls", "ms", "share"):
        rows.add_column(name, justify="right")
    for row in record["operators"][:most]:
        rows.add_row(
            row["block"],
            row["part"],
            row["operator"],
            f"{row['calls']:g}",
            _ms(row["ms"]),
            _share(row["share"]),
        )
    rest = record["operators"][most:]
    rows.add_row("", "", f"{len(rest)} more", "", "", _share(sum(row["share"] for row in rest)))
    by_block = ", ".join(
        f"{row['block'] or 'outside'} {_share(row['share'])}" for row in record["blocks"]
    )
    return Group(
        rows,
        Text(f"by block: {by_block}"),
        Text(
            f"deformable kernels: {_share(record['deformable_share'])}, {_kernel(record)}; "
            f"profiling made a pass {_percent(record['slowdown'])} slower"
        ),
        Text(_software(record)),
    )


_TABLES = {
    "latency": latency,
    "growth": growth,
    "roofline": roofline,
    "operators": operators,
}


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")


def _what(record: Record) -> str:
    return f"{record['variant']} at {'×'.join(map(str, record['input']))}, {_machine(record)}"


def _machine(record: Record) -> str:
    here = record["environment"]
    return f"{here['device_name']}, {here['threads']} threads, {here['dtype']}"


def _rule(record: Record) -> str:
    rule = record["rule"]
    interval = f"{100 * rule['confidence']:g} % interval of p50"
    if "least" in rule:  # records before turns were taken
        return f"measured until the {interval} was within ±{100 * rule['within']:g} %"
    return f"{rule['turns']} turns in {rule['seconds']:g} s; {interval} from the turns' medians"


def _software(record: Record) -> str:
    here = record["environment"]
    gpu = f", CUDA {here['cuda']}, driver {here['driver']}" if here["cuda"] else ""
    commit = (here["commit"] or "unknown")[:10] + (" with changes" if here["commit_dirty"] else "")
    return f"torch {here['torch']}{gpu}, {here['memory_format']}; commit {commit}; {here['utc']}"


def _kernel(record: Record) -> str:
    kernel = record["deform_kernel"]
    return f"deformable convolutions by {kernel}" if kernel else "no deformable kernel of our own"


def _times(times: Record) -> tuple[str, ...]:
    names = ("ms_p10", "ms_p50", "ms_p90", "ms_mean")
    return (*(_ms(times[name]) for name in names), f"{times['n']}", _within(times))


def _within(times: Record) -> str:
    return "too few" if times["p50_within"] is None else f"±{_share(times['p50_within'])}"


def _ms(value: float) -> str:
    return f"{value:,.3f}" if value < 10 else f"{value:,.1f}"


def _some(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} %".replace("-", "−")
