"""The time grid of a run: how a recording of any frame rate is seen at the rate of the run.

A network learns movements at one frame rate. A recording at another rate, or at one that varies,
is laid on a grid of equal steps: each step shows the frame that is nearest in time, so frames are
left out or repeated. What is decided on the steps returns to every frame by time. A recording that
has the run's rate, give or take 5 %, has a step for each frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dolorim.core.clock import rate_of

_ALIKE = 0.05  # relative difference of rates within which nothing is resampled
_ROUNDING_S = 1.01e-3  # Matroska rounds timestamps to whole milliseconds
_UNEVEN_SHARE = 0.05  # of the steps between frames: with more odd ones, a rate is not steady
_PAUSE_S = 1.0  # a longer gap is a pause, in which the camera saw nothing that could be shown
LEAST_SHARE = 0.6  # of the run's rate; fast movements are not in a slower video
_TOO_FAST = 8.0  # times the run's rate above which the times of a file are doubtful


@dataclass(frozen=True, eq=False)
class FrameRate:
    """The frame rate of a recording: `mean_hz` without pauses, and what most frames lie between."""

    mean_hz: float
    slowest_hz: float
    fastest_hz: float

    @property
    def varies(self) -> bool:
        return self.fastest_hz > (1 + 2 * _ALIKE) * self.slowest_hz

    def __str__(self) -> str:
        if self.varies:
            return f"{_digits(self.slowest_hz)} to {_digits(self.fastest_hz)} frames/s"
        return f"{_digits(self.mean_hz)} frames/s"


@dataclass(frozen=True, eq=False)
class TimeGrid:
    """Which frame each step shows, and which step decides on each frame.

    `frames` `(steps,)` are indices of frames, ascending, and `steps` `(frames,)` indices of steps.
    `time_s` `(steps,)` are the times of the steps, which are `rate_hz` per second but for pauses,
    and `frame_s` `(frames,)` those of the frames, `filmed` at their own rate.
    """

    rate_hz: float
    time_s: np.ndarray
    frames: np.ndarray
    steps: np.ndarray
    frame_s: np.ndarray
    filmed: FrameRate

    @property
    def places(self) -> np.ndarray:
        """Where between the frames the steps are `(steps,)`; 0.5 is between frames 0 and 1."""
        return np.interp(self.time_s, self.frame_s, np.arange(len(self.frame_s)))

    def fits(self, frame_s: np.ndarray) -> bool:
        """Are these the times of its frames, or of the first of them?"""
        n_frames = len(frame_s)
        if n_frames > len(self.frame_s):
            return False
        return np.allclose(self.frame_s[:n_frames], frame_s, rtol=0, atol=1e-6)

    def first(self, n_frames: int) -> TimeGrid:
        """The grid of a recording that ends after `n_frames`."""
        if n_frames >= len(self.steps):
            return self
        n_steps = int(np.searchsorted(self.frames, n_frames))
        return replace(
            self,
            time_s=self.time_s[:n_steps],
            frames=self.frames[:n_steps],
            # The step that is nearest to the last frame may show the one after it.
            steps=np.minimum(self.steps[:n_frames], max(n_steps - 1, 0)),
            frame_s=self.frame_s[:n_frames],
        )

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """The steps that show the frames `[start, stop)`."""
        first, last = np.searchsorted(self.frames, (start, stop)).tolist()
        return first, last


def _digits(rate_hz: float) -> str:
    """A rate for people: 29.97 is 30, and 1000 is not 1e+03."""
    return f"{rate_hz:.0f}" if rate_hz >= 100 else f"{rate_hz:.3g}"


def frame_rate(time_s: np.ndarray) -> FrameRate | None:
    """The rate of frames at `time_s` `(frames,)`; None if the times tell none."""
    lengths_s = np.diff(time_s)
    lengths_s = lengths_s[(lengths_s > 0) & (lengths_s <= _longest(lengths_s))]
    if not len(lengths_s):
        return None
    fastest_s, slowest_s = np.quantile(lengths_s, (_UNEVEN_SHARE, 1 - _UNEVEN_SHARE)).tolist()
    mean_hz = 1 / float(lengths_s.mean())
    if slowest_s - fastest_s <= 2 * _ROUNDING_S:
        usual_hz = rate_of(time_s)
        return FrameRate(usual_hz, usual_hz, usual_hz)
    return FrameRate(mean_hz, 1 / slowest_s, 1 / fastest_s)


def _longest(lengths_s: np.ndarray) -> float:
    """The longest time between two frames that is no pause."""
    usual_s = float(np.median(lengths_s)) if len(lengths_s) else 0.0
    # Frames of a time lapse are seconds apart: all of its gaps are pauses but its usual one.
    return max(_PAUSE_S, usual_s * (1 + _ALIKE))


def time_grid(time_s: np.ndarray, rate_hz: float | None) -> TimeGrid | None:
    """The grid of a run at `rate_hz` for frames at `time_s` `(frames,)`, in seconds, ascending.

    None where each frame is a step: the recording has the run's rate, its times tell none, or the
    run (of an older version) has none. Pauses are not filled.
    """
    filmed = frame_rate(time_s)
    if rate_hz is None or filmed is None or _has_rate(time_s, rate_hz):
        return None
    times, frames, steps = [], [], []
    n_steps = 0
    for start, stop in _stretches(time_s):
        grid_s, shown, decided = _stretch(time_s[start:stop], rate_hz)
        times.append(grid_s)
        frames.append(shown + start)
        steps.append(decided + n_steps)
        n_steps += len(grid_s)
    return TimeGrid(
        rate_hz,
        np.concatenate(times),
        np.concatenate(frames),
        np.concatenate(steps),
        time_s,
        filmed,
    )


def _has_rate(time_s: np.ndarray, rate_hz: float) -> bool:
    """Have frames at these times a steady rate within 5 % of `rate_hz`?"""
    own_hz = rate_of(time_s, otherwise_hz=np.nan)
    if not abs(own_hz / rate_hz - 1) <= _ALIKE:
        return False
    off_s = np.abs(np.diff(time_s) - 1 / own_hz)
    uneven = off_s > _ALIKE / own_hz + _ROUNDING_S
    return float(uneven.mean()) <= _UNEVEN_SHARE


def _stretches(time_s: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of frames between pauses."""
    lengths_s = np.diff(time_s)
    starts = [0, *(np.flatnonzero(lengths_s > _PAUSE_S) + 1).tolist()]
    return list(zip(starts, [*starts[1:], len(time_s)], strict=True))


