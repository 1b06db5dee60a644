"""What scores mean, in words."""

from typing import Any

import numpy as np
import pytest

from dolorim.metrics.summary import Scored, summarize
from dolorim.metrics.trust_text import trust_sentences

REST, LICK = 0, 1
RATE_HZ = 10.0


def recording(
    animal: str, true_starts: list[int], predicted_starts: list[int], seconds: int = 3600
) -> Scored:
    """One animal at 10 frames/s; each lick lasts one second."""
    n = int(seconds * RATE_HZ)
    truth, predicted = np.zeros(n, np.int16), np.zeros(n, np.int16)
    for start in true_starts:
        truth[start : start + 10] = LICK
    for start in predicted_starts:
        predicted[start : start + 10] = LICK
    return Scored(animal, truth, predicted, None, np.arange(n) / RATE_HZ)


def metrics(recordings: list[Scored], part: str = "test") -> dict[str, Any]:
    return {part: summarize(recordings, ("rest", "lick"), ("rest",))}


def test_bouts_are_counted_as_found_and_false_by_whether_they_share_a_frame() -> None:
    true = [100 + 100 * i for i in range(100)]
    matched = [start + 5 for start in true[:83]]
    false = [20_000, 30_000]
    scored = metrics([recording("a", true, matched + false)])["test"]["per_class"]["lick"]
    counts = (scored["bouts"], scored["bouts_found"], scored["false_bouts"])
    assert counts == (100, 83, 2)
    assert scored["false_bouts_per_hour"] == pytest.approx(2.0)


def test_a_reliable_behavior_is_called_so_with_its_counts() -> None:
    true = [100 + 100 * i for i in range(50)]
    animals = [recording(name, true, true[:45]) for name in "abc"]
    sentences = trust_sentences(metrics(animals), "lick", ("rest",))
    assert sentences == ["lick is found reliably (135 of 150 bouts, 0 false per hour)"]


def test_a_behavior_that_is_missed_asks_for_more_animals_that_show_it() -> None:
    true = [100 + 100 * i for i in range(50)]
    animals = [recording(name, true, true[:10]) for name in "abc"]
    sentences = trust_sentences(metrics(animals), "lick", ("rest",))
    assert sentences[0].startswith("lick is not found reliably (30 of 150 bouts")
    assert sentences[1] == "next: label more animals that show lick, then train again"


def test_a_behavior_that_is_predicted_everywhere_is_not_reliable() -> None:
    true = [100 + 1000 * i for i in range(20)]
    everywhere = [100 + 100 * i for i in range(300)]
    animals = [recording(name, true, everywhere) for name in "abc"]
    assert "is not found reliably" in trust_sentences(metrics(animals), None, ("rest",))[0]


def test_two_test_animals_are_advised_to_use_folds_and_validation_is_called_optimistic() -> None:
    true = [100 + 100 * i for i in range(50)]
    two = [recording(name, true, true) for name in "ab"]
    assert any("--folds 5" in s for s in trust_sentences(metrics(two), None, ("rest",)))
    assert any("optimistic" in s for s in trust_sentences(metrics(two, "val"), None, ("rest",)))


def test_false_bouts_of_less_than_an_hour_are_counted_and_not_extrapolated() -> None:
    true = [100 + 100 * i for i in range(20)]
    false = [2500, 2700, 2900]
    short = [recording(name, true, true + false, 300) for name in "abc"]
    (sentence,) = trust_sentences(metrics(short), "lick", ("rest",))
    assert sentence == "lick is found reliably (60 of 60 bouts, 9 false)"


def test_few_or_no_bouts_give_no_verdict() -> None:
    few = [recording(name, [100], [100]) for name in "abc"]
    assert trust_sentences(metrics(few), None, ("rest",))[0].startswith(
        "lick: too few held-out bouts"
    )
    none = [recording(name, [], []) for name in "abc"]
    assert trust_sentences(metrics(none), None, ("rest",))[0].startswith("lick: no held-out animal")
