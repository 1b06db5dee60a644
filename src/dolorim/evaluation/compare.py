"""Compare two runs on the same recordings, of animals that neither has learned from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.evaluation.evaluate import evaluate_study, read_scored
from dolorim.files.animals import also_in
from dolorim.inference.run_folder import RunFolder
from dolorim.labels.ethogram import Ethogram
from dolorim.metrics.summary import Scored, compare, summarize


def compare_held_out(one: RunFolder, two: RunFolder, seen_too: bool = False) -> dict[str, Any]:
    """Compare two runs on their test animals, from the predictions that both have kept.

    Raises `UserError` where the test animals differ, and where one run has learned from those of
    the other unless `seen_too`.
    """
    first, second = _tested(one), _tested(two)
    seen = _seen(one, two, first | second)
    if seen and not seen_too:
        name, animals = next(iter(seen.items()))
        raise UserError(
            f"has learned from {', '.join(animals)}, on which the other was scored",
            where=name,
            remedy="score both on a study of other animals, or ask for it with --seen_animals_too",
        )
    if first != second:
        raise UserError(
            f"{one.path} was scored on {', '.join(sorted(first))}, {two.path} on "
            f"{', '.join(sorted(second))}",
            remedy="train both with the same --test_animals or folds, or name a study for both",
        )
    parts = ["folds" if run.is_cross_validated else "test" for run in (one, two)]
    return _compared(one, two, parts, seen)


def compare_on(
    one: RunFolder, two: RunFolder, data: tuple[DataConfig, DataConfig], seen_too: bool = False
) -> dict[str, Any]:
    """Score two runs on another study, read with the settings of each, and compare them.

    Raises `UserError` where a run has learned from animals of the study unless `seen_too`.
    """
    for run, settings in zip((one, two), data, strict=True):
        evaluate_study(run, settings, run.predictions("other"), seen_too)
    scored = read_scored(one.predictions("other"), one.read_ethogram())
    seen = _seen(one, two, {s.animal for s in scored.values()})
    return _compared(one, two, ["other", "other"], seen)


def _tested(run: RunFolder) -> set[str]:
    """The test animals of a run, those of all folds together."""
    animals = set(itertools.chain.from_iterable(split.test for split in run.read_folds()))
    if not animals:
        raise UserError(
            "has no test animals", where=run.path, remedy="name a study to score both runs on"
        )
    return animals


def _seen(one: RunFolder, two: RunFolder, animals: set[str]) -> dict[str, list[str]]:
    """By run, which of some animals it has learned from; empty where neither has."""
    seen = {str(run.path): also_in(animals, _learned_from(run)) for run in (one, two)}
    return {run: names for run, names in seen.items() if names}


def _learned_from(run: RunFolder) -> set[str]:
    """Animals that a run has learned from; those of a cross-validated run were held out in turn."""
    if not run.is_cross_validated:
        return run.learned_from()
    learned: set[str] = set()
    for k, split in enumerate(run.read_folds()):
        learned |= run.fold(k).learned_from() & set(split.test)
    return learned


def _compared(
    one: RunFolder, two: RunFolder, parts: Sequence[str], seen: dict[str, list[str]]
) -> dict[str, Any]:
    ethogram = one.read_ethogram()
    _refuse_other_classes(one, two)
    # Both on the time grid of the first: runs of different rates have seen other frames.
    rate_hz = one.read_config().data.run_rate_hz
    scored_one = read_scored(one.predictions(parts[0]), ethogram, rate_hz)
    scored_two = read_scored(two.predictions(parts[1]), ethogram, rate_hz)
    for run, scored, other in ((one, scored_one, scored_two), (two, scored_two, scored_one)):
        lacking = sorted(other.keys() - scored.keys())
        if lacking:
            raise UserError(
                f"was not scored on {lacking[0]}",
                where=run.path,
                remedy="evaluate both runs again on the same recordings",
            )
    names = sorted(scored_one)
    for name in names:
        _refuse_other_labels(name, scored_one[name], scored_two[name])
    first, second = [scored_one[name] for name in names], [scored_two[name] for name in names]
    compared = compare(first, second, ethogram.classes, ethogram.background)
    return {
        "runs": {"a": str(one.path), "b": str(two.path)},
        "a": _summary(first, ethogram),
        "b": _summary(second, ethogram),
        **compared,
        "seen_in_training": seen,
    }


def _summary(scored: Sequence[Scored], ethogram: Ethogram) -> dict[str, Any]:
    return summarize(scored, ethogram.classes, ethogram.background)


def _refuse_other_classes(one: RunFolder, two: RunFolder) -> None:
    first, second = one.read_ethogram().classes, two.read_ethogram().classes
    if first != second:
        raise UserError(
            f"{one.path} knows the classes {', '.join(first)}, {two.path} {', '.join(second)}; "
            "runs can only be compared on the same ones"
        )


def _refuse_other_labels(name: str, one: Scored, two: Scored) -> None:
    if one.animal != two.animal or one.truth.tolist() != two.truth.tolist():
        raise UserError(
            "its labels have changed between the two runs",
            where=name,
            remedy="evaluate both again",
        )
