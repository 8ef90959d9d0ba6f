"""Every record, table and figure under docs/, measured and written anew.

The same code and ledgers give the same bytes, but for `environment.json`: the versions used.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from analysis.claims import ledger
from analysis.claims import verdicts as compliance
from analysis.claims.provenance import provenance
from analysis.cost.blocks import measure_blocks, measure_layers
from analysis.cost.counters import out_of_the_box, reconcile
from analysis.design_space.facts import load_facts
from analysis.design_space.landscape import landscape
from analysis.design_space.search import search
from analysis.design_space.sensitivity import sensitivity
from analysis.design_space.space import SPACE
from analysis.report import Record
from analysis.report.diagram.drawing import static_svg
from analysis.report.pages import choose, timing
from analysis.report.pages.records import Records
from analysis.report.plots import design_space as plots
from analysis.report.plots import widerface
from analysis.report.plots.style import SCHEMES, Scheme, render
from analysis.report.portrait import RECORDED, found_faces, recorded_maps
from analysis.report.table import Table
from analysis.report.tables import networks
from analysis.widerface import breakdown, history
from featherface.config import CONFIGS
from featherface.errors import InputError
from featherface.files import to_json, write_bytes
from featherface.weights.published import PUBLISHED

HEIGHT, WIDTH = 640, 640
"""The image size that published figures are stated for."""

_TOOLS = ("torch", "torchvision", "fvcore", "torchinfo", "thop", "numpy", "matplotlib")

Written = Iterator[tuple[str, str | bytes]]  # paths below docs/, and what to write there


def generate(
    docs: Path, track: Callable[[Iterable[Any]], Iterable[Any]] = lambda steps: steps
) -> list[Path]:
    """Write everything below `docs`, each file whole or not at all, and return the paths.

    `track` wraps the list of steps, to show progress.

    Raises:
        InputError: where a file cannot be written, or a ledger cannot be used.
    """
    written = []
    for step in track(STEPS):
        for path, content in step(docs):
            write_bytes(docs / path, content.encode() if isinstance(content, str) else content)
            written.append(docs / path)
    return written


def _blocks(docs: Path) -> Written:
    records = [measure_blocks(variant, HEIGHT, WIDTH) for variant in CONFIGS]
    yield "results/blocks.json", to_json(records)
    yield "results/blocks.md", _page("Costs by block", map(_section, map(networks.blocks, records)))
    layers = {variant: measure_layers(variant, HEIGHT, WIDTH) for variant in CONFIGS}
    yield "results/layers.json", _line_by_line(layers)
    (shown,) = (record for record in records if record["variant"] == "official")
    for name, upright in (("architecture", False), ("architecture-down", True)):
        drawing = static_svg(shown, layers["official"], upright=upright)
        yield f"figures/{name}.svg", drawing


def _line_by_line(lists: Mapping[str, Sequence[Any]]) -> str:
    """Lists by name as JSON, one line an entry: long records that still diff well."""
    parts = [
        f"{json.dumps(name)}: [\n"
        + ",\n".join(json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in entries)
        + "\n]"
        for name, entries in lists.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _counters(docs: Path) -> Written:
    path = docs / "results" / "counters.json"
    recorded = Records(docs, ledgers=())["counters.json"] if path.exists() else {}
    records = {}
    for variant in CONFIGS:
        counts = _counts(variant)
        with _usable(path):
            records[variant] = _kept(counts, recorded[variant]) if recorded else counts
    yield "results/counters.json", to_json(records)
    tables = (networks.counters(variant, record) for variant, record in records.items())
    yield "results/counters.md", _page("What counters say", map(_section, tables))


def _counts(variant: str) -> dict[str, Any]:
    """Return the counters' answers on a variant."""
    counters = [record.as_dict() for record in out_of_the_box(variant, HEIGHT, WIDTH)]
    for record in counters:
        del record["version"]  # in environment.json; the counts do not change with it
    shape = [1, 3, HEIGHT, WIDTH]
    return {"input": shape, "counters": counters, "reconciliation": reconcile(variant)}


def _kept(counts: dict[str, Any], recorded: Record) -> dict[str, Any]:
    """Return counts in which those of a counter that is not installed are as recorded.

    They are of the same network where its parameters are the same.
    """
    now, then = counts["reconciliation"], recorded["reconciliation"]
    if now["thop_params"] is not None or now["params"] != then["params"]:
        return counts
    counters = [
        old if new["value"] is None else new
        for new, old in zip(counts["counters"], recorded["counters"], strict=True)
    ]
    return counts | {"counters": counters, "reconciliation": then}


def _verdicts(docs: Path) -> Written:
    now = compliance.audit()
    path = docs / "results" / "verdicts.json"
    old = {then.name: then for then in compliance.recorded(path)} if path.exists() else {}
    # As they are where a program is missing, whose answers stand in explanations too.
    records = [
        old[v.name].row if v.name in old and compliance.unchecked(v, old[v.name]) else v.as_dict()
        for v in now
    ]
    yield "results/provenance.json", to_json(provenance())
    yield "results/verdicts.json", to_json(records)
    yield "results/badge.json", to_json(_badge(records))
    tables = (
        networks.verdicts([r for r in records if r["source"] == book.source.id], book.source.title)
        for book in ledger.load_all()
    )
    yield "results/verdicts.md", _page("Verdicts", map(_section, tables))


