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

_CORRECTIONS = {"holm": "Holm 1979", "fdr": "Benjamini & Hochberg 1995"}
# Whether groups are compared within animals, and whether there are two of them only.
_TESTS = {
    (True, True): "the Wilcoxon signed-rank test",
    (True, False): "the Friedman test, pairs by the Wilcoxon test",
    (False, True): "the Mann-Whitney U test",
    (False, False): "the Kruskal-Wallis test, pairs by the Mann-Whitney U test",
}
_LIBRARIES = ("numpy", "scipy", "statsmodels", "pandas", "matplotlib")


_REFERENCES = {
    "Angelopoulos et al. 2023": "Science 382:669-674",
    "Benjamini & Hochberg 1995": "J R Stat Soc B 57:289-300",
    "Bland & Altman 1986": "Lancet 327:307-310",
    "Chaplan et al. 1994": "J Neurosci Methods 53:55-63",
    "Cliff 1993": "Psychol Bull 114:494-509",
    "Dixon 1965": "J Am Stat Assoc 60:967-978",
    "Dunnett 1955": "J Am Stat Assoc 50:1096-1121",
    "Hall 1992": "J R Stat Soc B 54:221-228",
    "Hargreaves et al. 1988": "Pain 32:77-88",
    "Harris & Pierce 1964": "J Pharmacol Exp Ther 143:141-148",
    "Hedges 1981": "J Educ Stat 6:107-128",
    "Holm 1979": "Scand J Stat 6:65-70",
    "Jonckheere 1954": "Biometrika 41:133-145",
    "Lin 1989": "Biometrics 45:255-268",
    "Newcombe 2006": "Stat Med 25:559-573",
    "Phipson & Smyth 2010": "Stat Appl Genet Mol Biol 9:39",
    "Rogan & Gladen 1978": "Am J Epidemiol 107:71-76",
    "Shrout & Fleiss 1979": "Psychol Bull 86:420-428",
    "Zou & Donner 2008": "Stat Med 27:1693-1710",
}


def references(text: str) -> list[str]:
    """The works that a text cites, each with its journal, volume and pages."""
    return [f"{work}. {place}." for work, place in _REFERENCES.items() if work in text]


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
        f"without bounds, extended on the long side by a correction for skewness (Hall 1992); "
        f"those of differences between groups combine these (Zou & Donner 2008). None is given "
        f"below {FEWEST_PER_GROUP} animals in a group."
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
            f"where a behavior never began, by the log-rank test (permuted) with Cox hazard "
            f"ratios. p values of permutations are (1 + hits) / (1 + draws) (Phipson & Smyth 2010)."
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
    sentences.append(
        "Effect sizes are differences of means, Cliff's delta (Cliff 1993; interval: Newcombe "
        "2006), and Hedges' g (Hedges 1981)."
    )
    return sentences
