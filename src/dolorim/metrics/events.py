"""Events: does a bout begin when the truth says it does?

A true and a predicted bout of the same class are partners when their onsets lie within the
tolerance; the closest pair is taken first, and every bout has at most one partner. A bout that
already lasts when a stretch of labels begins has an onset that nobody saw: it may be a partner,
but neither it nor its partner is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dolorim.core.runs import runs
from dolorim.metrics.frames import Figures, divide

TOLERANCES_S = (0.1, 0.2)
_ROUNDING_S = 1e-4  # predictions hold times to four decimals


def event_sums(
    truth: np.ndarray,
    predicted: np.ndarray,
    time_s: np.ndarray,
    stretches: Iterable[slice],
    n_classes: int,
) -> dict[str, np.ndarray]:
    """Sums over the stretches of one recording, from which `event_figures` makes figures.

    `events` `(tolerances, classes, 6)`: partners, missed, false, summed onset error in seconds,
    pairs whose offsets were both seen, summed offset error in seconds. `spurious` `(classes,)`
    counts predicted bouts that share no frame with a true one of their class; `true_bouts` and
    `found_bouts` `(classes,)` count the true bouts, and those of them that share a frame with a
    predicted one; `minutes` `()` is the time that is labeled.
    """
    events = np.zeros((len(TOLERANCES_S), n_classes, 6))
    spurious, true_bouts, found_bouts = np.zeros((3, n_classes))
    seconds = 0.0
    usual_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
    # Frame i lasts from edges_s[i] to edges_s[i + 1].
    edges_s = np.append(time_s, time_s[-1:] + usual_s)
    for stretch in stretches:
        edges = edges_s[stretch.start : stretch.stop + 1]
        # Across a gap in the labels, the last frame of a stretch lasts as long as usual.
        seconds += float(edges_s[stretch.stop - 1] - edges[0]) + usual_s
        labels = truth[stretch], predicted[stretch]
        true, claimed = (np.stack(runs(x), axis=1).astype(np.int64) for x in labels)
        for c in np.union1d(true[:, 2], claimed[:, 2]).tolist():
            if c < 0:
                continue
            own, claims = true[true[:, 2] == c], claimed[claimed[:, 2] == c]
            spurious[c] += np.sum(~_touched(claims, labels[0] == c))
            true_bouts[c] += len(own)
            found_bouts[c] += np.sum(_touched(own, labels[1] == c))
            events[:, c] += _matched(own, claims, edges)
    return {
        "events": events,
        "spurious": spurious,
        "true_bouts": true_bouts,
        "found_bouts": found_bouts,
        "minutes": np.asarray(seconds / 60),
    }


def _matched(true: np.ndarray, claimed: np.ndarray, edges_s: np.ndarray) -> np.ndarray:
    """Sums `(tolerances, 6)` over the bouts of one class in one stretch (`event_sums`).

    Bouts are rows of `[start, stop, ...)`; `edges_s` are the times at which frames begin, and the
    time at which the last one ends.
    """
    n_frames = len(edges_s) - 1
    widest_s = max(TOLERANCES_S) + _ROUNDING_S
    i, j, apart_s = _closest_pairs(edges_s[true[:, 0]], edges_s[claimed[:, 0]], widest_s)
    # Nobody saw the onset of a bout that already lasts when the stretch begins.
    seen_true, seen_claimed = true[:, 0] > 0, claimed[:, 0] > 0
    sums = np.zeros((len(TOLERANCES_S), 6))
    for k, tolerance_s in enumerate(TOLERANCES_S):
        near = apart_s <= tolerance_s + _ROUNDING_S
        one, two = i[near], j[near]
        pair = seen_true[one] & seen_claimed[two]
        ended = pair & (true[one, 1] < n_frames) & (claimed[two, 1] < n_frames)
        offsets_s = np.abs(edges_s[true[one, 1]] - edges_s[claimed[two, 1]])[ended]
        missed = seen_true.sum() - seen_true[one].sum()
        false = seen_claimed.sum() - seen_claimed[two].sum()
        onsets_s = apart_s[near][pair].sum()
        sums[k] = pair.sum(), missed, false, onsets_s, ended.sum(), offsets_s.sum()
    return sums


def _touched(bouts: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Which bouts, rows of `[start, stop, ...)`, hold a true frame of `frames` `(time,)`."""
    before = np.concatenate(([0], np.cumsum(frames)))
    return before[bouts[:, 1]] > before[bouts[:, 0]]


def event_figures(
    totals: dict[str, np.ndarray], names: Sequence[str], foreground: Sequence[int]
) -> Figures:
    """Event scores of a batch of totals; those over all classes leave the background out.

    Errors are mean absolute ones, in milliseconds.
    """
    figures: Figures = {}
    for k, tolerance_s in enumerate(TOLERANCES_S):
        name = f"{round(1000 * tolerance_s)}ms"
        table = totals["events"][:, k]
        hits, missed, false, onset_s, ended, offset_s = np.moveaxis(
            table[:, list(foreground)].sum(1), -1, 0
        )
        figures |= {
            ("events", name, "f1"): divide(2 * hits, 2 * hits + missed + false),
            ("events", name, "precision"): divide(hits, hits + false),
            ("events", name, "recall"): divide(hits, hits + missed),
            ("events", name, "onset_error_ms"): 1000 * divide(onset_s, hits),
            ("events", name, "offset_error_ms"): 1000 * divide(offset_s, ended),
        }
        for c, label in enumerate(names):
            hits, missed, false = np.moveaxis(table[:, c, :3], -1, 0)
            figures["events", name, "per_class", label] = divide(
                2 * hits, 2 * hits + missed + false
            )
    per_minute = divide(totals["spurious"], totals["minutes"][:, None])
    figures["events", "false_per_minute"] = per_minute[:, list(foreground)].sum(1)
    for c, label in enumerate(names):
        figures["events", "false_per_minute_by_class", label] = per_minute[:, c]
    return figures


def _closest_pairs(
    one: np.ndarray, two: np.ndarray, within: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of two ascending lists of times, the closest first, in which each time occurs once.

    Returns the indices of both, and their distances in ascending order.
    """
    # All candidates: for each time of `one`, those of `two` from `first` to before `last`.
    first, last = np.searchsorted(two, one - within), np.searchsorted(two, one + within, "right")
    n_near = last - first
    i = np.repeat(np.arange(len(one)), n_near)
    starts = np.cumsum(n_near) - n_near
    j = np.arange(len(i)) - np.repeat(starts - first, n_near)
    apart = np.abs(one[i] - two[j])
    taken_one, taken_two = np.zeros(len(one), bool), np.zeros(len(two), bool)
    kept = []
    for pair in np.argsort(apart, kind="stable").tolist():
        if not taken_one[i[pair]] and not taken_two[j[pair]]:
            taken_one[i[pair]] = taken_two[j[pair]] = True
            kept.append(pair)
    return i[kept], j[kept], apart[kept]
