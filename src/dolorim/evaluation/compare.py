"""Compare two runs on the same recordings, on animals that neither has learned from."""

from __future__ import annotations

from typing import Any

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.evaluation.evaluate import evaluate_study, read_scored
from dolorim.files.animals import also_in
from dolorim.inference.run_folder import RunFolder
from dolorim.metrics.summary import Scored, compare, summarize


def compare_held_out(one: RunFolder, two: RunFolder, seen_too: bool = False) -> dict[str, Any]:
    """Compare two runs on their test animals, which have to be the same, from the predictions
    that they have kept.

    Raises `UserError` where they are others, and where one run has learned from them unless
    `seen_too`.
    """
    tested = [{a for split in run.read_folds() for a in split.test} for run in (one, two)]
    for run, animals in zip((one, two), tested, strict=True):
        if not animals:
            raise UserError(
                f"{run.path}: has no test animals; name a project to score both runs on"
            )
    seen = _seen(one, two, tested[0] | tested[1])
    if seen and not seen_too:
        name, known = next(iter(seen.items()))
        raise UserError(
            f"{name}: has learned from {', '.join(known)}, on which the other was scored; score "
            "both on a project of "
            f"other animals, or ask for it with --seen_animals_too"
        )
    if tested[0] != tested[1]:
        first, second = (", ".join(sorted(t)) for t in tested)
        raise UserError(
            f"{one.path} was scored on {first}, {two.path} on {second}; train both with the same "
            "--test_animals or "
            f"folds, or name a project to score both on"
        )
    parts = ["folds" if run.is_cross_validated else "test" for run in (one, two)]
    return _compared(one, two, parts, seen)


def compare_on(
    one: RunFolder, two: RunFolder, data: tuple[DataConfig, DataConfig], seen_too: bool = False
) -> dict[str, Any]:
    """Score two runs on a project, read as each of them wants it, and compare them."""
    for run, settings in zip((one, two), data, strict=True):
        evaluate_study(run, settings, run.predictions("other"), seen_too)
    found = read_scored(one.predictions("other"), one.read_ethogram())
    return _compared(
        one, two, ["other", "other"], _seen(one, two, {s.animal for s in found.values()})
    )


def _seen(one: RunFolder, two: RunFolder, animals: set[str]) -> dict[str, list[str]]:
    """By run, which of some animals it has learned from; those of a cross-validated run were held
    out in turn.
    """
    found = {}
    for run in (one, two):
        seen = set() if run.is_cross_validated else run.learned_from()
        if run.is_cross_validated:
            for k, split in enumerate(run.read_folds()):
                seen |= run.fold(k).learned_from() & set(split.test)
        found[str(run.path)] = also_in(animals, seen)
    return {run: seen for run, seen in found.items() if seen}


def _compared(
    one: RunFolder, two: RunFolder, parts: list[str], seen: dict[str, list[str]]
) -> dict[str, Any]:
    ethogram, other = one.read_ethogram(), two.read_ethogram()
    if ethogram.classes != other.classes:
        raise UserError(
            f"{one.path} knows the classes {', '.join(ethogram.classes)}, {two.path} "
            f"{', '.join(other.classes)}; "
            f"runs can only be compared on the same ones"
        )
    found = [
        read_scored(run.predictions(part), ethogram)
        for run, part in zip((one, two), parts, strict=True)
    ]
    for name in sorted({*found[0], *found[1]}):
        if name not in found[0] or name not in found[1]:
            lacking = one if name not in found[0] else two
            raise UserError(
                f"{lacking.path}: was not scored on {name}; evaluate both runs again on the same "
                "recordings"
            )
        a, b = (f[name] for f in found)
        if a.animal != b.animal or a.truth.tolist() != b.truth.tolist():
            raise UserError(
                f"{name}: its labels have changed between the two runs; evaluate both again"
            )
    first, second = ([f[name] for name in sorted(f)] for f in found)

    def summary(scored: list[Scored]) -> dict[str, Any]:
        return summarize(scored, ethogram.classes, ethogram.background)

    compared = compare(first, second, ethogram.classes, ethogram.background)
    runs = {"a": str(one.path), "b": str(two.path)}
    return {
        "runs": runs,
        "a": summary(first),
        "b": summary(second),
        **compared,
        "seen_in_training": seen,
    }
