"""Pieces of HTML that the parts of a report share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from dolorim.reporting.study_figures import shown
from dolorim.reporting.summary_text import number


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, strong: Sequence[int] = ()
) -> str:
    """Cells are HTML already; the first `left` columns hold words, rows in `strong` are set in bold."""

    def line(cells: Sequence[str], tag: str, of: str = "") -> str:
        inner = "".join(
            f"<{tag}{' class=left' if i < left else ''}>{c}</{tag}>" for i, c in enumerate(cells)
        )
        return f"<tr{of}>{inner}</tr>"

    body = "".join(
        line(r, "td", " class=strong" if i in strong else "") for i, r in enumerate(rows)
    )
    return f"<table><thead>{line(header, 'th')}</thead><tbody>{body}</tbody></table>"


def bracket(low: float, high: float) -> str:
    return f" <small>[{number(low)}, {number(high)}]</small>" if low == low else ""


def effect(row: Any, name: str) -> str:
    value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    return number(value) + bracket(low, high) if value == value else ""


def word(name: str) -> str:
    return escape(shown(name))
