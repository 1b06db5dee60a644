"""Which windows training draws, and how often."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import signal
from torch.utils.data import Dataset, Sampler

from dolorim.config import AugmentConfig, TrainConfig
from dolorim.labels.bouts import Bout, to_bouts
from dolorim.labels.ethogram import UNLABELED
from dolorim.labels.trials import Recording

# Share of windows that keep their speed while others are stretched: without them, a network would
# only know speeds that no video has.
_UNSTRETCHED = 0.5
_BORDER_MARGIN = 8  # frames beyond a window's length at which a recording may seem to begin or end


@dataclass(frozen=True)
class WindowSpec:
    """Which frames make a window: output frame i is at `start + i * speed` of the recording.

    Frames outside `[first, last]` are replaced by the nearest one inside, as at the ends of a
    recording, and not scored. A `mirrored` window shows everything in a mirror. `seed` determines
    everything else that is random in it.
    """

    recording: int
    start: float
    speed: float = 1.0
    first: int = 0
    last: int = 1 << 60
    mirrored: bool = False
    seed: int | None = None


def own_draws(
    draw: Callable[[], WindowSpec], n_windows: int, rank: int, world_size: int
) -> Iterator[WindowSpec]:
    """The `n_windows` draws of one process among `world_size` that train together.

    Every process draws the windows of all and takes its own, so that together they see what one
    process would see.
    """
    of_all_processes = (draw() for _ in range(n_windows * world_size))
    return itertools.islice(of_all_processes, rank, None, world_size)


class BoutSampler(Sampler[WindowSpec]):
    """Draws windows around random frames of random bouts, every bout with the same chance.

    With `sampling = "frames"`, the chance of a bout is proportional to its length. If no recording
    has labels, whole recordings are drawn that way. `boost` `(classes,)` multiplies the chance of
    the bouts of a class. What an epoch draws depends only on the seed and the epoch, and processes
    that train together share the windows out, so a resumed run sees the same windows, as does a run
    on another number of devices.
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
        indices, bouts = _bouts_of(recordings)
        labels = np.array([bout.label for bout in bouts], np.int64)
        lengths = np.array([len(bout) for bout in bouts], np.int64)
        has_labels = bool((labels != UNLABELED).any())
        chance = np.ones(len(bouts))
        if settings.sampling == "frames" or not has_labels:
            chance = lengths.astype(float)
        if boost is not None and has_labels:
            chance *= boost[labels]
        spans = [(i, bout.start, bout.stop) for i, bout in zip(indices, bouts, strict=True)]
        self._bouts = np.array(spans, np.int64).reshape(-1, 3)  # recording, start, stop
        self._cumulative = np.cumsum(chance / chance.sum())
        self._ends = [r.n_frames - 1 for r in recordings]
        self._labels = [r.labels for r in recordings]
        self._length, self._augment, self._seed = settings.train_T, augment, settings.seed
        self.rank, self.world_size = rank, world_size
        self.windows_per_epoch = max(1, round(int(lengths.sum()) / self._length))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return (self.windows_per_epoch + self.world_size - 1) // self.world_size

    def __iter__(self) -> Iterator[WindowSpec]:
        rng = np.random.default_rng([self._seed, self.epoch])
        return own_draws(lambda: self._draw(rng), len(self), self.rank, self.world_size)

    def class_shares(self, n_classes: int, mirrored: Sequence[int] | None = None) -> np.ndarray:
        """Expected share of each class among the labeled frames that are drawn, `(classes,)`.

        `mirrored` `(classes,)` says what each class becomes in a mirrored window; None if nothing
        is mirrored. The shares are exact, not sampled: every class with a labeled frame has a
        share above 0, no matter how rare it is. Only `aug_temporal_drop` and the step of a temporal
        network are left out, because they thin all classes alike.
        """
        nearby = self._chance_nearby()
        counts = np.zeros(n_classes)
        for recording, labels in enumerate(self._labels):
            centers = self._chance_of_centers(recording)
            if not centers.any():
                continue
            visits = signal.oaconvolve(centers, nearby, mode="same")
            # The Fourier transform leaves rounding errors where nothing is drawn, some below 0.
            visits = visits.clip(min=0)
            known = labels >= 0
            counts += np.bincount(labels[known], visits[known], minlength=n_classes)
        if mirrored is not None:
            share = self._augment.aug_flip
            counts = (1 - share) * counts + share * counts[list(mirrored)]
        return counts / max(counts.sum(), np.finfo(float).tiny)

    def _chance_of_centers(self, recording: int) -> np.ndarray:
        """Chance `(time,)` that a window is drawn around each frame of a recording."""
        in_recording = self._bouts[:, 0] == recording
        chances = np.diff(self._cumulative, prepend=0.0)[in_recording].tolist()
        spans = self._bouts[in_recording, 1:].tolist()
        by_frame = np.zeros(self._ends[recording] + 1)
        for (start, stop), chance in zip(spans, chances, strict=True):
            by_frame[start:stop] = chance / (stop - start)
        return by_frame

    def _chance_nearby(self) -> np.ndarray:
        """How many frames at each distance from its center a window is expected to hold.

        `(2 reach + 1,)`, the center in the middle. Frame `i` of a window whose center is its frame
        `o` lies `(i - o) * speed` frames from the center, rounded: of the `length` equally likely
        `o`, `length - |d|` leave room for the step `d = i - o`.
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
            if stretch:
                # The logarithm of the speed is uniform, so the chance of each distance is the
                # length of its interval of log speeds.
                log_speed = np.log((np.arange(reach + 2) - 0.5).clip(min=1e-9) / step)
                edges = log_speed.clip(-stretch, stretch)
                landed += (1 - _UNSTRETCHED) * np.diff(edges) / (2 * stretch)
            after += share * landed
        # A pretended beginning or end hides one side of the window, on average linearly with the
        # distance.
        kept = (self._room - places).clip(min=0) / self._room
        after *= 1 - self._augment.aug_border * (1 - kept) / 2
        return np.concatenate((after[:0:-1], after))

    @property
    def _room(self) -> int:
        """Distances from a window's center at which a recording may seem to begin or end."""
        return self._length + _BORDER_MARGIN

    def _draw(self, rng: np.random.Generator) -> WindowSpec:
        at = int(np.searchsorted(self._cumulative, rng.random(), "right"))
        at = min(at, len(self._bouts) - 1)  # the sum of the chances may be a little below 1
        recording, start, stop = self._bouts[at].tolist()
        stretch = self._augment.aug_stretch
        stretched = bool(rng.random() >= _UNSTRETCHED)
        speed = float(np.exp(rng.uniform(-stretch, stretch))) if stretched else 1.0
        center = int(rng.integers(start, stop))
        window_start = center - int(rng.integers(self._length)) * speed
        mirrored = bool(rng.random() < self._augment.aug_flip)
        seed = int(rng.integers(1 << 31))
        window = WindowSpec(recording, window_start, speed, mirrored=mirrored, seed=seed)
        if rng.random() >= self._augment.aug_border:
            return window
        # Pretend that the recording begins or ends near the center: the frozen frames beyond an end
        # must not give away the class of short recordings.
        distance = int(rng.integers(self._room))
        if rng.random() < 0.5:
            return replace(window, first=max(center - distance, 0))
        return replace(window, last=min(center + distance, self._ends[recording]))


