"""Several predictors that decide together: the weighted mean of their log probabilities."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dolorim.dataset.labelled_recording import InputSpec, LabelledRecording
from dolorim.inference.streaming import Decisions, Predictor
from dolorim.pose.pose_track import PoseTrack
from dolorim.video.crop import Crops

_LEAST = 1e-12  # probability; no member alone may veto a class


@dataclass(frozen=True)
class Member:
    """A predictor and its share; `stored` gives a recording the features that it can read."""

    predictor: Predictor
    share: float
    stored: Callable[[LabelledRecording], LabelledRecording]


class Ensemble:
    """Predicts like a `Predictor`, with several of them on the same frames.

    The first member is the one that finds keypoints, if any does.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)

    @property
    def input_spec(self) -> InputSpec:
        return self.members[0].predictor.input_spec

    def __call__(self, recording: LabelledRecording) -> Decisions:
        """Decisions on a whole recording."""
        parts = [member.predictor(member.stored(recording)) for member in self.members]
        return self._mean(parts)

    def stream(
        self, blocks: Iterable[Crops] | None, poses: PoseTrack | None = None, side_px: float = 1.0
    ) -> Iterator[Decisions]:
        """Decisions on consecutive frames, some at a time; each picture is decoded once."""
        sources: Sequence[Iterable[Crops] | None] = [None] * len(self.members)
        if blocks is not None:
            sources = itertools.tee(blocks, len(self.members))
        streams = [
            member.predictor.stream(source, poses, side_px)
            for member, source in zip(self.members, sources, strict=True)
        ]
        waiting: list[Decisions | None] = [None] * len(streams)
        while True:
            # The member that is behind goes on, so that only a few blocks wait for it.
            behind = min(range(len(streams)), key=lambda i: _length(waiting[i]))
            step = next(streams[behind], None)
            if step is None:
                return
            waiting[behind] = _joined(waiting[behind], step)
            ready = min(map(_length, waiting))
            if ready:
                yield self._mean([_cut(w, slice(ready)) for w in waiting])
                waiting = [_cut(w, slice(ready, None)) for w in waiting]

    def around(self, start: int, stop: int | None) -> tuple[int, int | None]:
        """The range of crops that `[start, stop)` needs, for the member that needs most."""
        ranges = [member.predictor.around(start, stop) for member in self.members]
        first = min(r[0] for r in ranges)
        if stop is None:
            return first, None
        return first, max(r[1] for r in ranges if r[1] is not None)

    def _mean(self, parts: Sequence[Decisions]) -> Decisions:
        scores = np.zeros(parts[0].probabilities.shape)
        for part, member in zip(parts, self.members, strict=True):
            scores += member.share * np.log(np.clip(part.probabilities, _LEAST, None))
        unscaled = np.exp(scores - scores.max(1, keepdims=True))
        probabilities = unscaled / unscaled.sum(1, keepdims=True)
        return parts[0]._replace(probabilities=probabilities.astype(np.float32))


Decider = Predictor | Ensemble


def _length(decisions: Decisions | None) -> int:
    return 0 if decisions is None else len(decisions.probabilities)


def _joined(first: Decisions | None, second: Decisions) -> Decisions:
    if first is None:
        return second
    pairs = zip(first, second, strict=True)
    arrays = (None if b is None else np.concatenate([a, b]) for a, b in pairs)
    return Decisions(*arrays)  # type: ignore[arg-type]


def _cut(decisions: Decisions | None, part: slice) -> Decisions:
    assert decisions is not None
    return Decisions(*(None if a is None else a[part] for a in decisions))  # type: ignore[arg-type]
