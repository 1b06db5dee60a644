"""What there is to review: a folder of predictions, a study, or a folder of videos."""

from __future__ import annotations

import dataclasses
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import Source, Study, in_study_folder, open_study
from dolorim.files.naming import VIDEO_SUFFIXES, find_videos
from dolorim.files.recordings import Chamber, Recorded, name_in, recorded
from dolorim.files.subjects import animal_of, read_subjects
from dolorim.files.tables import Table, read_table
from dolorim.labels.bouts import Bout, to_frames
from dolorim.labels.ethogram import PAIN, Ethogram, RawClass
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.labels.predicted_files import video_of
from dolorim.labels.prediction_files import meta_path, read_meta, read_predictions, which_counts
from dolorim.labels.trials import Placement
from dolorim.video.cache import fingerprint

_SUFFIX = ".predictions.csv"


@dataclass(frozen=True)
class Item:
    """A recording to review.

    `name` is what its label file is called. `problem` says why its video cannot be shown; it is
    empty where it can. `chamber` is the part of the video that the recording is, if not all.
    """

    name: str
    video: Path
    animal: str
    group: str = ""
    predictions: Path | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    source: Source | None = None
    problem: str = ""
    chamber: Chamber | None = None

    @property
    def recorded(self) -> Recorded:
        """What identifies the recording: its video, or the chamber of it."""
        return recorded(self.video, self.chamber)

    @property
    def n_frames(self) -> int | None:
        """Frames that were predicted; None without predictions."""
        if self.predictions is None or "n_frames" not in self.meta:
            return None
        return int(self.meta["n_frames"])


@dataclass(frozen=True)
class Review:
    """All recordings to review, in the order of the list.

    Corrections go to the folder `home`. `study` is None for predictions without label files.
    """

    title: str
    ethogram: Ethogram
    items: tuple[Item, ...]
    home: Path
    config: DataConfig
    study: Study | None = None
    dlc: Path | None = None

    @property
    def notes(self) -> list[str]:
        """What was noticed in opening the study."""
        if self.study is None:
            return []
        return [str(finding) for finding in self.study.findings]

    def truth(self, item: Item, time_s: np.ndarray, promised: int | None) -> Placement | None:
        """Assign the labels of the study to frames shown at `time_s` `(frames,)` in seconds.

        Returns None if the recording has no labels. `promised` is as in `place_labels`. Raises
        `UserError` if they do not fit.
        """
        if self.study is None or item.source is None or not item.source.labels:
            return None
        _, placement = self.study.place(item.source, time_s, self.config, promised)
        return placement


def open_review(
    place: Path,
    config: DataConfig,
    *,
    predictions: Path | None = None,
    dlc: Path | None = None,
    out: Path | None = None,
    shuffle: int | str | None = None,
) -> Review:
    """Find out what a folder holds: predictions, a study, or videos.

    Corrections go to `out`, else to `review/` in the folder. `shuffle` seeds another order of the
    recordings. Raises `UserError` if there is nothing to review.
    """
    if not place.is_dir():
        raise UserError(
            f"{place}: there is no such folder; expected predictions, a study or a folder of videos"
        )
    if predictions is None and any(place.glob(f"*{_SUFFIX}")):
        predictions = place
    # A folder of predictions is reviewed as such; otherwise they accompany the videos of a study.
    shows_predictions = predictions == place
    tables = _tables(predictions)
    metas = {name: read_meta(meta_path(path.parent, name)) for name, path in tables.items()}
    if not shows_predictions:
        config = in_study_folder(place, config)
    elif config.annotations is not None and config.videos is None:
        config = dataclasses.replace(config, videos=_common_folder(metas, place))
    study = None
    if not shows_predictions or config.annotations is not None:
        study = open_study(config)
    ethogram = _ethogram(config, study, tables, metas)
    if shows_predictions:
        items = _from_predictions(tables, metas, config, study)
    else:
        assert study is not None
        items = _from_study(study, config, tables, metas)
    # Blinded raters see the recordings in an order of their own, the same at every start.
    if shuffle is not None:
        random.Random(str(shuffle)).shuffle(items)
    return Review(
        title=place.resolve().name,
        ethogram=ethogram,
        items=tuple(items),
        home=out or place / "review",
        config=config,
        study=study,
        dlc=dlc,
    )


