"""The site in a browser: built strictly, served here, with every other host out of reach."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest

pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[1]
WEIGHT = 1_000_000
"""Bytes that a page may take: its HTML and everything that it loads."""

CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3)
    .map((part, i) => part * top[3] + below[i] * (1 - top[3])).concat(1);
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(rgba(getComputedStyle(at).backgroundColor));
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const poor = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || element.closest("script, style, svg, noscript, option")) continue;
    if (!element.checkVisibility({checkOpacity: true, checkVisibilityCSS: true})) continue;
    const style = getComputedStyle(element);
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= getComputedStyle(at).opacity;
    if (opacity < 1) continue;  // on its way in or out
    const below = ground(element);
    const [light, dark] = [luminance(over(rgba(style.color), below)), luminance(below)]
      .sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5) - 0.005) {
      const kind = `${element.tagName.toLowerCase()}.${element.className}`;
      poor.set(kind, `${kind} ${ratio.toFixed(2)} ${style.color} on ${below.map(Math.round)}: `
        + text.slice(0, 40));
    }
  }
  return [...poor.values()];
}"""


def _build(folder: Path) -> str:
    """Build the site as the README says, and return what generating its pages said."""
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    said = []
    for command in (
        ("featherface", "report", "--pages"),
        ("mkdocs", "build", "--strict", "--site-dir", str(folder)),
    ):
        done = subprocess.run(
            (sys.executable, "-m", *command),
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        said.append(done.stderr)
    return said[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `mkdocs build --strict` makes it."""
    pytest.importorskip("material", reason="the site is built with mkdocs-material")
    pytest.importorskip("nbclient", reason="notebooks are run with nbclient")
    folder = tmp_path_factory.mktemp("site")
    _build(folder)
    return folder


@pytest.fixture(scope="module")
def address(site: Path, serve: Any) -> Iterator[str]:
    """The address of the site, without a slash at the end."""
    with serve(site) as address:
        yield address


class Visit:
    """A page as a reader sees it, and everything that went wrong on the way."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"reduced_motion": "reduce"} | options)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.address = address
        self.page.route("**/*", self._answer)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._response)

    def _failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # what leaving a page ends
            self.problems.append(f"failed: {request.url}")

    def _answer(self, route: Any) -> None:
        url = route.request.url
        if url.startswith((f"{self.address}/", "data:", "blob:")):
            route.continue_()
        else:
            self.problems.append(f"another host: {url}")
            route.abort()

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console: {message.text}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.url}")

    def go(self, path: str) -> Any:
        """Open a page and wait until it is quiet."""
        self.page.goto(f"{self.address}/{path}")
        self.page.wait_for_load_state("networkidle")
        return self.page

    def load_pictures(self) -> None:
        """Those that would wait until somebody scrolls to them, too."""
        self.page.evaluate(
            "[...document.images].filter((i) => i.checkVisibility())"
            ".forEach((i) => { i.loading = 'eager' })"
        )
        self.page.wait_for_function(
            "[...document.images].every((i) => i.complete || !i.checkVisibility())"
        )

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Visit]]:
    visits: list[Visit] = []

    def make(**options: Any) -> Visit:
        visits.append(Visit(browser, address, **options))
        return visits[-1]

    yield make
    for one in visits:
        one.close()


@pytest.fixture(scope="module")
def paths(site: Path) -> list[str]:
    """The address of each page below the root."""
    found = sorted(path.parent.relative_to(site).as_posix() for path in site.rglob("index.html"))
    return ["" if path == "." else f"{path}/" for path in found]


