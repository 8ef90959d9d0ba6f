"""`python -m featherface` is the command `featherface`.

The one place where this package knows of the other: a command is not part of the detector.
"""

from analysis.cli import main

if __name__ == "__main__":
    main()
