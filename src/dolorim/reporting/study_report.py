"""From a folder of predictions to a report: read, measure, compare, draw, write."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.animals import animal_key
from dolorim.files.subjects import column_key
from dolorim.reporting.adjusted import design_of
from dolorim.reporting.assays import Assay, read_assay, seconds
from dolorim.reporting.clips import make_clips
from dolorim.reporting.dose_response import dose_sentences, dose_tables, doses_of
from dolorim.reporting.error_correction import corrected_budgets, why_not_corrected
from dolorim.reporting.families import Question
from dolorim.reporting.further_answers import answers_by_hand, answers_of_models
from dolorim.reporting.hand_scored import read_by_hand
from dolorim.reporting.hand_tests import (
    animals_of_tests,
    hand_test_sentences,
    read_hand_tests,
)
from dolorim.reporting.machine_files import write_data_package, write_report_json
from dolorim.reporting.observations import Observations, check_animals, sided
from dolorim.reporting.options import ReportOptions, refuse_foreign_tables
from dolorim.reporting.read_observations import check_factor, read_observations, read_stimuli
from dolorim.reporting.readouts import collect, write_tidy
from dolorim.reporting.reproduce import write_reproduce
from dolorim.reporting.statistics import compare
from dolorim.reporting.stretches import find_stretches
from dolorim.reporting.study_figures import draw_study
from dolorim.reporting.study_page import write_study_page
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.summary_text import repeated_recordings, summary_sentences
from dolorim.reporting.timing import check_starts
from dolorim.reporting.trust import Trust, read_agreement, read_trust
from dolorim.reporting.von_frey import compare_thresholds, read_thresholds, threshold_sentences
from dolorim.reporting.wide_tables import wide_tables, write_wide_tables
from dolorim.reporting.wording import shown


def report_study(options: ReportOptions) -> tuple[Path, list[str], Observations]:
    """Write `report.html`, tidy tables and figures to `options.out`.

    Returns the page, the answer in sentences, and what was read. Raises `UserError` for whatever a
    user must change.
    """
    settings = options.shown()
    assay = _read_assay(options)
    second_factor = None
    if options.second_factor:
        second_factor = column_key(options.second_factor)
    factors = [factor for factor in (assay.within, second_factor) if factor]
    observed = read_observations(
        options.predictions,
        options.groups,
        options.classes,
        options.rate_hz,
        options.control,
        options.labels,
        options.times_of,
        factors,
    )
    # Everything that a user may have to change is read before anything is computed or written.
    trust, raters = _read_scores(options, observed.classes)
    hand = None
    if options.hand_labels is not None:
        hand = read_by_hand(options, observed)
    observations = _place(observed, assay, options.stimuli)
    for factor in factors:
        between_animals = factor == second_factor
        check_factor(options.groups, observations, factor, between_animals=between_animals)
    design = design_of(observations, options.covariates, options.planned)
    pain, locomotion = _behaviors(options.pain, assay, observations.classes)
    tables = _measure(observations, assay, factors, trust)
    doses, added = doses_of(observations)
    thresholds = None
    if options.von_frey is not None:
        thresholds, threshold_findings = read_thresholds(options.von_frey, observations)
        added += threshold_findings
    hand_trials = None
    if options.hand_tests is not None:
        hand_trials, test_findings = read_hand_tests(options.hand_tests, observations)
        added += test_findings
    if hand is not None:
        hand = _place(hand, assay, options.stimuli)
    about_hand, said_of_hand, found_of_hand = answers_by_hand(
        hand, observations, assay, tables["animals"], (*pain, *locomotion)
    )
    tables |= about_hand
    added += found_of_hand
    findings = [
        *observations.findings,
        *check_animals(observations),
        *repeated_recordings(observations, assay, tables["recordings"], pain),
        *find_stretches(observations, assay)[1],
        *check_starts(observations, assay),
        *added,
    ]
    observations = dataclasses.replace(observations, findings=tuple(findings))
    # The indicator and movement are asked about first; all other tests are exploration.
    tables["statistics"] = compare(
        tables["animals"],
        observations.groups,
        paired=observations.paired,
        within=assay.within,
        second=second_factor,
        correction=options.correction,
        seed=options.seed,
        question=Question(pain[0], assay.readout, assay.primary, tuple(locomotion)),
    )
    said: list[str] = []
    if thresholds is not None:
        tests = compare_thresholds(thresholds, observations, options.correction, options.seed)
        tables["von_frey"] = thresholds
        tables["statistics"] = pd.concat([tables["statistics"], tests], ignore_index=True)
        said = threshold_sentences(thresholds, tests)
    if hand_trials is not None:
        by_test = animals_of_tests(hand_trials)
        groups = [group for group in observations.groups if (by_test.group == group).any()]
        tests = compare(by_test, groups, correction=options.correction, seed=options.seed)
        tables["hand_tests"] = by_test
        tables["statistics"] = pd.concat([tables["statistics"], tests], ignore_index=True)
        said += hand_test_sentences(hand_trials, by_test, tests)
    if doses is not None:
        asked = [(behavior, assay.readout) for behavior in pain]
        asked += [(behavior, "time_percent") for behavior in locomotion]
        keys = [(window, *what) for what in asked for window in assay.primary]
        tables |= dose_tables(tables["animals"], doses, keys, options.correction, options.seed)
    doubts = _doubts(trust, observations, observed.classes)
    further, said_of_models = answers_of_models(
        observations, assay, tables["animals"], pain[0], design, options, doubts
    )
    tables |= further
    videos = None if options.labels is None else options.labels.videos
    clips, about_clips = make_clips(options.predictions, observed, pain, videos, options.clips)
    observations = observations.with_findings(about_clips)
    results = StudyResults(
        observations, assay, tables, pain, locomotion, doubts, doses, tuple(clips)
    )
    # Without factors, `overall` is the same table as `groups`.
    written = [name for name in tables if factors or name != "overall"]
    _write_tables(options.out, {name: tables[name] for name in written})
    write_wide_tables(options.out, wide_tables(results))
    write_data_package(options.out, {name: tables[name] for name in written})
    # `overall` has one value per animal, whatever sessions or factors the study has.
    summary = summary_sentences(
        observations, assay, tables["overall"], tables["statistics"], pain, locomotion, doubts
    )
    summary += _finds(trust, pain[0], doubts, observed.classes)
    summary += [*said_of_hand, *dose_sentences(results), *said, *said_of_models]
    summary += _learned_from(trust, observations)
    figures = draw_study(results, options.out / "figures")
    write_reproduce(options.out, settings)
    # The page repeats all settings, so that a reader can repeat the report.
    settings["assay"] = dataclasses.asdict(assay)
    write_report_json(options.out / "report.json", results, summary, trust, settings)
    title = options.title or f"{assay.title}: {options.predictions.resolve().name}"
    page = options.out / "report.html"
    write_study_page(page, title, results, summary, figures, trust, raters, settings)
    return page, summary, observations


def _read_assay(options: ReportOptions) -> Assay:
    changes: dict[str, Any] = {}
    if options.within is not None:
        changes["within"] = options.within
    if options.bin is not None:
        try:
            changes["bin_s"] = seconds(options.bin)
        except ValueError as error:
            raise UserError(f"--bin: {error}") from None
    assay = read_assay(options.assay, **changes)
    if assay.within:
        return dataclasses.replace(assay, within=column_key(assay.within))
    return assay


def _read_scores(
    options: ReportOptions, classes: Sequence[str]
) -> tuple[Trust | None, dict[str, dict[str, Any]] | None]:
    """The scores of the run that made the labels, and how well raters agree; None if not given."""
    trust, raters = None, None
    if options.run is not None:
        trust = read_trust(options.run, classes)
    if options.agreement is not None:
        raters = read_agreement(options.agreement, classes)
    return trust, raters


def _behaviors(
    named: Sequence[str], assay: Assay, classes: tuple[str, ...]
) -> tuple[list[str], list[str]]:
    """Pain behaviors, those that the user named or the assay's, and behaviors of locomotion."""
    for name in named:
        if name not in classes:
            raise UserError(f"--pain {name}: no such class; there are {', '.join(classes)}")
    pain = list(named) or assay.pain_behaviors(classes)
    locomotion = [name for name in assay.locomotion_behaviors(classes) if name not in pain]
    return pain, locomotion


