"""Does the interval of the ED50 hold the truth, and is it refused where the doses cannot tell?

Simulated dose studies: vehicle and five doses from 0.3 to 30, licking of animals around a curve
that falls from 8 to 1 % of the time. Spread is normal and the same at all doses, or grows with the
mean (gamma). Also how often the trend test rejects where no dose does anything. Writes
results/doses.json.

    python -m benchmarks.doses [--studies 200]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.common import RESULTS, machine
from dolorim.reporting.doses import fit_curve, jonckheere

LEVELS = np.array([0, 0.3, 1, 3, 10, 30])
SIZES = (4, 8, 12)
BRACKETED, OUTSIDE = (1.5, 3.0), (0.1, 60.0, 150.0)
SLOPES = {1.5: 1.0, 3.0: 2.0}  # of the studies whose doses bracket the middle
NULL_LEVELS = 4


def study(
    ed50: float, slope: float, n: int, spread: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Doses and percents of the time of all animals."""
    doses = np.repeat(LEVELS, n)
    mean = 8 - 7 * doses**slope / (doses**slope + ed50**slope)
    if spread == "normal":
        return doses, mean + rng.normal(0, 1.5, len(doses))
    return doses, rng.gamma(6, mean / 6)


def of_ed50(studies: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for spread in ("normal", "gamma"):
        for n in SIZES:
            for ed50 in (*BRACKETED, *OUTSIDE):
                rng = np.random.default_rng(n)
                slope = SLOPES.get(ed50, 1.5)
                curves = [fit_curve(*study(ed50, slope, n, spread, rng)) for _ in range(studies)]
                given = [curve.interval for curve in curves if not curve.refused]
                covered = [low <= ed50 <= high for low, high in given]
                share = round(float(np.mean(covered)), 3) if ed50 in BRACKETED else None
                row: dict[str, object] = {"spread": spread, "animals_per_dose": n, "ed50": ed50}
                row |= {"slope": slope, "given": round(len(given) / studies, 3), "covered": share}
                rows.append(row)
                print(row, flush=True)
    return rows


def of_trend(studies: int) -> list[dict[str, object]]:
    """Four doses without any effect on skewed licking: the share with p < 0.05."""
    rows: list[dict[str, object]] = []
    for n in SIZES:
        rng = np.random.default_rng(n)
        rejected = 0
        for _ in range(studies):
            samples = list(rng.gamma(1, 4, (NULL_LEVELS, n)))
            rejected += jonckheere(samples, rng)[1] < 0.05
        rows.append({"animals_per_dose": n, "rejected": round(rejected / studies, 3)})
        print(rows[-1], flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    given = parser.parse_args([] if arguments is None else arguments)
    results = {"studies": given.studies, "ed50": of_ed50(given.studies)}
    results |= {"trend": of_trend(given.studies), **machine()}
    path = RESULTS / "doses.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
