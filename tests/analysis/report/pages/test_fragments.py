"""Sentences of the pages follow from the records."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from analysis.cli.main import app
from analysis.report.diagram import svg
from analysis.report.pages import (
    accuracy,
    choose,
    generate,
    home,
    notebooks,
    space,
    timing,
    verdict_list,
)
from analysis.report.pages.generate import FRAGMENTS, made_from
from analysis.report.pages.records import Records, address_of
from featherface.errors import InputError


def _with(records: Records, name: str, content: Any) -> Records:
    """Records with another content of one file."""
    return replace(records, files=records.files | {name: content})


VOID = {
    "img",
    "wbr",
    "input",
    "br",
    "hr",
    "meta",
    "link",
    "source",
    "col",
    "path",
    "rect",
    "circle",
}


class _Balance(HTMLParser):
    """Raises where a tag closes that is not the one that is open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids.update(value for name, value in attrs if name == "id" and value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("name", FRAGMENTS)
def test_every_fragment_is_whole(records: Records, name: str) -> None:
    parser = _Balance()
    # In Markdown, what stands in backticks is no HTML.
    parser.feed(re.sub(r"`[^`]*`", "", FRAGMENTS[name](records)))
    parser.close()
    assert parser.open == []
    assert [at for at, times in parser.ids.items() if times > 1] == []


@pytest.mark.parametrize("name", FRAGMENTS)
def test_every_figure_has_a_link_to_its_file(records: Records, name: str) -> None:
    text = FRAGMENTS[name](records)
    shown = set(re.findall(r'src="([^"]+\.svg)"', text))
    assert shown <= set(re.findall(r'href="([^"]+\.svg)" download', text))


def test_every_claim_has_a_row_with_its_address(records: Records) -> None:
    text = verdict_list.claims(records)
    rows = re.findall(r'data-verdict="(\w+)" data-source="(\w+)"[\s\S]*? id="([\w-]+)"', text)
    expected = [(r["verdict"], r["source"], address_of(r)) for r in records["verdicts.json"]]
    assert rows == expected
    assert len({address for *_, address in rows}) == len(rows)


def test_what_a_source_says_is_text_and_not_markup(records: Records) -> None:
    sly = {**records["verdicts.json"][0], "statement": "<script>alert(1)</script> & `a<b`"}
    text = verdict_list.claims(_with(records, "verdicts.json", [sly]))
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; <code>a&lt;b</code>" in text


def test_the_tally_counts_each_published_figure_once(records: Records) -> None:
    counts = [int(n) for n in re.findall(r'ff-count">(\d+)<', verdict_list.tally(records, ""))]
    assert sum(counts) == sum(record["published"] for record in records["verdicts.json"])


def test_home_follows_the_records(records: Records) -> None:
    counters = copy.deepcopy(records["counters.json"])
    counters["official"]["reconciliation"]["thop_params"] += 1
    with pytest.raises(InputError, match="is not"):
        home.the_size(_with(records, "counters.json", counters))
    assert f"{records.blocks['official']['params']:,}" in home.the_size(records)
    assert f"{records.verdict('card-total-as-drawn')['measured']:,}" in home.the_card(records)


def test_what_the_card_states_and_images_of_an_ap_are_shown_as_recorded(records: Records) -> None:
    designs = copy.deepcopy(records["design_space.json"])
    facts = designs["totals"][0]["facts"]
    facts["channels"]["values"], facts["reduction"]["values"] = [7001], [7002]
    changed = _with(records, "design_space.json", designs)
    assert "7001 channels" in space.lead(changed)
    assert "7001 channels" in home.the_card(changed)
    assert home.the_card(changed).count("7002") == 2  # of the text and of the command
    for match in designs["totals"][0]["matches"]:
        match["facts"]["channels"] = False
    with pytest.raises(InputError, match=r"design_space\.json: 0 architectures"):
        home.the_card(changed)
    rows = copy.deepcopy(records["widerface.jsonl"])
    (last,) = (row for row in rows if row["detector"] == "v1")
    last["images"] = 7003
    assert "7003 images" in choose.table(_with(records, "widerface.jsonl", rows))


@pytest.mark.slow
@pytest.mark.parametrize(
    "fragment",
    [home.commands, home.the_size, home.the_card, home.the_cost],
    ids=lambda f: f.__name__,
)
def test_the_commands_of_home_print_their_figures(
    records: Records, fragment: Callable[[Records], str]
) -> None:
    pytest.importorskip("thop", reason="one of the figures is what thop says")
    (listing,) = re.findall(r"```sh\n(.*?)\n```", fragment(records), re.DOTALL)
    for line in listing.splitlines():
        command, said = line.split("  # ")
        result = CliRunner().invoke(app, command.split()[1:])
        assert result.exit_code == 0, command
        figures = re.findall(r"\d[\d,]*", said)
        assert figures, said
        assert [figure for figure in figures if figure not in result.stdout] == [], command


@pytest.mark.parametrize("name", FRAGMENTS)
def test_a_chart_has_its_data_as_text_and_a_finding(records: Records, name: str) -> None:
    for figure in re.findall(r'<figure class="ff-figure">.*?</figure>', FRAGMENTS[name](records)):
        alternatives = set(re.findall(r'alt="([^"]*)"', figure))
        assert len(alternatives) == 1
        assert re.search(r"\d", alternatives.pop()) or "sampling points" in figure, figure[:200]
        (caption,) = re.findall(r"<figcaption>(.*?) <a", figure)
        assert len(caption) > 40, caption


def test_sources_add_up_to_the_tally(records: Records) -> None:
    table = re.sub(r"<[^>]+>", " ", home.tally_by_source(records).split("<tbody>")[1])
    numbers = [int(number) for number in re.findall(r"\d+", table)]
    rows = [numbers[at : at + 5] for at in range(0, len(numbers), 5)]
    assert [row[0] for row in rows] == [sum(row[1:]) for row in rows]
    assert sum(row[0] for row in rows) == sum(r["published"] for r in records["verdicts.json"])


def test_what_to_build_on_shows_measured_and_published_apart(records: Records) -> None:
    text = re.sub(r"<[^>]+>", " ", choose.table(records))
    assert re.search(r"official\s+592,371\s+1\.244 GMAC .* 78\.1\s+Original size, measured", text)
    assert re.search(r"YuNet_n\s+75,856 .* 81\.1\s+Original size, published\s+Apache", text)
    chart = choose.chart(records)
    assert "SCRFD-0.5GF 0.677 GMAC" in chart
    assert "EResFD" not in chart  # its MACs are not stated


def test_a_claim_that_is_gone_is_one_line(records: Records) -> None:
    with pytest.raises(InputError, match="no claim 'card-no-such'"):
        records.verdict("card-no-such")


def test_totals_name_the_counter_that_says_them(records: Records) -> None:
    text = space.totals(records)
    seen = records["counters.json"]["official"]["reconciliation"]["thop_params"]
    section = text.split(f"### {seen:,} parameters")[1].split("###")[0]
    assert "what the counter thop says of `official`" in section


def _row(**fields: object) -> dict[str, object]:
    whole = {"easy": 0.9, "medium": 0.8, "hard": 0.7, "images": 3226}
    return {"source": "published", "by": "b", "date": "2026-01-01"} | whole | fields


def test_protocols_and_pictures_are_never_mixed(records: Records) -> None:
    rows = [
        _row(detector="D-1", protocol={"name": "original"}),
        _row(detector="D-2", protocol={"name": "vga"}),
        _row(detector="D-3", protocol={"name": "original"}, images=488, images_sha256="0" * 64),
    ]
    text = accuracy.results(_with(records, "widerface.jsonl", rows))
    sections = text.split("\n## ")
    where = [[name in section for name in ("D-1", "D-2", "D-3")] for section in sections]
    assert sorted(where, reverse=True) == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]
    assert "never evidence" in next(s for s in sections if "D-3" in s)
    assert text.count("80.00") == 2 * len(rows)  # Medium, and the mean that nobody recorded


