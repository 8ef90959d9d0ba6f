"""The in-page detector of the site: the same faces as in Python."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featherface import Detector

pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[1]

DETECT = """async (png) => {
  const answer = await fetch(`data:image/png;base64,${png}`);
  const bitmap = await createImageBitmap(await answer.blob());
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height);
  return (await document.getElementById("try").featherface.detect(pixels, 0.02)).faces;
}"""


@pytest.fixture(scope="module")
def page(browser: Any, serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page's own markup and script, without the site around them."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed: it brings the runtime for browsers")
    web = tmp_path_factory.mktemp("web")
    subprocess.run([npm, "ci", "--prefix", str(ROOT / "scripts" / "web")], check=True)
    script = [sys.executable, str(ROOT / "scripts" / "web_detector.py"), str(web / "detector")]
    subprocess.run(script, check=True)
    size = sum(path.stat().st_size for path in (web / "detector").iterdir())
    markup = re.search(r'<div id="try".*?</div>', (ROOT / "docs" / "try.md").read_text(), re.DOTALL)
    assert markup
    assert f"Load the detector ({size / 1e6:.0f} MB)" in markup[0]
    (web / "index.html").write_text(
        markup[0].replace("../detector/", "detector/")
        + '<script type="module" src="try.js"></script>',
        encoding="utf-8",
    )
    shutil.copyfile(ROOT / "docs" / "assets" / "try.js", web / "try.js")
    with serve(web) as address:
        page = browser.new_page()
        page.goto(f"{address}/index.html")
        yield page
        page.close()


def test_the_page_finds_the_faces_that_python_finds(page: Any, portrait: Path) -> None:
    page.click("[name=load]")
    page.wait_for_selector("figcaption:not(:empty)", timeout=120_000)
    assert page.inner_text("figcaption").startswith("1 face in 512×600 pixels")
    assert page.evaluate("document.activeElement.name") == "sample"  # the loading button is gone
    detector = Detector("v1", score_threshold=0.02)
    whole = Image.open(portrait)
    small = whole.crop((190, 120, 345, 330)).resize((25, 40))  # padded at the right
    for image in (whole, whole.resize((333, 217)), small):
        png = io.BytesIO()
        image.save(png, "PNG")
        found = page.evaluate(DETECT, base64.b64encode(png.getvalue()).decode())
        expected = detector(image)
        assert len(found) == len(expected)
        assert expected or image is small
        for one, other in zip(found, expected, strict=True):
            assert one["score"] == pytest.approx(other.score, abs=1e-4)
            np.testing.assert_allclose(one["box"], other.box, atol=1e-3)
            np.testing.assert_allclose(one["landmarks"], other.landmarks, atol=1e-3)


def test_a_gate_is_shown_with_its_range_where_one_is_chosen(page: Any) -> None:
    assert "gate" not in page.inner_text("figcaption")
    page.select_option("[name=gate]", "3")
    assert re.search(r"spatial gate 0\.\d{3} to 0\.\d{3}", page.inner_text("figcaption"))
    assert page.is_visible(".ff-try-channels")
    page.select_option("[name=gate]", label="not shown")
    assert "gate" not in page.inner_text("figcaption")
    assert not page.is_visible(".ff-try-channels")
