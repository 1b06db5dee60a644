"""The labeling room of a study, opened anew when what it shows has changed on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette

from dolorim.core.errors import UserError
from dolorim.labels.ethogram_file import write_ethogram
from dolorim.review.contents import Review, open_review
from dolorim.review.progress import Progress
from dolorim.review.server import make_app
from dolorim.review.session import Session
from dolorim.studio.home import StudioHome

Stamp = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Room:
    """An opened labeling room: its session, its queue, and the app that serves both.

    `note` says what could not be shown; it is empty otherwise.
    """

    session: Session
    progress: Progress
    app: Starlette
    stamp: Stamp
    note: str = ""

    def close(self) -> None:
        """Write what lags behind. Raises `UserError` if that fails."""
        self.session.close()
        self.progress.remember()


def open_room(home: StudioHome, rater: str, tell: Callable[[str], object]) -> Room:
    """Open the labeling room. Raises `UserError` if there is nothing to label."""
    if not home.videos():
        raise UserError("no videos yet", where=home.folder, remedy="open a folder with videos")
    stamp = stamp_of(home)
    review, note = _open_review(home)
    # Label files hold numbers of classes, which mean nothing without the ethogram beside them.
    write_ethogram(review.home / "ethogram.toml", review.ethogram)
    session = Session(review, rater, studio="/")
    progress = Progress(session)
    return Room(session, progress, make_app(session, progress, tell), stamp, note)


def stamp_of(home: StudioHome) -> Stamp:
    """What is seen from outside when videos, tables or predictions change: names and times."""
    tables = [path for path in home.folder.iterdir() if path.is_file()]
    predictions: list[Path] = []
    if home.predictions.is_dir():
        predictions = sorted(home.predictions.iterdir())
    files = sorted({*tables, *home.videos()})
    return tuple((str(path), _changed_ns(path)) for path in [*files, *predictions])


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # it was removed a moment ago


def _open_review(home: StudioHome) -> tuple[Review, str]:
    data = home.data()
    if not home.has_predictions():
        return open_review(home.folder, data, out=home.labels), ""
    try:
        review = open_review(
            home.folder, data, predictions=home.predictions, dlc=data.dlc, out=home.labels
        )
        return review, ""
    except UserError as error:
        # Predictions of other classes than the study has now must not keep anybody from labeling.
        note = f"The predictions are not shown: {error}"
        return open_review(home.folder, data, dlc=data.dlc, out=home.labels), note
