"""The pytest plugin: `pytest --ledger FILE` makes each claim of a ledger a test.

A test fails where `featherface audit --ledger FILE` would: where the verdict or the measured value
differs from the record beside the ledger or, without a record, where the claim is refuted. A claim
that cannot be tested is skipped; one that is recorded and gone stops the run. pytest loads
this module wherever featherface is installed, so it imports nothing until a ledger is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from analysis.claims.ledger import Claim, Ledger
    from analysis.claims.verdicts import Recorded


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("featherface").addoption(
        "--ledger",
        action="append",
        default=[],
        metavar="FILE",
        help="judge each claim of this ledger as a test; may be repeated",
    )


def pytest_configure(config: pytest.Config) -> None:
    for name in config.getoption("--ledger"):
        if not Path(name).is_file():
            raise pytest.UsageError(f"--ledger {name}: no such file")
        if name not in config.args:
            config.args.append(name)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    given = [Path(name).resolve() for name in parent.config.getoption("--ledger")]
    if file_path.resolve() not in given:
        return None
    collector: pytest.Collector = LedgerFile.from_parent(parent, path=file_path)
    return collector


class LedgerFile(pytest.File):
    """A ledger."""

    def collect(self) -> Iterator[pytest.Item]:
        from analysis.claims import ledger, verdicts
        from featherface.errors import InputError

        record = verdicts.beside(self.path)
        try:
            book = ledger.load(self.path)
            before = verdicts.recorded(record) if record.exists() else None
        except InputError as error:
            raise self.CollectError(str(error)) from None
        names = {f"{book.source.id}:{claim.id}" for claim in book.claims}
        gone = [recorded for recorded in before or () if recorded.name not in names]
        if gone:
            raise self.CollectError("\n".join(map(str, verdicts.changes([], gone))))
        for claim in book.claims:
            yield ClaimItem.from_parent(
                self, name=claim.id, claim=claim, ledger=book, before=before
            )


class ClaimItem(pytest.Item):
    """One claim."""

    def __init__(
        self, *, claim: Claim, ledger: Ledger, before: list[Recorded] | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.claim, self.ledger, self.before = claim, ledger, before

    def runtest(self) -> None:
        from analysis.claims import verdicts

        found = verdicts.judge(self.claim, self.ledger)
        before = self.before
        if before is not None:
            before = [recorded for recorded in before if recorded.name == found.name]
        (verdict,) = verdicts.as_recorded([found], before or ())
        if moved := [str(change) for change in verdicts.changes([verdict], before)]:
            pytest.fail("\n".join([*moved, verdict.explanation]), pytrace=False)
        if found.verdict == "untested":
            pytest.skip(verdict.explanation)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from featherface.errors import InputError

        if isinstance(excinfo.value, InputError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.ledger.source.id}:{self.claim.id}"
