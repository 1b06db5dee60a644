"""Small line charts as SVG for the templates: attributes only, as pages have no inline style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 360, 160
_LEFT, _BOTTOM, _RIM = 34, 22, 8


@dataclass(frozen=True)
class Chart:
    """Points of a line in pixels, ticks as (pixel, text), and error bars (x, top, bottom)."""

    title: str
    points: str
    dots: list[tuple[float, float]]
    bars: list[tuple[float, float, float]]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    bottom: int = HEIGHT - _BOTTOM


def line_chart(
    title: str,
    points: Sequence[tuple[float, float]],
    *,
    top: float | None = None,
    intervals: Sequence[tuple[float, float, float]] = (),
) -> Chart:
    """A chart of (x, y) from 0 to `top` (without it, to the highest y).

    `intervals` are (x, low, high).
    """
    highest = top or max([y for _, y in points] or [1.0]) or 1.0
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)

    def x_px(x: float) -> float:
        share = (x - x_low) / ((x_high - x_low) or 1)
        return round(_LEFT + share * (WIDTH - _LEFT - _RIM), 1)

    def y_px(y: float) -> float:
        share = min(max(y / highest, 0), 1)
        return round(_RIM + (1 - share) * (HEIGHT - _BOTTOM - _RIM), 1)

    dots = [(x_px(x), y_px(y)) for x, y in points]
    return Chart(
        title,
        " ".join(f"{x},{y}" for x, y in dots),
        dots,
        [(x_px(x), y_px(high), y_px(low)) for x, low, high in intervals],
        [(x_px(x), f"{x:g}") for x in sorted({x_low, x_high})],
        [(y_px(y), f"{y:.2g}") for y in (0, highest / 2, highest)],
    )
