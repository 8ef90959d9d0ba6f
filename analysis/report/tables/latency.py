"""Tables of measured times and of benchmarks, with what has to be said below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.report import Record
from analysis.report.formats import fixed, shape, share, signed
from analysis.report.table import Column, Table
from analysis.speed.latest import machine, network_name

_MOST = 20  # operators in a table

percent = signed(".1f", 0.01, " %")
"""Formats a difference as a share of something."""


def latency(record: Record) -> Table:
    """Return a record of `analysis.speed.latency.measure_latencies` as a table."""
    blocks = record["blocks"] or ()
    sums = [
        {"name": name, **record[key]}
        for name, key in (("sum of the blocks", "sum_of_blocks"), ("whole, marked", "marked"))
        if blocks
    ]
    return Table(
        f"{_title(record)}: milliseconds of a pass",
        (
            Column("", "name"),
            *(Column(name, f"ms_{name}", ms) for name in ("p10", "p50", "p90", "mean")),
            Column("n", "n", fixed(0)),
            Column("p50 within", "p50_within", _within),
            Column("share", "share", share),
        ),
        blocks,
        totals=(*sums, {"name": "whole", **record["whole"]}),
        notes=tuple(_latency_notes(record)),
    )


def _latency_notes(record: Record) -> Iterator[str]:
    if record["blocks"]:
        yield (
            f"marks cost {percent(record['overhead'])} of the whole; outside the blocks: "
            f"{percent(record['outside_blocks'])} of the marked pass"
        )
    yield _plan(record)
    yield (
        f"first run, apart: {ms(record['first_run_ms'])} ms"
        + (" with compilation" if record["runtime"] == "compile" else "")
        + f"; runtime {record['runtime']}, {_kernel(record)}"
    )
    yield from _common_notes(record)


def growth(record: Record) -> Table:
    """Return a record of `analysis.speed.growth.measure_growth` as a table."""
    points = [*record["sizes"], *record["batches"]]
    images = all(len(point["input"]) == 4 for point in points)
    lines = []
    for name, by in (("sizes", "by size"), ("batches", "by batch")):
        for key, unit, scale in (("ms_p50", "ms", 1.0), ("peak_bytes", "MiB", 2**20)):
            line = record["fits"][name][key]
            if line is not None:
                number = fixed(1, scale)
                fitted = "" if line["r_squared"] is None else f", R² {line['r_squared']:.4f}"
                lines.append(
                    f"{by}: {number(line['per_megapixel'])} {unit} per megapixel "
                    f"and {number(line['at_zero'])} {unit} besides{fitted}"
                )
    return Table(
        f"{network_name(record)} by size and batch, {machine(record['environment'])}",
        (
            Column("batch × height × width" if images else "input", _input, str),
            Column("megapixels", "megapixels", fixed(3)),
            Column("p50", lambda point: point.get("ms_p50"), ms, unit="ms"),
            Column("within", lambda point: point.get("p50_within"), _within),
            Column("peak", lambda point: point.get("peak_bytes"), fixed(1, 2**20), unit="MiB"),
            Column("skipped", lambda point: point["skipped"] or ""),
        ),
        points,
        notes=(*lines, _plan(record), *_common_notes(record)),
    )


def _input(point: Record) -> str:
    sizes = point["input"]
    # Images of all points have as many channels.
    return " × ".join(map(str, [sizes[0], *sizes[2:]] if len(sizes) == 4 else sizes))


def roofline(record: Record) -> Table:
    """Return a record of `analysis.speed.roofline.under_roof` as a table."""
    ceilings = record["ceilings"]
    return Table(
        f"{_title(record)}: blocks under their roof",
        (
            Column("block", "name"),
            Column("MMAC", "macs", fixed(1, 1e6)),
            Column("MB", "bytes", fixed(1, 1e6)),
            Column("MAC/byte", "macs_per_byte", "{:.3g}".format),
            Column("p50", "ms_p50", ms, unit="ms"),
            Column("GMAC/s", "gmacs_per_second", fixed(2)),
            Column("GB/s", "gigabytes_per_second", fixed(2)),
            Column("roof", "roof_gmacs_per_second", "{:.3g}".format, unit="GMAC/s"),
            Column("of its roof", "share_of_roof", share),
            Column("bound by", lambda block: block["bound"] or "nothing to do"),
        ),
        record["blocks"],
        totals=({"name": "whole", **record["whole"]},),
        notes=(
            f"ceilings, measured: matrix product {ceilings['gmacs_per_second']:.1f} GMAC/s by "
            f"{ceilings['product_by']}, copying {ceilings['gigabytes_per_second']:.1f} GB/s by "
            f"{ceilings['copy_by']}; they meet at {ceilings['ridge_macs_per_byte']:.1f} MACs per "
            "byte",
            "bytes: every operator reads its inputs and weights once and writes its result once",
            *_common_notes(record),
        ),
    )


def operators(record: Record) -> Table:
    """Return a record of `analysis.speed.operators.measure_operators` as a table."""
    rest = record["operators"][_MOST:]
    by_block = ", ".join(
        f"{row['block'] or 'outside'} {share(row['share'])}" for row in record["blocks"]
    )
    return Table(
        f"{_title(record)}: operators by self time",
        (
            Column("block", "block"),
            Column("part", "part"),
            Column("operator", "operator"),
            Column("calls", "calls", "{:g}".format),
            Column("ms", "ms", ms),
            Column("share", "share", share),
        ),
        record["operators"][:_MOST],
        totals=({"operator": f"{len(rest)} more", "share": sum(row["share"] for row in rest)},),
        notes=(
            f"by block: {by_block}",
            f"deformable kernels: {share(record['deformable_share'])}, {_kernel(record)}; "
            f"profiling made a pass {percent(record['slowdown'])} slower",
            *_common_notes(record),
        ),
    )


def table(record: Record) -> Table:
    """Return the table of any record of measured times."""
    tables = {"latency": latency, "growth": growth, "roofline": roofline, "operators": operators}
    return tables[record["record"]](record)


_WAYS = {
    "authors": "authors' way: eager, torchvision's kernel",
    "ours": "eager, our deformable kernel",
    "onnx": "ONNX Runtime",
    "openvino": "OpenVINO",
    "cuda-graph": "CUDA graph",
}

_TIMES = (
    Column("p50", lambda way: way.get("ms_p50"), fixed(1), unit="ms"),
    Column("within", lambda way: way.get("p50_within"), share),
    Column("settled", lambda way: way.get("settled"), lambda settled: "yes" if settled else "NO"),
    Column("n", lambda way: way.get("n"), fixed(0)),
    Column("times faster", lambda way: way.get("times_faster"), fixed(2)),
)


def detector_speed(record: Record) -> Iterator[Table]:
    """Yield the tables of a record of `analysis.benchmarks.detector_speed.measure`."""
    height, width = record["input"][-2:]
    ceiling, images = record["ceiling"], record["pictures"]
    ways = [
        {"network": network["variant"], "way": _WAYS[key], **way}
        for network in record["networks"]
        for key, way in network["ways"].items()
    ]
    yield Table(
        f"One image of {height}×{width} through the network",
        (
            Column("network", "network"),
            Column("way", "way"),
            *_TIMES,
            Column("GMAC/s", lambda way: way.get("gmacs_per_second"), fixed(1)),
            Column("of the ceiling", lambda way: way.get("share_of_ceiling"), share),
        ),
        ways,
        notes=(
            f"ceiling: {ceiling['gmacs_per_second']:.1f} GMAC/s, {ceiling['of']}",
            *_not_measured(ways, "way"),
            *_not_measured([{"what": "from file to faces", **images}], "what"),
            *(f"DOUBT: {doubt}" for doubt in record["doubts"]),
        ),
    )
    if "not_measured" in images:
        return
    rows = [{"way": _WAYS[key], **way} for key, way in images["ways"].items()]
    for peer in images["peers"]:
        if "not_measured" not in peer:
            name = f"{peer['name']} ({peer['package']} {peer['version']}), {peer['faces']} faces"
            faster = images["ways"]["authors"]["ms_p50"] / peer["ms_p50"]
            rows.append({**peer, "way": name, "times_faster": faster})
    yield Table(
        f"From file to faces: {images['picture']}, {images['width']}×{images['height']}",
        (Column("way", "way"), *_TIMES),
        rows,
        notes=tuple(_not_measured(images["peers"], "name")),
    )


def _not_measured(rows: Sequence[Record], name: str) -> Iterator[str]:
    for row in rows:
        if "not_measured" in row:
            yield f"{row[name]}: not measured; {row['not_measured']}"


def ms(value: float) -> str:
    """Return milliseconds with as many decimals as they are worth."""
    return f"{value:,.3f}" if value < 10 else f"{value:,.1f}"


def _within(value: float) -> str:
    return f"±{share(value)}"


def _title(record: Record) -> str:
    return f"{network_name(record)} at {shape(record['input'])}, {machine(record['environment'])}"


def _plan(record: Record) -> str:
    rule = record["rule"]
    return (
        f"at most {rule['turns']} turns in {rule['seconds']:g} s; {100 * rule['confidence']:g} % "
        "interval of p50 from the turns' medians"
    )


def _common_notes(record: Record) -> Iterator[str]:
    """Yield what speaks against the times, and the software."""
    if not record.get("settled", True):
        yield f"NOT SETTLED: medians are not within ±{share(record['rule']['within'])}"
    yield from (f"DOUBT: {doubt}" for doubt in record.get("doubts", ()))
    here = record["environment"]
    gpu = f", CUDA {here['cuda']}, driver {here['driver']}" if here["cuda"] else ""
    commit = (here["commit"] or "unknown")[:10] + (" with changes" if here["commit_dirty"] else "")
    flushed = ", L2 cache flushed" if record.get("flush_l2") else ""
    layout = here["memory_format"]
    yield f"torch {here['torch']}{gpu}, {layout}{flushed}; commit {commit}; {here['utc']}"


def _kernel(record: Record) -> str:
    kernel = record["deform_kernel"]
    return f"deformable convolutions by {kernel}" if kernel else "no deformable kernel of our own"