def predicted_labels(item: Item, ethogram: Ethogram) -> tuple[list[tuple[Bout, float]], np.ndarray]:
    """A recording's predicted bouts with their mean probabilities, and its labels `(n_frames,)`.

    They come from the table of bouts, which is small, if that is the one that counts. Raises
    `UserError` if the predictions are incomplete or damaged.
    """
    if item.predictions is None or item.n_frames is None:
        raise UserError(f"{item.name}: has no complete predictions; predict the video again")
    path = item.predictions.with_name(f"{item.name}.bouts.csv")
    # The labels may have been edited since the bouts were written.
    if not which_counts(path.parent, item.name).bouts:
        predicted = read_predictions(item.predictions)
        return predicted.bouts(), predicted.labels
    table = read_table(path)
    try:
        bouts = _bouts_in(table, ethogram)
        return bouts, to_frames([bout for bout, _ in bouts], item.n_frames)
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{path}: not a table of bouts ({error}); predict the video again"
        ) from None


def _bouts_in(table: Table, ethogram: Ethogram) -> list[tuple[Bout, float]]:
    """Bouts and mean probabilities; raises `ValueError` or `KeyError` for another table."""
    columns = ("start_frame", "stop_frame", "label", "mean_probability")
    start, stop, label, probability = (table.header.index(name) for name in columns)
    codes = {name: code for code, name in enumerate(ethogram.classes)}
    bouts = []
    for row in table.rows:
        bout = Bout(int(row[start]), int(row[stop]), codes[row[label]])
        bouts.append((bout, float(row[probability])))
    return bouts


def _tables(folder: Path | None) -> dict[str, Path]:
    """The predictions in a folder, by the name of their recording."""
    if folder is None:
        return {}
    # `glob` of a folder that does not exist finds nothing.
    tables = sorted(folder.glob(f"*{_SUFFIX}"))
    if not tables:
        raise UserError(f"{folder}: no predictions in this folder (looked for *{_SUFFIX})")
    return {path.name.removesuffix(_SUFFIX): path for path in tables}


def _common_folder(metas: dict[str, dict[str, Any]], folder: Path) -> Path:
    """The folder that all predicted videos are in."""
    videos = [video_of(meta, folder, name) for name, meta in metas.items() if "video" in meta]
    try:
        return Path(os.path.commonpath([v.parent for v in videos]))
    except ValueError:
        raise UserError("where are the videos? Name their folder with --videos DIR") from None


def _ethogram(
    config: DataConfig,
    study: Study | None,
    tables: dict[str, Path],
    metas: dict[str, dict[str, Any]],
) -> Ethogram:
    """The ethogram that was given, else that of the run that predicted, else that of the study.

    The classes of the predictions must be those of an ethogram that was given; without one, they
    stand for themselves.
    """
    predicted = _predicted_classes(tables, metas)
    if config.classes is not None:
        ethogram = read_ethogram(config.classes)
        if predicted is not None and ethogram.classes != predicted:
            raise UserError(
                f"{config.classes}: has the classes {', '.join(ethogram.classes)}, but the "
                f"predictions have {', '.join(predicted)}; "
                "give the ethogram that they were made with"
            )
        return ethogram
    ethogram = PAIN
    if study is not None:
        ethogram = study.ethogram
    ethogram = _ethogram_of_run(metas) or ethogram
    if predicted is not None and ethogram.classes != predicted:
        raw = tuple(RawClass(code, name, name) for code, name in enumerate(predicted))
        return Ethogram(raw, predicted)
    return ethogram


def _predicted_classes(
    tables: dict[str, Path], metas: dict[str, dict[str, Any]]
) -> tuple[str, ...] | None:
    """The classes of all predictions, None if unknown. Raises `UserError` if they differ."""
    # Predictions of one folder may come from several runs, as long as these know the same classes.
    different = {tuple(meta["classes"]) for meta in metas.values() if meta.get("classes")}
    if len(different) > 1:
        folder = next(iter(tables.values())).parent
        raise UserError(f"{folder}: its predictions have different classes; review them apart")
    return next(iter(different), None)


def _ethogram_of_run(metas: dict[str, dict[str, Any]]) -> Ethogram | None:
    """The ethogram of the run that made the predictions, if it is one run that is still there."""
    # The run may have been deleted or moved since; then its ethogram cannot be asked.
    runs = {Path(meta["run"]) for meta in metas.values() if "run" in meta}
    files = [path for path in (run / "ethogram.toml" for run in runs) if path.is_file()]
    if len(files) != 1:
        return None
    return read_ethogram(files[0])


