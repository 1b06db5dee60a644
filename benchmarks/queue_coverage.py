"""How often the interval of the review's accuracy holds the truth, over the queue's own sampling.

python -m benchmarks.queue_coverage [--repeats 120]
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, machine
from dolorim.review.sampling import Piece, draw, estimate

SIZES = (10, 20, 30, 60)
ACCURACIES = (0.7, 0.8, 0.9, 0.99)
LENGTHS = ("equal", "lognormal", "two kinds")
ROUNDING = 1e-9  # once all errors have been found, a bound is the truth itself
WRONG = ("any", "where sure", "long", "short", "partly")


def queue(
    rng: np.random.Generator, n: int, animals: int, lengths: str
) -> list[tuple[Piece, float]]:
    """Pieces of `animals` recordings, the first of which has most, of five classes."""
    pieces, at = [], 0
    for _ in range(n):
        if lengths == "equal":
            length = 30
        elif lengths == "lognormal":
            length = int(np.clip(rng.lognormal(3.4, 1.0), 3, 300))
        else:
            length = 300 if rng.random() < 0.25 else int(rng.integers(3, 20))
        item = min(animals - 1, int(rng.geometric(0.4)) - 1)
        label = int(rng.choice(5, p=[0.6, 0.05, 0.15, 0.1, 0.1]))
        pieces.append((Piece(item, at, at + length, label), float(rng.beta(1, 4))))
        at += length
    return pieces


def wrong_frames(
    rng: np.random.Generator, pieces: list[tuple[Piece, float]], accuracy: float, how: str
) -> dict[tuple[int, int], int]:
    """Wrong frames per piece: parts of all pieces, else whole pieces of a kind until there are
    enough."""
    length = np.array([len(p) for p, _ in pieces])
    unsure = np.array([u for _, u in pieces])
    if how == "partly":
        share = rng.beta(0.5, 0.5 * accuracy / (1 - accuracy), len(pieces))
        return {
            (p.item, p.start): round(s * len(p)) for (p, _), s in zip(pieces, share, strict=True)
        }
    noise = rng.random(len(pieces))
    score = {
        "any": noise,
        "where sure": unsure + 0.3 * noise,
        "long": -length + noise,
        "short": length + noise,
    }[how]
    left = round((1 - accuracy) * int(length.sum()))
    wrong = {}
    for i in np.argsort(score):
        piece = pieces[int(i)][0]
        wrong[piece.item, piece.start] = min(len(piece), left)
        left -= wrong[piece.item, piece.start]
    return wrong


def cells(repeats: int) -> Iterator[dict[str, Any]]:
    settings = itertools.product((80, 240), (1, 4), LENGTHS, WRONG, ACCURACIES)
    for number, (n, animals, lengths, how, accuracy) in enumerate(settings):
        rng = np.random.default_rng(number)
        held = dict.fromkeys(SIZES, 0)
        width = dict.fromkeys(SIZES, 0.0)
        for repeat in range(repeats):
            if repeat % 20 == 0:
                pieces = queue(rng, n, animals, lengths)
                wrong = wrong_frames(rng, pieces, accuracy, how)
                true = 1 - sum(wrong.values()) / sum(len(p) for p, _ in pieces)
            order = draw(pieces, [str(i) for i in range(animals)], repeat, indicator=1)
            errors = [wrong[p.item, p.start] for p in order]
            for m in SIZES:
                result = estimate(order, errors[:m], [0] * m)
                assert result.low is not None
                assert result.high is not None
                held[m] += result.low - ROUNDING <= true <= result.high + ROUNDING
                width[m] += result.high - result.low
        yield {
            "pieces": n, "animals": animals, "lengths": lengths, "wrong": how, "accuracy": accuracy,
            "coverage": {m: held[m] / repeats for m in SIZES},
            "width": {m: width[m] / repeats for m in SIZES},
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=120)
    given, _ = parser.parse_known_args()
    start = time.perf_counter()
    rows = list(cells(given.repeats))
    summary = {}
    for m in SIZES:
        coverage = np.array([row["coverage"][m] for row in rows])
        summary[m] = {
            "mean": float(coverage.mean()),
            "lowest_fifth_percentile": float(np.quantile(coverage, 0.05)),
            "lowest": float(coverage.min()),
            "mean_width": float(np.mean([row["width"][m] for row in rows])),
        }
    report = {
        "command": f"python -m benchmarks.queue_coverage --repeats {given.repeats}", **machine(),
        "seconds": time.perf_counter() - start, "cells": len(rows), "by_checked_pieces": summary,
        "rows": rows,
    }  # fmt: skip
    (RESULTS / "queue_coverage.json").write_text(
        json.dumps(report, indent=1) + "\n", encoding="utf-8"
    )
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
