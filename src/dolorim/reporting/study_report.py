"""From a folder of predictions to a report: read, measure, compare, draw, write."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.animals import animal_key
from dolorim.files.subjects import column_key
from dolorim.reporting.assays import Assay, read_assay, seconds
from dolorim.reporting.error_correction import corrected_budgets, why_not_corrected
from dolorim.reporting.families import Question
from dolorim.reporting.observations import Observations, check_animals, sided
from dolorim.reporting.options import ReportOptions, refuse_foreign_tables
from dolorim.reporting.read_observations import check_factor, read_observations, read_stimuli
from dolorim.reporting.readouts import collect, write_tidy
from dolorim.reporting.statistics import compare
from dolorim.reporting.stretches import find_stretches
from dolorim.reporting.study_figures import draw_study
from dolorim.reporting.study_page import write_study_page
from dolorim.reporting.summary_text import repeated_recordings, verdict
from dolorim.reporting.trust import Trust, read_agreement, read_trust


def report_study(options: ReportOptions) -> tuple[Path, list[str], Observations]:
    """Write `report.html`, tidy tables and figures to `options.out`.

    Returns the page, the answer in words, and what was read. Raises `UserError` for whatever a user must mend.
    """
    out, seed = options.out, options.seed
    settings = options.shown()
    within, pain = options.within, options.pain
    plan = _plan(options.assay, options.bin, within)
    plan = dataclasses.replace(plan, within=column_key(plan.within)) if plan.within else plan
    second_factor = column_key(options.second_factor) if options.second_factor else None
    observations = read_observations(
        options.predictions, options.groups, options.classes, options.rate_hz, options.control, options.labels,
        options.times_of,
    )  # fmt: skip
    trust = None if options.run is None else read_trust(options.run, observations.classes)
    raters = (
        None
        if options.agreement is None
        else read_agreement(options.agreement, observations.classes)
    )
    sides = observations.classes
    observations = _placed(observations, plan, options.stimuli)
    factors = [f for f in (plan.within, second_factor) if f]
    for factor in factors:
        check_factor(options.groups, observations, factor, between_animals=factor == second_factor)
    known = next((n for n in pain if n not in observations.classes), None)
    if known is not None:
        raise UserError(
            f"--pain {known}: no such class; there are {', '.join(observations.classes)}"
        )
    painful, locomotion = (
        list(pain) or plan.pain_behaviors(observations.classes),
        plan.locomotion_behaviors(observations.classes),
    )
    locomotion = [c for c in locomotion if c not in painful]
    found = check_animals(observations)
    tables = collect(observations, plan, factors)
    if plan.within:
        for table in tables.values():
            _as_numbers(table, plan.within)
    found += repeated_recordings(observations, plan, tables["recordings"], painful)
    found += find_stretches(observations, plan)[1]
    doubts = {} if trust is None else _doubts(trust, observations, sides)
    seen = [] if trust is None else _learned_from(trust, observations)
    observations = dataclasses.replace(observations, findings=(*observations.findings, *found))
    question = Question(painful[0], plan.readout, plan.primary, tuple(locomotion))
    tables["statistics"] = compare(
        tables["animals"], observations.groups, paired=observations.paired, within=plan.within, second=second_factor,
        correction=options.correction, seed=seed, question=question,
    )  # fmt: skip
    if trust is not None and not why_not_corrected(trust, observations.classes):
        confusions = list(trust.confusions.values())
        tables["corrected"] = corrected_budgets(tables["animals"], observations.classes, confusions)
    written = [name for name in tables if factors or name != "overall"]
    refuse_foreign_tables(out, {name: list(tables[name].columns) for name in written})
    for name in written:
        table = tables[name]
        write_tidy(out / f"{name}.csv", table)
    said = verdict(
        observations, plan, tables["overall"], tables["statistics"], painful, locomotion, doubts
    )
    said += seen
    figures = draw_study(observations, plan, tables, painful, locomotion, out / "figures")
    settings["assay"] = dataclasses.asdict(plan)
    name = options.title or f"{plan.title}: {options.predictions.resolve().name}"
    page = write_study_page(
        out / "report.html",
        name,
        observations,
        plan,
        tables,
        said,
        painful,
        locomotion,
        figures,
        trust,
        raters,
        settings,
        doubts,
    )
    return page, said, observations


def _plan(assay: str, bin: str | None, within: str | None) -> Assay:
    changes: dict[str, Any] = {} if within is None else {"within": within}
    if bin is not None:
        try:
            changes["bin_s"] = seconds(bin)
        except ValueError as error:
            raise UserError(f"--bin: {error}") from None
    return read_assay(assay, **changes)


def _placed(observations: Observations, plan: Assay, stimuli: Path | None) -> Observations:
    """Ipsi and contra instead of left and right, and only what follows a stimulus where the assay has one."""
    observations = observations.by_side()
    if plan.response_s is None:
        if stimuli is not None:
            raise UserError(
                f"--stimuli: the assay {plan.name} has no response_s; choose von_frey, acetone, hargreaves or your own"
            )
        return observations
    if stimuli is not None:
        return observations.after_stimuli(read_stimuli(stimuli, observations), plan.response_s)
    note = Finding(
        "warning",
        "stimuli",
        "no times given",
        "each recording or trial is taken to begin with its stimulus",
    )
    observations = observations.after_stimuli(
        {(t.video, t.trial): [0.0] for t in observations.recordings}, plan.response_s
    )
    return dataclasses.replace(observations, findings=(*observations.findings, note))


def _doubts(trust: Trust, observations: Observations, sides: Sequence[str]) -> dict[str, str]:
    """Of each behavior, why the run's labels say nothing about it.

    `sides` are the classes before left and right became ipsi and contra: one that is made of two is
    as doubtful as the worse of them.
    """
    found = {}
    for name in observations.classes:
        parts = [c for c in sides if name in (c, sided(c, "L", sides), sided(c, "R", sides))]
        found[name] = trust.doubt(parts)
    return {name: why for name, why in found.items() if why}


def _learned_from(trust: Trust, observations: Observations) -> list[str]:
    """A sentence that names the animals of the study that the run has learned from."""
    animals = sorted({t.animal for t in observations.recordings})
    learned = {animal_key(a) for a in trust.learned_from}
    seen = [a for a in animals if animal_key(a) in learned]
    if not seen:
        return []
    return [
        f"The run has learned from {len(seen)} of these {len(animals)} animals ({', '.join(seen)}): its labels of "
        f"them are better than of new ones, more so in groups with more of them. Use people's labels for them, or "
        f"predictions out of fold (--folds)."
    ]


def _as_numbers(table: pd.DataFrame, column: str) -> None:
    """Days are numbers where all of them are; else they stay words."""
    if column in table:
        numbers = pd.to_numeric(table[column], errors="coerce")
        if numbers.notna().all():
            table[column] = numbers.astype(float)
