"""Which label files belong to which recordings of a project."""

from __future__ import annotations

import contextlib
import dataclasses
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


def label_files(
    config: DataConfig,
    recordings: dict[Path, str],
    ethogram: Ethogram,
    findings: list[Finding],
    noted: list[Finding] | None = None,
    streams: Mapping[Path, str] | None = None,
) -> dict[Path, list[LabelFile | Events]]:
    """The label files of each recording. With `noted`, one that cannot be read is a finding there, not an error.

    `streams` says which subject or stream counts for a recording, before `config.label_stream` does.
    """
    folder = config.annotations
    if folder is None:
        return {}
    names = by_name(recordings)
    found: dict[Path, list[LabelFile | Events]] = defaultdict(list)
    tables = [p for p in files_below(folder) if p.suffix.casefold() in SUFFIXES]
    if not tables:
        raise UserError(
            f"{folder}: no label file in this folder (looked for prediction_<video>_<trial>.csv)"
        )
    conflicts = Conflicts(config.on_conflict, findings)
    for path in tables:
        with noting(noted, "labels-unreadable"):
            for recording, file in labels_in(
                path, config, names, ethogram, findings, conflicts, streams or {}
            ):
                found[recording].append(file)
    if not found and not noted:
        raise UserError(
            f"{folder}: none of its {len(tables)} label files belongs to a video here; {tables[0].name} "
            f"would label {parse_name(tables[0])[0]}"
        )
    return found


def labels_in(
    path: Path,
    config: DataConfig,
    names: dict[str, list[Path]],
    ethogram: Ethogram,
    findings: list[Finding],
    conflicts: Conflicts,
    streams: Mapping[Path, str],
) -> list[tuple[Path, LabelFile | Events]]:
    """What one file says of which recordings: of that whose name it carries, or of those that it names inside."""
    whole = names.get(folded(path.stem))
    ours = whole or named(parse_name(path)[0], names)
    if not ours and not names_videos(path, config):
        what = "labels a video that is not there"
        findings.append(Finding("warning", str(path), what, "left out", "labels-without-video"))
        return []
    read: dict[str, LabelFile | Events] = {}
    for stream in _streams_of(ours or [*recordings_in(names)], streams):

        def wanted(media: str, stream: str | None = stream) -> bool:
            known = named(media, names)
            return any(streams.get(r) == stream for r in known) if known else bool(ours)

        one = config if stream is None else dataclasses.replace(config, label_stream=stream)
        read |= read_annotations(path, ethogram, one, conflicts, wanted)
    inside = {media: named(media, names) for media in read if named(media, names)}
    if not inside and len(read) > 1:
        raise UserError(
            f"{path}: labels {', '.join(read)}, and none of them is a video here; rename the video"
        )
    if not inside and not ours:
        what = "labels no video that is there"
        findings.append(Finding("warning", str(path), what, "left out", "labels-without-video"))
    found: list[tuple[Path, LabelFile | Events]] = []
    for media, file in read.items():
        matches = inside.get(media) or ([] if inside else ours)
        if len(matches) > 1:
            raise UserError(
                f"{path}: its name fits {matches[0]} and {matches[1]}; rename one of the videos"
            )
        if not matches:
            continue
        if whole and not isinstance(file, Events):
            file = dataclasses.replace(file, trial=None)
        found.append((matches[0], file))
    return found


def labels_of_one(
    path: Path, video: Path, config: DataConfig, ethogram: Ethogram, findings: list[Finding]
) -> list[LabelFile | Events]:
    """The labels of one video in a file, or in a folder of files; a single file need not carry the video's name.

    Raises `UserError` where there are none.
    """
    names = by_name({video: video.stem})
    if path.is_dir():
        said: list[Finding] = []
        one = dataclasses.replace(config, annotations=path)
        found = label_files(one, {video: video.stem}, ethogram, said)
        findings += [
            f for f in said if f.name != "labels-without-video"
        ]  # files of other videos are no concern
        return found[video]
    names[folded(parse_name(path)[0])] = [video]
    conflicts = Conflicts(config.on_conflict, findings)
    pairs = labels_in(path, config, names, ethogram, findings, conflicts, {})
    if not pairs:
        raise UserError(f"{path}: holds no labels of {video.name}")
    return [file for _, file in pairs]


def recordings_in(names: Mapping[str, list[Path]]) -> dict[Path, None]:
    """All recordings, in order."""
    return {recording: None for matches in names.values() for recording in matches}


def _streams_of(recordings: Sequence[Path], streams: Mapping[Path, str]) -> list[str | None]:
    """The streams that count for some recordings; None where only the settings say which."""
    return list(dict.fromkeys(streams.get(r) for r in recordings))


def names_videos(path: Path, config: DataConfig) -> bool:
    """Does a file of this format say itself which videos it labels?"""
    if config.label_format != "auto":
        return config.label_format == "boris"
    with contextlib.suppress(UserError):  # what belongs to no video need not be readable
        return sniff(path) == "boris"
    return False
