"""The follow crop while the video is still being made.

Crops of a file look half a second ahead. Here a window's center depends on the past alone: the
median of the newest places of the animal, which it follows smoothly.
"""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.video.body_length import BodyLengths
from dolorim.video.crop import (
    CropPlan,
    Crops,
    cut_windows,
    follow_animal,
    locate_animal,
    parse_masks,
    prepared_frame,
)
from dolorim.video.reader import Frame, VideoInfo

_SURVEYED = 40  # pictures from which the scene is learned
_PLACES = 5  # newest places of the animal of which the median counts
_LAG_S = 0.1  # time constant with which the window follows


class LiveCrop:
    """Cuts the window out of frames that come one by one.

    The first `warm_up_s` seconds only show the scene; `cut` returns None for them.
    """

    def __init__(
        self, config: DataConfig, lengths: BodyLengths, rate_hz: float, warm_up_s: float
    ) -> None:
        if config.crop == "pose" or config.chamber is not None:
            raise UserError("watch follows the animal in the picture; the run's crops follow poses")
        self._config, self._lengths, self._rate_hz = config, lengths, rate_hz
        self._warm_up_s = warm_up_s
        self._lumas: list[np.ndarray] = []
        self._next_survey_s = -math.inf
        self._first_s: float | None = None
        self._places: deque[tuple[float, float]] = deque(maxlen=_PLACES)
        self._center: np.ndarray | None = None
        self._last_s = 0.0
        self._n_frames = 0
        self.plan: CropPlan | None = None

    def cut(self, frame: Frame) -> Crops | None:
        """The crop of a frame, as a block of one; None while the scene is being learned."""
        if self.plan is None:
            self._survey(frame)
            return None
        frame = prepared_frame(frame, self.plan)
        if self._n_frames % self.plan.knot == 0:
            self._places.append(locate_animal(self.plan, frame))
        center = self._followed(np.median(np.array(self._places), axis=0), frame.time_s)
        crops = cut_windows(deque([frame]), center[None], self.plan, self._n_frames)
        self._n_frames += 1
        return crops

    def _followed(self, target: np.ndarray, time_s: float) -> np.ndarray:
        if self._center is None:
            self._center = target
        share = 1 - math.exp(-max(0.0, time_s - self._last_s) / _LAG_S)
        self._center = self._center + share * (target - self._center)
        self._last_s = time_s
        return self._center

    def _survey(self, frame: Frame) -> None:
        if self._first_s is None:
            self._first_s = frame.time_s
        if frame.time_s >= self._next_survey_s:
            # Pictures are spread over the warm-up, because the scene is what stays the same.
            self._lumas.append(frame.luma.copy())
            self._next_survey_s = frame.time_s + self._warm_up_s / _SURVEYED
        if frame.time_s - self._first_s >= self._warm_up_s:
            self.plan = self._plan(frame)
            self._lumas = []

    def _plan(self, frame: Frame) -> CropPlan:
        height, width = frame.luma.shape
        info = VideoInfo(width, height, 0, 0, self._rate_hz, "", "", 0)
        config = self._lengths.for_crop(self._config, Path(), info)
        lumas = [luma for luma in self._lumas if luma.shape == frame.luma.shape]
        whole = CropPlan(
            side_px=float(max(width, height)),
            size=config.image_size,
            center_px=(width / 2, height / 2),
            scene=None,
            masks=parse_masks(config.mask),
            mask_luma=int(np.median(np.stack([luma[::8, ::8] for luma in lumas]))),
            shape=(height, width),
        )
        return whole if config.crop == "none" else follow_animal(whole, lumas, config, info)