def _bouts_of(recordings: Sequence[Recording]) -> tuple[list[int], list[Bout]]:
    """All labeled bouts, each with the index of its recording.

    If no recording has labels, each one is a single unlabeled bout.
    """
    indices: list[int] = []
    bouts: list[Bout] = []
    for i, recording in enumerate(recordings):
        labelled = to_bouts(recording.labels)
        indices += [i] * len(labelled)
        bouts += labelled
    if bouts:
        return indices, bouts
    whole = [Bout(0, recording.n_frames, UNLABELED) for recording in recordings]
    return list(range(len(whole))), whole


def rare_boost(counts: np.ndarray, threshold: float, cap: float) -> np.ndarray:
    """Factors `(classes,)` by which rare classes are drawn more often.

    They are threshold over share, at least 1 and at most `cap`; `counts` `(classes,)` are labeled
    frames.
    """
    shares = counts / max(counts.sum(), 1)
    return np.clip(threshold / np.maximum(shares, 1e-12), 1.0, cap)


class Numbers(Dataset[int]):
    """The numbers 0 to `n - 1`, for a loader of items that are already in memory."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __getitem__(self, i: int) -> int:
        return i

    def __len__(self) -> int:
        return self.n


class DividedNumbers(Sampler[int]):
    """The numbers 0 to `n - 1`, shared out among the processes that train together.

    All processes get the same number of items, padded with -1; otherwise one would wait for the
    others forever.
    """

    def __init__(self, n: int) -> None:
        self.n, self.rank, self.world_size = n, 0, 1

    def __len__(self) -> int:
        return (self.n + self.world_size - 1) // self.world_size

    def __iter__(self) -> Iterator[int]:
        own = range(self.rank, len(self) * self.world_size, self.world_size)
        return (i if i < self.n else -1 for i in own)
