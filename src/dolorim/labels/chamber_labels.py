"""Labels of several animals in one file: which chamber each of its subjects or streams is about.

A subject (BORIS) or stream (Caltech) is named like its chamber, or like the animal in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.animals import animal_key
from dolorim.files.naming import named
from dolorim.files.recordings import R, chamber_names, file_of
from dolorim.labels.annotations import read_annotations, streams_in
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.events import Conflicts, Events
from dolorim.labels.label_files import LabelFile


def labels_of_chambers(
    path: Path,
    recordings: Sequence[R],
    config: DataConfig,
    names: Mapping[str, Sequence[R]],
    ethogram: Ethogram,
    findings: list[Finding],
    conflicts: Conflicts,
    streams: Mapping[R, Sequence[str]],
) -> list[tuple[R, LabelFile | Events]]:
    """The labels in a file about several recordings, of which some are chambers of one video.

    `streams` says what the subject or stream of a recording may be called. Raises `UserError` for
    a file that does not tell the chambers apart.
    """
    # Names are compared regardless of case and spaces, and used as the file writes them.
    in_file = {animal_key(stream): stream for stream in streams_in(path, config)}
    stream_of = _streams_meant(recordings, in_file, streams)
    if not stream_of:
        raise _names_no_chamber(path, recordings, list(in_file.values()))
    findings += _without_chamber(path, in_file, recordings, streams)
    labels: list[tuple[R, LabelFile | Events]] = []
    for recording, stream in stream_of.items():
        settings = config
        if stream is not None:
            settings = dataclasses.replace(config, label_stream=stream)

        # A default argument binds the recording of this turn of the loop.
        def wanted(media: str, recording: R = recording) -> bool:
            known = named(media, names)
            return not known or recording in known

        files = read_annotations(path, ethogram, settings, conflicts, wanted)
        labels += [(recording, file) for file in files.values()]
    return labels


def _streams_meant(
    recordings: Sequence[R], in_file: Mapping[str, str], streams: Mapping[R, Sequence[str]]
) -> dict[R, str | None]:
    """The stream of each recording that the file is about; None where its name tells which."""
    stream_of: dict[R, str | None] = {}
    for recording in recordings:
        its_names = [animal_key(name) for name in streams.get(recording, ())]
        meant = [in_file[name] for name in its_names if name in in_file]
        if meant:
            stream_of[recording] = meant[0]
    if not stream_of and len(recordings) == 1:
        stream_of[recordings[0]] = None  # the file's name tells the chamber
    return stream_of


def _names_no_chamber(path: Path, recordings: Sequence[R], in_file: Sequence[str]) -> UserError:
    video, chambers = file_of(recordings[0]), chamber_names(recordings)
    if in_file:
        return UserError(
            f"its subjects are {', '.join(in_file)}, and {video.name} has the chambers {chambers}",
            where=path,
            remedy="name each subject like its chamber, or like the animal in recordings.csv",
        )
    return UserError(
        f"labels {video.name}, which has the chambers {chambers}, and does not say which of them",
        where=path,
        remedy=f"name it prediction_{video.stem}_<chamber>_<trial>.csv",
    )


def _without_chamber(
    path: Path,
    in_file: Mapping[str, str],
    recordings: Sequence[R],
    streams: Mapping[R, Sequence[str]],
) -> list[Finding]:
    """A warning about the subjects of a file that are in none of the chambers."""
    known: set[str] = set()
    for recording in recordings:
        known.update(animal_key(name) for name in streams.get(recording, ()))
    unknown = [stream for key, stream in in_file.items() if key not in known]
    if not unknown or len(recordings) == 1:
        return []
    what = (
        f"labels {', '.join(unknown)}, and {file_of(recordings[0]).name} has no such chamber or "
        f"animal (chambers: {chamber_names(recordings)})"
    )
    return [Finding("warning", str(path), what, "left out", "labels-without-chamber")]
