"""Conformal sets of a run: calibrated on animals that its weights have not seen, used to leave frames open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from dolorim.core.errors import UserError
from dolorim.engine.evaluate import kept
from dolorim.engine.run_folder import RunFolder
from dolorim.engine.talk import say, warn
from dolorim.metrics.conformal import Conformal, calibrate_conformal

USUAL = 0.1
LEVELS = (0.01, 0.02, 0.05, USUAL, 0.15, 0.2, 0.3, 0.5)
_LEAST = 3  # animals; with fewer, a threshold says what these few are like and nothing else


def calibrate(run: RunFolder, part: str) -> None:
    """Write `conformal.json` from the predictions kept for `part`, where these are of three animals at least."""
    ethogram = run.read_ethogram()
    scored = list(kept(run.predictions(part), ethogram).values())
    animals = sorted({s.animal for s in scored})
    if len(animals) < _LEAST:
        return
    probabilities = [s.probabilities for s in scored if s.probabilities is not None]
    truth, whose = [s.truth for s in scored], [s.animal for s in scored]
    sets = [calibrate_conformal(probabilities, truth, whose, level) for level in LEVELS]
    found = {"part": part, "animals": animals, "prior_corrected": corrects_prior(run)}
    run.write_json("conformal.json", {**found, "sets": [s.to_dict() for s in sets]})
    least = next((s.alpha for s in sets if all(s.guaranteed)), None)
    held = f"hold what they promise for all classes from alpha {least:g} on" if least else "promise nothing for some"
    say(f"conformal sets, calibrated on {len(animals)} animals, {held} (predict --abstain)")


def corrects_prior(run: RunFolder) -> bool:
    """Are the probabilities corrected for what was drawn and weighted in training? In version 0.1.0 they are not."""
    runs = [RunFolder(path.parent) for path in (*run.path.glob("decoder.json"), *run.path.glob("folds/*/decoder.json"))]
    return any(r.read_decoder().prior for r in runs)


def read_sets(run: RunFolder, alpha: float, classes: Sequence[str], for_run: RunFolder | None = None) -> Conformal:
    """The run's sets at a level, and a warning of what they do not promise. Raises `UserError` where there are none.

    With `for_run`, they are to serve the probabilities of another run, which must be of the same kind.
    A class that no calibration animal shows could be anywhere, and every frame would stay open: it is judged by the
    lowest threshold of the others instead.
    """
    path = run.path / "conformal.json"
    if not path.exists():
        raise UserError(
            f"{path}: the run has no conformal sets, which need {_LEAST} held-out animals; train with more "
            f"--val_animals, or name a cross-validated run of the same recipe with --abstain_by"
        )
    data = run.read_json(path.name)
    found = [Conformal.from_dict(d, str(path)) for d in data.get("sets", ())] if isinstance(data, dict) else []
    sets = next((s for s in found if abs(s.alpha - alpha) < 1e-9), None)
    if sets is None:
        raise UserError(f"--abstain {alpha:g}: expected one of {', '.join(f'{s.alpha:g}' for s in found)}")
    if len(sets.thresholds) != len(classes) or run.read_ethogram().classes != tuple(classes):
        raise UserError(f"{path}: its sets are of {', '.join(run.read_ethogram().classes)}, not {', '.join(classes)}")
    corrected = bool(data.get("prior_corrected"))
    if for_run is not None and corrects_prior(for_run) != corrected:
        with_, without = (run.path, for_run.path) if corrected else (for_run.path, run.path)
        raise UserError(
            f"{path}: probabilities of {with_} are corrected for what training drew, those of {without} (made by an "
            f"older version) are not, so the sets of one do not fit the other; train the older one again"
        )
    weak = [f"{c} ({n})" for c, n, sure in zip(classes, sets.animals, sets.guaranteed, strict=True) if not sure]
    if weak:
        needed = ceil(2 / alpha - 1e-9) - 1
        warn(f"at alpha {alpha:g} nothing is promised for classes that fewer than {needed} held-out animals show: "
             f"{', '.join(weak)}")  # fmt: skip
    lowest = min((t for t, n in zip(sets.thresholds, sets.animals, strict=True) if n), default=0.0)
    shown = zip(sets.thresholds, sets.animals, strict=True)
    return replace(sets, thresholds=tuple(t if n else lowest for t, n in shown))
