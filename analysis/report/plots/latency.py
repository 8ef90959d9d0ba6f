"""Figures of measured times: by block, by size, under the roof, by operator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.report import Record
from analysis.report.formats import significant
from analysis.report.plots.style import BLOCK_COLOURS, BLUE, GREY, LIGHT, VERMILION, Scheme, canvas
from analysis.speed.latest import machine
from featherface.config import BLOCKS

_MARKERS = dict(zip(BLOCKS, "os^Dv>P", strict=True))


def by_block(records: Sequence[Record], scheme: Scheme = LIGHT) -> Figure:
    """Draw the time of a pass: a bar a record, cut into blocks, with the whole beside it.

    Args:
        records: from `analysis.speed.latency.measure_latencies`, with blocks, of one machine and
            input.
    """
    with canvas(scheme, 8.6, 1.5 + 0.5 * len(records)) as (figure, ax):
        _name_rows(ax, [label(record) for record in records], 0.5)
        for row, record in enumerate(records):
            left = 0.0
            for block in record["blocks"]:
                ms = block["ms_p50"]
                ax.barh(row, ms, left=left, height=0.62, color=BLOCK_COLOURS[block["name"]], lw=0)
                left += ms
            whole = record["whole"]
            ax.plot([whole["ms_p10"], whole["ms_p90"]], [row, row], color=scheme.text, linewidth=1)
            ax.plot(whole["ms_p50"], row, marker="|", markersize=13, color=scheme.text)
            at = max(left, whole["ms_p90"]), row
            _note(ax, f"{significant(whole['ms_p50'])} ms", at, (5, 0), va="center")
        ax.margins(x=0.14)
        ax.set_xlim(left=0)
        ax.set_xlabel("milliseconds: sum of the blocks' medians; line: whole pass, p10 | p50 | p90")
        _finish(figure, f"A pass, block by block: {_setting(records[0])}", _patches(BLOCKS))
    return figure


def growth(record: Record, scheme: Scheme = LIGHT) -> Figure:
    """Draw latency and peak memory against megapixels, with the fitted lines.

    Args:
        record: from `analysis.speed.growth.measure_growth`.
    """
    panels = (
        ("ms_p50", 1.0, "ms", "Latency, p50 (ms)"),
        ("peak_bytes", 2**20, "MiB", "Peak memory of a pass (MiB)"),
    )
    series = (("sizes", BLUE, "o", "image size"), ("batches", VERMILION, "^", "batch"))
    with canvas(scheme, 8.6, 3.9, 1, 2) as (figure, axes):
        for ax, (key, scale, unit, title) in zip(axes, panels, strict=True):
            for name, colour, marker, words in series:
                known = [point for point in record[name] if point["skipped"] is None]
                if not known:
                    continue
                x = [point["megapixels"] for point in known]
                y = [point[key] / scale for point in known]
                line = record["fits"][name][key]
                if line is not None:
                    slope, zero = line["per_megapixel"] / scale, line["at_zero"] / scale
                    words += f": {significant(slope)} {unit} per megapixel"
                    if line["r_squared"] is not None:
                        words += f", R² {line['r_squared']:.3f}"
                    ends = np.asarray([0, max(x)])
                    ax.plot(ends, slope * ends + zero, color=colour, linewidth=1)
                ax.plot(x, y, marker=marker, linestyle="", color=colour, label=words)
            ax.set_title(title)
            ax.set_xlabel("megapixels of all images together")
            ax.grid(True)
            ax.set_axisbelow(True)
            ax.legend(loc="upper left", fontsize=8)
            ax.set_xlim(left=0)
            ax.set_ylim(0, 1.2 * ax.get_ylim()[1])  # room for the legend
            ax.yaxis.set_major_formatter("{x:,g}")
        _finish(figure, f"Growth of {label(record)}: {machine(record['environment'])}")
    return figure


def roofline(record: Record, scheme: Scheme = LIGHT) -> Figure:
    """Draw blocks under the two ceilings of their machine, both axes logarithmic.

    A block's mark stands at the bytes that its operators move; the thin line to its right ends
    where it would stand if nothing in between left the caches.

    Args:
        record: from `analysis.speed.roofline.under_roof`.
    """
    ceilings = record["ceilings"]
    compute, memory = ceilings["gmacs_per_second"], ceilings["gigabytes_per_second"]
    ridge = ceilings["ridge_macs_per_byte"]
    blocks = [block for block in record["blocks"] if block["macs_per_byte"]]
    least = min(block["macs_per_byte"] for block in blocks) / 2
    most = max(2 * ridge, *(2 * block["macs_per_byte_most"] for block in blocks))
    lowest = min(block["gmacs_per_second"] for block in blocks)
    with canvas(scheme, 8.6, 5.2) as (figure, ax):
        roof = [least * memory, compute, compute]
        ax.plot([least, ridge, most], roof, color=scheme.text, linewidth=1.6)
        ax.axvline(ridge, color=scheme.muted, linewidth=0.8, linestyle=":")
        ax.set(xscale="log", yscale="log", xlim=(least, most), ylim=(lowest / 2, compute * 2.2))
        product = f"matrix product, measured: {significant(compute)} GMAC/s"
        _note(ax, product, (most, compute), (-4, 4), ha="right")
        inside = least**0.35 * ridge**0.65  # far enough from the axis for the words before it
        copying = f"copying, measured: {significant(memory)} GB/s"
        _note(ax, copying, (inside, inside * memory), (-10, 8), ha="right")
        foot = (ridge, lowest / 2)
        _note(ax, "← bound by memory", foot, (-6, 6), ha="right", color=scheme.muted)
        _note(ax, "by compute →", foot, (6, 6), color=scheme.muted)
        handles = []
        for block in blocks:
            at, speed = block["macs_per_byte"], block["gmacs_per_second"]
            colour, top = BLOCK_COLOURS[block["name"]], block["roof_gmacs_per_second"]
            look: dict[str, Any] = {"marker": _MARKERS[block["name"]], "color": colour}
            look |= {"markeredgecolor": scheme.text, "markeredgewidth": 0.6}
            look |= {"markersize": 9, "linestyle": ""}
            ax.plot([at, at], [speed, top], color=colour, linewidth=0.9, linestyle="--", zorder=1)
            ax.plot([at, block["macs_per_byte_most"]], [speed, speed], color=colour, linewidth=1.4)
            ax.plot(at, speed, zorder=3, **look)
            name = block["name"].replace("_", " ")
            words = f"{name}: {100 * block['share_of_roof']:.1f} % of its roof"
            handles.append(Line2D([], [], label=words, **look))
        ax.set_xlabel("MACs per byte moved (mark: every operator; line's end: least possible)")
        ax.set_ylabel("GMAC/s")
        ax.xaxis.set_major_formatter("{x:,g}")
        ax.yaxis.set_major_formatter("{x:,g}")
        _finish(figure, f"Roofline of {label(record)}: {_setting(record)}", handles, columns=2)
    return figure


def operators(record: Record, scheme: Scheme = LIGHT) -> Figure:
    """Draw the twelve operators that take the most time, coloured by the block they run in.

    Args:
        record: from `analysis.speed.operators.measure_operators`.
    """
    shown, others = record["operators"][:12], record["operators"][12:]
    rest = sum(row["share"] for row in others)
    labels = [
        row["operator"].removeprefix("aten::") + (f" · {row['part']}" if row["part"] else "")
        for row in shown
    ] + ["everything else"]
    shares = [100 * row["share"] for row in shown] + [100 * rest]
    colours = [BLOCK_COLOURS.get(row["block"], GREY) for row in shown] + [GREY]
    with canvas(scheme, 8.6, 1.4 + 0.27 * len(labels)) as (figure, ax):
        _name_rows(ax, labels, 0.6)
        ax.barh(range(len(labels)), shares, height=0.7, color=colours)
        for row, share in enumerate(shares):
            _note(ax, f"{share:.1f} %", (share, row), (4, 0), va="center", size=8)
        ax.margins(x=0.1)
        ax.set_xlabel("share of the profiled time, %")
        present = {row["block"] for row in shown}
        patches = _patches(name for name in BLOCKS if name in present)
        _finish(figure, f"Operators of {label(record)}: {_setting(record)}", patches)
    return figure


def _name_rows(ax: Axes, labels: Sequence[str], above: float) -> None:
    """Label the rows of horizontal bars, the first on top."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - (1 - above), -above)
    ax.tick_params(axis="y", length=0)


def _note(
    ax: Axes, text: str, at: tuple[float, float], offset: tuple[int, int], **look: Any
) -> None:
    ax.annotate(text, at, xytext=offset, textcoords="offset points", **look)


def _patches(blocks: Iterable[str]) -> list[Any]:
    return [Patch(color=BLOCK_COLOURS[name], label=name.replace("_", " ")) for name in blocks]


def _finish(figure: Figure, title: str, handles: Sequence[Any] = (), columns: int = 4) -> None:
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    figure.suptitle(title, size=10)


def label(record: Record) -> str:
    """Return the name of a network, with its kernel and its runtime where it has another."""
    kernel = record.get("deform_kernel") or record.get("kernel")
    named = f" ({kernel})" if kernel in ("gather", "torchvision") else ""
    runtime = record.get("runtime")
    how = f", {runtime}" if runtime not in (None, "torch") else ""
    return f"{record['variant']}{named}{how}"


def _setting(record: Record) -> str:
    batch, _, height, width = record["input"]
    many = f"{batch} × " if batch > 1 else ""
    return f"{many}{height}×{width}, {machine(record['environment'])}"
