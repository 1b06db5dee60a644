"""What a report says beyond its tests: animals scored by hand, adjusted differences, power."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from dolorim.core.findings import Finding
from dolorim.reporting.adjusted import Design, adjusted_sentences, adjusted_table
from dolorim.reporting.assays import Assay
from dolorim.reporting.hand_scored import powered_sentences, powered_table, values_by_hand
from dolorim.reporting.observations import Observations
from dolorim.reporting.options import ReportOptions
from dolorim.reporting.power import power_sentence, power_table
from dolorim.reporting.readout_agreement import agreement_table
from dolorim.reporting.readouts import UNITS

Tables = dict[str, pd.DataFrame]


def answers_by_hand(
    hand: Observations | None,
    study: Observations,
    assay: Assay,
    animals: pd.DataFrame,
    behaviors: tuple[str, ...],
) -> tuple[Tables, list[str], list[Finding]]:
    """Tables, sentences and findings about the animals that people have scored.

    The first of `behaviors` is the indicator.
    """
    if hand is None:
        return {}, [], []
    scored, findings = values_by_hand(hand, study, assay, behaviors)
    powered = powered_table(scored, animals, study, assay, behaviors[0])
    tables = {"hand_scored": scored, "agreement": agreement_table(scored), "powered": powered}
    return tables, powered_sentences(powered), findings


def answers_of_models(
    study: Observations,
    assay: Assay,
    animals: pd.DataFrame,
    indicator: str,
    design: Design | None,
    options: ReportOptions,
    doubts: Mapping[str, str],
) -> tuple[Tables, list[str]]:
    """Adjusted differences where the study has covariates or clusters, and power for the next."""
    keys = [(window, indicator, str(assay.readout)) for window in assay.primary]
    tables: Tables = {}
    sentences: list[str] = []
    if design is not None:
        adjusted = adjusted_table(animals, design, keys, study.groups, options.correction)
        tables["adjusted"] = adjusted
        sentences += adjusted_sentences(adjusted, design)
    if len(study.groups) > 1 and not study.paired:
        power = power_table(animals, study.groups, keys[-1], options.seed)
        if len(power):
            tables["power"] = power
            sentences += power_sentence(power, UNITS)
    # Where nothing can be said about a behavior, nothing is said about the next study either.
    if doubts.get(indicator):
        sentences = []
    return tables, sentences
