"""The command line: a file a command."""

from featherface.interrupts import imports_end_at_once


def start() -> None:
    """Run the command `featherface`; an interrupt ends it quietly, while it is imported as well."""
    try:
        with imports_end_at_once():
            from analysis.cli.main import main

            main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
