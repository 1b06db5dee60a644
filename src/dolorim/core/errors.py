"""What a user can mend, as opposed to a bug."""

from __future__ import annotations

import unicodedata

_LONGEST = 2000


class UserError(Exception):
    """A problem in the user's input: one line with what was expected, what was found, where, and what to do.

    The command line prints it without a traceback and exits with code 2. Anything else that is raised is a bug.
    Names out of files stand in it, so it is made one printable line of bounded length here, once and for all.
    """

    def __init__(self, message: str) -> None:
        line = "".join(map(_printable, str(message)))
        super().__init__(line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ...")


class FinishedElsewhere(Exception):  # noqa: N818 - nothing went wrong
    """This process has done its part of the work of several; the first one does the rest. The exit code is 0."""


def _printable(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) == "Zs":
        return char
    return " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
