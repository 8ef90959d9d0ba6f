"""`python -m featherface` runs the command `featherface`."""

from featherface.interrupts import end_imports_at_once

if __name__ == "__main__":
    end_imports_at_once()
    try:
        from importlib.metadata import entry_points

        # The command is not part of the detector, so it is found by its entry point, not imported.
        (command,) = entry_points(group="console_scripts", name="featherface")
        command.load()()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
