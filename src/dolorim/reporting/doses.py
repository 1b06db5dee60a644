"""Dose and response, over animals: trend, curve with its ED50, and doses against the control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from dolorim.metrics.intervals import LEVEL, NO_INTERVAL, Interval
from dolorim.reporting.permutation import RESAMPLES

FEWEST_DOSES = 3
"""Doses above zero below which no curve is fitted: two doses leave its slope open."""
_PARAMETERS = 4
_BEYOND = np.log(100)  # how far outside the doses an ED50 is looked for
_ED50S = 201
_SLOPES = np.geomspace(0.4, 5, 31)  # Hill slopes; steeper curves look alike between two doses
_TIED = 1e-9  # of the largest value: values that differ by less are rounding noise


@dataclass(frozen=True)
class Doses:
    """The dose of each animal, and the unit in which the table of groups gives them."""

    by_animal: Mapping[str, float]
    unit: str = ""


@dataclass(frozen=True)
class DoseCurve:
    """`bottom + (top - bottom) * dose**slope / (dose**slope + ed50**slope)`.

    `bottom` is the response at dose 0, `top` the one at doses without end. `refused` says why the
    ED50 is not given; `ed50` and its interval are then NaN.
    """

    bottom: float = np.nan
    top: float = np.nan
    slope: float = np.nan
    ed50: float = np.nan
    interval: Interval = NO_INTERVAL
    refused: str = ""


def jonckheere(samples: Sequence[np.ndarray], rng: np.random.Generator) -> tuple[float, float]:
    """Test of a trend over ordered groups, `(animals,)` each: statistic and two-sided p.

    The statistic counts the pairs of animals of different doses in which the higher dose has the
    higher value, minus those in which it has the lower one, over all pairs: from -1 to 1
    (Jonckheere 1954, Biometrika 41:133; Terpstra 1952). p comes from exchanging animals between
    doses, (1 + hits) / (1 + draws), which holds with equal values and for few animals.
    """
    values = np.concatenate(samples)
    dose = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
    differences = values[None] - values[:, None]
    signs = np.sign(differences * (np.abs(differences) > _TIED * np.abs(values).max()))
    ordered = (dose[None] > dose[:, None]).astype(float)
    observed = (signs * ordered).sum()
    if not signs.any():
        return 0.0, 1.0
    orders = rng.permuted(np.tile(np.arange(len(values)), (RESAMPLES, 1)), axis=1)
    drawn = [(signs[np.ix_(order, order)] * ordered).sum() for order in orders]
    hits = int((np.abs(drawn) >= abs(observed) - 0.5).sum())
    return float(observed / ordered.sum()), (1 + hits) / (1 + RESAMPLES)


def dunnett(
    samples: Sequence[np.ndarray], control: np.ndarray, seed: int
) -> list[tuple[float, float, float, float]]:
    """Each dose against the control: difference of means, its interval, and p.

    Intervals and p hold for all doses together (Dunnett 1955, Journal of the American Statistical
    Association 50:1096; `scipy.stats.dunnett`). NaN where no animal differs from its group.
    """
    differences = [float(sample.mean() - control.mean()) for sample in samples]
    if min(map(len, [*samples, control])) < 2 or not any(map(np.ptp, [*samples, control])):
        return [(difference, np.nan, np.nan, np.nan) for difference in differences]
    # SciPy integrates by random numbers, so that the seed is part of the result.
    result = stats.dunnett(*samples, control=control, random_state=np.random.default_rng(seed))
    interval = result.confidence_interval(LEVEL)
    columns = (interval.low, interval.high, result.pvalue)
    rows = zip(differences, *(column.tolist() for column in columns), strict=True)
    return [(d, low, high, p) for d, low, high, p in rows]


def fit_curve(doses: np.ndarray, values: np.ndarray) -> DoseCurve:
    """The four-parameter logistic of the values of animals, `(animals,)`, with the ED50.

    Bottom and top are solved by least squares for each pair of ED50 and slope on a grid (variable
    projection, Golub & Pereyra 1973), which cannot end in a local minimum. The interval of the ED50
    is its profile likelihood: all values at which the residual sum of squares exceeds the smallest
    one by less than F(1, n - 4) allows (Bates & Watts 1988, Nonlinear Regression Analysis, chapter
    6). The ED50 is refused unless this whole interval lies between the lowest and the highest dose
    above zero: else the doses do not bracket the middle of the curve.
    """
    levels, which, n = np.unique(doses, return_inverse=True, return_counts=True)
    above_zero = levels[levels > 0]
    freedom = len(values) - _PARAMETERS
    if len(above_zero) < FEWEST_DOSES or len(levels) < _PARAMETERS or freedom < 1:
        have = f"there are {len(above_zero)} doses above zero"
        return DoseCurve(refused=f"{have}; it takes {FEWEST_DOSES} and a control, or four")
    means = np.bincount(which, values) / n
    within = float(((values - means[which]) ** 2).sum())
    first, last = np.log(above_zero[[0, -1]])
    log_ed50s = np.linspace(first - _BEYOND, last + _BEYOND, _ED50S)
    bottoms, effects, residuals = _solve(levels, means, n, log_ed50s)
    squares = residuals + within
    # The best slope for each ED50: what is left is the profile.
    profile = squares.min(1)
    best, slope = np.unravel_index(squares.argmin(), squares.shape)
    limit = profile[best] * (1 + stats.f.ppf(LEVEL, 1, freedom) / freedom)
    bottom, top = bottoms[best, slope], bottoms[best, slope] + effects[best, slope]
    curve = DoseCurve(float(bottom), float(top), float(_SLOPES[slope]))
    if within <= 0:
        return DoseCurve(refused="no animal differs from the others of its dose")
    low, high = _span(log_ed50s, profile, float(limit))
    if not (first <= low and high <= last):
        why = "the doses do not bracket the middle of the curve"
        return DoseCurve(curve.bottom, curve.top, curve.slope, refused=why)
    interval = (float(np.exp(low)), float(np.exp(high)))
    ed50 = float(np.exp(log_ed50s[best]))
    return DoseCurve(curve.bottom, curve.top, curve.slope, ed50, interval)


def _solve(
    levels: np.ndarray, means: np.ndarray, n: np.ndarray, log_ed50s: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bottom, effect and residual sum of squares of each curve, `(ed50s, slopes)` each."""
    with np.errstate(divide="ignore"):
        logs = np.log(levels)  # dose 0 is minus infinity, where the curve is at its bottom
    steepness = _SLOPES[None, :, None]
    shares = special.expit(steepness * (logs[None, None] - log_ed50s[:, None, None]))
    weights = n / n.sum()
    centered = shares - (shares * weights).sum(-1, keepdims=True)
    mean = (means * weights).sum()
    spread = (n * centered**2).sum(-1)
    product = (n * centered * (means - mean)).sum(-1)
    # A curve that is flat over all doses explains nothing, whatever its effect.
    effects = np.divide(product, spread, out=np.zeros_like(product), where=spread > 1e-12)
    bottoms = mean - effects * (shares * weights).sum(-1)
    residuals = (n * (means - mean) ** 2).sum() - effects * product
    return bottoms, effects, np.maximum(residuals, 0)


def _span(x: np.ndarray, profile: np.ndarray, limit: float) -> Interval:
    """The first and the last `x` at which the profile stays below the limit, interpolated."""
    below = np.flatnonzero(profile <= limit)
    first, last = int(below[0]), int(below[-1])
    low, high = -np.inf, np.inf
    if first > 0:
        low = float(np.interp(-limit, -profile[[first - 1, first]], x[[first - 1, first]]))
    if last + 1 < len(x):
        high = float(np.interp(limit, profile[[last, last + 1]], x[[last, last + 1]]))
    return low, high
