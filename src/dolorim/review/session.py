"""The desk of one rater: opened recordings with everything the page asks about them, as plain values and arrays."""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import time
from collections import OrderedDict
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import uniform_filter1d

from dolorim.core.errors import UserError
from dolorim.core.palette import class_colors
from dolorim.core.runs import runs
from dolorim.labels.ethogram import UNLABELED
from dolorim.labels.prediction_files import read_predictions
from dolorim.review.contents import Item, Review, names_of, points_of, pose_of, predicted_labels
from dolorim.review.corrections import UNTOUCHED, Corrections, others_states, read_history, state_of
from dolorim.video import localizer as localize
from dolorim.video.crop import CropPlan, plan_crop
from dolorim.video.random_access import FrameSource
from dolorim.video.reader import Frame, probe, promised_frames

TILE = 1024  # columns of a tile
_OPEN = 3  # recordings whose large arrays are kept
_COUNT_AT_ONCE = 1500  # frames up to which a video is counted before it is shown
_FRAME_HEAD = struct.Struct("<IIfff")
_QUALITY = 85


class Opened:
    """A recording on the desk; what costs time is found out when it is first asked for."""

    def __init__(self, item: Item, review: Review) -> None:
        self.item, self.review = item, review
        self.lock = threading.RLock()
        self.last_asked = 0.0
        self.source = None if item.problem else FrameSource(item.video)

    @property
    def n_frames(self) -> int:
        """Predicted frames; without predictions those that decode, or, until they are counted, that the file holds."""
        if self.item.n_frames is not None:
            return self.item.n_frames
        source = self._source()
        with self.lock:
            if source.n_frames is None and (
                source.packets is None or len(source.packets.pts) <= _COUNT_AT_ONCE
            ):
                source.count()
        if source.n_frames is not None:
            return source.n_frames
        assert source.packets is not None
        return len(source.packets.pts)

    def n_frames_or(self, default: int) -> int:
        """The number of frames, or a default where it is not known yet: a first picture should not wait for it."""
        known = self.item.n_frames is not None or (
            self.source is not None and self.source.n_frames is not None
        )
        return self.n_frames if known or self.source is None or self.source.listed else default

    @property
    def counted(self) -> bool:
        return (
            self.source is None
            or self.item.n_frames is not None
            or self.source.n_frames is not None
        )

    def count(self) -> None:
        """Count the frames by decoding, whenever nobody waits for a picture."""
        if self.source is not None:
            self.source.count(self._wait_until_idle)

    def _wait_until_idle(self) -> None:
        while time.monotonic() - self.last_asked < 1.0:
            time.sleep(0.2)

    @cached_property
    def bouts(self) -> list[list[float]] | None:
        """Predicted bouts as [start, stop, label, mean probability]."""
        if self.item.predictions is None:
            return None
        return [
            [b.start, b.stop, b.label, p]
            for b, p in predicted_labels(self.item, self.review.ethogram)[0]
        ]

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """`(n_frames, classes)` uint8."""
        if self.item.predictions is None:
            return None
        found = read_predictions(self.item.predictions)
        if self.source is not None:
            self.source.check(found.container_time_s)
        return np.round(found.probabilities * 255).astype(np.uint8)

    @cached_property
    def points(self) -> tuple[list[str], list[tuple[int, int]], np.ndarray] | None:
        path = pose_of(self.item, self.review)
        return None if path is None else points_of(path)

    @cached_property
    def _view(self) -> CropPlan:
        return plan_crop(self._source().path, self.review.config)

    @cached_property
    def _motion(self) -> np.ndarray | None:
        """`(n_frames,)` uint8: what each frame adds to the file, a cheap measure of how much has moved in it."""
        packets = None if self.source is None else self.source.packets
        if (
            packets is None or np.mean(packets.bytes == 0) > 0.5
        ):  # every picture stands for itself: no differences
            return None
        size = packets.bytes.astype(np.float32)
        keys = np.flatnonzero(size == 0)
        size[keys] = size[np.minimum(keys + 1, len(size) - 1)]
        size = uniform_filter1d(size, 9, mode="nearest")  # kinds of frames alternate
        low, high = np.percentile(size, (5, 99.5))
        return np.round(np.sqrt(np.clip((size - low) / max(1, high - low), 0, 1)) * 255).astype(
            np.uint8
        )

    def tile(self, step: int, index: int) -> tuple[np.ndarray, bool, bool]:
        """`(columns, channels)` uint8, `step` frames a column: mean probabilities and the largest doubt (1 - highest
        probability), then motion; and whether there are probabilities and motion."""
        first, last = index * TILE * step, min((index + 1) * TILE * step, self.n_frames)
        parts = []
        with self.lock:
            probabilities, motion = self.probabilities, self._motion
        if last <= first:
            return np.empty((0, 0), np.uint8), probabilities is not None, motion is not None
        at = np.arange(0, last - first, step)
        if probabilities is not None:
            part = probabilities[first:last]
            width = np.diff(np.append(at, len(part)))[:, None]
            parts.append(
                (np.add.reduceat(part, at, axis=0, dtype=np.uint32) / width).astype(np.uint8)
            )
            parts.append(np.maximum.reduceat(255 - part.max(1), at)[:, None])
        if motion is not None:
            part = np.zeros(last - first, np.uint8)
            part[: max(0, len(motion) - first)] = motion[first:last]
            parts.append(np.maximum.reduceat(part, at)[:, None])
        found = np.concatenate(parts, axis=1) if parts else np.empty((0, 0), np.uint8)
        return found, probabilities is not None, motion is not None

    def frames(self, first: int, count: int, step: int, follow: bool) -> bytes:
        """Frames as JPEG, each behind a head: index, bytes, time in s, and the animal's x and y (NaN if not asked)."""
        self.last_asked = time.monotonic()
        view = None
        if follow:
            with self.lock:
                view = self._view
        out = []
        count = min(count, -(-(self.n_frames_or(first + count * step) - first) // step))
        for frame in self._source().read(first, count, step):
            buffer = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(frame.gray)).save(buffer, "JPEG", quality=_QUALITY)
            x, y = (float("nan"),) * 2 if view is None else _place(view, frame)
            out += [
                _FRAME_HEAD.pack(frame.index, buffer.tell(), frame.time_s, x, y),
                buffer.getvalue(),
            ]
        return b"".join(out)

    @property
    def side_px(self) -> float:
        """Side of the window that follows the animal."""
        with self.lock:
            return self._view.side_px

    def times(self) -> np.ndarray:
        """When each frame is shown, `(n_frames,)` float64 in seconds; empty where only the rate is known."""
        packets = None if self.source is None else self.source.packets
        return np.empty(0) if packets is None else packets.time_s[: self.n_frames]

    def frame_times(self) -> np.ndarray:
        """When each frame is shown, `(n_frames,)` seconds; counts the frames where the file does not say it."""
        if (
            self.source is None and self.item.predictions is not None
        ):  # the video is away, what was predicted is not
            return read_predictions(self.item.predictions).time_s
        return self._source().times(self.n_frames)

    @property
    def promised(self) -> int | None:
        """Frames that the header of a video claims which stops being readable; None for a whole one."""
        if self.source is None:
            return None
        damaged = bool(self.source.damage or self.item.meta.get("damage"))
        if not damaged and not self.review.config.allow_damaged:
            return None
        return promised_frames(probe(self.source.path), self.n_frames, damaged)

    def _source(self) -> FrameSource:
        if self.source is None:
            raise UserError(self.item.problem)
        return self.source


class Session:
    """All recordings of a review, for one rater. Corrections lie in the rater's folder in the review's home."""

    def __init__(self, review: Review, rater: str, *, blinded: bool = False) -> None:
        self.review, self.rater, self.blinded = review, rater, blinded
        self.names = names_of(review.items, blinded)
        self.folder = review.home / rater
        self._lock = threading.RLock()
        self._opened: OrderedDict[int, Opened] = OrderedDict()
        self._corrections: dict[int, Corrections] = {}
        self._counting: set[int] = set()

    def study(self) -> dict[str, Any]:
        """What the page needs before any recording is opened."""
        ethogram = self.review.ethogram
        colors = class_colors(len(ethogram))
        others: dict[str, list[Any]] = {}
        notes: list[str] = []
        if not self.blinded:
            notes += self.review.notes
            others = others_states(
                self.review.home, [i.name for i in self.review.items], self.rater, notes.append
            )
        rows = []
        for i, item in enumerate(self.review.items):
            row = {"id": i, "key": self._key(item.name), "name": self.names[i], "state": self.state(i),
                   "problem": bool(item.problem)}  # fmt: skip
            if not self.blinded:
                row |= {
                    "animal": item.animal,
                    "group": item.group,
                    "others": others.get(item.name, []),
                }
            rows.append(row)
        return {
            "title": "Blinded review" if self.blinded else self.review.title,
            "rater": self.rater,
            "blinded": self.blinded,
            "tile": TILE,
            "notes": notes,
            "classes": [
                {"name": n, "color": f"#{bytes(c).hex()}", "background": n in ethogram.background,
                 "indicator": n == ethogram.indicator}
                for n, c in zip(ethogram.classes, colors, strict=True)
            ],
            "recordings": rows,
        }  # fmt: skip

    def _key(self, name: str) -> str:
        """What a browser files unsent steps under: the same for this rater and recording as long as they lie where
        they do, other for all others, and no name that a blinded rater could read."""
        return hashlib.sha256(f"{self.folder.resolve()}\n{name}".encode()).hexdigest()[:20]

    def state(self, number: int) -> str:
        with self._lock:
            corrections = self._corrections.get(number)
        if corrections is not None:
            return corrections.state
        return state_of(
            read_history(self.folder / f"{self.review.items[number].name}.history.jsonl")[0]
        )

    def open(self, number: int) -> Opened:
        """Put a recording on the desk, and the one that was used least recently away."""
        with self._lock:
            found = self._opened.pop(number, None) or Opened(self.review.items[number], self.review)
            self._opened[number] = found
            away = [self._opened.popitem(last=False)[1] for _ in range(len(self._opened) - _OPEN)]
        for old in away:
            if old.source is not None:
                old.source.close()
        return found

    def corrections(self, number: int) -> Corrections:
        with self._lock:
            if number not in self._corrections:
                opened = self.open(number)
                truth = (
                    None if self.blinded else self.truth(opened)[0]
                )  # a blinded rater's file is the rater's alone
                args = (
                    self.folder,
                    opened.item.name,
                    self.rater,
                    opened.n_frames,
                    self.review.ethogram,
                    truth,
                )
                self._corrections[number] = Corrections(*args)
            return self._corrections[number]

    def truth(self, opened: Opened) -> tuple[np.ndarray | None, list[list[int]], str]:
        """Labels that were there before, trials as [number, start, stop], and what did not fit."""
        try:
            placed = self.review.truth(opened.item, opened.frame_times(), opened.promised)
        except UserError as error:
            return None, [], f"earlier labels are neither shown nor kept: {error}"
        if placed is None:
            return None, [], ""
        said = "; ".join([*placed.skipped, *map(str, placed.findings)])
        return placed.labels, [[t.number, t.start, t.stop] for t in placed.trials], said

    def recording(self, number: int) -> dict[str, Any]:
        opened = self.open(number)
        item, notes = opened.item, []
        truth, trials, problem = self.truth(opened)
        notes += [problem] if problem else []
        points = None
        try:
            points = opened.points
        except UserError as error:
            notes.append(f"no points are shown: {error}")
        if points is not None and len(points[2]) != opened.n_frames:
            notes.append(f"the pose file has {len(points[2])} rows for {opened.n_frames} frames")
        if opened.source is not None and opened.source.damage:
            notes.append(opened.source.damage)
        self._count_later(number, opened)
        rate = item.meta.get("fps") or (opened.source.rate_hz if opened.source else 30.0)
        return {
            "id": number,
            "name": self.names[number],
            "n_frames": opened.n_frames,
            "counted": opened.counted,
            "rate_hz": rate,
            "trials": trials,
            "truth": None if truth is None or self.blinded else _runs(truth),
            "predicted": opened.bouts,
            "points": None
            if points is None
            else {"names": points[0], "bones": points[1], "rows": len(points[2])},
            "problem": self.blind(number, item.problem),
            "notes": [self.blind(number, n) for n in notes],
            "corrections": self.correction_state(number, history=True),
        }

    def correction_state(self, number: int, history: bool = False) -> dict[str, Any]:
        """What holds now; with `history`, also what undo takes back and redo brings back."""
        c = self.corrections(number)
        marks = _runs(c.marks, UNTOUCHED)
        return {
            "version": c.version, "marks": marks, "undo": c.can_undo, "redo": c.can_redo, "state": c.state,
            **(c.history if history else {}),
        }  # fmt: skip

    def blind(self, number: int, text: str) -> str:
        """A message without the file's name, where that must not be seen."""
        if not self.blinded:
            return text
        item = self.review.items[number]
        words = (
            str(item.video),
            str(item.video.parent),
            item.video.name,
            item.name,
            item.video.stem,
            item.animal,
        )
        for word in words:
            text = text.replace(word, self.names[number])
        return text

    def save(self, number: int | None = None) -> None:
        """Write label files that lag behind, of one recording or of all. Raises `UserError` where that fails."""
        with self._lock:
            chosen = [c for i, c in self._corrections.items() if number is None or i == number]
        for corrections in chosen:
            corrections.save()

    def close(self) -> None:
        try:
            self.save()
        finally:
            with self._lock:
                for opened in self._opened.values():
                    if opened.source is not None:
                        opened.source.close()

    def _count_later(self, number: int, opened: Opened) -> None:
        with self._lock:
            if opened.counted or number in self._counting:
                return
            self._counting.add(number)

        def work() -> None:
            try:
                opened.count()
                truth = None if self.blinded else self.truth(opened)[0]
                self.corrections(number).resize(opened.n_frames, truth)
            finally:
                self._counting.discard(number)

        threading.Thread(target=work, daemon=True).start()


def _place(view: CropPlan, frame: Frame) -> tuple[float, float]:
    if view.scene is None:
        return view.center_px
    small = localize.shrink(frame.luma, view.scene.factor)
    return (
        localize.locate(view.scene, small)
        if small.shape == view.scene.median.shape
        else view.center_px
    )


def _runs(labels: np.ndarray, gap: int = UNLABELED) -> list[list[int]]:
    """`[start, stop, label]` of everything but the gaps."""
    rows = zip(*(a.tolist() for a in runs(labels)), strict=True)
    return [[a, b, c] for a, b, c in rows if c != gap]