def test_times_are_grouped_by_machine_and_the_newest_shown(records: Records) -> None:
    recorded = [row for row in records["latency.jsonl"] if row["blocks"]][-1]

    def row(
        device: str, ms: float, layout: str = "contiguous", settled: bool = True
    ) -> dict[str, object]:
        here = recorded["environment"] | {"device": device, "device_name": f"A {device}"}
        return {
            **recorded,
            "environment": here | {"memory_format": layout},
            "whole": recorded["whole"] | {"ms_p50": ms},
            "doubts": [] if settled else ["busy"],
            "settled": settled,
        }

    cpu = timing.latency(_with(records, "latency.jsonl", [row("cpu", 7777), row("cpu", 8888)]))
    assert "8,888.00" in cpu
    assert "7,777.00" not in cpu
    assert "Latency was not measured on a GPU" in cpu
    both = timing.latency(_with(records, "latency.jsonl", [row("cpu", 7777), row("cuda:0", 1)]))
    assert both.count("### ") == 2
    assert "CPU: A cpu, " in both
    assert "GPU: A cuda:0, float32" in both
    assert "GPU: not measured" in cpu
    assert "was not measured on a GPU" not in both
    quiet = [row("cpu", 7777), row("cpu", 8888, settled=False)]
    assert "8,888.00" not in timing.latency(_with(records, "latency.jsonl", quiet))
    layouts = [row("cpu", 7777), row("cpu", 8888, "channels_last")]
    kept = timing.latency(_with(records, "latency.jsonl", layouts))
    assert "7,777.00" in kept
    assert "8,888.00" in kept
    assert "L2 cache not flushed" in cpu
    batches = [row("cpu", 7777), {**row("cpu", 8888), "input": [8, 3, 640, 640]}]
    by_batch = timing.latency(_with(records, "latency.jsonl", batches))
    summaries = re.findall(r"<summary>(.*?)</summary>", by_batch)
    assert len(set(summaries)) == len(summaries) == 2
    batches[1]["flush_l2"] = True
    mixed = timing.latency(_with(records, "latency.jsonl", batches))
    assert ">not flushed<" in mixed
    assert ">flushed<" in mixed
    assert ">runtime, deformable kernel<" in mixed
    batches[1]["environment"] = batches[1]["environment"] | {"torch": "9.9"}
    assert '<p class="ff-note"></p>' not in timing.latency(_with(records, "latency.jsonl", batches))


