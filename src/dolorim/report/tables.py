"""Tables for the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def metrics_table(part: str, metrics: dict[str, Any], indicator: str | None) -> Table:
    """The figures of one split; the sign of pain comes first."""
    s = metrics["segments"]
    title = (
        f"{part}: macro-F1 {metrics['macro_f1']:.3f}, accuracy {metrics['accuracy']:.3f}, "
        f"kappa {metrics['kappa']:.3f}; "
        f"segments F1@10/25/50 {s['f1_10']:.1f}/{s['f1_25']:.1f}/{s['f1_50']:.1f}, edit {s['edit']:.1f} "
        f"({metrics['frames']} frames of {', '.join(metrics['animals'])})"
    )
    if metrics.get("seen_in_training"):
        seen = ", ".join(metrics["seen_in_training"])
        title += f"\nSEEN IN TRAINING: {seen} - these figures say nothing about new animals"
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in ("class", "precision", "recall", "F1", "frames"):
        table.add_column(column, justify="left" if column == "class" else "right")
    rows = sorted(metrics["per_class"].items(), key=lambda item: item[0] != indicator)
    for name, c in rows:
        style = "bold" if name == indicator else None
        table.add_row(name, *(f"{c[k]:.3f}" for k in ("precision", "recall", "f1")), str(c["support"]), style=style)
    return table
