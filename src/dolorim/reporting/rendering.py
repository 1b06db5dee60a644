"""HTML pages from Jinja2 templates, which escape every value: a name may hold any character."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dolorim.files.tables import write_text


@dataclass(frozen=True)
class Cell:
    """A value with a note in small print beside it: its interval, or what to know about it."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table as plain text: the templates turn it into HTML."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    words: int = 1
    """How many of the first columns hold words, which are aligned on the left."""
    strong: frozenset[int] = frozenset()
    """Indices of the rows in bold print."""
    remarks: bool = False
    """Whether the last column holds remarks, which may take several lines."""


@cache
def templates_of(package: str) -> Environment:
    """The templates in the folder `templates` of a package."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Write a page from a template in `reporting/templates`; it needs nothing beside itself."""
    write_text(path, templates_of("dolorim.reporting").get_template(template).render(**values))
    return path


def image_data(path: Path) -> str:
    """A PNG file as a `data:` address, so that the page holds its own pictures."""
    return _data(path, "image/png")


def video_data(path: Path) -> str:
    """An MP4 file as a `data:` address."""
    return _data(path, "video/mp4")


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
