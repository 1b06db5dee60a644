"""What a look at the data turns up: named, with a severity, and with a remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    severity: Literal["note", "warning", "error"]
    where: str
    what: str
    remedy: str = ""
    name: str = ""  # what scripts go by

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; {self.remedy}" if self.remedy else "")
