"""What there is to review: a folder of predictions, a project, or a folder of videos."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import Source, Study, in_study_folder, open_study
from dolorim.files.naming import VIDEO_SUFFIXES, find_videos
from dolorim.files.poses import pose_of_video
from dolorim.files.subjects import animal_of, read_subjects
from dolorim.files.tables import read_table
from dolorim.labels.bouts import Bout, to_frames
from dolorim.labels.ethogram import PAIN, Ethogram, RawClass
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.labels.predicted_files import video_of
from dolorim.labels.prediction_files import meta_path, read_meta, read_predictions, which_counts
from dolorim.labels.trials import Placement
from dolorim.pose.keypoints import match_keypoints
from dolorim.pose.pose import Pose
from dolorim.pose.read import read_poses
from dolorim.video.cache import fingerprint

_SUFFIX = ".predictions.csv"
_SKELETON = (
    ("mouth", "tail_base"), ("mouth", "L_frontpaw"), ("mouth", "R_frontpaw"),
    ("tail_base", "L_hindpaw"), ("tail_base", "R_hindpaw"),
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A recording to review. `name` is what its label file is called; `problem` says why its video
    cannot be shown."""

    name: str
    video: Path
    animal: str
    group: str = ""
    predictions: Path | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    source: Source | None = None
    problem: str = ""

    @property
    def n_frames(self) -> int | None:
        """Frames that were predicted; None without predictions."""
        return (
            int(self.meta["n_frames"])
            if self.predictions is not None and "n_frames" in self.meta
            else None
        )


@dataclass(frozen=True)
class Review:
    """All that is to be reviewed, in the order of the list. `home` is the folder that corrections
    go to."""

    title: str
    ethogram: Ethogram
    items: tuple[Item, ...]
    home: Path
    config: DataConfig
    project: Study | None = None
    dlc: Path | None = None
    notes: tuple[str, ...] = ()

    def truth(self, item: Item, time_s: np.ndarray, promised: int | None) -> Placement | None:
        """The labels that there are already, laid on frames shown at `time_s`; None without any.
        Raises `UserError`.

        `promised` as in `place_labels`.
        """
        if self.project is None or item.source is None or not item.source.labels:
            return None
        return self.project.place(item.source, time_s, self.config, promised)[1]


def open_review(
    place: Path,
    config: DataConfig,
    *,
    predictions: Path | None = None,
    dlc: Path | None = None,
    out: Path | None = None,
    shuffle: int | str | None = None,
) -> Review:
    """Find out what a folder holds. Raises `UserError` where there is nothing to review.

    Corrections go to `out`, else to `review/` in the folder. `shuffle` seeds another order of the
    recordings.
    """
    if not place.is_dir():
        raise UserError(
            f"{place}: there is no such folder; expected predictions, a project or a folder of "
            "videos"
        )
    if predictions is None and any(place.glob(f"*{_SUFFIX}")):
        predictions = place
    found = (
        {}
        if predictions is None
        else {p.name.removesuffix(_SUFFIX): p for p in _tables(predictions)}
    )
    metas = {name: read_meta(meta_path(path.parent, name)) for name, path in found.items()}
    project = None
    if predictions != place or config.annotations is not None:
        if predictions != place:
            config = in_study_folder(place, config)
        elif config.videos is None:
            config = dataclasses.replace(config, videos=_common_folder(metas, predictions))
        project = open_study(config)
    ethogram = _ethogram(config, project, found, metas)
    items = (
        _predicted(found, metas, config, project)
        if predictions == place
        else _of_project(project, config, found, metas)
    )
    if shuffle is not None:
        random.Random(str(shuffle)).shuffle(items)
    notes = tuple(str(f) for f in project.findings) if project else ()
    return Review(
        place.resolve().name,
        ethogram,
        tuple(items),
        out or place / "review",
        config,
        project,
        dlc,
        notes,
    )


def predicted_labels(item: Item, ethogram: Ethogram) -> tuple[list[tuple[Bout, float]], np.ndarray]:
    """A recording's predicted bouts with their mean probabilities, and the labels `(n_frames,)`,
    from the small file of bouts where that may be read in place of the frames. Raises `UserError`.
    """
    if item.predictions is None or item.n_frames is None:
        raise UserError(f"{item.name}: has no complete predictions; predict the video again")
    path = item.predictions.with_name(f"{item.name}.bouts.csv")
    if not which_counts(path.parent, item.name).bouts:
        predicted = read_predictions(item.predictions)
        return predicted.bouts(), predicted.labels
    table = read_table(path)
    try:
        start, stop, label, sure = (
            table.header.index(n)
            for n in ("start_frame", "stop_frame", "label", "mean_probability")
        )
        codes = {name: i for i, name in enumerate(ethogram.classes)}
        bouts = [
            (Bout(int(r[start]), int(r[stop]), codes[r[label]]), float(r[sure])) for r in table.rows
        ]
        return bouts, to_frames([b for b, _ in bouts], item.n_frames)
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{path}: not a table of bouts ({error}); predict the video again"
        ) from None


def pose_of(item: Item, review: Review) -> Path | None:
    """The pose file of a recording. Raises `UserError` where there are several."""
    if item.source is not None and item.source.pose is not None:
        return item.source.pose
    named = [f for f in (review.config.videos,) if f is not None]
    return pose_of_video(item.video, review.dlc, named)


