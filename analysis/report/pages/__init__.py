"""The site's fragments and pages, written from the records before the site generator runs.

Hand-written pages under docs/ include fragments (`--8<-- "NAME.html"`). Everything here takes
records and returns text; only `generate` touches files, and it touches those that changed.
"""

from __future__ import annotations
