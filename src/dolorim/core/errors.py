"""What a user can mend, as opposed to a bug."""

from __future__ import annotations

import unicodedata

_LONGEST = 2000  # characters of a message


class UserError(Exception):
    """A problem in the user's input: what was expected and found, where, and what to do about it.

    The command line prints it as one line, `where: what; remedy`, without a traceback, and exits
    with code 2. Anything else that is raised is a bug. `where` is a file, a row or a flag, and
    `name` is what scripts know the problem by. A message given as one text of that form says where
    by what stands before its first colon: only this class takes it apart.
    """

    def __init__(self, what: str, *, where: object = "", remedy: str = "", name: str = "") -> None:
        # Names out of files are part of a message: a line break or an escape sequence in one of
        # them must not reach the terminal. So every message is made printable and bounded here.
        line = _printable_line(one_line(where, what, remedy))
        if len(line) > _LONGEST:
            line = f"{line[:_LONGEST]} ..."
        super().__init__(line)
        # Pickling an exception keeps its one argument and its attributes, so these are attributes,
        # and no subclass may ask for more arguments.
        place = _printable_line(str(where))
        if not place and ": " in line:
            place = line.partition(": ")[0]
        self.where = place
        self.what = line.removeprefix(f"{place}: ").removesuffix(f"; {remedy}")
        self.remedy = remedy
        self.name = name


class FinishedElsewhere(Exception):  # noqa: N818 - nothing went wrong
    """This process has done its share of the work; the first process does the rest. Exit code 0."""


def _printable_line(text: str) -> str:
    return "".join(_printable(char) for char in text)


def _printable(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) == "Zs":
        return char
    if char.isspace():
        return " "
    return "\N{REPLACEMENT CHARACTER}"


def one_line(where: object, what: str, remedy: str) -> str:
    """A problem as a line: where it is, what it is, and what to do about it, if that is known."""
    line = str(what)
    if where:
        line = f"{where}: {line}"
    if remedy:
        line += f"; {remedy}"
    return line
