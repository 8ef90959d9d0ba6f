"""The command line: a file a command."""


def start() -> None:
    """Run the command `featherface`; an interrupt ends it quietly, while it is imported as well."""
    try:
        from analysis.cli.main import main

        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
