"""Plain values in a pickle, read without executing anything.

Unpickling can run any code. Here a pickle is read opcode by opcode, and only those are known that
make text, whole numbers, tuples, lists and dictionaries (`pickletools` documents all opcodes).
"""

from __future__ import annotations

import pickletools
from typing import Any

_MARK = object()
_TEXT = frozenset(
    ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING")
)
_NUMBERS = frozenset(("INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1"))
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_GROUPS = frozenset(
    (
        *("LIST", "EMPTY_LIST", "DICT", "EMPTY_DICT"),
        *("TUPLE", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    )
)


def literal(pickled: bytes) -> Any:
    """The plain value in a pickle. Raises `ValueError` for every opcode that could do more."""
    try:
        stack = _Stack()
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "STOP":
                return stack.items.pop()
            stack.execute(opcode.name, argument)
    except (LookupError, TypeError, AttributeError):
        raise ValueError("a broken pickle") from None
    raise ValueError("a broken pickle")


class _Stack:
    """The stack and the memo of a pickle that is being read."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._memo: dict[int, Any] = {}

    def execute(self, opcode: str, argument: Any) -> None:
        if opcode in _TEXT or opcode in _NUMBERS:
            self.items.append(argument)
        elif opcode in _CONSTANTS:
            self.items.append(_CONSTANTS[opcode])
        elif opcode in _GROUPS:
            self._group(opcode)
        elif not self._fill(opcode) and not self._remember(opcode, argument):
            raise ValueError(f"pickle opcode {opcode}")

    def _group(self, opcode: str) -> None:
        """Make a tuple, a list or a dictionary of items on the stack."""
        # Opcodes that make something of items above a mark take the mark away, too.
        if opcode[-1].isdecimal():  # TUPLE1 to TUPLE3 count their items and need no mark
            n = int(opcode[-1])
            self.items[-n:] = [tuple(self.items[-n:])]
            return
        items = [] if opcode.startswith("EMPTY") else self._since_mark()
        match opcode.removeprefix("EMPTY_"):
            case "LIST":
                self.items.append(items)
            case "TUPLE":
                self.items.append(tuple(items))
            case "DICT":
                self.items.append(dict(zip(items[::2], items[1::2], strict=True)))

    def _fill(self, opcode: str) -> bool:
        """Add items to a list or a dictionary; False for any other opcode."""
        match opcode:
            case "SETITEM":
                value, key = self.items.pop(), self.items.pop()
                self.items[-1][key] = value
            case "APPEND":
                value = self.items.pop()
                self.items[-1].append(value)
            case "APPENDS":
                values = self._since_mark()
                self.items[-1].extend(values)
            case _:
                return False
        return True

    def _remember(self, opcode: str, argument: Any) -> bool:
        """Keep an item in the memo, or fetch it from there; False for any other opcode."""
        match opcode:
            case "PROTO" | "FRAME":
                # The version and the length of what follows: nothing to keep.
                pass
            case "MARK":
                self.items.append(_MARK)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self.items[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = self.items[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                self.items.append(self._memo[argument])
            case _:
                return False
        return True

    def _since_mark(self) -> list[Any]:
        """Take all items above the last mark, and the mark, off the stack."""
        at = max((i for i, item in enumerate(self.items) if item is _MARK), default=-1)
        if at < 0:
            raise ValueError("a broken pickle")
        items = self.items[at + 1 :]
        del self.items[at:]
        return items