def _badge(verdicts: Sequence[Record]) -> dict[str, Any]:
    """Return the data of an endpoint badge of shields.io: how many published figures hold."""
    published = [record["verdict"] for record in verdicts if record["published"]]
    return {
        "schemaVersion": 1,
        "label": "published figures confirmed",
        "message": f"{published.count('confirmed')} of {len(published)}",
        "color": "blue",
    }


PUBLISHED_TOTALS = (487_103, 488_661, 488_664, 489_015, 523_121, 592_371)
"""Totals that somebody has published for FeatherFace, or for a counter's view of it."""


def _design_space(docs: Path) -> Written:
    found = [
        search(total, facts=load_facts("card"), size=(HEIGHT, WIDTH)) for total in PUBLISHED_TOTALS
    ]
    for record in found:
        del record["seconds"]  # the one thing in it that a machine has a say in
    steps = {variant: sensitivity(config) for variant, config in CONFIGS.items()}
    drawn = landscape()
    counted = {key: drawn[key] for key in ("looked_at", "inside")}
    record = {"totals": found, "sensitivity": steps, "landscape": counted}
    yield "results/design_space.json", to_json(record)
    yield "results/design_space.md", _page("Design space", [_SPACE_NOTE, *map(_found, found)])
    for variant, changes in steps.items():
        yield from _figure(f"sensitivity-{variant}", partial(plots.sensitivity, changes))
    yield from _figure("design-space", partial(plots.landscape, drawn))


def _figure(name: str, draw: Callable[[Scheme], Figure]) -> Written:
    """A plot in both colour schemes."""
    for scheme in SCHEMES.values():
        yield f"figures/{name}{scheme.ending}.svg", render(draw(scheme))


def _times(docs: Path) -> Written:
    """Figures of the times on record, of the CPU and of the GPU that were measured last."""
    records = Records(docs, ledgers=())
    for kind, (_, draw, _) in timing.FIGURES.items():
        for device, end in timing.DEVICES.items():
            with _usable(docs / "results" / f"{kind}.jsonl"):
                if shown := timing.drawn(records, kind, device):
                    yield from _figure(f"{kind}{end}", partial(draw, shown))


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """Turn what a damaged record of a file leads to into one line."""
    try:
        yield
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path}: a record that cannot be used: {error!r}") from None


def _widerface(docs: Path) -> Written:
    """Figures of the AP on record; nothing is measured, which would take the images."""
    path = docs / "results" / breakdown.FILE
    records = breakdown.read(path)
    whole = [record for record in records if record["images_sha256"] is None]
    for record in whole or records:
        title = history.title(record["protocol"], record["images"])
        for scheme in SCHEMES.values():
            with _usable(path):
                drawn = widerface.figures(record, title, scheme)
            for name, figure in drawn.items():
                yield f"figures/widerface-{name}{scheme.ending}.svg", render(figure)
    for variant, training in history.trainings(
        history.read(docs / "results" / history.HISTORY.name)
    ):
        rows = [row.model_dump(mode="json") for row in training]
        title = history.title(training[0].protocol.name, training[0].images)
        draw = partial(widerface.training, rows, f"{variant}: {title}")
        yield from _figure(f"widerface-training-{variant}", draw)


def _choice(docs: Path) -> Written:
    """The figure of AP against cost, which has what others publish as well."""
    yield from _figure("choose", partial(widerface.cost, choose.charted(Records(docs))))


def has_weights() -> bool:
    """Return whether the folder that FEATHERFACE_WEIGHTS names has what the maps are made with."""
    folder = os.environ.get("FEATHERFACE_WEIGHTS", "")
    needed = set(RECORDED) & set(PUBLISHED)
    return folder != "" and all((Path(folder) / f"{name}.pth").is_file() for name in needed)


def _portrait(docs: Path) -> Written:
    """Faces found and, where the published weights are at hand, attention and offsets."""
    yield "figures/faces.svg", found_faces()
    if has_weights():
        record, drawn = recorded_maps()
        yield "results/maps.json", to_json(record)
        for name, svg in drawn.items():
            yield f"figures/{name}", svg


def _environment(docs: Path) -> Written:
    name = "results/environment.json"
    # What a tool that is not installed here counted is kept as recorded, and so is its version.
    with _usable(docs / name):
        known = dict(Records(docs, ())["environment.json"]) if (docs / name).exists() else {}
    known |= {package.name: package.version for package in distributions()}
    record = {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        **{tool: known.get(tool) for tool in _TOOLS},
    }
    yield name, to_json(record)


STEPS = (
    _blocks,
    _counters,
    _design_space,
    _verdicts,
    _times,
    _widerface,
    _choice,
    _portrait,
    _environment,
)


def _page(title: str, sections: Iterable[str]) -> str:
    note = "<!-- Written by `featherface report`; changes made here are lost. -->"
    return "\n\n".join([note, f"# {title}", *sections]) + "\n"


def _section(table: Table) -> str:
    return f"## {table.caption}\n\n{table.markdown()}"


_SPACE_NOTE = (
    "Every architecture of a space was counted, none sampled: "
    f"{networks.space(SPACE.record())}. “Facts of the card” are what it states besides its totals; "
    "`featherface search --facts card` marks each."
)


def _found(record: Record) -> str:
    title = f"## {record['asked']['params']:,} parameters"
    looked = f"{record['found']} of {record['looked_at']:,} architectures have that many."
    table = [networks.matches(record).markdown()] if record["matches"] else []
    return "\n\n".join([title, looked, *table])
