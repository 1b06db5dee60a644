"""The report: one HTML file that needs nothing else and asks the network for nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dolorim import __version__
from dolorim.reporting.adjusted import adjusted_view
from dolorim.reporting.dose_response import dose_methods, dose_views
from dolorim.reporting.hand_tests import HAND_TEST_METHODS
from dolorim.reporting.methods import methods, references
from dolorim.reporting.observations import Observations
from dolorim.reporting.power import power_view
from dolorim.reporting.raster import column_s
from dolorim.reporting.rendering import Table, image_data, write_page
from dolorim.reporting.study_results import StudyResults
from dolorim.reporting.study_tables import (
    ANSWER_KEY,
    answer_table,
    groups_table,
    pairs_table,
    tests_table,
)
from dolorim.reporting.trust import Trust
from dolorim.reporting.trust_page import NO_RUN, by_hand_view, raters_table, trust_view
from dolorim.reporting.von_frey import THRESHOLD_METHODS
from dolorim.reporting.wording import shown

_CAPTIONS = {
    "answer": (
        "Above: each dot is an animal; bars: mean and 95 % interval over animals. Below: the "
        "difference of each group from {control}, with its 95 % interval."
    ),
    "raster": (
        "Every recording is a row, sorted by group and animal. White: not labeled. Each column "
        "stands for {column:.2g} s. Where a column holds several behaviors, the pain behavior is "
        "on top, so that no pain bout is hidden; the paler it is, the less of the column it takes."
    ),
    "agreement": (
        "Run and people, each dot an animal that both have scored, in the last main window. Line: "
        "mean difference; dashed: limits of agreement (Bland and Altman)."
    ),
    "budget": "Time budgets: mean over animals.",
    "timecourse": (
        "Time courses: mean and 95 % interval over animals. Dotted lines: where windows begin. "
        "Shown as long as all recordings last."
    ),
    "sessions": "Session by session: mean and 95 % interval over animals.",
    "latency": (
        "Latency to the first bout (Kaplan-Meier). An animal that never begins counts until its "
        "recording ends, which a stroke on the curve marks. Below: animals that have not begun yet."
    ),
    "bouts": "How long bouts last. All bouts of a group together: a description, not a test.",
    "transitions": (
        "Which behavior follows which: mean probability over animals{changes}. Arrows from 5 % on."
    ),
}
_CHANGES = (
    " in {control}, and how much more or less often in the other groups (width: difference; pale: "
    "its 95 % interval, not corrected for the number of arrows, holds 0)"
)
_HEADINGS = {
    "agreement": "Run and people",
    "raster": "Ethograms",
    "budget": "Time budgets",
    "timecourse": "Time courses",
    "sessions": "Sessions",
    "latency": "Latency",
    "bouts": "Bouts",
    "transitions": "Transitions",
}
_FULL_WIDTH_PX = 1800  # a figure of so many pixels is as wide as the page, others in proportion
_NUMBERS = "numbers (CSV)"
_BESIDE = {"csv": _NUMBERS, "svg": "SVG", "pdf": "PDF"}
_TABLES = {"raster": "bouts.csv"}  # figures whose numbers a table of the report has already


@dataclass(frozen=True)
class Picture:
    """A figure inside the page."""

    caption: str
    data: str
    width_percent: int
    links: Mapping[str, str]
    """The files of the same figure beside the page, by what they are."""


def write_study_page(
    path: Path,
    title: str,
    results: StudyResults,
    summary: Sequence[str],
    figures: Sequence[Path],
    trust: Trust | None,
    raters: dict[str, dict[str, Any]] | None,
    settings: dict[str, Any],
) -> Path:
    """Write the page. `summary` is the answer in sentences, `figures` are PNG files."""
    observations, assay = results.observations, results.assay
    # Figures go by the names of their files, under which their captions stand above.
    pictures = {file.stem: _picture(file, observations) for file in figures}
    written = _methods(results, settings)
    shown_trust, shown_raters = None, None
    if trust is not None:
        shown_trust = trust_view(trust, results)
    if raters is not None:
        shown_raters = raters_table(raters)
    return write_page(
        path,
        "report.html",
        title=title,
        heading=title,
        lead=f"{assay.title}: {_extent(observations)}; dolorim {__version__}",
        summary=summary,
        answer=answer_table(results),
        answer_key=ANSWER_KEY,
        answer_figure=pictures["answer"],
        pairs=pairs_table(results),
        doses=dose_views(results),
        clips=_clips(results),
        adjusted=_adjusted(results),
        power=_power(results),
        groups=groups_table(observations),
        behaviors=[shown(name) for name in observations.classes],
        findings=_findings(observations),
        trust=shown_trust,
        no_run=NO_RUN,
        raters=shown_raters,
        by_hand=by_hand_view(results),
        figures=[(_HEADINGS[name], p) for name, p in pictures.items() if name in _HEADINGS],
        tests=tests_table(results),
        test_count=len(results.tables["statistics"]),
        methods=written,
        references=references(written),
        settings="\n".join(f"{k} = {json.dumps(v, default=str)}" for k, v in settings.items()),
    )


def _clips(results: StudyResults) -> list[tuple[str, list[dict[str, str]]]]:
    """The clips of each behavior and group, under what they show."""
    shelves: dict[str, list[dict[str, str]]] = {}
    for clip in results.clips:
        heading = f"{shown(clip.behavior)}, {shown(clip.group)}: {clip.kind}"
        text = f"{clip.animal}, {clip.start_s:.1f} s, probability {clip.probability:.2f}"
        data = f"data:image/webp;base64,{base64.b64encode(clip.webp).decode()}"
        shelves.setdefault(heading, []).append({"text": text, "data": data})
    return list(shelves.items())


def _adjusted(results: StudyResults) -> dict[str, Any] | None:
    """The model and its table; None where the study has neither covariates nor clusters."""
    table = results.tables.get("adjusted")
    if table is None or results.doubts.get(results.pain[0]):
        return None
    return {"formula": table.formula.iloc[0], "table": adjusted_view(table)}


def _power(results: StudyResults) -> Table | None:
    if "power" not in results.tables or results.doubts.get(results.pain[0]):
        return None
    return power_view(results.tables["power"])


def _methods(results: StudyResults, settings: dict[str, Any]) -> str:
    sentences = [methods(results.observations, results.assay, settings), *dose_methods(results)]
    if "von_frey" in results.tables:
        sentences.append(THRESHOLD_METHODS)
    if "hand_tests" in results.tables:
        sentences.append(HAND_TEST_METHODS)
    sentences += _methods_of_models(results)
    return " ".join(sentences)


def _methods_of_models(results: StudyResults) -> list[str]:
    """What was done besides the tests of groups, where it was done."""
    sentences = []
    if "adjusted" in results.tables:
        formula = results.tables["adjusted"].formula.iloc[0]
        sentences.append(
            f"Differences were adjusted in a linear model ({formula}; restricted maximum "
            f"likelihood where it has clusters), with Student's t."
        )
    if "agreement" in results.tables:
        sentences.append(
            "Read-outs of the classifier and of people were compared by limits of agreement (Bland "
            "& Altman 1986), concordance (Lin 1989), and ICC(2,1) (Shrout & Fleiss 1979)."
        )
    if len(results.tables.get("powered", ())):
        sentences.append(
            "Differences between groups were estimated from the animals scored by hand and all "
            "predicted ones by prediction-powered inference (Angelopoulos et al. 2023)."
        )
    if "corrected" in results.tables:
        sentences.append(
            "Time budgets were corrected for the classifier's confusion on held-out animals (Rogan "
            "& Gladen 1978)."
        )
    return sentences


def _extent(observations: Observations) -> str:
    """How much was observed: `12 animals, 24 recordings, 8.0 h`."""
    animals = {recording.animal for recording in observations.recordings}
    hours = sum(recording.length_s for recording in observations.recordings) / 3600
    return f"{len(animals)} animals, {len(observations.recordings)} recordings, {hours:.1f} h"


def _findings(observations: Observations) -> list[str]:
    """What a reader must know about the data, and what could not be read."""
    failures = [f"left out: {reason}" for _, reason in observations.failures]
    return [*map(str, observations.findings), *failures]


def _picture(path: Path, observations: Observations) -> Picture:
    control = shown(observations.groups[0])
    changes = _CHANGES.format(control=control) if len(observations.groups) > 1 else ""
    caption = _CAPTIONS[path.stem].format(
        column=column_s(observations), control=control, changes=changes
    )
    with path.open("rb") as file:
        # The width stands in bytes 16-19 of every PNG (its IHDR chunk, RFC 2083 section 4.1.1).
        width_px = int.from_bytes(file.read(20)[16:])
    width_percent = min(100, round(100 * width_px / _FULL_WIDTH_PX))
    links = {name: f"{path.parent.name}/{path.stem}.{suffix}" for suffix, name in _BESIDE.items()}
    if path.stem in _TABLES:
        links[_NUMBERS] = _TABLES[path.stem]
    return Picture(caption, image_data(path), width_percent, links)
