"""What is wrong with something the user gave, in one line."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: the message names the file or value and what is wrong with it.

    The command line prints the message alone and exits with code 2. It is one line, also where
    a file's name or a library's words are not.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
