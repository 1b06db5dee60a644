"""What other programs read: `report.json` with every number, and the dictionary of the tables."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dolorim import __version__
from dolorim.files.tables import write_text
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.trust import Trust

# The tables with a line per recording, animal, bin or bout stay in their CSV files.
_NOT_IN_JSON = (
    *("recordings", "animals", "bins", "transitions", "bouts"),
    *("hand_scored", "hand_tests"),
)
_TABLES = {
    "recordings": "read-outs of each recording",
    "animals": "read-outs of each animal: the mean over its recordings",
    "groups": "read-outs of each group, over animals",
    "overall": "as groups, without sessions and further factors",
    "bins": "time course of each recording",
    "transitions": "how often a behavior followed another, by recording",
    "bouts": "every bout",
    "statistics": "every test, with effect sizes",
    "corrected": "time budgets, corrected for the errors of the run",
    "doses": "read-outs of each dose, over animals, and each dose against the lowest",
    "dose_response": "trend over doses, and the fitted curve",
    "hand_scored": "read-outs of the animals that people have scored, too",
    "agreement": "how well the read-outs of people and run agree",
    "powered": "groups against the control, from animals scored by hand and all predicted ones",
    "hand_tests": "read-outs of each animal in tests that people scored",
    "adjusted": "planned comparisons in a linear model with covariates and clusters",
    "power": "smallest differences that a next study would find with a power of 80 %",
    "von_frey": "answers to filaments applied up and down, and the threshold of each series",
}
_EFFECTS = {
    "difference": "difference of means, second group minus first",
    "cliffs_delta": "Cliff's delta, P(second > first) - P(second < first)",
    "hedges_g": "Hedges' g",
    "hazard_ratio": "Cox hazard ratio of beginning the behavior, against the control",
    "mean": "mean over animals",
    "ed50": "dose of half the effect",
    "bias": "mean difference, run minus people",
    "concordance": "concordance correlation (Lin)",
    "icc": "intraclass correlation ICC(2,1), absolute agreement",
    "by_hand": "difference of means from the animals scored by hand alone",
}
COLUMNS = {
    "video": "recording",
    "trial": "trial or stimulus within the recording; empty if it is one piece",
    "animal": "animal",
    "group": "group of animals",
    "window": "part of the recording; the page gives its times",
    "behavior": "behavior",
    "readout": "what was measured; docs/readouts.md defines it",
    "value": "value of the read-out, in the column unit",
    "event": "of latencies: 1 if the behavior began, 0 if the latency is censored",
    "recordings": "number of recordings that the value is the mean of",
    "unit": "unit of the value",
    "n": "animals: their number, or the number in each group in the order of the groups",
    "sd": "standard deviation over animals (n - 1)",
    "sem": "standard error of the mean",
    "median": "median over animals",
    "q25": "lower quartile over animals",
    "q75": "upper quartile over animals",
    "start_s": "start in seconds, from the time 0 of the recording",
    "stop_s": "end in seconds, from the time 0 of the recording",
    "duration_s": "duration in seconds",
    "time_percent": "percent of the labeled time",
    "before": "behavior that ended",
    "after": "behavior that followed",
    "count": "how often",
    "test": "name of the test",
    "compared": "groups that are compared; a - b is the difference from b to a",
    "statistic": "statistic of the test",
    "p": "p value, not corrected",
    "note": "what to know about this row",
    "smallest_p": "smallest p value that so many animals allow",
    "family": "tests that are corrected together",
    "p_adjusted": "p value, corrected within its family",
    "smallest_adjusted": "smallest corrected p value that so many animals allow",
    "predicted": "percent of the time, as predicted",
    "corrected": "percent of the time, corrected for the errors of the run",
    "dose": "dose, as in the table of groups",
    "doses": "doses, lowest first",
    "compared_with_dose": "dose that this one is compared with",
    "p_dunnett": "p value of Dunnett's test against the lowest dose",
    "session": "session of the animal",
    "pattern": "answers to the stimuli in their order: X response, O none",
    "threshold_g": "50 % withdrawal threshold in grams",
    "trend": "statistic of the trend over doses (Jonckheere-Terpstra)",
    "bottom": "fitted curve: value without an effect",
    "top": "fitted curve: value at full effect",
    "slope": "fitted curve: slope (Hill)",
    "first": "value by people",
    "second": "value by the run",
    "begun": "of latencies: whether neither is censored",
    "trials": "number of trials",
    "cut_off": "longest latency that the test allows",
    "clusters": "number of clusters (litters, cages)",
    "df": "degrees of freedom",
    "formula": "the model",
    "animals_per_group": "animals per group of the next study",
    "smallest_difference": "difference of means that it finds with a power of 80 %",
    "limit_low": "lower limit of agreement (Bland & Altman)",
    "limit_high": "upper limit of agreement (Bland & Altman)",
    "scored": "animals scored by hand, in the order of n",
    "animals_to_score": (
        "animals per group to score by hand for an interval at most a quarter wider than with all"
    ),
    "low": "lower end of the 95 % interval",
    "high": "upper end of the 95 % interval",
}
for _name, _meaning in _EFFECTS.items():
    COLUMNS[_name] = _meaning
    COLUMNS[f"{_name}_low"] = f"lower end of the 95 % interval: {_meaning}"
    COLUMNS[f"{_name}_high"] = f"upper end of the 95 % interval: {_meaning}"


def write_report_json(
    path: Path,
    results: StudyResults,
    summary: Sequence[str],
    trust: Trust | None,
    settings: Mapping[str, Any],
) -> None:
    """Sentences, settings, and every figure with its interval; null where there is none."""
    observations = results.observations
    told = [name for name in results.tables if name not in _NOT_IN_JSON]
    tables = {name: _records(results.tables[name]) for name in told}
    report = {
        "dolorim": __version__,
        "sentences": list(summary),
        "groups": list(observations.groups),
        "control": observations.groups[0],
        "animals": len({recording.animal for recording in observations.recordings}),
        "recordings": len(observations.recordings),
        "pain": list(results.pain),
        "locomotion": list(results.locomotion),
        "nothing_can_be_said_about": dict(results.doubts),
        "findings": [str(finding) for finding in observations.findings],
        "left_out": {str(file): reason for file, reason in observations.failures},
        "settings": dict(settings),
        "scores_of_the_run": None if trust is None else dict(trust.scores),
        "tables": tables,
    }
    text = json.dumps(_finite(report), indent=1, default=str, allow_nan=False)
    write_text(path, f"{text}\n")


def _finite(value: Any) -> Any:
    """The same with None for NaN and infinity, which JSON does not know."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return list(table.astype(object).to_dict("records"))


