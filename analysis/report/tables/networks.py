"""Tables of what networks have and cost, of checkpoints, faces, verdicts and searches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape

from analysis.report import Record, formats
from analysis.report.formats import count, fixed, measured, ranges, shape, shapes, signed, some
from analysis.report.table import Cell, Column, Table, bar, strong
from featherface.weights.published import SHIPPED


def _title(record: Record) -> str:
    return f"{record['variant'] or record.get('model') or 'unnamed'} at {_input(record)}"


def _input(record: Record) -> str:
    """Return the shape of the input: of one image for a network of the family, its size."""
    one_image = "model" not in record and record["input"][0] == 1
    return shape(record["input"][2:] if one_image else record["input"])


def blocks(record: Record) -> Table:
    """Return the costs of a network by block, from `analysis.cost.blocks.measure_blocks`."""
    return Table(
        f"{_title(record)}, by block",
        (
            Column("block", "title"),
            Column("parameters", "params", count),
            Column("share", "params_share", bar),
            Column("MACs", "macs", count),
            Column("share", "macs_share", bar),
            Column("in deformable kernels", "macs_by_kind.deformable_kernel", count),
            Column("activations", "activation_bytes", fixed(2, 2**20), unit="MiB"),
            Column("output", "output_shapes", shapes, left=True),
        ),
        record["blocks"],
        totals=({**record, "title": "total", "params_share": 1.0, "macs_share": 1.0},),
    )


def kinds(record: Record) -> str:
    """Return one line: where the MACs of a network go, and what is not in their total."""
    by_kind = record["macs_by_kind"]
    return (
        f"MACs: convolutions {count(by_kind['conv'])} (of which predicting offsets and masks "
        f"{count(by_kind['offset_and_mask_conv'])}), linear layers {count(by_kind['linear'])}, "
        f"deformable kernels {count(by_kind['deformable_kernel'])}; besides, not in the total, "
        f"bilinear sampling {count(by_kind['sampling'])}"
    )


def layers(network: Record) -> Table:
    """Return the tree of modules: a block record, with `layers` by `measure_layers`."""
    return Table(
        f"{_title(network)}: every module, with all that is in it",
        (
            Column("module", _indented),
            Column("type", "type"),
            Column("parameters", "params", count),
            Column("MACs", "macs", count),
            Column("output", lambda layer: ", ".join(map(shape, layer["output_shapes"]))),
        ),
        network["layers"],
    )


def _indented(layer: Record) -> str:
    name = str(layer["path"]).rpartition(".")[2]
    return f"{'  ' * layer['depth']}{name or 'network'}"


def counters(variant: str, record: Record) -> Table:
    """Return what counters say of a network, from `analysis.cost.counters.out_of_the_box`."""
    first = record["counters"][0]
    ours = {
        "counter": "featherface",
        "value": first["our_macs"],
        "quantity": "MACs",
        "params": first["our_params"],
    }
    return Table(
        f"{variant} at {_input(record)}: what counters say",
        (
            Column("counter", "counter"),
            Column("says", _answer),
            Column("off by", _off, signed(), unit="MACs"),
            Column("because of", lambda row: _reasons(row.get("macs_difference", {})), width=1),
            Column("parameters", "params", count),
            Column("off by", lambda row: _reasons(row.get("params_difference", {}))),
        ),
        (ours, *record["counters"]),
    )


def _answer(counter: Record) -> str:
    if counter["value"] is None:
        return str(counter["reason"] or "–")
    return f"{count(counter['value'])} {counter['quantity']}"


def _off(counter: Record) -> int | None:
    macs = counter.get("macs")
    return None if macs is None else macs - counter["our_macs"]


def _reasons(differences: Mapping[str, int]) -> Cell:
    parts = [f"{name.replace('_', ' ')} {signed()(n)}" for name, n in differences.items()]
    return Cell(", ".join(parts), "<br>".join(map(escape, parts)))


def identity(record: Record) -> Table:
    """Return what a checkpoint holds, from `featherface.identify`."""
    misshapen = (
        f"{t['key']}: {shape(t['shape'])} instead of {shape(t['expected'])}"
        for t in record["misshapen"]
    )
    # Without a configuration there may have been nothing to compare with.
    compared = record["config"] or record["missing"] or record["misshapen"]
    undetermined = (f"{name}: {reason}" for name, reason in record["undetermined"].items())
    sha256 = record["sha256"]
    rows = {
        "file": record["file"],
        "sha256": sha256,
        "published as": record["published"]
        or next((f"{name}, by this project" for name in SHIPPED if SHIPPED[name] == sha256), None)
        or "not among the known publications",
        "variant": record["variant"] or "none by name",
        "configuration": ", ".join(f"{k} {v}" for k, v in (record["config"] or {}).items()),
        "parameters": count(record["parameters"]),
        "tensors": count(record["tensors"]),
        "complete": "yes" if record["complete"] else "no",
        "stray": _stray(record["stray"]),
        "missing": some(record["missing"]) if compared else "",
        "misshapen": some(misshapen) if compared else "",
        "not told by the tensors": "\n".join(undetermined),
        "nearest variant": record["nearest"],
        "difference": "\n".join(
            f"{setting}: {here} here, {there} in {record['nearest']}"
            for setting, (here, there) in record["difference"].items()
        ),
    }
    columns = (Column("checkpoint", lambda row: row[0]), Column("", lambda row: row[1]))
    return Table("", columns, [row for row in rows.items() if row[1]])


def _stray(stray: Mapping[str, str]) -> str:
    reasons: dict[str, list[str]] = {}
    for key, reason in stray.items():
        reasons.setdefault(reason, []).append(key)
    listed = (f"{len(keys)} × {reason}: {some(keys, 2)}" for reason, keys in reasons.items())
    return "\n".join(listed) or "none"


def faces(records: Sequence[Record], title: str) -> Table:
    """Return the faces of one image, by falling score."""
    return Table(
        f"{title}: {len(records)} face{'' if len(records) == 1 else 's'}",
        (
            Column("score", "score", fixed(4)),
            Column("box: x1, y1, x2, y2 (pixels)", lambda f: ", ".join(map(fixed(1), f["box"]))),
            Column(
                "eyes, nose, corners of the mouth",
                lambda face: " ".join(f"({x:.0f}, {y:.0f})" for x, y in face["landmarks"]),
            ),
        ),
        records,
    )


def verdicts(records: Sequence[Record], title: str) -> Table:
    """Return claims with their verdicts, as in `docs/results/verdicts.json`."""
    return Table(
        f"{title} ({len(records)})",
        (
            Column("claim", lambda r: Cell(r["id"], "", f"`{r['id']}`", _place(r)), width=3),
            Column("printed", "printed", width=2),
            Column("measured", "measured", measured, left=True, width=2),
            Column("verdict", "verdict", strong),
            Column("statement", "statement", width=4),
            Column("why", "explanation", width=5),
        ),
        records,
        ruled=True,
    )


def remarkable(records: Sequence[Record], failing: Collection[str]) -> Iterator[Table]:
    """Yield the claims that fail, with reasons, and a line for each of the other refuted ones.

    Args:
        failing: source and claim, as "card:total".
    """

    def name(record: Record) -> str:
        return f"{record['source']}:{record['id']}"

    unexpected = [record for record in records if name(record) in failing]
    if unexpected:
        yield verdicts(unexpected, "not as expected")
    refuted = [r for r in records if r["verdict"] == "refuted" and name(r) not in failing]
    if refuted:
        columns = (
            Column("claim", name),
            Column("printed", "printed"),
            Column("measured", "measured", measured, left=True),
            Column("statement", "statement", width=1),
        )
        caption = f"refuted as recorded ({len(refuted)}); reasons: --verdict refuted"
        yield Table(caption, columns, refuted)


def _place(record: Record) -> str:
    lines = record["lines"]
    return f"{record['source']}, line{'s' * (len(lines) > 1)} {ranges(lines)}" if lines else ""


def torchvision(records: Sequence[Record]) -> Table:
    """Return torchvision's own figures beside the measured ones, a row a set of weights.

    The records of `docs/results/torchvision.json` are of parameters and operations in turn.
    """

    def named(pair: tuple[Record, Record], part: int) -> str:
        return str(pair[0]["where"]).partition(": ")[2].partition(", ")[part]

    def worse(pair: tuple[Record, Record]) -> Cell:
        return strong(max((one["verdict"] for one in pair), key=list(formats.MARKS).index))

    def conventions(pair: tuple[Record, Record]) -> str:
        return "; ".join(dict.fromkeys(name for one in pair for name in one["readings"]))

    return Table(
        "torchvision's figures of its own networks",
        (
            Column("network", lambda pair: named(pair, 0)),
            Column("weights", lambda pair: named(pair, 2)),
            Column("parameters, published", lambda pair: pair[0]["claimed"], count),
            Column("measured", lambda pair: pair[0]["measured"], count),
            Column("GMAC, published", lambda pair: pair[1]["claimed"], fixed(3)),
            Column("measured", lambda pair: pair[1]["measured"], fixed(3)),
            Column("verdict", worse),
            Column("published under another convention", conventions),
        ),
        list(zip(records[::2], records[1::2], strict=True)),
    )


def tally(records: Sequence[Record]) -> Table:
    """Return how many claims have which verdict, by source."""

    def row(source: str, claims: Sequence[Record]) -> Record:
        found = Counter(claim["verdict"] for claim in claims)
        return {"source": source, "claims": len(claims), **{v: found[v] for v in formats.MARKS}}

    by_source: dict[str, list[Record]] = {}
    for record in records:
        by_source.setdefault(record["source"], []).append(record)
    return Table(
        "",
        (Column("source", "source"), *(Column(v, v, count) for v in ("claims", *formats.MARKS))),
        [row(source, claims) for source, claims in by_source.items()],
        totals=(row("total", records),) if len(by_source) > 1 else (),
    )


def matches(record: Record) -> Table:
    """Return the architectures that a search found, best first."""
    facts, counter = record["facts"], record["asked"]["reading"]

    def setting(field: str) -> Column:
        def value(match: Record) -> str:
            chosen, agrees = match["config"][field], match["facts"].get(field)
            mark = "" if agrees is None else " ✓" if agrees else " ✗"
            return f"{'–' if chosen is None else chosen}{mark}"

        return Column(field, value)

    columns = [
        *map(setting, record["space"]),
        Column("parameters", "params", count),
        Column("MACs", "macs", count),
        Column("variant", lambda match: ", ".join(match["variants"])),
    ]
    if counter != "parameters":
        columns.insert(-2, Column(counter, "counted", count))
    if facts:
        agreeing = Column("facts", lambda m: f"{m['facts_agreeing']} of {len(facts)}")
        columns.insert(-1, agreeing)
    return Table(
        f"{record['found']:,} of {record['looked_at']:,} architectures",
        columns,
        record["matches"],
        notes=("✓ agrees with what the source states, ✗ does not.",) if facts else (),
    )


def space(ranges: Record) -> str:
    """Return a design space in words, from its values by field."""
    channels, cells, anchors = (
        f"{min(ranges[field])} to {max(ranges[field])}"
        for field in ("channels", "cells", "anchors")
    )
    deformable = sum("dcn" in context for context in ranges["context"])
    return (
        f"{channels} channels (even numbers), a BiFPN of {cells} cells, {anchors} anchors a cell; "
        "CBAM nowhere, behind the backbone, behind the pyramid or at both, with one of "
        f"{len(ranges['reduction'])} reductions; {len(ranges['context'])} kinds of context, "
        f"{deformable} of them deformable; a channel shuffle with or without a bottleneck"
    )


def looked_at(record: Record) -> str:
    """Return what a search looked at and found, and what the source leaves open."""
    found, shown = record["found"], record["shown"]
    more = f", {shown:,} shown" if shown < found else ""
    line = (
        f"{found:,} found{more}, of {record['looked_at']:,} architectures looked at "
        f"in {record['seconds']:.2f} s"
    )
    if record["unstated"]:
        line += f"\nnot stated by the source: {', '.join(record['unstated'])}"
    return line
