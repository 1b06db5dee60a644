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
    predicted one; `minutes` `()` is the time looked at.
    """
    events, spurious, seconds = (
        np.zeros((len(TOLERANCES_S), n_classes, 6)),
        np.zeros(n_classes),
        0.0,
    )
    true_bouts, found_bouts = np.zeros(n_classes), np.zeros(n_classes)
    usual_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
    edges_s = np.append(time_s, time_s[-1:] + usual_s)
    for stretch in stretches:
        n = stretch.stop - stretch.start
        edges = edges_s[stretch.start : stretch.stop + 1]
        seconds += float(edges_s[stretch.stop - 1] - edges[0]) + usual_s
        true, found = (
            np.stack(runs(x[stretch]), axis=1).astype(np.int64) for x in (truth, predicted)
        )
        for c in np.union1d(true[:, 2], found[:, 2]).tolist():
            if c < 0:
                continue
            a, b = true[true[:, 2] == c], found[found[:, 2] == c]
            spurious[c] += np.sum(~_touched(b, truth[stretch] == c))
            true_bouts[c] += len(a)
            found_bouts[c] += np.sum(_touched(a, predicted[stretch] == c))
            i, j, apart_s = _closest_pairs(
                edges[a[:, 0]], edges[b[:, 0]], max(TOLERANCES_S) + _ROUNDING_S
            )
            seen_a, seen_b = a[:, 0] > 0, b[:, 0] > 0
            for k, tolerance_s in enumerate(TOLERANCES_S):
                near = apart_s <= tolerance_s + _ROUNDING_S
                one, two = i[near], j[near]
                pair = seen_a[one] & seen_b[two]
                ended = pair & (a[one, 1] < n) & (b[two, 1] < n)
                offsets_s = np.abs(edges[a[one, 1]] - edges[b[two, 1]])[ended]
                missed, false = seen_a.sum() - seen_a[one].sum(), seen_b.sum() - seen_b[two].sum()
                onsets_s = apart_s[near][pair].sum()
                events[k, c] += (pair.sum(), missed, false, onsets_s, ended.sum(), offsets_s.sum())
    return {
        "events": events,
        "spurious": spurious,
        "true_bouts": true_bouts,
        "found_bouts": found_bouts,
        "minutes": np.asarray(seconds / 60),
    }


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
    """Pairs of two ascending lists of times, each used once, the closest first: indices and
    distances, ascending.
    """
    first, last = np.searchsorted(two, one - within), np.searchsorted(two, one + within, "right")
    i = np.repeat(np.arange(len(one)), last - first)
    starts = (
        np.concatenate(([0], np.cumsum(last - first)[:-1])) if len(one) else np.empty(0, np.int64)
    )
    j = np.arange(len(i)) - np.repeat(starts - first, last - first)
    apart = np.abs(one[i] - two[j])
    taken_one, taken_two = np.zeros(len(one), bool), np.zeros(len(two), bool)
    kept = []
    for pair in np.argsort(apart, kind="stable").tolist():
        if not taken_one[i[pair]] and not taken_two[j[pair]]:
            taken_one[i[pair]] = taken_two[j[pair]] = True
            kept.append(pair)
    return i[kept], j[kept], apart[kept]
