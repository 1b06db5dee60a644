"""What a recording is: a video, a pose file, or one chamber of a video that shows several animals.

A whole file is identified by its path, and a chamber by `InChamber`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

Box: TypeAlias = tuple[int, int, int, int]
"""A rectangle `x0, y0, x1, y1` in pixels of the upright picture; x1 and y1 are not part of it."""


@dataclass(frozen=True, order=True)
class Chamber:
    """A rectangle of a picture that shows one animal."""

    name: str
    box: Box

    @property
    def width_px(self) -> int:
        return self.box[2] - self.box[0]

    @property
    def height_px(self) -> int:
        return self.box[3] - self.box[1]

    @property
    def area_px(self) -> int:
        return self.width_px * self.height_px

    def shared_share(self, other: Chamber) -> float:
        """The part of the smaller chamber that lies in the other one, from 0 to 1."""
        width = min(self.box[2], other.box[2]) - max(self.box[0], other.box[0])
        height = min(self.box[3], other.box[3]) - max(self.box[1], other.box[1])
        return max(width, 0) * max(height, 0) / min(self.area_px, other.area_px)

    def __str__(self) -> str:
        return f"chamber {self.name} ({', '.join(map(str, self.box))})"


@dataclass(frozen=True, order=True)
class InChamber:
    """A recording that is one chamber of a video, or of the pose file of such a video."""

    file: Path
    chamber: Chamber

    def __str__(self) -> str:
        return f"{self.file}, chamber {self.chamber.name}"


Recorded: TypeAlias = Path | InChamber
R = TypeVar("R", bound=Recorded)


def file_of(recording: Recorded) -> Path:
    """The video or pose file of a recording."""
    return recording.file if isinstance(recording, InChamber) else recording


def chamber_of(recording: Recorded) -> Chamber | None:
    """The chamber that a recording is; None for a whole file."""
    return recording.chamber if isinstance(recording, InChamber) else None


def recorded(file: Path, chamber: Chamber | None) -> Recorded:
    """The recording of a chamber, or of a whole file."""
    return file if chamber is None else InChamber(file, chamber)


def name_in(stem: str, chamber: Chamber | None) -> str:
    """The name of a recording: the stem of its video, and its chamber if it has one."""
    return stem if chamber is None else f"{stem}.{chamber.name}"


def name_recordings(
    videos: Iterable[Path], chambers: Mapping[Path, Sequence[Chamber]]
) -> dict[Recorded, str]:
    """The recordings in some videos, and their names: the chambers of a video, or the video."""
    names: dict[Recorded, str] = {}
    for video in videos:
        for chamber in chambers.get(video) or (None,):
            names[recorded(video, chamber)] = name_in(video.stem, chamber)
    return names


def count_of(recordings: Collection[Recorded]) -> str:
    """How many videos these are, or how many chambers; of both kinds, how many recordings."""
    n_chambers = sum(chamber_of(recording) is not None for recording in recordings)
    if n_chambers == 0:
        return f"{len(recordings)} videos"
    noun = "chambers" if n_chambers == len(recordings) else "recordings"
    n_files = len(set(map(file_of, recordings)))
    return f"{len(recordings)} {noun} in {n_files} video{'s' * (n_files != 1)}"


def called(recording: Recorded) -> str:
    """What to call a recording in a message: the name of its file, and its chamber."""
    chamber = chamber_of(recording)
    return file_of(recording).name + ("" if chamber is None else f", chamber {chamber.name}")


def are_chambers_of_one(recordings: Sequence[Recorded]) -> bool:
    """Are these all chambers of one video?"""
    files = {file_of(recording) for recording in recordings}
    return len(files) == 1 and all(isinstance(recording, InChamber) for recording in recordings)


def chamber_names(recordings: Iterable[Recorded]) -> str:
    """The names of the chambers among some recordings, for a message."""
    chambers = [chamber_of(recording) for recording in recordings]
    return ", ".join(chamber.name for chamber in chambers if chamber is not None)
