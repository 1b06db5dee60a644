"""A paragraph for a paper: what was done, with the numbers that were used."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from dolorim import __version__
from dolorim.reporting.assays import Assay
from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP
from dolorim.reporting.observations import Observations
from dolorim.reporting.stretches import find_stretches

_CORRECTIONS = {"holm": "Holm", "fdr": "Benjamini-Hochberg"}
# Whether groups are compared within animals, and whether there are two of them only.
_TESTS = {
    (True, True): "the Wilcoxon signed-rank test",
    (True, False): "the Friedman test, pairs by the Wilcoxon test",
    (False, True): "the Mann-Whitney U test",
    (False, False): "the Kruskal-Wallis test, pairs by the Mann-Whitney U test",
}
_LIBRARIES = ("numpy", "scipy", "statsmodels", "pandas", "matplotlib")


def methods(observations: Observations, assay: Assay, settings: dict[str, Any]) -> str:
    """The paragraph. `settings` are those of the report, by the names of their flags."""
    sentences = [
        f"Behavior was analyzed frame by frame with dolorim {__version__} ({assay.title})."
    ]
    if observations.merging:
        sentences.append(f"Behaviors were merged: {observations.merging}.")
    windows = []
    # The windows as they were measured, not as they were planned.
    for stretch in find_stretches(observations, assay)[0]:
        end_min = round(stretch.end_s / 60, 2)
        windows.append(f"{stretch.name} ({stretch.start_s / 60:g}-{end_min:g} min)")
    sentences.append(f"Windows, as all recordings cover them: {', '.join(windows)}.")
    if assay.response_s is not None:
        sentences.append(f"A response began within {assay.response_s:g} s after a stimulus.")
    sentences.append("Animals are the samples; recordings of one animal were averaged.")
    if len(observations.groups) > 1:
        sentences += _comparisons(observations, assay, settings)
    sentences.append(
        f"95 % intervals of means are Student's t with the jackknife over animals, on a scale "
        f"without bounds, extended on the long side by Hall's correction for skewness; those of "
        f"differences between groups combine these (MOVER). None is given below "
        f"{FEWEST_PER_GROUP} animals in a group."
    )
    # A p value may change between versions of a library.
    versions = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    sentences.append(f"Python {platform.python_version()}, {versions}.")
    sentences.append(
        f"Cite: The dolorim authors, dolorim: pain behaviors of mice, frame by frame, from video, "
        f"version {__version__}."
    )
    return " ".join(sentences)


def _comparisons(observations: Observations, assay: Assay, settings: dict[str, Any]) -> list[str]:
    two = len(observations.groups) == 2
    test = _TESTS[observations.paired, two]
    if observations.paired:
        sentences = [f"Groups were compared by {test}; censored latencies by the sign test."]
    else:
        sentences = [
            f"Groups were compared by {test} and by permutation of animals; latencies, censored "
            f"where a behavior never began, by the log-rank test (permuted) with Cox hazard ratios."
        ]
    if assay.within is not None:
        how = "mixed models (random intercept for each animal) and permutation of whole animals"
        sentences.append(f"Sessions ({assay.within}) were compared by {how}.")
    if "second_factor" in settings:
        sentences.append(
            f"Group and {settings['second_factor']} were compared by two-way ANOVA (type II)."
        )
    correction = _CORRECTIONS[settings["correction"]]
    pairs = "" if two else " and each group with the control"
    windows = ", ".join(assay.primary)
    sentences.append(
        f"The p values of the main question (all groups{pairs}, in {windows}) were corrected "
        f"together ({correction}); other p values over behaviors, or over pairs."
    )
    sentences.append("Effect sizes are differences of means, Cliff's delta and Hedges' g.")
    return sentences
