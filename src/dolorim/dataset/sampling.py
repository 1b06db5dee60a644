"""Which windows are learned from, and how often."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import signal
from torch.utils.data import Dataset, Sampler

from dolorim.config import AugmentConfig, TrainConfig
from dolorim.labels.bouts import Bout, to_bouts
from dolorim.labels.ethogram import UNLABELED
from dolorim.labels.trials import Recording

_UNSTRETCHED = 0.5  # share of windows that keep their time where others are stretched


@dataclass(frozen=True)
class WindowSpec:
    """Which frames make a window: output frame i is at `start + i * speed` of the recording.

    Frames outside `[first, last]` are replaced by the nearest one inside, as at a recording's ends, and not scored.
    A `mirrored` window shows everything in a mirror. `seed` settles what else is random in it.
    """

    recording: int
    start: float
    speed: float = 1.0
    first: int = 0
    last: int = 1 << 60
    mirrored: bool = False
    seed: int | None = None


class BoutSampler(Sampler[WindowSpec]):
    """Draws windows around random frames of random bouts: every bout, short or long, comes equally often.

    With `sampling = "frames"` a bout comes as often as it is long; so does a whole recording where none has labels.
    `boost` `(classes,)` multiplies the chance of the
    bouts of a class. What an epoch draws depends on the seed and the epoch alone, and the processes that train together
    take turns, so that a resumed run sees the same windows, and so does one on another number of devices.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        settings: TrainConfig,
        augment: AugmentConfig,
        boost: np.ndarray | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        bouts = [(i, b) for i, r in enumerate(recordings) for b in to_bouts(r.labels)]
        unlabelled = not bouts
        if unlabelled:
            bouts = [(i, Bout(0, r.n_frames, UNLABELED)) for i, r in enumerate(recordings)]
        self._bouts = np.array([(i, b.start, b.stop) for i, b in bouts], np.int64).reshape(-1, 3)
        chance = np.array(
            [len(b) if unlabelled or settings.sampling == "frames" else 1 for _, b in bouts], float
        )
        if boost is not None and not unlabelled:
            chance *= boost[[b.label for _, b in bouts]]
        self._cumulative = np.cumsum(chance / chance.sum())
        self._ends = [r.n_frames - 1 for r in recordings]
        self._labels = [r.labels for r in recordings]
        self._length, self._augment, self._seed = settings.train_T, augment, settings.seed
        self.rank, self.world_size = rank, world_size
        frames = sum(len(b) for _, b in bouts)
        self.windows_per_epoch = max(1, round(frames / self._length))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return (self.windows_per_epoch + self.world_size - 1) // self.world_size

    def __iter__(self) -> Iterator[WindowSpec]:
        rng = np.random.default_rng([self._seed, self.epoch])
        everybodys = (self._draw(rng) for _ in range(len(self) * self.world_size))
        return itertools.islice(everybodys, self.rank, None, self.world_size)

    def class_shares(self, n_classes: int, mirrored: Sequence[int] | None = None) -> np.ndarray:
        """Expected share of each class among the labelled frames that are drawn, `(classes,)`.

        `mirrored` `(classes,)` says what each class is in a mirrored window; None where nothing is mirrored.
        Exact, not sampled: every class with a labelled frame has a share above 0, however rare it is. Only
        `aug_temporal_drop` and a temporal network's own step, which thin all classes alike, are left out.
        """
        nearby = self._chance_nearby()
        counts = np.zeros(n_classes)
        for recording, labels in enumerate(self._labels):
            centers = self._chance_of_centers(recording)
            if not centers.any():
                continue
            visits = signal.oaconvolve(centers, nearby, mode="same")
            # Sums by way of a Fourier transform leave rounding errors where nothing is drawn, some below 0.
            seen = labels >= 0
            counts += np.bincount(labels[seen], visits[seen].clip(min=0), minlength=n_classes)
        if mirrored is not None:
            share = self._augment.aug_flip
            counts = (1 - share) * counts + share * counts[list(mirrored)]
        return counts / max(counts.sum(), np.finfo(float).tiny)

    def _chance_of_centers(self, recording: int) -> np.ndarray:
        """Chance `(time,)` that a window is drawn around each frame of a recording."""
        mine = self._bouts[:, 0] == recording
        chances = np.diff(self._cumulative, prepend=0.0)[mine]
        by_frame = np.zeros(self._ends[recording] + 1)
        for (start, stop), chance in zip(
            self._bouts[mine, 1:].tolist(), chances.tolist(), strict=True
        ):
            by_frame[start:stop] = chance / (stop - start)
        return by_frame

    def _chance_nearby(self) -> np.ndarray:
        """How many frames at each distance from its center a window is expected to hold.

        `(2 reach + 1,)`, the center in the middle. Frame `i` of a window whose center is its frame `o` lies
        `(i - o) * speed` frames from the center, rounded: of the `length` equally likely `o`, `length - |d|` leave room
        for the step `d = i - o`.
        """
        length, stretch = self._length, self._augment.aug_stretch
        reach = round((length - 1) * np.exp(stretch)) + 1
        after = np.zeros(reach + 1)
        after[0] = 1.0
        places = np.arange(reach + 1)
        for step in range(1, length):
            share = (length - step) / length
            landed = np.zeros(reach + 1)
            landed[step] = _UNSTRETCHED if stretch else 1.0
            if stretch:  # the logarithm of the speed is uniform
                edges = np.log((np.arange(reach + 2) - 0.5).clip(min=1e-9) / step).clip(
                    -stretch, stretch
                )
                landed += (1 - _UNSTRETCHED) * np.diff(edges) / (2 * stretch)
            after += share * landed
        # A pretended beginning or end hides one side of the window, on average linearly with the distance.
        kept = (self._room - places).clip(min=0) / self._room
        after *= 1 - self._augment.aug_border * (1 - kept) / 2
        return np.concatenate((after[:0:-1], after))

    @property
    def _room(self) -> int:
        """Distances from a window's center at which a recording may be pretended to begin or end."""
        return self._length + 8

    def _draw(self, rng: np.random.Generator) -> WindowSpec:
        at = min(
            int(np.searchsorted(self._cumulative, rng.random(), "right")), len(self._bouts) - 1
        )
        recording, start, stop = self._bouts[at].tolist()
        stretch = self._augment.aug_stretch
        # Half of the windows keep their time: a network that has never seen it would be surprised by every video.
        stretched = bool(rng.random() >= _UNSTRETCHED)
        speed = float(np.exp(rng.uniform(-stretch, stretch))) if stretched else 1.0
        center = int(rng.integers(start, stop))
        spec_start = center - int(rng.integers(self._length)) * speed
        mirrored, seed = bool(rng.random() < self._augment.aug_flip), int(rng.integers(1 << 31))
        if rng.random() >= self._augment.aug_border:
            return WindowSpec(recording, spec_start, speed, mirrored=mirrored, seed=seed)
        # Pretend that the recording begins or ends here: a frozen edge must not tell the class of short recordings.
        away = int(rng.integers(self._room))
        if rng.random() < 0.5:
            edge = max(center - away, 0)
            return WindowSpec(
                recording, spec_start, speed, first=edge, mirrored=mirrored, seed=seed
            )
        edge = min(center + away, self._ends[recording])
        return WindowSpec(recording, spec_start, speed, last=edge, mirrored=mirrored, seed=seed)


def rare_boost(counts: np.ndarray, threshold: float, cap: float) -> np.ndarray:
    """Factors `(classes,)` by which rare classes are drawn more often: threshold over share, at most `cap`, at least 1.

    `counts` `(classes,)` are labelled frames.
    """
    shares = counts / max(counts.sum(), 1)
    return np.clip(threshold / np.maximum(shares, 1e-12), 1.0, cap)


class Numbers(Dataset[int]):
    """The numbers from 0 up to `n`, for a loader of things that are in memory anyway."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __getitem__(self, i: int) -> int:
        return i

    def __len__(self) -> int:
        return self.n


class Turns(Sampler[int]):
    """Numbers from 0 up to `n`, of which the processes that work together take turns.

    Each gets equally many, or one would wait for the others for ever: those that come too late get -1.
    """

    def __init__(self, n: int) -> None:
        self.n, self.rank, self.world_size = n, 0, 1

    def __len__(self) -> int:
        return (self.n + self.world_size - 1) // self.world_size

    def __iter__(self) -> Iterator[int]:
        mine = range(self.rank, len(self) * self.world_size, self.world_size)
        return (i if i < self.n else -1 for i in mine)
