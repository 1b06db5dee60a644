"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from dolorim.metrics.intervals import FEWEST_ANIMALS

Scores = Mapping[str, Any]
_Path = tuple[str, ...]  # keys from the top of a tree of scores

# Name, path and decimals of each row in a table that puts scores side by side.
_AGREEMENT: tuple[tuple[str, _Path, int], ...] = (
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


def metrics_table(part: str, metrics: dict[str, Any], indicator: str | None) -> Table:
    """The scores of one split; the sign of pain comes first."""
    table = _left_titled("\n".join(_headlines(part, metrics, indicator)))
    for column in ("class", "precision", "recall", "F1", "95 %", "frames"):
        table.add_column(column, justify="left" if column == "class" else "right")
    per_class = metrics["per_class"]
    for name in _indicator_first(per_class, indicator):
        scores = per_class[name]
        figures = [f"{scores[key]:.3f}" for key in ("precision", "recall", "f1")]
        ends = _at(metrics, ("intervals", "per_class", name, "f1"))
        style = "bold" if name == indicator else None
        interval = _interval(ends).strip() or "-"
        table.add_row(name, *figures, interval, str(scores["support"]), style=style)
    return table


def _headlines(part: str, metrics: dict[str, Any], indicator: str | None) -> list[str]:
    """The lines above the table: the scores of the whole split."""
    segments = metrics["segments"]
    f1 = "/".join(f"{segments[key]:.1f}" for key in ("f1_10", "f1_25", "f1_50"))
    lines = [
        f"{part}: macro-F1 {metrics['macro_f1']:.3f}"
        f"{_interval(_at(metrics, ('intervals', 'macro_f1')))}, "
        f"accuracy {metrics['accuracy']:.3f}, kappa {metrics['kappa']:.3f}; "
        f"segments F1@10/25/50 {f1}, edit {segments['edit']:.1f} "
        f"({metrics['frames']} frames of {', '.join(metrics['animals'])})"
    ]
    if "events" in metrics:
        lines.append(_events_line(metrics["events"]))
    if "calibration" in metrics:
        error = _number(metrics["calibration"]["ece"])
        lines[-1] += f"; PR-AUC {_number(metrics['pr_auc'])}, calibration error {error}"
    # Above 1, the run believes in more of the behavior than there is.
    ratio = _at(metrics["per_class"], (indicator or "", "expected_over_true"))
    if ratio is not None:
        lines.append(f"probabilities of {indicator} add up to {ratio:.2f} of its true time")
    lines += _decoder_lines(metrics)
    if _at(metrics, ("keypoints", "points")):
        lines.append(keypoint_line(metrics["keypoints"]))
    if "by_fold" in metrics:
        folds = ", ".join(f"{fold['macro_f1']:.3f}" for fold in metrics["by_fold"])
        lines.append(f"macro-F1 by fold: {folds}")
    lines += _interval_note(metrics)
    if metrics.get("seen_in_training"):
        animals = ", ".join(metrics["seen_in_training"])
        lines.append(f"SEEN IN TRAINING: {animals} - these figures say nothing about new animals")
    return lines


def _events_line(events: dict[str, Any]) -> str:
    near, far = (_number(events[tolerance]["f1"]) for tolerance in ("100ms", "200ms"))
    false = _number(events["false_per_minute"], 1)
    return f"events F1 within 100/200 ms {near}/{far}, {false} false bouts per minute"


def _decoder_lines(metrics: dict[str, Any]) -> list[str]:
    plain = argmax_beside(metrics)
    if plain is None:
        return []
    return [
        f"decoder {metrics['decoder']}; the likeliest class of each frame alone: "
        f"macro-F1 {plain['macro_f1']:.3f}, segment F1@50 {plain['segments']['f1_50']:.1f}, "
        f"edit {plain['segments']['edit']:.1f}"
    ]


def argmax_beside(metrics: dict[str, Any]) -> dict[str, Any] | None:
    """The scores without the decoder; None where it decides as plain argmax does."""
    plain: dict[str, Any] | None = metrics.get("argmax")
    if plain is None:
        return None
    compared = ("accuracy", "macro_f1", "segments")
    if all(plain[key] == metrics[key] for key in compared):
        return None
    return plain


def keypoint_line(errors: dict[str, Any]) -> str:
    """The mean error of keypoints in words."""
    percent = 100 * errors["mae_normalized"]
    return (
        f"keypoints: mean error {errors['mae_px']:.1f} px, {percent:.1f} % of the crop's side, "
        f"{errors['mae_body_lengths']:.3f} body lengths ({errors['points']} points)"
    )


def profile_table(seconds: dict[str, float], frames: int, together: bool) -> Table:
    """What predicting has spent its time on.

    `together` where the seconds of several workers are added up, so that shares mean nothing.
    """
    whole = max(seconds["all"], 1e-9)
    title = f"{frames} frames in {whole:.1f} s: {frames / whole:.0f} frames/s"
    table = Table(title=title, title_justify="left")
    for column in ("what", "seconds", "share of the time"):
        table.add_column(column, justify="left" if column == "what" else "right")
    beside_network = ("decode", "localize and crop")
    for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        if name == "all":
            continue
        share = "-" if together else f"{100 * spent / whole:.0f} %"
        if name in beside_network:
            name += " (beside the network)"
        table.add_row(name, f"{spent:.2f}", share)
    return table


def agreement_table(pairs: dict[str, dict[str, Any]], indicator: str | None) -> Table:
    """Scores of pairs of raters side by side, with 95 % intervals over animals."""
    first = next(iter(pairs.values()))
    lines = [f"{first['frames']} frames that all raters have labeled"]
    lines += _interval_note(first, "have more animals labeled by all raters")
    table = _left_titled("\n".join(lines))
    table.add_column("", justify="left")
    for pair in pairs:
        table.add_column(pair, justify="right")
    for title, path, digits in _compared_rows(first, indicator):
        values = [_at(scores, path) for scores in pairs.values()]
        if all(value is None for value in values):
            continue
        intervals = [_interval(_at(s["intervals"], path), digits) for s in pairs.values()]
        cells = [_number(v, digits) + i for v, i in zip(values, intervals, strict=True)]
        table.add_row(title, *cells)
    return table


def readouts_table(pairs: dict[str, list[dict[str, Any]]], indicator: str | None) -> Table:
    """How well raters agree on what a study compares: read-outs of the indicator, by animal."""
    rows = [(pair, row) for pair, of_pair in pairs.items() for row in of_pair]
    of_indicator = [(pair, row) for pair, row in rows if row["behavior"] == indicator]
    names = "" if indicator is None else f" of {indicator}"
    table = _left_titled(f"read-outs{names} by animal, second minus first")
    for column in ("", "read-out", "animals", "bias", "limits of agreement", "concordance", "ICC"):
        table.add_column(column, justify="left" if column in ("", "read-out") else "right")
    for pair, row in of_indicator or rows:
        limits = "-"
        if row["limit_low"] is not None:
            limits = f"{row['limit_low']:.2f} to {row['limit_high']:.2f}"
        cells = [_number(row["bias"], 2), limits]
        cells += [_number(row[name], 2) for name in ("concordance", "icc")]
        table.add_row(pair, row["readout"], str(row["n"]), *cells)
    return table


def comparison_table(comparison: dict[str, Any], indicator: str | None) -> Table:
    """Two runs side by side, and by how much the second exceeds the first.

    The 95 % interval of the difference is paired: it is over the animals that both were scored on.
    """
    runs, a, b = comparison["runs"], comparison["a"], comparison["b"]
    animals = ", ".join(comparison["animals"])
    lines = [f"A {runs['a']}, B {runs['b']}: {a['frames']} frames of {animals}"]
    lines += _interval_note(comparison, "compare the runs on more animals")
    for run, known in comparison["seen_in_training"].items():
        names = ", ".join(known)
        lines.append(f"SEEN IN TRAINING of {run}: {names} - this is no fair comparison")
    table = _left_titled("\n".join(lines))
    for column in ("", "A", "B", "B - A (95 %)"):
        table.add_column(column, justify="right" if column else "left")
    for title, path, digits in _compared_rows(a, indicator):
        first, second = _at(a, path), _at(b, path)
        if first is None and second is None:
            continue
        difference = _at(comparison["difference"], path)
        change = _change(difference, _at(comparison["intervals"], path), digits)
        table.add_row(title, _number(first, digits), _number(second, digits), change)
    return table


def _left_titled(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold")


def _interval_note(scores: Scores, remedy: str = "") -> list[str]:
    """Why there are no intervals or wide ones; where there are none, what gives one."""
    note = _at(scores, ("intervals", "note"))
    if not note:
        return []
    if remedy and scores["intervals"]["animals"] < FEWEST_ANIMALS:
        note += f"; {remedy}"
    return [note]


def _indicator_first(per_class: Mapping[str, Any], indicator: str | None) -> list[str]:
    return sorted(per_class, key=lambda name: name != indicator)


def _compared_rows(scores: Scores, indicator: str | None) -> Sequence[tuple[str, _Path, int]]:
    names = _indicator_first(scores["per_class"], indicator)
    return [*_AGREEMENT, *((f"F1 {name}", ("per_class", name, "f1"), 3) for name in names)]


def _at(tree: Any, path: _Path) -> Any:
    """A value in a tree of dictionaries; None if the path leads nowhere."""
    for step in path:
        if tree is None:
            return None
        tree = tree.get(step)
    return tree


def _change(difference: float | None, ends: list[float] | None, digits: int) -> str:
    if difference is None:
        return "-"
    change = f"{difference:+.{digits}f}"
    if ends:
        change += f" ({ends[0]:+.{digits}f} to {ends[1]:+.{digits}f})"
    return change


def _interval(ends: list[float] | None, digits: int = 2) -> str:
    if not ends:
        return ""
    digits = min(digits, 2)  # a third decimal of an interval over a few animals means nothing
    return f" ({ends[0]:.{digits}f}-{ends[1]:.{digits}f})"


def _number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "-"
    return f"{value:.{digits}f}"
