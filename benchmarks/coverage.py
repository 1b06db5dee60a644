"""Do intervals and conformal sets cover what they promise, on simulated studies?

    python -m benchmarks.coverage [--part groups]        # writes results/coverage.json

Simulated animals (labels and probabilities, no video) form a population, from which each study
draws some. The truth is the figure of the whole population.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy import stats
from scipy.ndimage import gaussian_filter1d

from benchmarks.common import RESULTS, machine
from benchmarks.group_intervals import bootstrap_intervals, coverage_of_groups
from dolorim.inference.conformal import abstain, calibrate_conformal
from dolorim.metrics.frames import Figures, frame_figures
from dolorim.metrics.intervals import Sums, intervals_of, whole_and_without
from dolorim.metrics.summary import Scored, budget_figures, by_animal

CLASSES = ("rest", "paw_withdraw", "paw_lick", "paw_shake", "walk", "active")
_SHARES = np.array([0.45, 0.06, 0.08, 0.02, 0.24, 0.15])  # of bouts
_MEAN_S = np.array([2.0, 0.4, 1.5, 0.3, 1.5, 1.0])
RESULT = RESULTS / "coverage.json"
RATE_HZ = 30.0
STUDIES, GROUP_STUDIES = 200, 1000
RESAMPLES, POPULATION, SECONDS = 1000, 2000, 120.0
SIZES = (3, 4, 6, 8, 12, 20)


def simulated_animal(rng: np.random.Generator, seconds: float = SECONDS) -> Scored:
    """One animal: its own habits, and its own difficulty for the classifier, whose evidence wanders
    slowly."""
    n, classes = round(seconds * RATE_HZ), len(CLASSES)
    shares = _SHARES * rng.lognormal(0, 0.5, classes)
    labels = rng.choice(classes, size=round(seconds * 3), p=shares / shares.sum())
    lengths = np.ceil(_MEAN_S[labels] * rng.gamma(3, 1 / 3, len(labels)) * RATE_HZ).astype(int)
    truth = np.repeat(labels, lengths)
    while len(truth) < n:
        truth = np.concatenate((truth, truth))
    truth = truth[:n]
    slow = gaussian_filter1d(rng.normal(size=(n, classes)), 5, axis=0)
    noise = slow / slow.std() + 0.2 * rng.normal(size=(n, classes))
    quality, confused = rng.normal(2.6, 0.5), rng.normal(0, 0.5, (classes, classes))
    scores = quality * np.eye(classes)[truth] + confused[truth] + noise
    e = np.exp(1.5 * scores)
    probabilities = e / e.sum(1, keepdims=True)
    return Scored("", truth, probabilities.argmax(1), probabilities, np.arange(n) / RATE_HZ)


def percentile(resampled: np.ndarray, point: float, jackknife: np.ndarray) -> tuple[float, float]:
    return tuple(np.nanquantile(resampled, [0.025, 0.975]))


def expanded(resampled: np.ndarray, point: float, jackknife: np.ndarray) -> tuple[float, float]:
    """Percentiles moved out to make up for few animals (Hesterberg 2015, The American Statistician
    69:371)."""
    n = len(jackknife)
    tail = stats.norm.cdf(-np.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1))
    return tuple(np.nanquantile(resampled, [tail, 1 - tail]))


def bca(resampled: np.ndarray, point: float, jackknife: np.ndarray) -> tuple[float, float]:
    """Bias-corrected and accelerated (Efron 1987)."""
    centered = jackknife.mean() - jackknife
    acceleration = np.sum(centered**3) / (6 * max(np.sum(centered**2) ** 1.5, 1e-30))
    below = np.mean(resampled < point) + np.mean(resampled == point) / 2
    bias = stats.norm.ppf(np.clip(below, 1e-3, 1 - 1e-3))
    z = bias + stats.norm.ppf([0.025, 0.975])
    levels = np.nan_to_num(stats.norm.cdf(bias + z / (1 - acceleration * z)), nan=0.5)
    return tuple(np.nanquantile(resampled, levels))


BOOTSTRAPS = {"percentile": percentile, "expanded percentile": expanded, "BCa": bca}
OURS = "jackknife t (ours)"
WANTED = (
    "macro_f1",
    "paw_withdraw F1",
    "segment F1@50",
    "time budget, true",
    "time budget, predicted",
)


def figures(totals: Sums) -> Figures:
    """A few of all figures; those that are left out cost time only."""
    frames = frame_figures(totals["confusion"], CLASSES)
    tp, fp, fn = np.moveaxis(totals["segments"][:, 0, -1], -1, 0)
    budgets = budget_figures(totals["budget"], CLASSES)
    return {
        ("macro_f1",): frames["macro_f1",],
        ("per_class", "paw_withdraw", "f1"): frames["per_class", "paw_withdraw", "f1"],
        ("segments", "f1_50"): 200 * tp / (2 * tp + fp + fn),
        **{k: v for k, v in budgets.items() if k[-1] in ("true", "predicted")},
    }


def name_of(key: tuple[str, ...]) -> str:
    return {"macro_f1": WANTED[0], "per_class": WANTED[1], "segments": WANTED[2]}.get(
        key[0]
    ) or f"time budget, {key[-1]}"


def coverage_of_intervals(sums: Sums, sizes: tuple[int, ...] = SIZES) -> list[dict[str, object]]:
    """By number of animals, method and figure: the share of studies whose interval holds the
    population's figure."""
    truth = {
        k: float(v[0]) for k, v in figures({k: v.sum(0)[None] for k, v in sums.items()}).items()
    }
    rows: list[dict[str, object]] = []
    for n in sizes:
        rng = np.random.default_rng(n)
        inside: dict[tuple[str, str], list[tuple[bool, float]]] = {}
        for _ in range(STUDIES):
            drawn = rng.integers(len(sums["confusion"]), size=n)
            study = {k: v[drawn] for k, v in sums.items()}
            weights = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float)
            resampled = figures({k: np.tensordot(weights, v, 1) for k, v in study.items()})
            point, jackknife = whole_and_without(study, figures)
            ends = {OURS: intervals_of(study, figures)}
            for method, function in BOOTSTRAPS.items():
                ends[method] = {
                    k: function(resampled[k], point[k][0], jackknife[k]) for k in resampled
                }
            for method, intervals in ends.items():
                for key, (low, high) in intervals.items():
                    inside.setdefault((method, name_of(key)), []).append(
                        (low <= truth[key] <= high, high - low)
                    )
        for (method, figure), values in inside.items():
            covered, width = np.nanmean(values, axis=0)
            rows.append(
                {
                    "animals": n,
                    "method": method,
                    "figure": figure,
                    "covered": round(covered, 3),
                    "width": round(width, 4),
                }
            )
    return rows