def _measure(
    observations: Observations, assay: Assay, factors: Sequence[str], trust: Trust | None
) -> dict[str, pd.DataFrame]:
    tables = collect(observations, assay, factors)
    if assay.within:
        for table in tables.values():
            _as_numbers(table, assay.within)
    # Corrected budgets stand beside the predicted ones; tests are of what was predicted.
    if trust is not None and not why_not_corrected(trust, observations.classes):
        confusions = list(trust.confusions.values())
        tables["corrected"] = corrected_budgets(tables["animals"], observations.classes, confusions)
    return tables


def _as_numbers(table: pd.DataFrame, column: str) -> None:
    """Days become numbers where all of them are numbers; otherwise they stay words."""
    if column in table:
        numbers = pd.to_numeric(table[column], errors="coerce")
        if numbers.notna().all():
            table[column] = numbers.astype(float)


def _write_tables(out: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    # A folder may hold a user's own table of the same name.
    refuse_foreign_tables(out, {name: list(table.columns) for name, table in tables.items()})
    for name, table in tables.items():
        write_tidy(out / f"{name}.csv", table)


def _place(observations: Observations, assay: Assay, stimuli: Path | None) -> Observations:
    """Ipsi and contra in place of left and right; of trials, only what follows the stimulus."""
    observations = observations.by_side()
    if assay.response_s is None:
        if stimuli is not None:
            raise UserError(
                f"--stimuli: the assay {assay.name} has no response_s; choose von_frey, acetone, "
                f"hargreaves or an assay file of your own"
            )
        return observations
    if stimuli is not None:
        return observations.after_stimuli(read_stimuli(stimuli, observations), assay.response_s)
    remedy = "each recording or trial is taken to begin with its stimulus"
    note = Finding("warning", "stimuli", "no times given", remedy)
    onsets = {(r.video, r.trial): [0.0] for r in observations.recordings}
    observations = observations.after_stimuli(onsets, assay.response_s)
    return dataclasses.replace(observations, findings=(*observations.findings, note))


def _doubts(
    trust: Trust | None, observations: Observations, scored_classes: Sequence[str]
) -> dict[str, str]:
    """By behavior, why the run's labels say nothing about it.

    `scored_classes` are the classes before left and right became ipsi and contra: a class that is
    made of two is as doubtful as the worse of them.
    """
    doubts: dict[str, str] = {}
    if trust is None:
        return doubts
    for name in observations.classes:
        parts = [c for c in scored_classes if name in _spellings_by_side(c, scored_classes)]
        reason = trust.doubt(parts)
        if reason:
            doubts[name] = reason
    return doubts


def _spellings_by_side(name: str, classes: Sequence[str]) -> tuple[str, str, str]:
    return name, sided(name, "L", classes), sided(name, "R", classes)


def _finds(
    trust: Trust | None, indicator: str, doubts: Mapping[str, str], scored_classes: Sequence[str]
) -> list[str]:
    """How much of the indicator the run finds, where its labels can be trusted at all."""
    if trust is None or doubts.get(indicator):
        return []
    parts = [c for c in scored_classes if indicator in _spellings_by_side(c, scored_classes)]
    recall, (low, high) = trust.finds(parts)
    if recall != recall:
        return []
    interval = "no interval"
    if low == low:
        interval = f"95 % interval {100 * low:.0f} to {100 * high:.0f} %"
    return [
        f"This run finds {100 * recall:.0f} % of {shown(indicator)} ({interval}; "
        f"{len(trust.confusions)} animals that were held out of it)."
    ]


def _learned_from(trust: Trust | None, observations: Observations) -> list[str]:
    """A sentence that names the animals of the study that the run has learned from."""
    if trust is None:
        return []
    animals = sorted({recording.animal for recording in observations.recordings})
    training = {animal_key(animal) for animal in trust.learned_from}
    known = [animal for animal in animals if animal_key(animal) in training]
    if not known:
        return []
    return [
        f"The run has learned from {len(known)} of these {len(animals)} animals "
        f"({', '.join(known)}): its labels of them are better than its labels of new animals, "
        f"which favors groups with more of them. Use labels made by people for these animals, or "
        f"predictions that never saw their animal (dolorim train ... --folds 5)."
    ]
