"""Tables for the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def metrics_table(part: str, metrics: dict[str, Any], indicator: str | None) -> Table:
    """The figures of one split; the sign of pain comes first."""
    s, intervals = metrics["segments"], metrics.get("intervals", {})
    title = (
        f"{part}: macro-F1 {metrics['macro_f1']:.3f}{_interval(intervals.get('macro_f1'))}, accuracy {metrics['accuracy']:.3f}, "
        f"kappa {metrics['kappa']:.3f}; "
        f"segments F1@10/25/50 {s['f1_10']:.1f}/{s['f1_25']:.1f}/{s['f1_50']:.1f}, edit {s['edit']:.1f} "
        f"({metrics['frames']} frames of {', '.join(metrics['animals'])})"
    )
    if "events" in metrics:
        near, far = (_number(metrics["events"][k]["f1"]) for k in ("100ms", "200ms"))
        false = metrics["events"]["false_per_minute"]
        title += f"\nevents F1 within 100/200 ms {near}/{far}, {_number(false, 1)} false bouts a minute"
    if "calibration" in metrics:
        title += f"; PR-AUC {_number(metrics['pr_auc'])}, calibration error {_number(metrics['calibration']['ece'])}"
    if metrics.get("seen_in_training"):
        seen = ", ".join(metrics["seen_in_training"])
        title += f"\nSEEN IN TRAINING: {seen} - these figures say nothing about new animals"
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in ("class", "precision", "recall", "F1", "95 %", "frames"):
        table.add_column(column, justify="left" if column == "class" else "right")
    rows = sorted(metrics["per_class"].items(), key=lambda item: item[0] != indicator)
    for name, c in rows:
        style = "bold" if name == indicator else None
        interval = _interval(intervals.get("per_class", {}).get(name, {}).get("f1")).strip()
        figures = [f"{c[k]:.3f}" for k in ("precision", "recall", "f1")]
        table.add_row(name, *figures, interval or "-", str(c["support"]), style=style)
    return table


def _interval(ends: list[float] | None) -> str:
    return f" ({ends[0]:.2f}-{ends[1]:.2f})" if ends else ""


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