def coverage_of_sets(population: list[Scored]) -> list[dict[str, object]]:
    """By number of calibration animals: how often the true class is in the set, over unseen animals
    of equal weight."""
    rows: list[dict[str, object]] = []
    for n in (4, 9, 19, 40):
        for alpha in (0.1, 0.2):
            rng = np.random.default_rng(n)
            by_class: list[list[float]] = [[] for _ in CLASSES]
            size, kept, right = [], [], []
            for _ in range(STUDIES):
                drawn = rng.permutation(len(population))
                mine, new = (
                    [population[i] for i in part] for part in (drawn[:n], drawn[n : n + 10])
                )
                sets = calibrate_conformal(
                    [r.probabilities for r in mine],
                    [r.truth for r in mine],
                    [str(i) for i in range(n)],
                    alpha,
                )
                for r in new:
                    member = sets.sets(r.probabilities)
                    size.append(member.sum(1).mean())
                    sure = abstain(r.predicted, r.probabilities, sets)
                    kept.append(np.mean(sure >= 0))
                    right.append(
                        np.mean(sure[sure >= 0] == r.truth[sure >= 0])
                        if (sure >= 0).any()
                        else np.nan
                    )
                    for c in range(len(CLASSES)):
                        if (r.truth == c).any():
                            by_class[c].append(member[r.truth == c, c].mean())
            rows.append({
                "animals": n, "alpha": alpha, "guaranteed": sum(sets.guaranteed) == len(CLASSES),
                "covered": {c: round(float(np.mean(v)), 3) for c,
                v in zip(CLASSES, by_class, strict=True)},
                "classes_in_a_set": round(float(np.mean(size)), 2),
                "frames_kept": round(float(np.mean(kept)), 3),
                "accuracy_of_kept": round(float(np.nanmean(right)), 3),
            })  # fmt: skip
    return rows


@cache
def population() -> list[Scored]:
    rng = np.random.default_rng(0)
    return [simulated_animal(rng) for _ in range(POPULATION)]


def of_intervals() -> dict[str, object]:
    animals = population()
    accuracy = round(float(np.mean([np.mean(r.truth == r.predicted) for r in animals])), 3)
    about = {"animals": POPULATION, "seconds": SECONDS, "accuracy": accuracy}
    plain = [Scored(f"{i:05d}", r.truth, r.predicted) for i, r in enumerate(animals)]
    sums, _ = by_animal(plain, CLASSES)
    return {"studies": STUDIES, "population": about, "rows": coverage_of_intervals(sums)}


def of_groups() -> dict[str, object]:
    return {"studies": GROUP_STUDIES, "rows": coverage_of_groups(GROUP_STUDIES)}


def of_bootstraps() -> dict[str, object]:
    return {"studies": STUDIES, "rows": coverage_of_groups(STUDIES, bootstrap_intervals)}


def of_sets() -> dict[str, object]:
    return {"studies": STUDIES, "rows": coverage_of_sets(population()[:600])}


PARTS = {
    "groups": of_groups,
    "bootstraps": of_bootstraps,
    "intervals": of_intervals,
    "conformal": of_sets,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    given = parser.parse_args([] if arguments is None else arguments)
    # Parts that are not measured now keep their figures, with their own date.
    kept = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    for name in given.part:
        kept[name] = {**machine(), **PARTS[name]()}
        RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {len(kept[name]['rows'])} rows", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
