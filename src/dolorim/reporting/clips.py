"""What the run calls a lick: typical and doubtful bouts as small looping pictures of the animal.

They are cut from the videos where these are at hand, in the window that follows the animal.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.core.mirror import side_of
from dolorim.core.wording import first_of
from dolorim.files.naming import find_videos, folded
from dolorim.labels.predicted_files import BOUTS
from dolorim.labels.prediction_files import meta_path, read_meta
from dolorim.reporting.observations import Observations, sided
from dolorim.video.crop_stream import open_crops
from dolorim.video.random_access import DisagreementError

_LONGEST_S = 2.0  # of a bout, which is shown from its beginning
_AROUND_S = 0.3  # before and after it
_SHOWN_HZ = 12.0
_SIZE_PX = 112
_QUALITY = 45  # of WebP
MOST_BYTES = 3_500_000
"""Of all clips together, so that the page stays below 8 MB."""
_MOST_BEHAVIORS = 2
_SHORTEST_S = 0.1  # of a bout that can be seen
_NAMED = 3


@dataclass(frozen=True)
class Clip:
    """One bout as an animated WebP."""

    behavior: str
    group: str
    kind: str
    """typical or doubtful"""
    animal: str
    start_s: float
    probability: float
    webp: bytes


def make_clips(
    folder: Path,
    observed: Observations,
    behaviors: Sequence[str],
    videos: Path | None,
    each: int,
) -> tuple[list[Clip], list[Finding]]:
    """The `each` most typical and most doubtful bouts of every behavior and group.

    `folder` has the predictions; without them there are no clips. `observed` is the study before
    left and right became ipsi and contra, `behaviors` are named as after it. Videos that cannot be
    found or read are named in a finding, unless no folder was named and none of them is here.
    """
    if each < 1:
        return [], []
    bouts = _bouts(folder, observed)
    if not len(bouts):
        return [], []
    paths = _by_name(videos)
    clips: list[Clip] = []
    missing: list[str] = []
    findings: list[Finding] = []
    total = 0
    for row in chosen_bouts(bouts, behaviors[:_MOST_BEHAVIORS], observed.groups, each).itertuples():
        try:
            webp = _cut(row, paths)
        except (UserError, DisagreementError, OSError, ValueError):
            missing.append(row.video)
            continue
        total += len(webp)
        # Typical bouts of the first groups are worth more than a page that nobody can mail.
        if total > MOST_BYTES:
            what = f"the first {len(clips)} are shown, so that the page stays small"
            findings.append(Finding("note", "clips", what, "ask for fewer with --clips"))
            break
        shown = (row.behavior, row.group, row.kind, row.animal)
        clips.append(Clip(*shown, float(row.start_s), float(row.probability), webp))
    # A study whose videos are all elsewhere is no reason for a note, unless they were named.
    if missing and (clips or videos is not None):
        what = f"cannot be cut from {first_of(sorted(set(missing)), _NAMED)}"
        findings.append(Finding("note", "clips", what, "name the videos with --videos"))
    return clips, findings


def _by_name(videos: Path | None) -> dict[str, Path]:
    """The videos in a folder, if one was named."""
    if videos is None:
        return {}
    return {folded(path.stem): path for path in find_videos([videos])}


def _bouts(folder: Path, observed: Observations) -> pd.DataFrame:
    """Every bout of the predicted recordings, by the names that behaviors have in the report."""
    tables = []
    for recording in observed.recordings:
        path = folder / f"{recording.video}{BOUTS}"
        if not path.exists():
            continue
        try:
            table = pd.read_csv(path)
            table = table[["start_frame", "stop_frame", "start_s", "stop_s"]].assign(
                label=table.label.astype(str), probability=table.mean_probability
            )
        except (ValueError, KeyError, AttributeError):
            continue  # read_observations has named the file already
        # Left and right have become ipsi and contra where the treated side is known.
        side = side_of(recording.columns.get("treated_side", ""))
        names = {label: label for label in table.label.unique()}
        if side is not None:
            names = {label: sided(label, side, observed.classes) for label in names}
        who = {"video": recording.video, "animal": recording.animal, "group": recording.group}
        tables.append(table.assign(behavior=table.label.map(names), folder=str(folder), **who))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def chosen_bouts(
    bouts: pd.DataFrame, behaviors: Sequence[str], groups: Sequence[str], each: int
) -> pd.DataFrame:
    """The bouts to show, with the column `kind`.

    Typical are the surest of those of middling length (between the quartiles), doubtful the least
    sure of all. As many animals as possible are shown.
    """
    chosen = []
    lasting = bouts.stop_s - bouts.start_s
    visible = bouts[(lasting >= _SHORTEST_S) & bouts.probability.notna()]
    for behavior in behaviors:
        for group in groups:
            of_group = visible[(visible.behavior == behavior) & (visible.group == group)]
            if not len(of_group):
                continue
            lengths = of_group.stop_s - of_group.start_s
            middling = of_group[lengths.between(*lengths.quantile([0.25, 0.75]))]
            surest = _of_many_animals(middling.sort_values("probability", ascending=False), each)
            chosen.append(surest.assign(kind="typical"))
            rest = of_group.drop(surest.index).sort_values("probability")
            chosen.append(_of_many_animals(rest, each).assign(kind="doubtful"))
    return pd.concat(chosen) if chosen else bouts.head(0).assign(kind="")


def _of_many_animals(ordered: pd.DataFrame, each: int) -> pd.DataFrame:
    """The first rows: the first of every animal, then the second of every animal, and so on."""
    turn = ordered.groupby("animal").cumcount()
    return ordered.loc[turn.sort_values(kind="stable").index].head(each)


def _cut(row: Any, paths: Mapping[str, Path]) -> bytes:
    """The bout as an animated WebP. Raises `UserError` where its video is not at hand."""
    meta = read_meta(meta_path(Path(row.folder), row.video))
    video = Path(str(meta.get("video", "")))
    if not video.is_file():
        path = paths.get(folded(row.video)) or paths.get(folded(video.stem))
        if path is None:
            raise UserError(f"{row.video}: its video is not here")
        video = path
    frames, seconds = row.stop_frame - row.start_frame, row.stop_s - row.start_s
    rate_hz = frames / seconds
    around = round(_AROUND_S * rate_hz)
    first = max(int(row.start_frame) - around, 0)
    n_shown = min(frames, round(_LONGEST_S * rate_hz)) + 2 * around
    crops = open_crops(video, _settings(meta), span=(first, first + n_shown), prefetched=False)
    images: list[np.ndarray] = []
    # Blocks come as they are decoded, and may go beyond the last frame that is wanted.
    for block in crops:
        images.extend(block.images)
        if len(images) >= n_shown:
            break
    # Twelve pictures per second are enough to see a lick, and keep the page small.
    step = max(1, round(rate_hz / _SHOWN_HZ))
    return _webp(images[:n_shown:step], round(1000 * step / rate_hz))


def _settings(meta: Mapping[str, Any]) -> DataConfig:
    """The window that the run looked through, found without a pose."""
    view, chamber = meta.get("view", {}), meta.get("chamber")
    box = None if chamber is None else tuple(chamber["box"])
    return DataConfig(
        body_length_px=view.get("body_length_px"),
        mask=view.get("mask", ""),
        image_size=_SIZE_PX,
        chamber=box,
    )


def _webp(images: Sequence[np.ndarray], frame_ms: int) -> bytes:
    if not images:
        raise UserError("no frame could be read")
    pictures = [Image.fromarray(image) for image in images]
    file = io.BytesIO()
    more: dict[str, Any] = {"save_all": True, "append_images": pictures[1:], "loop": 0}
    pictures[0].save(file, "WEBP", duration=frame_ms, quality=_QUALITY, method=4, **more)
    return file.getvalue()
