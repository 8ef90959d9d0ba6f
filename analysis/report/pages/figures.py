"""Pictures for both colour schemes: what is drawn on white gets a version on a dark ground."""

from __future__ import annotations

import colorsys
import re
from pathlib import Path

from analysis.report.pages.html import figure

GROUND = "#171d24"
"""The dark scheme's ground below figures; the style sheet has the same."""

# A colour stands after a colon, a quotation mark or a space; what follows `href=` or `url(` is a
# name within the file.
_COLOUR = re.compile(r"(?<!href=[\"'])(?<=[:\s\"';])#([0-9a-fA-F]{6}|[0-9a-fA-F]{3})(?=[\s\"';])")


def darken(svg: str) -> str:
    """The same drawing for a dark ground: greys change places, colours become lighter.

    Args:
        svg: with colours in hexadecimal, as Matplotlib and we write them. Embedded pictures stay
            as they are.
    """
    return _COLOUR.sub(lambda match: _dark(match[1].lower()), svg)


def _dark(digits: str) -> str:
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    if digits == "ffffff":
        return GROUND
    red, green, blue = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    chroma = max(red, green, blue) - min(red, green, blue)
    if chroma < 0.12:  # black becomes nearly white, and light grey lines dark grey ones
        lightness = 0.93 - 0.80 * lightness
    elif lightness > 0.8:  # a tint stays one
        lightness, saturation = 0.28, saturation * 0.6
    else:
        lightness = max(lightness, 0.62)
    rgb = colorsys.hls_to_rgb(hue, lightness, saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def dark_versions(docs: Path) -> dict[str, str]:
    """Versions on a dark ground of the figures that have none of their own.

    Args:
        docs: the folder of pages, with `figures` in it.

    Returns:
        By file name, what to write under `docs/generated/`.
    """
    found = {}
    for path in sorted((docs / "figures").glob("*.svg")):
        own = path.with_name(f"{path.stem}-dark.svg")
        if not path.stem.endswith(("-dark", "-light")) and not own.exists():
            found[own.name] = darken(path.read_text(encoding="utf-8"))
    return found


def themed(docs: Path, name: str, alt: str, caption: str = "", up: str = "../") -> str:
    """A figure under docs/figures in both versions.

    Args:
        docs: the folder of pages.
        name: of the figure, without `.svg`; `NAME-light.svg` is looked for, too.
        alt: the text alternative.
        caption: stands below; HTML.
        up: the way from the page to the root of the site.
    """
    folder = docs / "figures"
    light = f"{name}-light" if (folder / f"{name}-light.svg").exists() else name
    own = (folder / f"{name}-dark.svg").exists()
    dark = f"{up}{'figures' if own else 'generated'}/{name}-dark.svg"
    return figure(f"{up}figures/{light}.svg", dark, alt, caption)
