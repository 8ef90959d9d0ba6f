"""Records as tables for a terminal. Takes records, imports nothing of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

_LEVELS = ("p3", "p4", "p5")

_COLOURS = {"confirmed": "green", "explained": "cyan", "refuted": "red", "untested": "yellow"}


def count(value: int | None) -> str:
    """1234567 → "1,234,567"; nothing for what is not known."""
    return "" if value is None else f"{value:,}"


def share(value: float) -> str:
    """0.1234 → "12.3 %"."""
    return f"{100 * value:.1f} %"


def blocks(record: Mapping[str, Any]) -> Table:
    """The costs of a network by block, from `analysis.cost.blocks.measure_blocks`."""
    height, width = record["input"][-2:]
    table = _table(f"{record['variant'] or 'unnamed'} at {height}×{width}", footer=True)
    table.add_column("block", "total")
    for title, key in (("parameters", "params"), ("MACs", "macs")):
        table.add_column(title, count(record[key]), justify="right")
        table.add_column("share", share(1.0), justify="right")
    table.add_column("activations", _kilobytes(record["activation_bytes"]), justify="right")
    table.add_column("output (channels × height × width)")
    for block in record["blocks"]:
        table.add_row(
            block["title"],
            count(block["params"]),
            share(block["params_share"]),
            count(block["macs"]),
            share(block["macs_share"]),
            _kilobytes(block["activation_bytes"]),
            shapes(block["output_shapes"]),
        )
    return table


def kinds(record: Mapping[str, Any]) -> str:
    """One line: where the MACs of a network go, and what is not in their total."""
    by_kind = record["macs_by_kind"]
    return (
        f"MACs: convolutions {count(by_kind['conv'])} (of which predicting offsets and masks "
        f"{count(by_kind['offset_and_mask_conv'])}), linear layers {count(by_kind['linear'])}, "
        f"deformable kernels {count(by_kind['deformable_kernel'])}; besides, not in the total, "
        f"bilinear sampling {count(by_kind['sampling'])}"
    )


def layers(network: Mapping[str, Any]) -> Table:
    """The costs of a network as a tree: its block record, with `layers` by `measure_layers`."""
    height, width = network["input"][-2:]
    name = network["variant"] or "unnamed"
    table = _table(f"{name} at {height}×{width}: every module, with all that is in it")
    table.add_column("module", no_wrap=True)
    table.add_column("type")
    table.add_column("parameters", justify="right")
    table.add_column("MACs", justify="right")
    table.add_column("output", overflow="fold")
    for record in network["layers"]:
        name = record["path"].rpartition(".")[2] or "network"
        table.add_row(
            "  " * record["depth"] + name,
            record["type"],
            count(record["params"]),
            count(record["macs"]),
            ", ".join("×".join(map(str, shape)) for shape in record["output_shapes"]),
        )
    return table


def identity(record: Mapping[str, Any]) -> Table:
    """What a checkpoint holds, from `featherface.identify`."""
    table = _pairs()
    table.add_row("file", record["file"])
    table.add_row("sha256", record["sha256"])
    table.add_row("published as", record["published"] or "not among the known publications")
    table.add_row("variant", record["variant"] or "none by name")
    if record["config"]:
        settings = ", ".join(f"{k} {v}" for k, v in record["config"].items())
        table.add_row("configuration", settings)
    table.add_row("parameters", count(record["parameters"]))
    table.add_row("tensors", count(record["tensors"]))
    table.add_row("complete", "yes" if record["complete"] else "no")
    table.add_row("stray", _stray(record["stray"]))
    table.add_row("missing", _some(record["missing"]))
    table.add_row(
        "misshapen",
        _some(
            f"{t['key']}: {_shape(t['shape'])} instead of {_shape(t['expected'])}"
            for t in record["misshapen"]
        ),
    )
    for setting, assumed in record["undetermined"].items():
        table.add_row("not told by the tensors", f"{setting}: {assumed}")
    if record["nearest"]:
        table.add_row("nearest variant", record["nearest"])
        for setting, (here, there) in record["difference"].items():
            table.add_row("difference", f"{setting}: {here} here, {there} in {record['nearest']}")
    return table


def faces(records: Sequence[Mapping[str, Any]], title: str) -> Table:
    """Faces on one picture, by falling score."""
    table = _table(f"{title}: {len(records)} face{'' if len(records) == 1 else 's'}")
    table.add_column("score", justify="right")
    table.add_column("box: x1, y1, x2, y2 (pixels)")
    table.add_column("eyes, nose, corners of the mouth")
    for face in records:
        table.add_row(
            f"{face['score']:.4f}",
            ", ".join(f"{value:.1f}" for value in face["box"]),
            " ".join(f"({x:.0f}, {y:.0f})" for x, y in face["landmarks"]),
        )
    return table


def verdicts(records: Sequence[Mapping[str, Any]], verdict: str) -> Table:
    """The claims with one verdict."""
    found = [record for record in records if record["verdict"] == verdict]
    table = _table(Text(f"{verdict} ({len(found)})", style=f"bold {_COLOURS[verdict]}"))
    table.show_lines = True
    table.add_column("claim", ratio=3, overflow="fold")
    table.add_column("printed", ratio=2)
    table.add_column("measured", ratio=2)
    table.add_column("why", ratio=7)
    for record in found:
        lines = record["lines"]
        where = record["source"] + (f", line {_ranges(lines)}" if lines else "")
        table.add_row(
            f"{escape(record['id'])}\n[dim]{escape(where)}[/dim]",
            escape(str(record.get("printed") or value(record["claimed"]))),
            escape(value(record["measured"])),
            f"{escape(record['statement'])}\n[dim]{escape(record['explanation'])}[/dim]",
        )
    return table


def summary(records: Sequence[Mapping[str, Any]]) -> Text:
    """One line: how many claims have which verdict."""
    text = Text(f"{len(records)} claims: ")
    for i, (verdict, colour) in enumerate(_COLOURS.items()):
        number = sum(record["verdict"] == verdict for record in records)
        text.append(", " if i else "")
        text.append(f"{number} {verdict}", style=f"bold {colour}")
    return text


def matches(record: Mapping[str, Any]) -> Table:
    """Architectures that a search found, best first."""
    facts = record["facts"]
    table = _table("✓ agrees with what the source states, ✗ does not" if facts else "")
    fields = record["space"]
    for field in fields:
        table.add_column(field)
    table.add_column("parameters", justify="right")
    if record["asked"]["reading"] != "parameters":
        table.add_column(record["asked"]["reading"], justify="right")
    table.add_column("MACs", justify="right")
    if facts:
        table.add_column("facts", justify="right")
    table.add_column("variant")
    for match in record["matches"]:
        cells = [
            f"{'–' if match['config'][field] is None else match['config'][field]}"
            + _mark(match["facts"].get(field))
            for field in fields
        ]
        cells.append(count(match["params"]))
        if record["asked"]["reading"] != "parameters":
            cells.append(count(match["counted"]))
        cells.append(count(match["macs"]))
        if facts:
            cells.append(f"{match['facts_agreeing']} of {len(facts)}")
        table.add_row(*cells, ", ".join(match["variants"]))
    return table


def looked_at(record: Mapping[str, Any]) -> str:
    """What a search looked at, and found; and what the source leaves open."""
    found, shown = record["found"], record["shown"]
    more = f", {shown:,} shown" if shown < found else ""
    line = (
        f"{found:,} found{more}, of {record['looked_at']:,} architectures looked at "
        f"in {record['seconds']:.2f} s"
    )
    if record["unstated"]:
        line += f"\nnot stated by the source: {', '.join(record['unstated'])}"
    return line


def _mark(agrees: bool | None) -> str:
    return "" if agrees is None else (" ✓" if agrees else " ✗")


def value(measured: Any) -> str:
    """A measured or claimed value as a reader expects it."""
    if measured is None:
        return "–"
    if isinstance(measured, bool):
        return "yes" if measured else "no"
    if isinstance(measured, int):
        return count(measured)
    if isinstance(measured, float):
        return f"{measured:,.0f}" if measured.is_integer() else f"{measured:,.5g}"
    if isinstance(measured, list | tuple):
        return ", ".join(value(item) for item in measured)
    return str(measured)


def shapes(by_name: Mapping[str, Sequence[int]]) -> str:
    """Shapes of the tensors a block hands on, without the batch."""
    if tuple(by_name) == _LEVELS:
        return ", ".join(_shape(shape[1:]) for shape in by_name.values())
    return ", ".join(f"{name} {_shape(shape[1:])}" for name, shape in by_name.items())


def _table(title: str | Text, *, footer: bool = False) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", show_footer=footer)


def _pairs() -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _shape(shape: Iterable[int]) -> str:
    return "×".join(map(str, shape))


def _kilobytes(size: int) -> str:
    return f"{size / 1024:,.0f} KiB"


def _some(items: Iterable[str], most: int = 5) -> str:
    listed = list(items)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more if listed else "none"


def _stray(stray: Mapping[str, str]) -> str:
    reasons: dict[str, list[str]] = {}
    for key, reason in stray.items():
        reasons.setdefault(reason, []).append(key)
    listed = (f"{len(keys)} × {reason}: {_some(keys, 2)}" for reason, keys in reasons.items())
    return "\n".join(listed) or "none"


def _ranges(lines: Sequence[int]) -> str:
    """[3, 4, 5, 9] → "3–5, 9"."""
    runs: list[list[int]] = []
    for line in sorted(lines):
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    return ", ".join(f"{r[0]}–{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)
