"""What a run's scores mean, in words.

Which behaviors it finds, which it does not, and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# A behavior is found reliably from this share on, of true bouts that are found and of predicted
# bouts that are true alike.
RELIABLE = 0.8
PARTIAL = 0.5  # from which on it is found in part; below, its labels say nothing
FEW_BOUTS = 10  # true bouts below which no statement about a behavior is made
FEW_ANIMALS = 3  # held-out animals below which a score says little about the next animal


def trust_sentences(
    metrics: Mapping[str, Any], indicator: str | None, background: Sequence[str] = ()
) -> list[str]:
    """Sentences about the most honest split of `metrics.json`: test animals, all folds, another
    study, or validation.

    The sign of pain comes first. Empty where nothing was scored, or where bouts could not be
    counted.
    """
    part = next((p for p in ("test", "folds", "other", "val") if p in metrics), None)
    if part is None or not metrics[part].get("frames"):
        return []
    scores = metrics[part]["per_class"]
    names = [n for n, s in scores.items() if n not in background and s.get("bouts") is not None]
    names.sort(key=lambda name: name != indicator)
    findability = {name: _is_found(scores[name]) for name in names}
    sentences = [_about(name, findability[name], scores[name]) for name in names]
    return sentences + _next_steps(part, metrics[part], findability)


def _is_found(score: Mapping[str, Any]) -> str:
    """Is a behavior found: `reliably`, `in part`, `not`, or are there `too few` bouts to tell?"""
    bouts, matched, false = score["bouts"], score["bouts_found"], score["false_bouts"]
    if bouts < FEW_BOUTS:
        return "too few"
    # A predicted bout that is not false stands for a true one, so this is their precision, too.
    recall, predicted = matched / bouts, matched + false
    precision = matched / predicted if predicted else 0.0
    lower = min(recall, precision)
    if lower >= RELIABLE:
        return "reliably"
    return "in part" if lower >= PARTIAL else "not"


def _about(name: str, answer: str, score: Mapping[str, Any]) -> str:
    bouts, matched = score["bouts"], score["bouts_found"]
    if not bouts:
        return (
            f"{name}: no held-out animal shows it, so nothing is known about how well it is found"
        )
    counts = f"{matched} of {bouts} bouts, {_false_bouts(score)}"
    if answer == "too few":
        return f"{name}: too few held-out bouts to judge ({counts})"
    words = {
        "reliably": "is found reliably",
        "in part": "is found only in part",
        "not": "is not found reliably",
    }
    return f"{name} {words[answer]} ({counts})"


def _next_steps(part: str, scores: Mapping[str, Any], findability: Mapping[str, str]) -> list[str]:
    steps = _about_animals(part, len(scores["animals"]))
    weak = [name for name, answer in findability.items() if answer in ("not", "in part")]
    unknown = [name for name, answer in findability.items() if answer == "too few"]
    if weak:
        steps.append(f"next: label more animals that show {_listed(weak)}, then train again")
    if unknown:
        steps.append(f"next: label more bouts of {_listed(unknown)} in animals that are held out")
    return steps


def _about_animals(part: str, animals: int) -> list[str]:
    """What to do where the scored animals say little about new ones."""
    if part == "val":
        return [
            "next: these animals chose the checkpoint, so the figures are optimistic; "
            "hold out test animals, or score all animals with --folds 5"
        ]
    if animals >= FEW_ANIMALS:
        return []
    held_out = "one held-out animal says" if animals == 1 else f"{animals} held-out animals say"
    advice = "score all of them with --folds 5" if part == "test" else "score more animals"
    return [f"next: {held_out} little about the next animal; {advice}"]


def _false_bouts(score: Mapping[str, Any]) -> str:
    """`2 false per hour`; their number where less than an hour was scored, or nobody knows."""
    false, per_hour = score["false_bouts"], score["false_bouts_per_hour"]
    if per_hour is None or false < per_hour:
        return f"{false} false"
    return f"{per_hour:.1f}".removesuffix(".0") + " false per hour"


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