def points_of(path: Path) -> tuple[list[str], list[tuple[int, int]], np.ndarray]:
    """Names, the bones that join them, and `(time, points, 3)` float32: x, y, likelihood; all
    animals of the file."""
    poses = read_poses(path)
    names: list[str] = []
    bones: list[tuple[int, int]] = []
    parts = []
    length = max(len(p) for p in poses)
    for pose in poses:
        at = len(names)
        names += [n if len(poses) == 1 else f"{pose.individual}: {n}" for n in pose.names]
        bones += [(at + a, at + b) for a, b in _bones(pose)]
        table = np.full((length, len(pose.names), 3), np.nan, np.float32)
        table[: len(pose), :, :2] = pose.points
        table[: len(pose), :, 2] = 1 if pose.likelihood is None else pose.likelihood
        parts.append(table)
    return names, bones, np.concatenate(parts, axis=1)


def _bones(pose: Pose) -> list[tuple[int, int]]:
    bones = []
    for pair in _SKELETON:
        try:
            one, two = match_keypoints(pose.names, pair)
        except UserError:
            continue  # a skeleton of other points is shown as points
        bones.append((one.index, two.index))
    return bones


def _tables(folder: Path) -> list[Path]:
    found = sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []
    if not found:
        raise UserError(f"{folder}: no predictions in this folder (looked for *{_SUFFIX})")
    return found


def _common_folder(metas: dict[str, dict[str, Any]], folder: Path) -> Path:
    """The folder that all predicted videos are in."""
    videos = [video_of(meta, folder, name) for name, meta in metas.items() if "video" in meta]
    try:
        return Path(os.path.commonpath([v.parent for v in videos]))
    except ValueError:
        raise UserError("where are the videos? Name their folder with --videos DIR") from None


def _ethogram(
    config: DataConfig,
    project: Study | None,
    found: dict[str, Path],
    metas: dict[str, dict[str, Any]],
) -> Ethogram:
    """What is given, else what the run that has predicted says, else the predicted classes as they
    stand."""
    said = {tuple(m["classes"]) for m in metas.values() if m.get("classes")}
    if len(said) > 1:
        raise UserError(
            f"{next(iter(found.values())).parent}: its predictions have different classes; review "
            "them apart"
        )
    classes = next(iter(said), None)
    if config.classes is not None:
        ethogram = read_ethogram(config.classes)
    else:
        runs = {m["run"] for m in metas.values() if "run" in m}
        files = [p for p in (Path(r) / "ethogram.toml" for r in runs) if p.is_file()]
        ethogram = (
            read_ethogram(files[0]) if len(files) == 1 else project.ethogram if project else PAIN
        )
        if classes is not None and ethogram.classes != classes:
            return Ethogram(tuple(RawClass(i, n, n) for i, n in enumerate(classes)), classes)
    if classes is not None and ethogram.classes != classes:
        raise UserError(
            f"{config.classes}: has the classes {', '.join(ethogram.classes)}, but the "
            "predictions have "
            f"{', '.join(classes)}; give the ethogram that they were made with"
        )
    return ethogram


def _predicted(
    found: dict[str, Path],
    metas: dict[str, dict[str, Any]],
    config: DataConfig,
    project: Study | None,
) -> list[Item]:
    sources = {s.file.resolve(): s for s in project.sources} if project else {}
    there = {v.stem: v for v in find_videos([config.videos])} if config.videos else {}
    items = []
    for name, path in found.items():
        meta = metas[name]
        written = video_of(meta, path.parent, name)
        video = there.get(written.stem) or written
        source = sources.get(video.resolve())
        animal = source.animal if source else animal_of(video.stem, config.animal_pattern)
        items.append(
            Item(name, video, animal, "", path, meta, source, _problem(video, meta, config.videos))
        )
    return _with_subjects(items, config.recordings)


def _with_subjects(items: list[Item], table: Path | None) -> list[Item]:
    """The same items with the animals and groups that a table of recordings names."""
    if table is None:
        return items
    lines = read_subjects(table).lines_of({item.video: item.video.stem for item in items})
    found = []
    for item in items:
        line = lines.get(item.video)
        if line is not None:
            item = dataclasses.replace(item, animal=line.animal or item.animal, group=line.group)
        found.append(item)
    return found


def _of_project(
    project: Study | None,
    config: DataConfig,
    found: dict[str, Path],
    metas: dict[str, dict[str, Any]],
) -> list[Item]:
    assert project is not None
    stems = [s.file.stem for s in project.sources]
    items = []
    for source in project.sources:
        name = source.file.stem if stems.count(source.file.stem) == 1 else source.file.name
        meta = metas.get(name, {})
        problem = _problem(source.file, meta, config.videos)
        group = source.columns.get("group", "")
        items.append(
            Item(name, source.file, source.animal, group, found.get(name), meta, source, problem)
        )
    return items


def _problem(video: Path, meta: dict[str, Any], folder: Path | None) -> str:
    """Why a video cannot be shown, if it cannot: absent, no video, outside of the opened folder, or
    another one now."""
    if not video.is_file():
        return f"there is no video at {video}; name the folder that it is in with --videos DIR"
    if video.suffix.casefold() not in VIDEO_SUFFIXES:
        return f"{video}: not a video by its name"
    if folder is not None and not video.resolve().is_relative_to(folder.resolve()):
        return (
            f"{video}: a link that leads out of its folder; "
            f"name the folder that it is in with --videos DIR"
        )
    if meta.get("fingerprint") is not None:
        now = fingerprint(video)
        if any(now[k] != meta["fingerprint"].get(k) for k in ("bytes", "ends")):
            return f"{video}: not the file that was predicted; predict it again"
    return ""


def names_of(items: Sequence[Item], blinded: bool) -> list[str]:
    """What the list calls the recordings."""
    return (
        [f"Recording {i}" for i in range(1, len(items) + 1)] if blinded else [i.name for i in items]
    )
