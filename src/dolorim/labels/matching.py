"""Which label files belong to which recordings of a study."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.naming import by_name, files_below, folded, named, noting
from dolorim.files.recordings import InChamber, R, Recorded, chamber_names, file_of
from dolorim.labels.annotations import is_named_like_labels, read_annotations, sniff
from dolorim.labels.boris import media_of
from dolorim.labels.chamber_labels import labels_of_chambers
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events
from dolorim.labels.label_files import LabelFile, parse_name


def label_files(
    config: DataConfig,
    recordings: Mapping[R, str],
    ethogram: Ethogram,
    findings: list[Finding],
    noted: list[Finding] | None = None,
    streams: Mapping[R, Sequence[str]] | None = None,
) -> dict[R, list[LabelFile | Events]]:
    """The label files of each recording.

    A file that cannot be read is a `UserError`, or, with `noted`, a finding there. `streams` says
    what the subject or stream of a recording may be called; it comes before `config.label_stream`.
    """
    folder = config.annotations
    if folder is None:
        return {}
    names = by_name(recordings)
    files: dict[R, list[LabelFile | Events]] = defaultdict(list)
    paths = [path for path in files_below(folder) if is_named_like_labels(path)]
    if not paths:
        raise UserError(
            f"{folder}: no label file in this folder (looked for prediction_<video>_<trial>.csv)"
        )
    conflicts = Conflicts(config.on_conflict, findings)
    for path in paths:
        # One unreadable file must not stop a check of the others.
        with noting(noted, "labels-unreadable"):
            for recording, file in labels_in(
                path, config, names, ethogram, findings, conflicts, streams or {}
            ):
                files[recording].append(file)
    if not files and not noted:
        example = f"{paths[0].name} would label {parse_name(paths[0])[0]}"
        if config.label_observation is not None:
            example += f", and only observations called {config.label_observation} are read"
        raise UserError(
            f"{folder}: none of its {len(paths)} label files belongs to a video here; {example}"
        )
    return files


def labels_in(
    path: Path,
    config: DataConfig,
    names: dict[str, list[R]],
    ethogram: Ethogram,
    findings: list[Finding],
    conflicts: Conflicts,
    streams: Mapping[R, Sequence[str]],
) -> list[tuple[R, LabelFile | Events]]:
    """The labels in one file, each with its recording.

    These are the recordings that the file names inside, else the one whose name the file carries.
    Raises `UserError` for a file that cannot be read, or that fits several recordings.
    """
    exact_matches = names.get(folded(path.stem))
    own = exact_matches or named(parse_name(path)[0], names)
    if not own and not names_videos(path, config):
        findings.append(_without_video(path, _why_not(path, names)))
        return []
    meant = own or _named_inside(path, names)
    if any(isinstance(recording, InChamber) for recording in meant):
        labels_there = labels_of_chambers(
            path, meant, config, names, ethogram, findings, conflicts, streams
        )
    else:
        files = _read_streams(path, own, config, names, ethogram, conflicts, streams)
        labels_there = _assign(path, files, own, names, findings)
    if exact_matches:
        labels_there = [(recording, _of_whole(file)) for recording, file in labels_there]
    return labels_there


def _assign(
    path: Path,
    files: Mapping[str, LabelFile | Events],
    own: Sequence[R],
    names: dict[str, list[R]],
    findings: list[Finding],
) -> list[tuple[R, LabelFile | Events]]:
    """The labels in a file, given by the video that it names, each with its recording.

    `own` are the recordings whose name the file carries. Raises `UserError` if several recordings
    fit, or none of several videos is here.
    """
    if not files:  # its observations are not those that were chosen, which has been said
        return []
    matches: dict[str, Sequence[R]] = {media: named(media, names) for media in files}
    if not any(matches.values()):
        # The file names no recording inside: the one whose name it carries counts.
        if len(files) > 1:
            raise UserError(
                f"{path}: labels {', '.join(files)}, and none of them is a video here; "
                "rename the video"
            )
        if not own:
            findings.append(_without_video(path, "labels no video that is there"))
        matches = dict.fromkeys(files, own)
    labels: list[tuple[R, LabelFile | Events]] = []
    for media, file in files.items():
        _refuse_ambiguous(path, matches[media])
        labels += [(recording, file) for recording in matches[media]]
    return labels


def _of_whole(file: LabelFile | Events) -> LabelFile | Events:
    """The labels of a file whose whole name is its recording's: a number at the end is no trial."""
    if not isinstance(file, LabelFile):
        return file
    return dataclasses.replace(file, trial=None)