def test_no_roofline_has_no_lead(records: Records) -> None:
    assert timing.roofline_lead(_with(records, "roofline.jsonl", [])) == ""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("counters.json", None),
        ("counters.json", b""),
        ("counters.json", b"["),
        ("counters.json", b"[" * 100_000),
        ("counters.json", b'{"share": NaN}'),
        ("counters.json", "é".encode("latin1")),
        ("latency.jsonl", b"\x00\xff"),
        ("latency.jsonl", b'{"record": "latency", "variant": "v1"}\n'),
    ],
)
def test_a_record_that_cannot_be_read_is_one_line(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    (tmp_path / "results").mkdir()
    if content is not None:
        (tmp_path / "results" / name).write_bytes(content)
    with pytest.raises(InputError, match=name) as failure:
        Records(tmp_path, ledgers=())[name]
    assert len(str(failure.value)) < 300


DAMAGES: dict[str, Callable[[Any], Any]] = {
    "blocks.json": lambda blocks: blocks[0].pop("macs"),
    "layers.json": lambda layers: layers.update(official=7),
    "counters.json": lambda counters: counters["official"]["reconciliation"].clear(),
    "verdicts.json": lambda verdicts: verdicts[3].update(measured={"a": 1}),
    "design_space.json": lambda space: space.pop("totals"),
    "provenance.json": lambda origin: origin["publications"][1].update(date="soon"),
    "maps.json": lambda maps: maps.update(images=[]),
    "torchvision.json": lambda verdicts: verdicts.pop(),
    "latency.jsonl": lambda rows: rows[-1]["environment"].pop("device_name"),
    "growth.jsonl": lambda rows: rows[-1].update(fits={}),
    "roofline.jsonl": lambda rows: rows[-1]["ceilings"].pop("product_by"),
    "widerface.jsonl": lambda rows: rows[-1].update(easy="x"),
}


def test_an_error_of_the_code_is_no_damaged_record(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Records) -> str:
        raise NameError("a name that is not defined")

    monkeypatch.setattr(generate, "FRAGMENTS", {"broken.md": broken})
    with pytest.raises(NameError):
        generate.made_from(records)


@pytest.mark.parametrize("name", DAMAGES)
def test_a_record_of_another_kind_is_one_line_that_names_it(records: Records, name: str) -> None:
    content = copy.deepcopy(records[name])
    DAMAGES[name](content)
    with pytest.raises(InputError, match=name):
        made_from(_with(records, name, content))


def test_a_style_sheet_names_what_pages_have_and_variables_that_are_set(
    root: Path, records: Records
) -> None:
    assets = [*(root / "docs" / "assets").iterdir()]
    styles = "".join(path.read_text(encoding="utf-8") for path in assets if path.suffix == ".css")
    drawn = svg.page_style()
    used = set(re.findall(r"var\((--f[af]-[\w-]+)", styles))
    assert used <= set(re.findall(r"(--f[af]-[\w-]+):", styles + drawn))

    by_hand = [*(root / "docs").rglob("*.md"), *assets, Path(notebooks.__file__)]
    texts = [path.read_text(encoding="utf-8") for path in by_hand if path.suffix != ".css"]
    pages = "".join([*made_from(records)[0].values(), *texts])
    named = set(re.findall(r"\.((?:ff|fa|nb|is)-[\w-]+)", styles))
    assert {name for name in named if not re.search(rf"\b{name}\b", pages)} == set()
