"""`python -m featherface` runs the command `featherface`."""

from importlib.metadata import entry_points

if __name__ == "__main__":
    # The command is not part of the detector, so it is found by its entry point, not imported.
    (command,) = entry_points(group="console_scripts", name="featherface")
    command.load()()
