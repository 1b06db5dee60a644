"""What other raters have labeled in the same recording, and how far two raters agree."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dolorim.labels.ethogram import UNLABELED, Ethogram
from dolorim.labels.label_files import read_labels
from dolorim.metrics.frames import confusion, frame_figures
from dolorim.review.history import UNTOUCHED, read_history, replay


@dataclass(frozen=True)
class OtherRater:
    """A rater by the name of the folder, with the history and the label file of one recording."""

    name: str
    history: Path
    label_file: Path

    def labels(self, n_frames: int, ethogram: Ethogram) -> np.ndarray:
        """The marks of this rater `(n_frames,)`; nothing of the rater's is changed by reading.

        The history counts, as a label file repeats earlier labels. A label file alone, as somebody
        may have copied it here, counts as it is. Raises `UserError` for a damaged file.
        """
        if self.history.exists():
            steps, _ = read_history(self.history)
            return replay(steps, n_frames).marks
        file = dataclasses.replace(read_labels(self.label_file, ethogram), trial=None)
        rows = file.counted_from_zero(0, 0, n_frames)
        labels = np.full(n_frames, UNTOUCHED, np.int16)
        inside = (rows.frames < n_frames) & (rows.labels != UNLABELED)
        labels[rows.frames[inside]] = rows.labels[inside]
        return labels


def other_raters(home: Path, name: str, besides: str) -> list[OtherRater]:
    """Those who have a file about the recording `name` in the home of a review."""
    others = []
    folders = sorted(path for path in home.iterdir() if path.is_dir()) if home.is_dir() else []
    for folder in folders:
        rater = OtherRater(folder.name, folder / f"{name}.history.jsonl", folder / f"{name}.csv")
        if folder.name != besides and (rater.history.exists() or rater.label_file.exists()):
            others.append(rater)
    return others


def agreement(one: np.ndarray, other: np.ndarray, n_classes: int) -> tuple[int, float | None]:
    """Frames that both have labeled, and Cohen's kappa on them; None where it is not defined."""
    # Frames that one of them has not touched, or is unsure of, are below 0 and do not count.
    counts = confusion(one, other, n_classes)
    kappa = float(frame_figures(counts[None], [""] * n_classes)["kappa",][0])
    return int(counts.sum()), None if np.isnan(kappa) else kappa
