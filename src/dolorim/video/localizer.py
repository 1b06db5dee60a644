"""Find the animal without any pose: where it is, and how long its body is.

The picture is shrunk to about 128 pixels and its logarithm taken, so that a dark animal on a light
floor and bright paws on a dark one differ from their surroundings by similar amounts. Two kinds of
evidence are combined:

- *change*: how far a pixel is from its median over the recording,
- *contrast*: how far it is from the mean of its surroundings in the same frame.

Either alone fails: change misses an animal that never moves and leaves a ghost where one sat for
long; contrast finds every edge of the arena. Contrast near change is the animal. If it hardly
moves at all, places that varied at least a little during the recording take the role of change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import ndimage

from dolorim.video.box_filter import blur, box_mean
from dolorim.video.occupants import are_several, is_still
from dolorim.video.reader import Frame

_LONG_SIDE = 128  # pixels of the shrunk picture
# A typical body length as a share of the picture's long side; it sets the scale of all filters.
_ANIMAL = 0.12
_DARK = 16.0  # luma added before the logarithm: noise in the dark is not evidence
# Evidence saturates here (natural log, a factor of two in luma), so that a bright tail does not
# outweigh the body.
_CAP = 0.7
_WINDOW = 40  # frames of a survey that are searched for the animal


@dataclass(frozen=True)
class Scene:
    """What a recording looks like, learned from a few frames.

    `median` and `prior` are maps `(height, width)` of the shrunk picture: the median log luma, and
    how much a place counts without change. `usual_change` is what the animal typically changes, and
    `has_several` whether more than one animal moves. In a scene that `is_still` nothing does.
    """

    factor: int
    median: np.ndarray
    noise: float
    prior: np.ndarray
    usual_change: float
    body_length_px: float
    home_px: tuple[float, float]
    is_still: bool = False
    has_several: bool = False


def shrink(luma: np.ndarray, factor: int) -> np.ndarray:
    """Block means of a picture `(height, width)` uint8 as log luma, float32.

    Rows and columns at the end that do not fill a block are left out.
    """
    height, width = (side // factor * factor for side in luma.shape)
    # A block of 16 by 16 pixels sums to 65,280 at most.
    dtype: type[np.unsignedinteger] = np.uint16 if factor <= 16 else np.uint32
    rows = luma[:height:factor, :width].astype(dtype)
    for i in range(1, factor):
        rows += luma[i:height:factor, :width]
    # Summing strided views is several times faster than a mean over a reshaped picture.
    total = rows[:, ::factor].copy()
    for i in range(1, factor):
        total += rows[:, i::factor]
    return _log_luma(factor).take(total)


@lru_cache(maxsize=4)
def _log_luma(factor: int) -> np.ndarray:
    """Log luma of a block for each sum of its pixels: looking it up is faster than computing it."""
    n_pixels = factor * factor
    sums = np.arange(255 * n_pixels + 1, dtype=np.float32)
    return np.log(sums / n_pixels + np.float32(_DARK))


def factor_for(shape: tuple[int, ...]) -> int:
    """By how much a picture of this shape is shrunk."""
    return max(1, round(max(shape) / _LONG_SIDE))


def survey(frames: np.ndarray, factor: int) -> Scene:
    """Learn a scene from shrunk frames `(n, height, width)` spread over the recording."""
    frames = frames - np.median(frames, axis=(1, 2), keepdims=True)  # the light may change
    median = np.median(frames, axis=0)
    # 1.48 times the median absolute deviation estimates the standard deviation of normal noise.
    noise = 1.48 * float(np.median(np.abs(frames - median))) + 1e-3
    restless = _blur(np.maximum(frames.std(axis=0) - 3 * noise, 0))
    picked = frames[:: max(1, len(frames) // _WINDOW)]

    def peak(frame: np.ndarray) -> tuple[float, float]:
        """The strongest change in a frame, alone and as a share of the contrast there."""
        change, contrast = _evidence(frame, median, noise)
        blurred = _blur(change)
        at = np.unravel_index(blurred.argmax(), blurred.shape)
        return float(blurred[at]), float(blurred[at] / (_blur(contrast)[at] + 1e-6))

    peaks = np.array([peak(f) for f in picked])
    # An animal that leaves its place changes by its whole contrast; one that only twitches changes
    # by a part of it.
    stillness = float(np.clip(1.5 - 2 * np.median(peaks[:, 1]), 0, 1))
    prior = stillness * (0.1 + 0.9 * restless / (restless.max() + 1e-6))
    usual_change = 0.5 * float(np.median(peaks[:, 0]))
    # Body length and home come from the saliency, which needs the rest of the scene.
    scene = Scene(factor, median, noise, prior, usual_change, 0.0, (0.0, 0.0))
    saliencies = [_saliency(scene, frame) for frame in picked]
    height_px, width_px = (side * factor for side in median.shape)
    long_side_px = max(height_px, width_px)
    # A high percentile: the animal is as long as it is when stretched, and never longer.
    length_px = float(np.percentile([_length(s) for s in saliencies], 75)) * factor
    length_px = float(np.clip(length_px, 0.06 * long_side_px, 0.4 * long_side_px))
    middle = (width_px / 2, height_px / 2)
    centers_px = np.array([_center(s, factor) or middle for s in saliencies])
    home_x, home_y = np.median(centers_px, axis=0).tolist()
    changes = np.stack([_evidence(frame, median, noise)[0] for frame in picked])
    return replace(
        scene,
        body_length_px=length_px,
        home_px=(home_x, home_y),
        is_still=is_still(picked),
        has_several=are_several(changes, length_px / factor),
    )


class SceneSampler:
    """Surveys a scene from frames that come in order, as a video is decoded."""

    def __init__(self, expected_frames: int) -> None:
        self._step = max(1, expected_frames // _WINDOW)
        self._factor: int | None = None
        self._frames: list[np.ndarray] = []

    def wants(self, index: int) -> bool:
        return index % self._step == 0

    def look(self, frame: Frame) -> None:
        """Keep a frame that is wanted; of a video longer than promised, every second one."""
        if not self.wants(frame.index):
            return
        if self._factor is None:
            self._factor = factor_for(frame.luma.shape)
        small = shrink(frame.luma, self._factor)
        # A picture that changes its size within the file shows another scene.
        if not self._frames or small.shape == self._frames[0].shape:
            self._frames.append(small)
        if len(self._frames) >= 2 * _WINDOW:
            self._frames, self._step = self._frames[::2], 2 * self._step

    def scene(self) -> Scene | None:
        """The scene of the frames so far; None without any."""
        if self._factor is None:
            return None
        return survey(np.stack(self._frames), self._factor)


def locate(scene: Scene, frame: np.ndarray) -> tuple[float, float]:
    """The animal's center `(x, y)`, in pixels of the full picture, in a shrunk frame."""
    # The upper median: partitioning once is faster than `np.median`.
    sample = frame[::2, ::2].ravel()
    level = np.partition(sample, len(sample) // 2)[len(sample) // 2]
    return _center(_saliency(scene, frame - level), scene.factor) or scene.home_px


def _evidence(frame: np.ndarray, median: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Change and contrast, each a map `(height, width)`."""
    size = int(2 * _ANIMAL * max(frame.shape)) | 1
    contrast = np.abs(frame - box_mean(frame, size))
    contrast = np.maximum(contrast - 3 * noise, 0)
    change = np.maximum(np.abs(frame - median) - 3 * noise, 0)
    # Change without contrast is the ghost of a place that the animal has left.
    return np.minimum(change, contrast), contrast


def _saliency(scene: Scene, frame: np.ndarray) -> np.ndarray:
    change, contrast = _evidence(frame, scene.median, scene.noise)
    near = _blur(change)
    near = np.minimum(near / max(0.5 * float(near.max()), scene.usual_change, 1e-6), 1)
    return np.minimum(contrast * np.maximum(near, scene.prior) + change, _CAP)


def _blur(image: np.ndarray) -> np.ndarray:
    return blur(image, int(0.075 * max(image.shape)) | 1)


def _center(saliency: np.ndarray, factor: int) -> tuple[float, float] | None:
    blurred = _blur(saliency)
    y, x = np.unravel_index(blurred.argmax(), blurred.shape)
    top = blurred[y, x]
    if top <= 1e-4:
        return None
    reach = max(2, round(0.6 * _ANIMAL * max(saliency.shape)))
    y0, x0 = max(0, y - reach), max(0, x - reach)
    weight = np.maximum(blurred[y0 : y + reach + 1, x0 : x + reach + 1] - 0.6 * top, 0)
    rows, columns = weight.sum(1), weight.sum(0)
    center_y = y0 + float(rows @ np.arange(len(rows)) / rows.sum())
    center_x = x0 + float(columns @ np.arange(len(columns)) / columns.sum())
    return (center_x + 0.5) * factor, (center_y + 0.5) * factor


def _length(saliency: np.ndarray) -> float:
    """Body length in shrunk pixels, from the area of the body around the peak without its tail."""
    blurred = _blur(saliency)
    y, x = np.unravel_index(blurred.argmax(), blurred.shape)
    around = np.s_[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5]
    smooth = ndimage.gaussian_filter(saliency, 0.8)
    blobs, _ = ndimage.label(smooth > 0.3 * np.percentile(saliency[around], 80))
    if not blobs[y, x]:
        return 0.0
    blob = ndimage.binary_fill_holes(ndimage.binary_closing(blobs == blobs[y, x]))
    # A morphological opening whose radius depends on the blob removes the tail, which is thin.
    depth = ndimage.distance_transform_edt(blob)
    radius = 0.4 * depth[around].max()
    opened = blob & (ndimage.distance_transform_edt(depth <= radius) <= radius + 0.5)
    parts, _ = ndimage.label(opened)
    area = np.sum(parts == parts[y, x]) if parts[y, x] else opened.sum()
    # The length of an ellipse twice as long as wide is sqrt(8 area / pi) = 1.6 sqrt(area).
    return 1.6 * float(np.sqrt(area))
