"""Conformal sets of a run: calibrated on animals that its weights have not seen, used to leave
frames open.
"""

from __future__ import annotations

from dolorim.evaluation.evaluate import read_scored
from dolorim.inference.conformal import LEAST_ANIMALS, calibrate_conformal, corrects_prior
from dolorim.inference.run_folder import RunFolder
from dolorim.terminal import say

USUAL = 0.1
LEVELS = (0.01, 0.02, 0.05, USUAL, 0.15, 0.2, 0.3, 0.5)


def calibrate(run: RunFolder, part: str) -> None:
    """Write `conformal.json` from the predictions kept for `part`, where these are of three
    animals at least.
    """
    ethogram = run.read_ethogram()
    scored = list(read_scored(run.predictions(part), ethogram).values())
    animals = sorted({s.animal for s in scored})
    if len(animals) < LEAST_ANIMALS:
        return
    probabilities = [s.probabilities for s in scored if s.probabilities is not None]
    truth, whose = [s.truth for s in scored], [s.animal for s in scored]
    sets = [calibrate_conformal(probabilities, truth, whose, level) for level in LEVELS]
    found = {"part": part, "animals": animals, "prior_corrected": corrects_prior(run)}
    run.write_json("conformal.json", {**found, "sets": [s.to_dict() for s in sets]})
    least = next((s.alpha for s in sets if all(s.guaranteed)), None)
    held = (
        f"hold what they promise for all classes from alpha {least:g} on"
        if least
        else "promise nothing for some"
    )
    say(f"conformal sets, calibrated on {len(animals)} animals, {held} (predict --abstain)")