def write_data_package(out: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """`datapackage.json`: which tables there are, and what their columns hold.

    The format is that of Frictionless Data:
    https://specs.frictionlessdata.io/tabular-data-package
    """
    resources = []
    for name, table in tables.items():
        resources.append(
            {
                "name": name,
                "path": f"{name}.csv",
                "title": _TABLES.get(name, name),
                "profile": "tabular-data-resource",
                "encoding": "utf-8",
                "schema": {
                    "fields": [_field(str(column), table[column]) for column in table.columns],
                    "missingValues": [""],
                },
            }
        )
    package = {
        "name": "dolorim-report",
        "profile": "tabular-data-package",
        "title": f"Tables of a report by dolorim {__version__}",
        "resources": resources,
    }
    write_text(out / "datapackage.json", json.dumps(package, indent=1) + "\n")


def _field(name: str, values: pd.Series) -> dict[str, str]:
    # A factor of the study (sex, day) has whatever name the lab gave it.
    meaning = COLUMNS.get(name, "column of the table of groups")
    return {"name": name, "type": _type_of(values), "description": meaning}


def _type_of(values: pd.Series) -> str:
    known = values.dropna()
    if len(known) and known.map(lambda value: isinstance(value, bool)).all():
        return "boolean"
    if pd.api.types.is_integer_dtype(values):
        return "integer"
    if pd.api.types.is_numeric_dtype(values):
        return "number"
    return "string"
