"""Bring together what training and evaluation need: labelled recordings with their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.recording import Recording
from dolorim.data.cache import CachedVideo
from dolorim.engine.extract import extract, usual_workers
from dolorim.engine.talk import warn
from dolorim.formats.project import Project, open_project


@dataclass(frozen=True)
class Material:
    """Labelled recordings with their frames."""

    project: Project
    recordings: tuple[Recording, ...]
    videos: tuple[CachedVideo, ...]

    def part(self, animals: Sequence[str]) -> tuple[list[Recording], list[CachedVideo]]:
        """Recordings of some animals."""
        pairs = [(r, v) for r, v in zip(self.recordings, self.videos, strict=True) if r.animal in animals]
        return [r for r, _ in pairs], [v for _, v in pairs]


def gather(config: DataConfig) -> Material:
    """Open the project, fill the cache and lay the labels on the frames. Says what is left out, and why."""
    project = open_project(config)
    for finding in project.findings:
        warn(str(finding))
    labelled = [s for s in project.sources if s.labels]
    if not labelled:
        raise UserError(f"{config.videos}: no video here has labels; name their folder with --annotations DIR")
    cached, failures = extract([s.video for s in labelled], config, usual_workers())
    for video, reason in failures:
        warn(f"{video.name} is left out: {reason}")
    recordings, videos = [], []
    for source in labelled:
        entry = cached.get(source.video)
        if entry is None:
            continue
        if entry.damage and not config.allow_damaged:
            raise UserError(
                f"{source.video}: {entry.damage}; mend or remove it, or train on what decodes with --allow_damaged"
            )
        recording, placement = project.place(source, entry.n_frames, config, entry.time_s)
        for finding in placement.findings:
            warn(str(finding))
        for reason in placement.skipped:
            warn(f"trial left out: {reason}")
        if (recording.labels >= 0).any():
            recordings.append(recording)
            videos.append(entry)
    if not recordings:
        raise UserError(f"{config.annotations}: no frame of any video is labelled; see the warnings above")
    return Material(project, tuple(recordings), tuple(videos))
