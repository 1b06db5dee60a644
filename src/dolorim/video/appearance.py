"""What the pictures of a recording look like, in a few numbers that two recordings can share.

A network knows recordings like those it learned from. These numbers tell whether a new one is: how
bright the crop is, how strong its contrast, how sharp, whether the animal is darker or brighter
than the floor, how large it is in the picture, and how fast the camera was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

_SAMPLED = 32  # crops per recording
_CORE = 0.25  # share of the crop's side from its middle that is taken for the animal
_RIM = 0.1  # share of the side at its edge that is taken for the floor
# By how much recordings of one camera differ anyway, and a name for people. Lengths and rates are
# compared as ratios.
_USUAL = {
    "brightness": (25.0, "the crop's median gray is"),
    "contrast": (12.0, "the crop's contrast (standard deviation of gray) is"),
    "sharpness": (0.05, "the crop's sharpness (gradient over contrast) is"),
    "polarity": (0.7, "the animal against the floor (in units of the contrast) is"),
    "length_share": (0.35, "the animal's length, as a share of the picture, is"),
    "rate_hz": (0.15, "the frame rate is"),
}
_RATIOS = ("length_share", "rate_hz")
_FAR = 1.5  # distance from the nearest recording, in units of the usual differences


@dataclass(frozen=True)
class Appearance:
    """Medians over a recording; `length_share` is body length over the picture's longer side."""

    brightness: float
    contrast: float
    sharpness: float
    polarity: float
    length_share: float
    rate_hz: float

    def describe_difference(self, known: Sequence[Appearance]) -> str | None:
        """How this recording differs from all known ones; None if it is like some of them."""
        if not known:
            return None
        told = [text for name in _USUAL if (text := self._outside(name, known))]
        distance = min(self.distance(one) for one in known)
        if not told and distance <= _FAR:
            return None
        if not told:
            told = [f"its pictures are {distance:.1f} times as far from the nearest one as usual"]
        return (
            "unlike the recordings that the run has learned from: " + "; ".join(told) + "; "
            "check its labels with `dolorim review` before you use them"
        )

    def distance(self, other: Appearance) -> float:
        """Root mean square of the differences, each in units of what is usual."""
        parts = [(self._scaled(n) - other._scaled(n)) / _USUAL[n][0] for n in _USUAL]
        return math.sqrt(sum(part**2 for part in parts) / len(parts))

    def _outside(self, name: str, known: Sequence[Appearance]) -> str | None:
        here = self._scaled(name)
        others = [one._scaled(name) for one in known]
        low, high = min(others), max(others)
        usual, words = _USUAL[name]
        # A wide range says that more may be fine, too.
        margin = max(usual, 0.5 * (high - low))
        if low - margin <= here <= high + margin:
            return None
        values = [getattr(one, name) for one in known]
        return f"{words} {getattr(self, name):.3g}, not {min(values):.3g} to {max(values):.3g}"

    def _scaled(self, name: str) -> float:
        value = float(getattr(self, name))
        return math.log(max(value, 1e-6)) if name in _RATIOS else value

    def to_dict(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


class AppearanceSampler:
    """Looks at some of the crops of a recording that come block by block."""

    def __init__(self, expected_frames: int) -> None:
        self._step = max(1, expected_frames // _SAMPLED)
        self._n_frames = 0
        self._rows: list[np.ndarray] = []

    def look(self, images: np.ndarray) -> None:
        """Look at crops `(time, size, size)` uint8, which follow those of the call before."""
        first = -self._n_frames % self._step
        self._rows += [_measured(image) for image in images[first :: self._step]]
        self._n_frames += len(images)

    def result(self, length_share: float, rate_hz: float) -> Appearance | None:
        """None where no crop was seen."""
        if not self._rows:
            return None
        brightness, contrast, sharpness, polarity = np.median(np.stack(self._rows), axis=0)
        return Appearance(
            brightness=float(brightness),
            contrast=float(contrast),
            sharpness=float(sharpness),
            polarity=float(polarity),
            length_share=length_share,
            rate_hz=rate_hz,
        )


def appearance_of(
    images: Iterable[np.ndarray], length_share: float, rate_hz: float
) -> Appearance | None:
    """The appearance of some crops."""
    sampler = AppearanceSampler(0)
    for image in images:
        sampler.look(image[None])
    return sampler.result(length_share, rate_hz)


def spread_frames(n_frames: int) -> np.ndarray:
    """Indices of the frames that are looked at in a recording of this length."""
    return np.unique(np.linspace(0, n_frames - 1, min(n_frames, _SAMPLED)).astype(int))


def _measured(image: np.ndarray) -> np.ndarray:
    """Brightness, contrast, sharpness, and polarity of a crop `(size, size)` uint8."""
    gray = image.astype(np.float32)
    contrast = float(gray.std()) + 1e-3
    gradient = np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean()
    size = len(gray)
    core, rim = round(size * (0.5 - _CORE / 2)), max(1, round(size * _RIM))
    animal = np.median(gray[core : size - core, core : size - core])
    edges = (gray[:rim], gray[-rim:], gray[:, :rim], gray[:, -rim:])
    floor = np.median(np.concatenate([edge.ravel() for edge in edges]))
    polarity = (animal - floor) / contrast
    return np.array([np.median(gray), contrast, gradient / contrast, polarity])
