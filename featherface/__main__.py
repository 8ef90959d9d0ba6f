"""`python -m featherface` runs the command `featherface`."""

from featherface.interrupts import ended_at_once, ended_quietly

if __name__ == "__main__":
    with ended_quietly():
        with ended_at_once():
            from importlib.metadata import entry_points

            # No part of the detector, so it is found by its entry point and not imported.
            (command,) = entry_points(group="console_scripts", name="featherface")
            run = command.load()
        run()
