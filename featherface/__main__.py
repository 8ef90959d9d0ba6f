"""`python -m featherface` runs the command `featherface`."""

from featherface.interrupts import imports_end_at_once

if __name__ == "__main__":
    try:
        with imports_end_at_once():
            from importlib.metadata import entry_points

            # No part of the detector, so it is found by its entry point and not imported.
            (command,) = entry_points(group="console_scripts", name="featherface")
            command.load()()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
