"""Conformal sets of a run, calibrated on animals that its weights have not seen.

They tell which frames `predict --abstain` leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence

from dolorim.evaluation.evaluate import read_scored
from dolorim.inference.conformal import (
    LEAST_ANIMALS,
    Conformal,
    calibrate_conformal,
    corrects_prior,
)
from dolorim.inference.run_folder import RunFolder
from dolorim.terminal import say

USUAL = 0.1
LEVELS = (0.01, 0.02, 0.05, USUAL, 0.15, 0.2, 0.3, 0.5)


def calibrate(run: RunFolder, part: str) -> None:
    """Write `conformal.json` from the predictions kept for a part (`val` or `folds`).

    Nothing is written for fewer than `LEAST_ANIMALS`.
    """
    ethogram = run.read_ethogram()
    scored = list(read_scored(run.predictions(part), ethogram).values())
    animals = sorted({s.animal for s in scored})
    if len(animals) < LEAST_ANIMALS:
        return
    probabilities = [s.probabilities for s in scored if s.probabilities is not None]
    truth, whose = [s.truth for s in scored], [s.animal for s in scored]
    sets = [calibrate_conformal(probabilities, truth, whose, level) for level in LEVELS]
    contents = {
        "part": part,
        "animals": animals,
        "prior_corrected": corrects_prior(run),
        "sets": [s.to_dict() for s in sets],
    }
    run.write_json("conformal.json", contents)
    say(
        f"conformal sets, calibrated on {len(animals)} animals, {_promise(sets)} "
        "(predict --abstain)"
    )


def _promise(sets: Sequence[Conformal]) -> str:
    """From which error rate on the sets of all classes hold what they promise."""
    guaranteed = [s.alpha for s in sets if all(s.guaranteed)]
    if not guaranteed:
        return "promise nothing for some"
    return f"hold what they promise for all classes from alpha {guaranteed[0]:g} on"
