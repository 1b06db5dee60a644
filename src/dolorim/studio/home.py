"""Where everything of a study lies on disk, and what of it exists."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dolorim.config import Config, DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import in_study_folder
from dolorim.files.naming import VIDEO_SUFFIXES, find_videos, inside
from dolorim.files.structured import read_toml
from dolorim.presets import with_settings

_PREDICTIONS = ".predictions.csv"


@dataclass(frozen=True)
class StudioHome:
    """A study folder, and the folder `dolorim` in it that holds all that the studio makes.

    The tables of the study itself (recordings.csv, chambers.csv, ethogram.toml) lie in `folder`,
    where every other command finds them, too.
    """

    folder: Path

    @property
    def own(self) -> Path:
        return self.folder / "dolorim"

    @property
    def labels(self) -> Path:
        """The home of the labeling room, with a folder per rater."""
        return self.own / "labels"

    @property
    def cache(self) -> Path:
        return self.own / "cache"

    @property
    def runs(self) -> Path:
        return self.own / "runs"

    @property
    def predictions(self) -> Path:
        """Predictions of the study's own videos, of the newest run."""
        return self.own / "predictions"

    @property
    def other_predictions(self) -> Path:
        """Predictions of videos from elsewhere, with a folder for each place they come from."""
        return self.own / "predicted"

    @property
    def report(self) -> Path:
        return self.own / "report"

    @property
    def exports(self) -> Path:
        return self.own / "exports"

    @property
    def jobs(self) -> Path:
        return self.own / "jobs"

    @property
    def check_file(self) -> Path:
        """What `dolorim check --json` has written."""
        return self.own / "check.json"

    @property
    def reading_file(self) -> Path:
        """Settings that say how the study's files are read, where that is in doubt."""
        return self.own / "reading.toml"

    @property
    def recordings_table(self) -> Path:
        return self.folder / "recordings.csv"

    @property
    def chambers_table(self) -> Path:
        return self.folder / "chambers.csv"

    @property
    def ethogram_file(self) -> Path:
        return self.folder / "ethogram.toml"

    @property
    def videos_folder(self) -> Path:
        return inside(self.folder, "videos") or self.folder

    @property
    def annotations(self) -> Path | None:
        """Label files that the study brings along."""
        return inside(self.folder, "annotations")

    def videos(self) -> list[Path]:
        """The videos of the study; none if there are none yet.

        A folder without Videos/ counts only for what lies directly in it: the folders below may be
        anything, such as what the studio has made.
        """
        folder = self.videos_folder
        if folder == self.folder:
            return sorted(path for path in folder.iterdir() if _is_visible_video(path))
        try:
            return find_videos([folder])
        except UserError:
            return []

    def data(self) -> DataConfig:
        """How the study's files are read. Raises `UserError` if two of its tables disagree."""
        config = with_settings(Config(), self.reading()).data
        config = dataclasses.replace(config, videos=self.videos_folder)
        return in_study_folder(self.folder, config)

    def reading(self) -> dict[str, Any]:
        """The settings in `reading_file`, by their names. Raises `UserError`."""
        if not self.reading_file.is_file():
            return {}
        return read_toml(self.reading_file)

    def study_flags(self) -> list[str]:
        """The study's own files as flags of `train` and `extract`."""
        # Named one by one: `train` does not look below a study folder by itself.
        data = self.data()
        flags = ["--videos", str(data.videos)]
        named = {"--classes": data.classes, "--recordings": data.recordings, "--dlc": data.dlc}
        for flag, path in named.items():
            if path is not None:
                flags += [flag, str(path)]
        if data.chambers is not None:
            flags += ["--chambers", data.chambers]
        return [*flags, *self.reading_flags()]

    def reading_flags(self) -> list[str]:
        """The settings in `reading_file` as flags."""
        flags = []
        for name, value in self.reading().items():
            # A flag that is switched on has no value.
            if value is True:
                flags.append(f"--{name}")
            else:
                flags += [f"--{name}", str(value)]
        return flags

    def finished_runs(self) -> list[Path]:
        """The folders of finished runs, oldest first."""
        # `metrics.json` is written last.
        return [path for path in self.all_runs() if (path / "metrics.json").is_file()]

    def all_runs(self) -> list[Path]:
        """The folders of all runs, finished or not, oldest first."""
        if not self.runs.is_dir():
            return []
        numbered = [path for path in self.runs.iterdir() if path.name.isdecimal()]
        return sorted(numbered, key=lambda path: int(path.name))

    def next_run(self) -> Path:
        """A folder for another run: 01, 02, ..."""
        newest = 0
        for path in self.all_runs():
            newest = int(path.name)
        return self.runs / f"{newest + 1:02}"

    def has_predictions(self) -> bool:
        return _holds_predictions(self.predictions)

    def prediction_sets(self) -> dict[str, Path]:
        """The folders with predictions, by what they are called: the study's own ones first."""
        sets = {"this study": self.predictions}
        if self.other_predictions.is_dir():
            folders = sorted(p for p in self.other_predictions.iterdir() if p.is_dir())
            sets |= {folder.name: folder for folder in folders}
        return {name: folder for name, folder in sets.items() if _holds_predictions(folder)}

    def has_labels(self) -> bool:
        """Has anybody labeled in the labeling room?"""
        return any(self.labels.glob("*/*.history.jsonl"))

    def raters(self) -> list[str]:
        """Who has labeled in the labeling room."""
        if not self.labels.is_dir():
            return []
        return sorted(path.name for path in self.labels.iterdir() if path.is_dir())


def _holds_predictions(folder: Path) -> bool:
    return any(folder.glob(f"*{_PREDICTIONS}"))


def _is_visible_video(path: Path) -> bool:
    is_video = path.suffix.casefold() in VIDEO_SUFFIXES
    return is_video and not path.name.startswith(".") and path.is_file()


def open_home(folder: Path) -> StudioHome:
    """The study in a folder. Raises `UserError` if there is no such folder."""
    if not folder.is_dir():
        raise UserError("there is no such folder", where=folder)
    return StudioHome(folder.resolve())
