"""What Learn does: the commands of a round, and what is known of the rounds before."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dolorim.core.errors import UserError
from dolorim.files.structured import read_json
from dolorim.studio.home import StudioHome

QUICK = "linear"
"""The head that learns from the fewest bouts, in seconds."""
Interval = tuple[float, float]


def label_flags(home: StudioHome, rater: str) -> list[str]:
    """Where the labels are: those of the study, and those of the labeling room before them."""
    flags: list[str] = []
    if home.annotations is not None:
        flags += ["--annotations", str(home.annotations)]
    room = home.labels / rater
    if any(room.glob("*.csv")):
        flags += ["--corrections", str(room)]
    return flags


def learn_commands(
    home: StudioHome, rater: str, run: Path, head: str = QUICK
) -> list[tuple[str, ...]]:
    """Train on the labeled animals, and label the study's videos.

    For a quick head no animals are kept apart: its scores are those on animals left out in turn. A
    network keeps some to find its best epoch by, and some to be scored on.
    """
    train = ["train", "video", *home.study_flags(), *label_flags(home, rater), "--head", head]
    if head == QUICK:
        train += ["--val_animals", "none", "--test_animals", "none"]
    train += ["--cache", str(home.cache), "--run", str(run)]
    predict = predict_command(home, run, home.videos_folder, home.predictions)
    return [tuple(train), tuple(predict)]


def predict_command(home: StudioHome, run: Path, source: Path, out: Path) -> list[str]:
    """The command of a batch. It skips what this run has labeled before, so it can be resumed."""
    command = ["predict", str(run), str(source), "--out", str(out), "--no_overwrite"]
    data = home.data()
    if source == home.videos_folder and data.chambers is not None:
        command += ["--chambers", data.chambers]
    return command


@dataclass(frozen=True)
class Round:
    """A finished run with its macro-F1 on animals that it has not learned from, if it has any.

    `on` says on which animals; `why_none` why there is no score. A run that `has_held_out` has kept
    animals apart for its scores, which is what a report goes by.
    """

    name: str
    path: Path
    head: str
    ended: float
    frames: int
    macro_f1: float | None
    interval: Interval | None
    on: str
    why_none: str = ""
    has_held_out: bool = False

    @property
    def when(self) -> str:
        return time.strftime("%H:%M, %d %b", time.localtime(self.ended))

    @property
    def score_text(self) -> str:
        """`0.74 (0.52 to 0.88)`"""
        if self.macro_f1 is None:
            return "-"
        text = f"{self.macro_f1:.2f}"
        if self.interval is not None:
            text += f" ({self.interval[0]:.2f} to {self.interval[1]:.2f})"
        return text


def rounds_of(home: StudioHome) -> list[Round]:
    """The finished runs of a study, oldest first; a damaged one has no score."""
    return [_round(run) for run in home.finished_runs()]


def newest_round(home: StudioHome) -> Round | None:
    rounds = rounds_of(home)
    return rounds[-1] if rounds else None


def progress_text(rounds: list[Round]) -> str:
    """The newest score, and the one before it by the same kind of head: `0.61 -> 0.74 (...)`."""
    if not rounds:
        return ""
    newest = rounds[-1]
    if newest.macro_f1 is None:
        return newest.why_none
    before = [r.macro_f1 for r in rounds[:-1] if r.head == newest.head and r.macro_f1 is not None]
    earlier = f"{before[-1]:.2f} → " if before else ""
    return f"F1 on animals it has not seen: {earlier}{newest.score_text}"


def _round(run: Path) -> Round:
    left_out, metrics = _content(run / "cross_validated.json"), _content(run / "metrics.json")
    figures, on = left_out, ""
    if "macro_f1" in left_out:
        on = f"{len(left_out['animals'])} animals, each left out in turn"
    for part in ("val", "test"):  # test animals count where there are some
        scores = metrics.get(part)
        if "macro_f1" not in left_out and isinstance(scores, dict) and "macro_f1" in scores:
            figures, on = scores, f"{part} animals: {', '.join(scores.get('animals', []))}"
    interval = (figures.get("intervals") or {}).get("macro_f1")
    ended = (run / "metrics.json").stat().st_mtime
    return Round(
        run.name,
        run,
        _head_of(run),
        ended,
        int(figures.get("frames", 0)),
        figures.get("macro_f1"),
        None if interval is None else (float(interval[0]), float(interval[1])),
        on,
        str(left_out.get("sentence", "no animals were left out of this run")),
        any(isinstance(part, dict) and "macro_f1" in part for part in metrics.values()),
    )


def _head_of(run: Path) -> str:
    shares = _content(run / "head.json").get("shares", {"network": 1.0})
    return " + ".join(name for name, share in shares.items() if share)


def _content(path: Path) -> dict[str, Any]:
    """What a file holds; nothing if it is absent or damaged, which costs a figure on a page."""
    try:
        content = read_json(path)
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}


def label_curve_of(run: Path) -> dict[str, Any] | None:
    """The label-efficiency curve of a run, if it has been computed."""
    curve = _content(run / "label_curve.json")
    return curve if {"points", "sentence"} <= set(curve) else None


def training_curves(run: Path) -> dict[str, list[tuple[float, float]]]:
    """The loss and the validation score of a run that trains or has trained, by step."""
    # TensorBoard's reader takes a second to import, and only this needs it.
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    curves: dict[str, list[tuple[float, float]]] = {}
    for file in sorted((run / "logs").glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.tag in ("train/loss_epoch", "val/macro_f1"):
                    number = value.tensor.float_val or [value.simple_value]
                    curves.setdefault(value.tag, []).append((event.step, float(number[0])))
    return curves
