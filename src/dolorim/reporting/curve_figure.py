"""The score against the number of labeled bouts, as a table and a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from dolorim.reporting.plotting import plt

_COLUMNS = ("bouts", "share", "macro-F1", "95 % over animals", "over draws", "F1@50")


def curve_table(curve: dict[str, Any]) -> Table:
    """A row for each number of bouts; `curve` is what `label_curve.json` holds."""
    animals = ", ".join(curve["animals"])
    title = f"{curve['head']} head, {curve['draws']} draws of bouts, scored on {animals}"
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for point in curve["points"]:
        interval = point["interval"]
        table.add_row(
            str(point["bouts"]),
            f"{100 * point['share']:.0f} %",
            f"{point['macro_f1']:.3f}",
            "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
            f"{point['lowest_draw']:.3f} to {point['highest_draw']:.3f}",
            f"{point['f1_50']:.1f}",
        )
    return table


def draw_curve(curve: dict[str, Any], path: Path) -> None:
    """Draw the curve, with the range over draws and the interval over animals, as a PNG file."""
    points = curve["points"]
    bouts = [point["bouts"] for point in points]
    figure, axes = plt.subplots(figsize=(4.5, 3))
    lowest, highest = ([p[key] for p in points] for key in ("lowest_draw", "highest_draw"))
    axes.fill_between(bouts, lowest, highest, color="#56b4e9", alpha=0.4, label="over draws")
    axes.plot(bouts, [p["macro_f1"] for p in points], "o-", color="#333333", label="mean")
    for point in points:
        if point["interval"] is not None:
            axes.vlines(point["bouts"], *point["interval"], color="#333333", lw=0.8)
    axes.set(xlabel="labeled bouts", ylabel="macro-F1", ylim=(0, 1), title=curve["part"])
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)