def _stretch(time_s: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times of the steps, the frame that each shows, and the step of each frame, without pauses."""
    since_s = np.maximum.accumulate(time_s - time_s[0])
    last_s = float(since_s[-1])
    # The last frame is shown as long as the one before it.
    end_s = last_s + float(since_s[-1] - since_s[-2]) if len(since_s) > 1 else 0.0
    # A hair less, so that rounding makes no step that begins with the end.
    n_steps = max(1, int(np.ceil(end_s * rate_hz - 1e-3)))
    grid_s = np.arange(n_steps) / rate_hz
    return time_s[0] + grid_s, _nearest(grid_s, since_s), _nearest(since_s, grid_s)


def _nearest(wanted_s: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """The index of the nearest of `times_s`, ascending, for each wanted time; of two, the first."""
    middles_s = (times_s[1:] + times_s[:-1]) / 2
    # Rounding must not decide a tie: twice the rate has one at every other frame.
    return np.searchsorted(middles_s + 1e-6, wanted_s)


def is_too_slow(filmed: FrameRate, rate_hz: float) -> bool:
    """Is a recording so slow that movements a run at `rate_hz` knows are not in it?"""
    return filmed.mean_hz < LEAST_SHARE * rate_hz


def is_too_fast(filmed: FrameRate, rate_hz: float) -> bool:
    """Is a recording so much faster than a run at `rate_hz` that its times are doubtful?"""
    return filmed.mean_hz > _TOO_FAST * rate_hz


def is_doubtful(filmed: FrameRate, rate_hz: float) -> bool:
    """Does a recording need a warning? Else, that it was resampled is only noted."""
    return is_too_slow(filmed, rate_hz) or is_too_fast(filmed, rate_hz)


def describe_resampling(filmed: FrameRate, rate_hz: float) -> tuple[str, str]:
    """What to say of a recording that is seen at the `rate_hz` of a run, and what to do."""
    what = f"{filmed}, seen at the run's {rate_hz:.4g}"
    if is_too_slow(filmed, rate_hz):
        return (
            f"{what}: movements faster than the camera, such as a paw shake, are not in the video",
            f"film at {rate_hz:.4g} frames/s or more, or train a run at the lower rate "
            f"(--run_rate_hz {_digits(filmed.mean_hz)})",
        )
    if is_too_fast(filmed, rate_hz):
        return (
            f"{what}: was it really filmed so fast?",
            "if not, the times in the file are wrong; write it again with the camera's rate",
        )
    return what, "every frame of the video gets its label; nothing to do"
