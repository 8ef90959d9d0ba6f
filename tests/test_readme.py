"""The figures of the README are the measured ones."""

from __future__ import annotations

import re
from pathlib import Path

from analysis.claims.measurements import expression

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")

DEFORMABLE = "context=('dcnv1', 'dcnv2', 'ssh-dcnv1', 'ssh-dcnv2')"
KEPT = "'v1', 'channels', 'attention'"
FINDINGS = [
    "params('official')",
    "params_of_standard_layers('official')",  # what thop says, whether it is installed or not
    "kernels('official', 'context.levels.*.*.conv.weight')",
    "params('official', 'pyramid.cells.*.*.weight')",
    "params('no-attention')",
    "params('v1')",
    f"architectures_looked_at({KEPT}, {DEFORMABLE})",
    "params('v1-deformable', reduction=16)",
    "macs('official')",
    "macs('retinaface')",
    "macs('official') - macs('official', kind='deformable_kernel')",
]


def test_the_findings_are_measured() -> None:
    found = re.search(r"<!-- findings -->(.*)<!-- end of findings -->", README, re.DOTALL)
    assert found
    stated = {int(n.replace(",", "")) for n in re.findall(r"\b\d{1,3}(?:,\d{3})+\b", found[1])}
    small = {30, 864}  # two of them have no thousands
    assert all(f" {number} " in found[1].replace("\n", " ") for number in small)
    assert stated | small == {expression(text).evaluate() for text in FINDINGS}


def test_what_the_readme_links_to_is_there() -> None:
    root = Path(__file__).resolve().parents[1]
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 5
    assert [link for link in links if not (root / link).exists()] == []
