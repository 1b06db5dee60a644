"""Animals of a study that people have scored, too: how well they and the run agree, and what
follows for the difference between groups.

Definitions: docs/readouts.md. The estimate from both is in `prediction_powered.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.core.wording import first_of
from dolorim.files.naming import folded
from dolorim.reporting.assays import Assay
from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP, effects, scale_of_readout
from dolorim.reporting.observations import Observations, ObservedRecording
from dolorim.reporting.options import ReportOptions
from dolorim.reporting.prediction_powered import (
    FEWEST_BY_HAND,
    PartlyScored,
    animals_to_score,
    powered_difference,
)
from dolorim.reporting.read_observations import read_observations
from dolorim.reporting.readout_agreement import READOUTS, mean_over_recordings, rows_of_pair
from dolorim.reporting.readouts import measure
from dolorim.reporting.rendering import Cell, Table
from dolorim.reporting.stretches import find_stretches
from dolorim.reporting.wording import READOUT_LABELS, interval_text, number, shown

_COVERED = 0.95  # part of a window that has to be labeled by hand
_NAMED = 3  # animals that a finding names
_POWERED = ["window", "behavior", "readout", "compared", "n", "scored", "difference"]
_POWERED += ["difference_low", "difference_high", "by_hand", "by_hand_low", "by_hand_high"]
_POWERED += ["animals_to_score"]


def read_by_hand(options: ReportOptions, observed: Observations) -> Observations:
    """The recordings that people have scored. Raises `UserError` for other classes."""
    assert options.hand_labels is not None
    classes = options.classes
    # People label what the run was trained on, unless another ethogram is named.
    if classes is None and options.run is not None:
        classes = options.run / "ethogram.toml"
    hand = read_observations(
        options.hand_labels,
        options.groups,
        classes,
        options.rate_hz,
        labels=options.labels,
        times_of=options.times_of,
    )
    if hand.classes != observed.classes:
        raise UserError(
            f"--hand_labels {options.hand_labels}: expected the classes "
            f"{', '.join(observed.classes)}, found {', '.join(hand.classes)}; give --classes"
        )
    return hand


def values_by_hand(
    hand: Observations, study: Observations, assay: Assay, behaviors: Sequence[str]
) -> tuple[pd.DataFrame, list[Finding]]:
    """Read-outs of the animals that people have scored: `first` is theirs, `second` the run's.

    An animal counts in a window only if all its recordings there are scored, and labeled nearly
    throughout.
    """
    scored = {_key(recording): recording for recording in hand.recordings}
    readouts = tuple(dict.fromkeys((*READOUTS, assay.readout)))
    n = len(study.classes)
    rows: list[dict[str, Any]] = []
    lacking: set[tuple[str, str]] = set()
    for stretch in find_stretches(study, assay)[0]:
        for index, recording in enumerate(study.recordings):
            if index in stretch.left_out:
                continue
            other = scored.get(_key(recording))
            who = {"animal": recording.animal, "group": recording.group, "window": stretch.name}
            piece = recording.between(stretch.start_s, stretch.stop_s)
            by_hand = None
            if other is not None:
                by_hand = other.between(stretch.start_s, stretch.stop_s)
            if by_hand is None or _labeled_s(by_hand) < _COVERED * _labeled_s(piece):
                lacking.add((recording.animal, stretch.name))
                continue
            pair = measure(by_hand, n), measure(piece, n)
            rows += rows_of_pair(who, *pair, study.classes, readouts)
    # One recording without labels makes an animal's mean another quantity.
    kept = [
        row
        for row in rows
        if (row["animal"], row["window"]) not in lacking and row["behavior"] in behaviors
    ]
    if not kept:
        raise UserError(
            "--hand_labels: no animal of the study is labeled in all its recordings; label whole "
            "recordings, and name the files after them"
        )
    values = mean_over_recordings(pd.DataFrame(kept), ["animal", "group"])
    return values, _partly(hand, values)


def _key(recording: ObservedRecording) -> tuple[str, str]:
    return folded(recording.video), recording.trial


def _labeled_s(recording: ObservedRecording) -> float:
    inside_s = np.minimum(recording.stop_s, recording.length_s) - np.maximum(recording.start_s, 0)
    return float(inside_s.sum())


def _partly(hand: Observations, values: pd.DataFrame) -> list[Finding]:
    """Names the animals that were scored in part, and count nowhere."""
    used = set(values.animal)
    partly = sorted({r.animal for r in hand.recordings} - used)
    if not partly:
        return []
    what = f"not all of {first_of(partly, _NAMED)} is labeled"
    remedy = "not compared with the predictions; label all recordings of an animal to their end"
    return [Finding("warning", "--hand_labels", what, remedy)]


def powered_table(
    values: pd.DataFrame,
    animals: pd.DataFrame,
    study: Observations,
    assay: Assay,
    indicator: str,
) -> pd.DataFrame:
    """Each group against the control in the main read-out, from the animals scored by hand and
    from all that were predicted; a row per window and group.

    `animals` is the table of that name from `collect`. Latencies have no such estimate: a censored
    one is no value whose error could be taken off.
    """
    rows: list[dict[str, Any]] = []
    readout = str(assay.readout)
    if readout == "latency_s" or study.paired:
        return pd.DataFrame(rows, columns=_POWERED)
    control = study.groups[0]
    for window in assay.primary:
        samples = {}
        for group in study.groups:
            samples[group] = _sample(values, animals, (group, window, indicator, readout))
        for group in study.groups[1:]:
            a, b = samples[control], samples[group]
            if min(len(a.by_hand), len(b.by_hand)) < FEWEST_BY_HAND:
                continue
            scale = scale_of_readout(readout)
            difference, (low, high) = powered_difference(a, b, scale)
            alone = effects(a.by_hand, b.by_hand, scale)
            where = {"window": window, "behavior": indicator, "readout": readout}
            row = {"compared": f"{group} - {control}", "difference": difference}
            row |= {"n": f"{len(a.predicted)}/{len(b.predicted)}"}
            row |= {"scored": f"{len(a.by_hand)}/{len(b.by_hand)}"}
            row |= {"difference_low": low, "difference_high": high}
            row |= {"by_hand": alone["difference"], "by_hand_low": alone["difference_low"]}
            row |= {"by_hand_high": alone["difference_high"]}
            rows.append({**where, **row, "animals_to_score": animals_to_score(a, b, scale)})
    return pd.DataFrame(rows, columns=_POWERED)


def _sample(
    values: pd.DataFrame, animals: pd.DataFrame, what: tuple[str, str, str, str]
) -> PartlyScored:
    columns = ["group", "window", "behavior", "readout"]

    def of(table: pd.DataFrame) -> pd.DataFrame:
        wanted = (table[columns] == list(what)).all(axis=1)
        return table[wanted]

    # With sessions an animal has several rows.
    predicted = of(animals).groupby("animal")["value"].mean().dropna().to_numpy(float)
    scored = of(values).dropna(subset=["first", "second"])
    return PartlyScored(
        predicted, scored["first"].to_numpy(float), scored["second"].to_numpy(float)
    )


def powered_sentences(powered: pd.DataFrame) -> list[str]:
    """The estimate of each group, and how many animals it is worth scoring."""
    sentences = []
    for row in powered.itertuples():
        group, control = (shown(name) for name in row.compared.split(" - "))
        where = "over the whole recording" if row.window == "whole" else f"in {row.window}"
        alone = f"{number(row.by_hand)}, no interval below {FEWEST_PER_GROUP} animals per group"
        if row.by_hand_low == row.by_hand_low:
            interval = f"{number(row.by_hand_low)} to {number(row.by_hand_high)}"
            alone = f"{number(row.by_hand)} ({interval})"
        low, high = number(row.difference_low), number(row.difference_high)
        # The control comes first in a count of animals, and last in a sentence.
        scored, n = (" and ".join(reversed(text.split("/"))) for text in (row.scored, row.n))
        sentences.append(
            f"Corrected by the animals that people scored ({scored} of {n}), {group} and {control} "
            f"differ {where} by {number(row.difference)} in {shown(row.behavior)} "
            f"({READOUT_LABELS[row.readout]}; 95 % interval {low} to {high}, prediction-powered); "
            f"from the scored animals alone by {alone}. "
            f"{row.animals_to_score} animals per group scored by hand would make the interval at "
            f"most a quarter wider than all of them."
        )
    return sentences


def powered_view(powered: pd.DataFrame) -> Table | None:
    """The same as a table; None where no group has enough animals scored by hand."""
    if not len(powered):
        return None
    rows: list[list[str | Cell]] = []
    for row in powered.itertuples():
        both = Cell(number(row.difference), interval_text(row.difference_low, row.difference_high))
        alone = Cell(number(row.by_hand), interval_text(row.by_hand_low, row.by_hand_high))
        rows.append(
            [
                row.window,
                row.compared.replace("_", " "),
                *(both, alone, row.scored, row.n),
                str(row.animals_to_score),
            ]
        )
    header = [
        "window",
        "groups",
        "difference, both",
        "by hand alone",
        "scored by hand",
        "predicted",
    ]
    return Table([*header, "per group to score"], rows, 2)
