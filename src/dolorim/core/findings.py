"""What a look at the data turns up: where, what, how bad it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dolorim.core.errors import UserError, one_line

Severity = Literal["note", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One line about the data, of the same form as a `UserError`: `where: what; remedy`."""

    severity: Severity
    where: str
    what: str
    remedy: str = ""
    name: str = ""  # what scripts know it by

    def __str__(self) -> str:
        return one_line(self.where, self.what, self.remedy)

    @classmethod
    def from_error(
        cls, error: UserError, name: str, where: object = "", severity: Severity = "error"
    ) -> Finding:
        """A user error as a finding. `where` is a file that the error may name, or say more of."""
        place = str(where)
        if error.where.startswith(place):
            return cls(severity, error.where, error.what, error.remedy, name)
        return cls(severity, place, str(error), name=name)
