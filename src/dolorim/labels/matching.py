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
from dolorim.labels.annotations import SUFFIXES, read_annotations, sniff
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events
from dolorim.labels.label_files import LabelFile, parse_name

_Names = dict[str, list[Path]]  # as `by_name` returns them: recordings by their folded name


def label_files(
    config: DataConfig,
    recordings: dict[Path, str],
    ethogram: Ethogram,
    findings: list[Finding],
    noted: list[Finding] | None = None,
    streams: Mapping[Path, str] | None = None,
) -> dict[Path, list[LabelFile | Events]]:
    """The label files of each recording.

    A file that cannot be read is a `UserError`, or, with `noted`, a finding there. `streams` says
    which subject or stream counts for a recording, before `config.label_stream` does.
    """
    folder = config.annotations
    if folder is None:
        return {}
    names = by_name(recordings)
    files: dict[Path, list[LabelFile | Events]] = defaultdict(list)
    paths = [path for path in files_below(folder) if path.suffix.casefold() in SUFFIXES]
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
        raise UserError(
            f"{folder}: none of its {len(paths)} label files belongs to a video here; "
            f"{paths[0].name} would label {parse_name(paths[0])[0]}"
        )
    return files


def labels_in(
    path: Path,
    config: DataConfig,
    names: _Names,
    ethogram: Ethogram,
    findings: list[Finding],
    conflicts: Conflicts,
    streams: Mapping[Path, str],
) -> list[tuple[Path, LabelFile | Events]]:
    """The labels in one file, each with its recording.

    These are the recordings that the file names inside, else the one whose name the file carries.
    Raises `UserError` for a file that cannot be read, or that fits several recordings.
    """
    exact_matches = names.get(folded(path.stem))
    own = exact_matches or named(parse_name(path)[0], names)
    if not own and not names_videos(path, config):
        findings.append(_without_video(path, "labels a video that is not there"))
        return []
    files = _read_streams(path, own, config, names, ethogram, conflicts, streams)
    matches = {media: named(media, names) for media in files}
    if not any(matches.values()):
        # The file names no recording inside: the one whose name it carries counts.
        if len(files) > 1:
            raise UserError(
                f"{path}: labels {', '.join(files)}, and none of them is a video here; rename the "
                f"video"
            )
        if not own:
            findings.append(_without_video(path, "labels no video that is there"))
        matches = dict.fromkeys(files, own)
    labels: list[tuple[Path, LabelFile | Events]] = []
    for media, file in files.items():
        _refuse_ambiguous(path, matches[media])
        if exact_matches and isinstance(file, LabelFile):
            # The whole name is that of the video, so the number at its end is no trial.
            file = dataclasses.replace(file, trial=None)
        labels += [(recording, file) for recording in matches[media]]
    return labels


def _refuse_ambiguous(path: Path, matches: Sequence[Path]) -> None:
    if len(matches) > 1:
        raise UserError(
            f"{path}: its name fits {matches[0]} and {matches[1]}; rename one of the videos"
        )


def _without_video(path: Path, what: str) -> Finding:
    return Finding("warning", str(path), what, "left out", "labels-without-video")


def _read_streams(
    path: Path,
    own: Sequence[Path],
    config: DataConfig,
    names: _Names,
    ethogram: Ethogram,
    conflicts: Conflicts,
    streams: Mapping[Path, str],
) -> dict[str, LabelFile | Events]:
    """The labels in a file by the video they name, each of the stream of its recording.

    `own` are the recordings whose name the file carries.
    """
    files: dict[str, LabelFile | Events] = {}
    recordings = own or [*recordings_in(names)]
    # The stream is None for recordings for which only the settings say which one counts.
    for stream in dict.fromkeys(streams.get(recording) for recording in recordings):
        # A default argument binds the stream of this turn of the loop.
        def wanted(media: str, stream: str | None = stream) -> bool:
            known = named(media, names)
            return any(streams.get(r) == stream for r in known) if known else bool(own)

        settings = config
        if stream is not None:
            settings = dataclasses.replace(config, label_stream=stream)
        files |= read_annotations(path, ethogram, settings, conflicts, wanted)
    return files


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


def recordings_in(names: Mapping[str, list[Path]]) -> dict[Path, None]:
    """All recordings, in order, each once."""
    return dict.fromkeys(itertools.chain.from_iterable(names.values()))


def names_videos(path: Path, config: DataConfig) -> bool:
    """Whether a file of this format names the videos that it labels."""
    if config.label_format != "auto":
        return config.label_format == "boris"
    with contextlib.suppress(UserError):  # a file of no video need not be readable
        return sniff(path) == "boris"
    return False
