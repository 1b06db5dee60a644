"""Labels while the animal is being filmed, and events at which something else can react.

Memory stays constant: frames wait in a queue of fixed size, the network keeps the context that it
needs, and latencies are counted in bins of a millisecond.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dolorim.core.errors import UserError
from dolorim.inference.ensemble import Decider, Ensemble
from dolorim.inference.predictor import predictor_of
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import Predictor
from dolorim.video.crop import Crops
from dolorim.video.live_crop import LiveCrop
from dolorim.video.live_frames import LiveSource

Send = Callable[[dict[str, Any]], None]
_MOST_REPEATS = 8  # of a frame, where frames are missing
_BINS = 60_000  # milliseconds; whatever takes longer counts as this long


@dataclass(frozen=True)
class WatchOptions:
    """`step` frames are decided at a time, `debounce_s` is how long a class must last before its
    event is sent, and with `every_label` each decision is sent, too."""

    step: int = 2
    debounce_s: float = 0.1
    warm_up_s: float = 3.0
    every_label: bool = False
    body_length_px: float | None = None


class Debounce:
    """Turns labels, one after the other, into onsets and offsets of classes.

    A class begins once it has been the label for `least_s` without a break; the event names the
    frame at which that began.
    """

    def __init__(self, classes: Sequence[str], least_s: float) -> None:
        self._classes, self._least_s = classes, least_s
        self._current: int | None = None
        self._candidate: int | None = None
        self._since: tuple[int, float] = (0, 0.0)

    def events(self, label: int, frame: int, time_s: float) -> Iterator[dict[str, Any]]:
        """What begins and ends, now that a frame has got a label."""
        if label != self._candidate:
            self._candidate, self._since = label, (frame, time_s)
        if label == self._current or time_s - self._since[1] < self._least_s:
            return
        since = {"frame": self._since[0], "time_s": round(self._since[1], 4)}
        if self._current is not None:
            yield {"event": "offset", "class": self._classes[self._current], **since}
        self._current = label
        yield {"event": "onset", "class": self._classes[label], **since}


class Latencies:
    """Milliseconds from a frame's arrival to its label; percentiles in constant memory."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS + 1, np.int64)

    def add(self, seconds: float) -> None:
        self._counts[min(_BINS, max(0, round(seconds * 1000)))] += 1

    def percentile(self, share: float) -> int | None:
        """None before anything was added."""
        running = self._counts.cumsum()
        if not running[-1]:
            return None
        return int(np.searchsorted(running, share * running[-1]))


class Steps:
    """The run's steps in time: how many of them a frame stands for.

    A slower camera shows a frame at several steps; a faster one, frames at none. Without a rate,
    every frame is a step.
    """

    def __init__(self, rate_hz: float | None) -> None:
        self._rate_hz = rate_hz
        self._first_s: float | None = None
        self._n_steps = 0

    def due(self, time_s: float) -> int:
        if self._rate_hz is None:
            return 1
        if self._first_s is None:
            self._first_s = time_s
        # Half a step of tolerance, because cameras are never exactly on time.
        reached = math.floor((time_s - self._first_s) * self._rate_hz + 0.5) + 1
        n_due = max(0, reached - self._n_steps)
        self._n_steps += n_due
        # After a pause of the camera, the same picture over and over would tell nothing.
        return min(n_due, _MOST_REPEATS)


class Watch:
    """Labels the frames of a live source with a run, and sends events. Raises `UserError`."""

    def __init__(self, run: RunFolder, source: LiveSource, options: WatchOptions) -> None:
        self._source, self._options = source, options
        data = run.read_config().data
        length_px = options.body_length_px or data.body_length_px
        self._data = dataclasses.replace(data, body_length_px=length_px)
        self._classes = run.read_ethogram().classes
        self._decoder = run.read_decoder()
        self._lengths = run.read_body_lengths()
        self._decider = _with_step(predictor_of(run), options.step)
        self._arrived: deque[tuple[int, float, float]] = deque()
        self._debounce = Debounce(self._classes, options.debounce_s)
        self.latencies = Latencies()
        self.n_labeled = 0

    @property
    def look_ahead(self) -> int:
        """Frames after a frame that its label waits for."""
        spec = self._decider.input_spec
        after = 0 if spec.visual is None else spec.visual.after
        return after + max(member.model.after for member in _members(self._decider))

    def run(self, send: Send) -> dict[str, Any]:
        """Label until the source ends; returns and sends the summary.

        Ctrl-C ends it, too.
        """
        try:
            for decisions in self._decider.stream(self._crops(), None, 1.0):
                self._decide(decisions.probabilities, send)
        except KeyboardInterrupt:
            pass
        summary = self.summary()
        send(summary)
        return summary

    def summary(self) -> dict[str, Any]:
        """How many frames were labeled and dropped, and how long their labels took."""
        p50, p99 = (self.latencies.percentile(share) for share in (0.5, 0.99))
        return {
            "event": "end",
            "frames": self.n_labeled,
            "dropped": self._source.dropped,
            "latency_ms": {"p50": p50, "p99": p99},
        }

    def _crops(self) -> Iterator[Crops]:
        """One crop per step of the run's rate, in time with the source."""
        live = LiveCrop(self._data, self._lengths, self._source.rate_hz, self._options.warm_up_s)
        steps = Steps(self._data.run_rate_hz)
        for received in self._source:
            frame = received.frame
            crops = live.cut(frame)
            if crops is None:
                continue
            for _ in range(steps.due(frame.time_s)):
                self._arrived.append((frame.index, frame.time_s, received.arrived_s))
                yield crops

    def _decide(self, probabilities: np.ndarray, send: Send) -> None:
        now = time.perf_counter()
        likely = self._decoder.calibrated(probabilities)
        labels = self._decoder.most_likely(probabilities)
        for label, row in zip(labels, likely, strict=True):
            frame, time_s, arrived_s = self._arrived.popleft()
            self.latencies.add(now - arrived_s)
            self.n_labeled += 1
            delay = {"latency_ms": round(1000 * (now - arrived_s), 1)}
            if self._options.every_label:
                name, likelihood = self._classes[label], round(float(row[label]), 4)
                about = {"frame": frame, "time_s": round(time_s, 4)}
                send({"event": "label", "class": name, "p": likelihood, **about, **delay})
            for event in self._debounce.events(int(label), frame, time_s):
                send({**event, **delay})


def _members(decider: Decider) -> list[Predictor]:
    if isinstance(decider, Ensemble):
        return [member.predictor for member in decider.members]
    return [decider]


def _with_step(decider: Decider, step: int) -> Decider:
    """The same, deciding on a few frames at a time, as soon as they are there."""
    if decider.input_spec.visual is None:
        raise UserError("this run labels poses alone; watch needs one that looks at video")
    for predictor in _members(decider):
        predictor.chunk = predictor.read = step
    return decider
