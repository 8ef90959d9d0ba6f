"""The command line: a file a command."""

from featherface.interrupts import ended_at_once, ended_quietly


def start() -> None:
    """Run the command `featherface`; an interrupt ends it quietly, while it is imported as well."""
    with ended_quietly():
        with ended_at_once():
            from analysis.cli.main import main
        main()
