"""Is a video like those that a run has learned from?"""

from __future__ import annotations

from collections.abc import Iterable

from dolorim.core.errors import UserError
from dolorim.dataset.labelled_recording import LabelledRecording
from dolorim.files.structured import as_dataclass
from dolorim.inference.run_folder import RunFolder
from dolorim.video.appearance import Appearance, appearance_of, spread_frames
from dolorim.video.reader import probe

SEEN = "training_recordings.json"


def note_appearances(run: RunFolder, recordings: Iterable[LabelledRecording]) -> None:
    """Store in a run what the recordings that it learns from look like, without their names."""
    rows = []
    for recording in recordings:
        seen = _appearance(recording)
        if seen is not None:
            rows.append(seen.to_dict())
    run.write_json(SEEN, rows)


def read_appearances(run: RunFolder) -> list[Appearance]:
    """What the recordings looked like; none in a run that did not note it.

    Raises `UserError` for a damaged file.
    """
    path = run.path / SEEN
    if not path.exists():
        return []
    rows = run.read_json(SEEN, default=[])
    if not isinstance(rows, list):
        raise UserError("expected a list of recordings", where=path, remedy="train again")
    return [as_dataclass(Appearance, row, path, "train again") for row in rows]


def _appearance(recording: LabelledRecording) -> Appearance | None:
    """None without pictures: only features were stored, or the video is gone."""
    video = recording.video
    if video is None or video.images is None:
        return None
    try:
        info = probe(video.video)
    except UserError:
        return None
    images = (video.pictures(frame) for frame in spread_frames(video.n_frames)[:, None])
    share = (video.seen_length_px or 0.0) / max(info.width_px, info.height_px)
    return appearance_of((image[0] for image in images), share, info.header_rate_hz)
