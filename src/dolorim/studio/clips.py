"""Small looping clips of bouts, which follow the animal; each is made once and kept on disk."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dolorim.config import DataConfig
from dolorim.review.contents import Item
from dolorim.video.cache import CROP_SETTINGS, CachedVideo, load
from dolorim.video.chambers import in_chamber, part_of
from dolorim.video.crop import CropPlan, locate_animal, plan_crop
from dolorim.video.random_access import FrameSource
from dolorim.video.reader import Frame

SIZE = 112  # pixels of a clip's side
LONGEST_S = 3.0  # of a long bout, its middle is shown
_PICTURES = 16  # of a clip at most
_MARGIN = 1.15  # the window is a little wider than what the model saw
_QUALITY = 60
_OPEN = 6  # videos that are kept open
_VERSION = 1  # of how clips are made; a new number makes all of them anew


class _Film(NamedTuple):
    """An open video, where the animal is in each frame `(frames, 2)` if that is known, and the side
    of the window.
    """

    source: FrameSource
    centers_px: np.ndarray | None
    plan: CropPlan | None
    side_px: float


class ClipMaker:
    """Makes clips, one at a time, as decoding would only slow itself down otherwise."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._lock = threading.Lock()
        self._films: OrderedDict[str, _Film] = OrderedDict()

    def clip(self, item: Item, start: int, stop: int) -> bytes:
        """An animated WebP of frames `[start, stop)`. Raises `UserError` if they do not decode."""
        path = self._file(item, start, stop)
        if path.exists():
            return path.read_bytes()
        with self._lock:
            if path.exists():  # made while this request waited
                return path.read_bytes()
            content = self._make(item, start, stop)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(content)
            part.replace(path)
            return content

    def close(self) -> None:
        with self._lock:
            while self._films:
                self._films.popitem()[1].source.close()

    def _file(self, item: Item, start: int, stop: int) -> Path:
        state = item.video.stat()
        box = None if item.chamber is None else item.chamber.box
        key = [str(item.video), state.st_size, state.st_mtime_ns, box, start, stop, _VERSION]
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:20]
        return self.cache / "clips" / digest[:2] / f"{digest}.webp"

    def _make(self, item: Item, start: int, stop: int) -> bytes:
        film = self._film(item)
        rate_hz = float(item.meta.get("fps") or film.source.rate_hz)
        first, last = middle_of(start, stop, round(LONGEST_S * rate_hz))
        step = math.ceil((last - first) / _PICTURES)
        frames = film.source.read(first, math.ceil((last - first) / step), step)
        fixed = None
        if film.centers_px is None and film.plan is not None:
            fixed = _place_in(film.plan, frames[len(frames) // 2])
        pictures = []
        for frame in frames:
            center = fixed
            if film.centers_px is not None:
                center = film.centers_px[min(frame.index, len(film.centers_px) - 1)]
            pictures.append(_window(frame, center, film.side_px * _MARGIN))
        buffer = io.BytesIO()
        pictures[0].save(
            buffer,
            "WEBP",
            save_all=True,
            append_images=pictures[1:],
            duration=int(min(max(1000 * step / rate_hz, 40), 400)),
            loop=0,
            quality=_QUALITY,
            method=0,
        )
        return buffer.getvalue()

    def _film(self, item: Item) -> _Film:
        film = self._films.pop(item.name, None)
        if film is None:
            film = self._open(item)
        self._films[item.name] = film
        while len(self._films) > _OPEN:
            self._films.popitem(last=False)[1].source.close()
        return film

    def _open(self, item: Item) -> _Film:
        source, entry = FrameSource(item.video), entry_of(item, self.cache)
        if entry is not None:
            corner = (0, 0) if item.chamber is None else item.chamber.box[:2]
            centers_px = entry.centers * entry.side_px + np.array(corner, np.float32)
            return _Film(source, centers_px, None, entry.side_px)
        plan = plan_crop(item.video, in_chamber(DataConfig(), item.chamber))
        return _Film(source, None, plan, plan.side_px)


def entry_of(item: Item, cache: Path) -> CachedVideo | None:
    """What the frame cache holds of a recording, as the run that predicted it saw it."""
    view = item.meta.get("view")
    if not isinstance(view, dict) or set(view) != set(CROP_SETTINGS) or view["crop"] == "pose":
        return None
    data = in_chamber(DataConfig(cache=cache, **view), item.chamber)
    return load(item.video, data, pictures=False)


def middle_of(start: int, stop: int, most: int) -> tuple[int, int]:
    """At most so many frames from the middle of a bout, at least one."""
    spare = max(0, stop - start - max(most, 1))
    return start + spare // 2, stop - (spare - spare // 2)


def _place_in(plan: CropPlan, frame: Frame) -> np.ndarray:
    """Where the animal is, in pixels of the whole picture."""
    left, top = plan.origin_px
    x, y = locate_animal(plan, replace(frame, luma=part_of(frame.luma, plan.chamber)))
    return np.array([x + left, y + top])


def _window(frame: Frame, center_px: np.ndarray | None, side_px: float) -> Image.Image:
    """The square around the animal, or the whole picture if nobody knows where it is."""
    picture = Image.fromarray(np.ascontiguousarray(frame.gray))
    if center_px is not None:
        x, y = float(center_px[0]), float(center_px[1])
        half = side_px / 2
        picture = picture.crop((round(x - half), round(y - half), round(x + half), round(y + half)))
    return picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