class _Page(HTMLParser):
    """Links of a page, places that can be linked to, and its outline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.levels: list[int] = []
        self.without_alternative: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        for name in ("href", "src", "xlink:href"):
            if values.get(name):
                self.links.append(str(values[name]))
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.levels.append(int(tag[1]))
        if tag == "img" and "md-logo" not in str(values) and not values.get("alt"):
            self.without_alternative.append(str(values.get("src")))


@pytest.fixture(scope="module")
def parsed(site: Path, paths: list[str]) -> dict[str, _Page]:
    return {p: _Page((site / p / "index.html").read_text(encoding="utf-8")) for p in paths}


def test_a_second_build_runs_nothing(site: Path, tmp_path: Path) -> None:
    said = _build(tmp_path / "again")
    assert "0 files of the site written; notebooks: 0 ran" in said
    names = sorted(p.relative_to(site) for p in site.rglob("*.html"))
    assert names == sorted(p.relative_to(tmp_path / "again") for p in tmp_path.rglob("*.html"))
    for name in names:
        assert (site / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_links_lead_somewhere(site: Path, parsed: dict[str, _Page]) -> None:
    broken = []
    for path, page in parsed.items():
        for link in set(page.links):
            url = urlsplit(urljoin(f"http://here/{path}", link))
            if url.netloc != "here" or url.scheme not in ("http", "https"):
                continue
            to = unquote(url.path).lstrip("/")
            target = site / to
            if target.is_dir():
                target = target / "index.html"
            there = parsed.get(to)
            anchor = unquote(url.fragment)
            if not target.is_file() or (anchor and there and anchor not in there.ids):
                broken.append(f"{path}: {link}")
    assert broken == []


def test_outlines_names_and_alternatives(parsed: dict[str, _Page]) -> None:
    for path, page in parsed.items():
        assert page.levels.count(1) == 1, path
        assert page.levels[0] == 1, path
        steps = zip(page.levels, page.levels[1:], strict=False)
        assert [step for step in steps if step[1] > step[0] + 1] == [], path
        assert page.without_alternative == [], path
        assert len(page.ids) == len(set(page.ids)), path


def test_every_page_loads_whole_and_from_here_alone(
    visit: Callable[..., Visit], paths: list[str]
) -> None:
    reader = visit(viewport={"width": 1280, "height": 900})
    for path in ["", *paths, "404.html"]:
        page = reader.go(path)
        reader.load_pictures()
        broken = page.evaluate(
            "[...document.images].filter((i) => i.checkVisibility() && !i.naturalWidth)"
            ".map((i) => i.src)"
        )
        assert broken == [], path
        unnamed = page.evaluate(
            "[...document.querySelectorAll('article :is(input, select, button, textarea)')]"
            ".filter((e) => !(e.labels?.length || e.ariaLabel || e.title || e.textContent.trim()))"
            ".map((e) => e.outerHTML)"
        )
        assert unnamed == [], path
    assert reader.problems == []


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(
    visit: Callable[..., Visit], paths: list[str], width: int
) -> None:
    reader = visit(viewport={"width": width, "height": 844})
    wide = [
        path
        for path in paths
        if reader.go(path).evaluate("document.documentElement.scrollWidth") > width
    ]
    assert wide == []


TOO_SMALL_OR_CUT = """() => {
  const shown = (selector) =>
    [...document.querySelectorAll(selector)].filter((e) => e.checkVisibility());
  const cut = (e) => e.scrollWidth > e.clientWidth + 1;
  return [
    ...shown(".ff-figure img, .nb-picture img").filter((e) => e.offsetWidth < 600),
    ...shown(".ff-figure figcaption, .ff-table caption").filter((e) => e.offsetWidth > innerWidth),
    ...shown(":is(.language-sh, .language-console) pre > code").filter(cut),
  ].map((e) => e.outerHTML.slice(0, 200));
}"""
"""Drawings whose words nobody could read, and captions and commands that end off the screen."""


def test_a_phone_shows_drawings_captions_and_commands_whole(
    visit: Callable[..., Visit], paths: list[str]
) -> None:
    reader = visit(viewport={"width": 390, "height": 844})
    found = {path: reader.go(path).evaluate(TOO_SMALL_OR_CUT) for path in paths}
    assert {path: elements for path, elements in found.items() if elements} == {}


def test_detectors_are_compared_on_one_screen(visit: Callable[..., Visit]) -> None:
    page = visit(viewport={"width": 1440, "height": 900}).go("use/choose/")
    table = page.locator(".ff-table").first
    assert table.evaluate("(e) => e.scrollWidth <= e.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(visit: Callable[..., Visit], paths: list[str], scheme: str) -> None:
    reader = visit(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    poor = {path: reader.go(path).evaluate(CONTRAST) for path in paths}
    assert {path: found for path, found in poor.items() if found} == {}
    expected = "slate" if scheme == "dark" else "default"
    assert reader.page.get_attribute("body", "data-md-color-scheme") == expected


def test_a_page_is_light(visit: Callable[..., Visit], site: Path, paths: list[str]) -> None:
    """With all that it loads: theme, styles, scripts and pictures, before any cache."""
    heavy = {}
    for path in paths:
        if path.startswith("notebooks/") and path != "notebooks/":
            continue
        reader = visit(viewport={"width": 1280, "height": 900})
        loaded: set[str] = set()
        reader.page.on("response", lambda r, seen=loaded: seen.add(urlsplit(r.url).path))
        reader.go(path)
        reader.load_pictures()
        files = [site / unquote(name).lstrip("/") for name in loaded]
        files = [file / "index.html" if file.is_dir() else file for file in files]
        total = sum(file.stat().st_size for file in files if file.is_file())
        if total >= WEIGHT:
            heavy[path] = total
        reader.close()
    assert heavy == {}


def _shown(page: Any) -> int:
    return int(page.locator("#claims > li:not([hidden])").count())


def test_claims_are_filtered_with_the_keyboard(visit: Callable[..., Visit]) -> None:
    reader = visit(viewport={"width": 1280, "height": 900})
    page = reader.go("verdicts/")
    every = _shown(page)
    refuted = page.locator('#claims > li[data-verdict="refuted"]').count()
    assert 0 < refuted < every

    page.focus("#claim-search")
    page.keyboard.press("Tab")  # to the order
    page.keyboard.press("Tab")  # to the first verdict, "confirmed"
    assert page.evaluate("document.activeElement.value") == "confirmed"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert _shown(page) == refuted
    assert page.url.endswith("?verdict=refuted")
    assert f"{refuted} of {every} claims" in page.inner_text("#claim-count")

    page.focus("#claim-search")
    page.keyboard.type("22,080")
    found = _shown(page)
    assert 0 < found < refuted
    rows = page.locator("#claims > li:not([hidden])").all_text_contents()
    assert all("22,080" in row for row in rows)

    # The address alone brings the view back.
    page.goto(page.url)
    assert _shown(page) == found
    page.select_option("#claim-sort", "statement")
    shown = page.locator("#claims > li:visible .ff-statement").all_inner_texts()
    assert shown == sorted(shown, key=str.casefold)
    page.click("text=Show all")
    page.wait_for_function("!document.querySelector('#claims > li[hidden]')")
    assert _shown(page) == every
    assert urlsplit(page.url).query == ""
    assert reader.problems == []


def test_counts_say_what_a_choice_would_show(visit: Callable[..., Visit]) -> None:
    page = visit().go("verdicts/?source=paper")
    for verdict in ("confirmed", "explained", "refuted", "untested"):
        rows = f'#claims > li[data-source="paper"][data-verdict="{verdict}"]'
        said = page.inner_text(f'[data-count="verdict:{verdict}"]')
        assert int(said) == page.locator(rows).count()


def test_a_claim_has_an_address(visit: Callable[..., Visit]) -> None:
    page = visit(viewport={"width": 1280, "height": 900}).go("verdicts/#card-total-as-drawn")
    claim = page.locator("details:has(#card-total-as-drawn)")
    assert claim.get_attribute("open") is not None
    assert "is-target" in str(claim.get_attribute("class"))
    box = claim.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900

    # A filter that hides it gives way.
    page.goto(f"{page.url.split('#')[0]}?verdict=confirmed#paper-params")
    page.reload()
    assert page.locator("#paper-params").is_visible()
    page.evaluate("location.hash = '#card-total'")
    page.wait_for_selector("details.is-target[open]:has(#card-total)")
    assert page.locator("details.is-target").count() == 1


def test_a_claim_opened_under_a_filter_keeps_both_in_the_address(
    visit: Callable[..., Visit],
) -> None:
    page = visit().go("verdicts/?verdict=refuted")
    page.locator("#claims > li:not([hidden]) summary").first.click()
    page.wait_for_function("location.hash")
    assert urlsplit(page.url).query == "verdict=refuted"


def test_printed_claims_are_a_line_each(visit: Callable[..., Visit]) -> None:
    page = visit(viewport={"width": 1280, "height": 900}).go("verdicts/")
    page.emulate_media(media="print")
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true })")
    assert page.locator(".ff-facts:visible").count() == 0
    heights = page.evaluate(
        "[...document.querySelectorAll('#claims > li')].map((row) => row.offsetHeight)"
    )
    assert max(heights) < 120


def test_a_table_can_be_had_as_csv(visit: Callable[..., Visit]) -> None:
    page = visit().go("use/choose/")
    with page.expect_download() as download:
        page.locator("button.ff-csv").first.click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert text.startswith("detector,parameters,")
    assert '\nofficial,"592,371",' in text


FIGURE_CONTRAST = """() => {
  const part = (value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const luminance = (colour) => colour.match(/[\\d.]+/g).slice(0, 3)
    .reduce((sum, v, i) => sum + part(v / 255) * [0.2126, 0.7152, 0.0722][i], 0);
  const contrasts = [...document.querySelectorAll("g[id^=text_]")].map((text) => {
    const box = text.getBoundingClientRect();
    const below = document.elementsFromPoint(box.x + box.width / 2, box.y + box.height / 2)
      .filter((element) => !element.closest("g[id^=text_]"))
      .find((element) => element.tagName === "image" || getComputedStyle(element).fill !== "none");
    if (!below || below.tagName === "image") return 21;  // on a photograph
    const glyph = [...text.querySelectorAll("use")].at(-1);  // before it, its halo
    const [dark, light] = [glyph, below].map((e) => luminance(getComputedStyle(e).fill)).sort();
    return (light + 0.05) / (dark + 0.05);
  });
  return Math.min(...contrasts);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_in_figures_has_contrast(visit: Callable[..., Visit], site: Path, scheme: str) -> None:
    page = visit(viewport={"width": 1600, "height": 4000}).page
    plots = {path.name for path in (site / "figures").glob("*-dark.svg")}
    if scheme == "light":
        plots = {name.replace("-dark", "") for name in plots}
    address = str(visit().address)
    poor = {}
    for name in sorted(plots):
        page.goto(f"{address}/figures/{name}")
        ratio = page.evaluate(FIGURE_CONTRAST)
        if ratio < 4.5:
            poor[name] = round(ratio, 2)
    assert poor == {}


def test_claims_are_a_list_without_scripts(visit: Callable[..., Visit]) -> None:
    page = visit(java_script_enabled=False).go("verdicts/")
    assert page.locator("#claim-filter").is_hidden()
    rows = page.locator("#claims > li")
    assert rows.count() > 200
    first = rows.first
    assert first.locator(".ff-facts").is_hidden()
    first.locator("summary").click()
    assert first.locator(".ff-facts").is_visible()


def test_the_scheme_can_be_chosen(visit: Callable[..., Visit]) -> None:
    page = visit(viewport={"width": 1280, "height": 900}, color_scheme="light").go("design-space/")
    assert page.get_attribute("body", "data-md-color-scheme") == "default"
    assert page.locator("img.ff-only-light:visible").count() > 0
    assert page.locator("img.ff-only-dark:visible").count() == 0
    page.click("label[title='Dark scheme']")
    assert page.get_attribute("body", "data-md-color-scheme") == "slate"
    assert page.locator("img.ff-only-light:visible").count() == 0
    assert page.locator("img.ff-only-dark:visible").count() > 0


@pytest.mark.parametrize(
    ("words", "place"),
    [("deformable", "h=deformable"), ("spatial gate convolution", "#card-spatial-gate-params")],
)
def test_search_finds_without_another_host(
    visit: Callable[..., Visit], words: str, place: str
) -> None:
    reader = visit(viewport={"width": 1280, "height": 900})
    page = reader.go("")
    found = page.locator(f".md-search-result__item a[href*='{place}']").first
    for _ in range(20):  # what is typed before the index is there is not looked for
        page.fill("input[name='query']", "")
        page.locator("input[name='query']").press_sequentially(words)
        page.wait_for_timeout(2000)
        if found.is_visible():
            break
    assert found.is_visible()
    assert reader.problems == []
