"""Tables for the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def metrics_table(part: str, metrics: dict[str, Any], indicator: str | None) -> Table:
    """The figures of one split; the sign of pain comes first."""
    s, intervals = metrics["segments"], metrics.get("intervals", {})
    title = (
        f"{part}: macro-F1 {metrics['macro_f1']:.3f}{_interval(intervals.get('macro_f1'))}, "
        f"accuracy {metrics['accuracy']:.3f}, kappa {metrics['kappa']:.3f}; "
        f"segments F1@10/25/50 {s['f1_10']:.1f}/{s['f1_25']:.1f}/{s['f1_50']:.1f}, edit {s['edit']:.1f} "
        f"({metrics['frames']} frames of {', '.join(metrics['animals'])})"
    )
    if "events" in metrics:
        near, far = (_number(metrics["events"][k]["f1"]) for k in ("100ms", "200ms"))
        false = metrics["events"]["false_per_minute"]
        title += (
            f"\nevents F1 within 100/200 ms {near}/{far}, {_number(false, 1)} false bouts a minute"
        )
    if "calibration" in metrics:
        title += f"; PR-AUC {_number(metrics['pr_auc'])}, calibration error {_number(metrics['calibration']['ece'])}"
    if (
        indicator
        and (ratio := metrics["per_class"].get(indicator, {}).get("expected_over_true")) is not None
    ):
        title += f"\nprobabilities of {indicator} add up to {ratio:.2f} of its true time"
    if (plain := argmax_beside(metrics)) is not None:
        title += (
            f"\ndecoder {metrics['decoder']}; the likeliest class of each frame alone: "
            f"macro-F1 {plain['macro_f1']:.3f}, segment F1@50 {plain['segments']['f1_50']:.1f}, "
            f"edit {plain['segments']['edit']:.1f}"
        )
    if metrics.get("keypoints", {}).get("points"):
        title += f"\n{keypoint_line(metrics['keypoints'])}"
    if "by_fold" in metrics:
        title += "\nmacro-F1 by fold: " + ", ".join(
            f"{f['macro_f1']:.3f}" for f in metrics["by_fold"]
        )
    if intervals.get("note"):
        title += f"\n{intervals['note']}"
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


def argmax_beside(metrics: dict[str, Any]) -> dict[str, Any] | None:
    """The figures without the decoder; None where it decides as plain argmax does."""
    plain: dict[str, Any] | None = metrics.get("argmax")
    same = plain is None or all(
        plain[k] == metrics[k] for k in ("accuracy", "macro_f1", "segments")
    )
    return None if same else plain


def keypoint_line(found: dict[str, Any]) -> str:
    """The mean error of keypoints in words."""
    text = f"keypoints: mean error {found['mae_px']:.1f} px, {100 * found['mae_normalized']:.1f} % of the crop's side, "
    return text + f"{found['mae_body_lengths']:.3f} body lengths ({found['points']} points)"


def profile_table(seconds: dict[str, float], frames: int, together: bool) -> Table:
    """What predicting has spent its time on; `together` where several workers' seconds are added up."""
    whole = max(seconds["all"], 1e-9)
    table = Table(
        title=f"{frames} frames in {whole:.1f} s: {frames / whole:.0f} frames/s",
        title_justify="left",
    )
    for column in ("what", "seconds", "share of the time"):
        table.add_column(column, justify="left" if column == "what" else "right")
    behind = ("decode", "localize and crop")
    for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        if name != "all":
            note = " (beside the network)" if name in behind else ""
            table.add_row(
                name + note, f"{spent:.2f}", "-" if together else f"{100 * spent / whole:.0f} %"
            )
    return table


_AGREEMENT = (
    ("accuracy", ("accuracy",), 3),
    ("kappa", ("kappa",), 3),
    ("MCC", ("mcc",), 3),
    ("macro-F1", ("macro_f1",), 3),
    ("balanced accuracy", ("balanced_accuracy",), 3),
    ("segment F1@10", ("segments", "f1_10"), 1),
    ("segment F1@25", ("segments", "f1_25"), 1),
    ("segment F1@50", ("segments", "f1_50"), 1),
    ("edit score", ("segments", "edit"), 1),
    ("event F1 within 100 ms", ("events", "100ms", "f1"), 3),
    ("event F1 within 200 ms", ("events", "200ms", "f1"), 3),
    ("onsets apart (ms)", ("events", "200ms", "onset_error_ms"), 0),
    ("offsets apart (ms)", ("events", "200ms", "offset_error_ms"), 0),
)


def agreement_table(pairs: dict[str, dict[str, Any]], indicator: str | None) -> Table:
    """Figures of pairs of raters side by side, with 95 % intervals over animals."""
    first = next(iter(pairs.values()))
    title = f"{first['frames']} frames that all have labelled"
    if first["intervals"].get("note"):
        title += f"\n{first['intervals']['note']}"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("", justify="left")
    for pair in pairs:
        table.add_column(pair, justify="right")
    classes = sorted(first["per_class"], key=lambda name: name != indicator)
    rows = [*_AGREEMENT, *((f"F1 {name}", ("per_class", name, "f1"), 3) for name in classes)]
    for title, path, digits in rows:
        cells = [(_at(found, path), _at(found["intervals"], path)) for found in pairs.values()]
        if any(value is not None for value, _ in cells):
            table.add_row(
                title, *(f"{_number(v, digits)}{_interval(ends, digits)}" for v, ends in cells)
            )
    return table


def comparison_table(found: dict[str, Any], indicator: str | None) -> Table:
    """Two runs side by side, and by how much the second exceeds the first, with a paired 95 % interval."""
    animals = ", ".join(found["animals"])
    title = f"A {found['runs']['a']}, B {found['runs']['b']}: {found['a']['frames']} frames of {animals}"
    if found["intervals"].get("note"):
        title += f"\n{found['intervals']['note']}"
    for run, seen in found["seen_in_training"].items():
        title += f"\nSEEN IN TRAINING of {run}: {', '.join(seen)} - this is no fair comparison"
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in ("", "A", "B", "B - A (95 %)"):
        table.add_column(column, justify="right" if column else "left")
    classes = sorted(found["a"]["per_class"], key=lambda name: name != indicator)
    for name, path, digits in (
        *_AGREEMENT,
        *((f"F1 {name}", ("per_class", name, "f1"), 3) for name in classes),
    ):
        one, two, more = (_at(found[k], path) for k in ("a", "b", "difference"))
        if one is not None or two is not None:
            ends = _at(found["intervals"], path)
            interval = f" ({ends[0]:+.{digits}f} to {ends[1]:+.{digits}f})" if ends else ""
            change = "-" if more is None else f"{more:+.{digits}f}{interval}"
            table.add_row(name, _number(one, digits), _number(two, digits), change)
    return table


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        tree = None if tree is None else tree.get(step)
    return tree


def _interval(ends: list[float] | None, digits: int = 2) -> str:
    digits = min(digits, 2)
    return f" ({ends[0]:.{digits}f}-{ends[1]:.{digits}f})" if ends else ""


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