def _named_inside(path: Path, names: Mapping[str, Sequence[R]]) -> list[R]:
    """The recordings that a file of BORIS names, if any recording here is a chamber."""
    if not any(isinstance(recording, InChamber) for recording in recordings_in(names)):
        return []
    inside: dict[R, None] = {}
    for media in media_of(path):
        inside |= dict.fromkeys(named(media, names))
    return list(inside)


def _why_not(path: Path, names: Mapping[str, Sequence[R]]) -> str:
    """Why a label file belongs to no recording: its video, or the chamber of it, is not there."""
    written = parse_name(path)[0]
    for end in range(len(written) - 1, 0, -1):
        if written[end] in "._":
            chambers = named(written[:end], names)
            if chambers and isinstance(chambers[0], InChamber):
                video = file_of(chambers[0]).name
                there = chamber_names(chambers)
                return f"labels chamber {written[end + 1 :]} of {video}, which has {there}"
    return "labels a video that is not there"


def _refuse_ambiguous(path: Path, matches: Sequence[Recorded]) -> None:
    if len(matches) > 1:
        raise UserError(
            f"{path}: its name fits {matches[0]} and {matches[1]}; rename one of the videos"
        )


def _without_video(path: Path, what: str) -> Finding:
    return Finding("warning", str(path), what, "left out", "labels-without-video")


def _read_streams(
    path: Path,
    own: Sequence[R],
    config: DataConfig,
    names: dict[str, list[R]],
    ethogram: Ethogram,
    conflicts: Conflicts,
    streams: Mapping[R, Sequence[str]],
) -> dict[str, LabelFile | Events]:
    """The labels in a file by the video they name, each of the stream of its recording.

    `own` are the recordings whose name the file carries.
    """
    files: dict[str, LabelFile | Events] = {}
    recordings = own or [*recordings_in(names)]
    # The stream is None for recordings for which only the settings say which one counts.
    for stream in dict.fromkeys(_first_of(streams, recording) for recording in recordings):
        # A default argument binds the stream of this turn of the loop.
        def wanted(media: str, stream: str | None = stream) -> bool:
            known = named(media, names)
            if not known:
                return bool(own)
            return any(_first_of(streams, recording) == stream for recording in known)

        settings = config
        if stream is not None:
            settings = dataclasses.replace(config, label_stream=stream)
        files |= read_annotations(path, ethogram, settings, conflicts, wanted)
    return files


def _first_of(streams: Mapping[R, Sequence[str]], recording: R) -> str | None:
    return next(iter(streams.get(recording, ())), None)


def labels_of_one(
    path: Path, video: Path, config: DataConfig, ethogram: Ethogram, findings: list[Finding]
) -> list[LabelFile | Events]:
    """The labels of one video in a file, or in a folder of files.

    A single file need not carry the video's name. Raises `UserError` where there are none.
    """
    recordings = {video: video.stem}
    if path.is_dir():
        all_findings: list[Finding] = []
        settings = dataclasses.replace(config, annotations=path)
        files = label_files(settings, recordings, ethogram, all_findings)
        # The files of other videos are no problem here.
        findings += [f for f in all_findings if f.name != "labels-without-video"]
        return files[video]
    names = by_name(recordings)
    # Whatever the file is called, it labels this video.
    names[folded(parse_name(path)[0])] = [video]
    conflicts = Conflicts(config.on_conflict, findings)
    labels = labels_in(path, config, names, ethogram, findings, conflicts, {})
    if not labels:
        raise UserError(f"{path}: holds no labels of {video.name}")
    return [file for _, file in labels]


def recordings_in(names: Mapping[str, Sequence[R]]) -> dict[R, None]:
    """All recordings, in order, each once."""
    return dict.fromkeys(itertools.chain.from_iterable(names.values()))


def names_videos(path: Path, config: DataConfig) -> bool:
    """Whether a file of this format names the videos that it labels."""
    if config.label_format != "auto":
        return config.label_format == "boris"
    with contextlib.suppress(UserError):  # a file of no video need not be readable
        return sniff(path) == "boris"
    return False