def _from_predictions(
    tables: dict[str, Path],
    metas: dict[str, dict[str, Any]],
    config: DataConfig,
    study: Study | None,
) -> list[Item]:
    """The recordings of a folder of predictions, with the labels of the study, if there is one."""
    sources: dict[tuple[Path, str], Source] = {}
    if study is not None:
        for source in study.sources:
            sources[source.file.resolve(), _name_of(source.chamber)] = source
    videos: dict[str, Path] = {}
    if config.videos is not None:
        videos = {video.stem: video for video in find_videos([config.videos])}
    items = []
    for name, path in tables.items():
        meta = metas[name]
        as_written = video_of(meta, path.parent, name)
        # The videos may have been moved since they were predicted.
        video = videos.get(as_written.stem) or as_written
        chamber = _chamber_in(meta)
        labeled = sources.get((video.resolve(), _name_of(chamber)))
        if labeled is not None:
            animal = labeled.animal
        else:
            animal = animal_of(name_in(video.stem, chamber), config.animal_pattern)
        problem = _problem(video, meta, config.videos)
        items.append(Item(name, video, animal, "", path, meta, labeled, problem, chamber))
    return _with_subjects(items, config.recordings)


def _name_of(chamber: Chamber | None) -> str:
    return "" if chamber is None else chamber.name


def _chamber_in(meta: dict[str, Any]) -> Chamber | None:
    """The chamber that a `meta.json` says was predicted; None for a whole picture."""
    said = meta.get("chamber")
    if not said:
        return None
    try:
        x0, y0, x1, y1 = map(int, said["box"])
        return Chamber(str(said["name"]), (x0, y0, x1, y1))
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"expected a chamber with a name and a box of four numbers in meta.json, found {said}",
            remedy="predict the video again",
        ) from None


def _with_subjects(items: list[Item], table: Path | None) -> list[Item]:
    """The same items with the animals and groups that a table of recordings names."""
    if table is None:
        return items
    names = {item.recorded: name_in(item.video.stem, item.chamber) for item in items}
    lines = read_subjects(table).lines_of(names)
    completed = []
    for item in items:
        line = lines.get(item.recorded)
        if line is not None:
            item = dataclasses.replace(item, animal=line.animal or item.animal, group=line.group)
        completed.append(item)
    return completed


def _from_study(
    study: Study,
    config: DataConfig,
    tables: dict[str, Path],
    metas: dict[str, dict[str, Any]],
) -> list[Item]:
    """The recordings of a study, with the predictions that belong to them."""
    names = Counter(source.name for source in study.sources)
    items = []
    for source in study.sources:
        name = source.name
        # `a.mp4` and `a.avi` need different names of label files.
        if names[name] > 1:
            name = name_in(source.file.name, source.chamber)
        meta = metas.get(name, {})
        problem = _problem(source.file, meta, config.videos)
        group = source.columns.get("group", "")
        predictions = tables.get(name)
        item = Item(name, source.file, source.animal, group, predictions, meta, source, problem)
        items.append(dataclasses.replace(item, chamber=source.chamber))
    return items


def _problem(video: Path, meta: dict[str, Any], folder: Path | None) -> str:
    """Why a video cannot be shown; empty if it can.

    It may be absent, no video, outside of the opened folder, or not the one that was predicted.
    """
    if not video.is_file():
        return f"there is no video at {video}; name the folder that it is in with --videos DIR"
    if video.suffix.casefold() not in VIDEO_SUFFIXES:
        return f"{video}: not a video by its name"
    if folder is not None and not video.resolve().is_relative_to(folder.resolve()):
        return (
            f"{video}: a link that leads out of its folder; "
            "name the folder that it is in with --videos DIR"
        )
    # Labels of one file must not be saved for another one of the same name.
    if meta.get("fingerprint") is not None:
        now = fingerprint(video)
        if any(now[k] != meta["fingerprint"].get(k) for k in ("bytes", "ends")):
            return f"{video}: not the file that was predicted; predict it again"
    return ""


def names_of(items: Sequence[Item], blinded: bool) -> list[str]:
    """What the list calls the recordings: by number for a blinded rater."""
    if blinded:
        return [f"Recording {number}" for number, _ in enumerate(items, 1)]
    return [item.name for item in items]
