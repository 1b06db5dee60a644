"""The report: one HTML file that needs nothing else and asks the network for nothing."""

from __future__ import annotations

import base64
import json
import platform
from collections.abc import Iterable, Sequence
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd

from dolorim import __version__
from dolorim.core.study import Study
from dolorim.files.table import write_text
from dolorim.metrics.frames import frame_scores
from dolorim.report.assays import Assay
from dolorim.report.misclassification import Trust
from dolorim.report.study_figures import LABELS, shown
from dolorim.report.verdict import find, number, p_value

_CAPTIONS = {
    "answer": "Each dot is an animal. Bars: mean and 95 % interval (animals resampled).",
    "raster": "What every recording holds, moment by moment, sorted by group and animal. White: not labelled.",
    "budget": "Time budgets, mean over animals.",
    "timecourse": "Time courses: mean and 95 % interval over animals. Dotted: where windows begin.",
    "sessions": "Session by session: mean and 95 % interval over animals.",
    "latency": "Latency to the first bout (Kaplan-Meier). An animal that never begins counts until its recording ends.",
    "bouts": "How long bouts last. All bouts of a group together: a description, not a test.",
    "transitions": "What follows what. Width: probability of the next behavior, a group's bouts pooled; 5 % and more.",
}
_KEY = "Mean [95 % interval] over animals; "
_KEY += "p: rank test of all groups; corrected: over all behaviors. Bold: the main question."
_HEADINGS = {
    "raster": "Ethograms", "budget": "Time budgets", "timecourse": "Time courses", "sessions": "Sessions",
    "latency": "Latency", "bouts": "Bouts", "transitions": "Transitions",
}  # fmt: skip


def write_study_page(
    path: Path, title: str, study: Study, assay: Assay, tables: dict[str, pd.DataFrame], said: Sequence[str],
    pain: Sequence[str], locomotion: Sequence[str], figures: Sequence[Path], trust: Trust | None,
    raters: dict[str, dict[str, Any]] | None, settings: dict[str, Any],
) -> Path:  # fmt: skip
    """Write the page. `tables` are those of `collect` with `statistics`, and `corrected` where a run is known."""
    drawn = {p.stem: p for p in figures}
    animals = len({t.animal for t in study.tracks})
    hours = sum(t.length_s for t in study.tracks) / 3600
    lead = f"{assay.title}: {animals} animals, {len(study.tracks)} recordings, {hours:.1f} h; dolorim {__version__}"
    written = "\n".join(f"{k} = {json.dumps(v, default=str)}" for k, v in settings.items())
    parts = [
        '<div class="answer">'
        + "".join(f"<p{' class=verdict' if i == 0 else ''}>{escape(s)}</p>" for i, s in enumerate(said))
        + "</div>",
        _answer_table(study, assay, tables, pain, locomotion),
        _figure(drawn["answer"]),
        _pairs_table(study, assay, tables["statistics"], pain),
        "<h2>What was analysed</h2>",
        _groups_table(study),
        _findings(study),
        "<h2>How far to trust it</h2>",
        _trust(trust, tables.get("corrected"), study),
        *([] if raters is None else [_raters(raters)]),
        *(f"<h2>{_HEADINGS[name]}</h2>{_figure(p)}" for name, p in drawn.items() if name in _HEADINGS),
        "<h2>Statistics</h2>",
        _statistics_table(assay, tables["statistics"], pain, locomotion),
        f"<h2>Methods</h2><p>{escape(methods(study, assay, settings))}</p>",
        f"<h2>Settings</h2><pre>{escape(written)}</pre>",
    ]
    page = Template((files("dolorim.report") / "templates" / "report.html").read_text("utf-8"))
    write_text(path, page.substitute(title=escape(title), lead=escape(lead), body="\n".join(parts)))
    return path


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, strong: Sequence[int] = ()) -> str:
    """Cells are HTML already; the first `left` columns hold words, rows in `strong` are set in bold."""

    def line(cells: Sequence[str], tag: str, of: str = "") -> str:
        inner = "".join(f"<{tag}{' class=left' if i < left else ''}>{c}</{tag}>" for i, c in enumerate(cells))
        return f"<tr{of}>{inner}</tr>"

    body = "".join(line(r, "td", " class=strong" if i in strong else "") for i, r in enumerate(rows))
    return f"<table><thead>{line(header, 'th')}</thead><tbody>{body}</tbody></table>"


def _range(low: float, high: float) -> str:
    return f" <small>[{number(low)}, {number(high)}]</small>" if low == low else ""


def _effect(row: Any, name: str) -> str:
    value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    return number(value) + _range(low, high) if value == value else ""


def _word(name: str) -> str:
    return escape(shown(name))


def _answer_table(
    study: Study, assay: Assay, tables: dict[str, pd.DataFrame], pain: Sequence[str], locomotion: Sequence[str]
) -> str:
    groups, statistics = tables["overall"], tables["statistics"]
    wanted = [(pain[0], w.name, assay.readout) for w in assay.windows]
    wanted += [(b, w, assay.readout) for b in pain[1:4] for w in assay.primary[-1:]]
    wanted += [(b, w, "time_percent") for b in locomotion for w in assay.primary[-1:]]
    rows: list[list[str]] = []
    strong: list[int] = []
    for behavior, window, readout in wanted:
        here = groups[(groups.window == window) & (groups.behavior == behavior) & (groups.readout == readout)]
        if not len(here):
            continue
        cells = [_word(behavior), escape(window), escape(LABELS[readout])]
        for group in study.groups:
            of = here[here.group == group]
            cells.append(
                number(of["mean"].iloc[0]) + _range(of.mean_low.iloc[0], of.mean_high.iloc[0]) if len(of) else "-"
            )
        test = find(statistics, window, behavior, readout).head(1)
        cells += [p_value(test.p.iloc[0]), p_value(test.p_adjusted.iloc[0]), test.n.iloc[0]] if len(test) else ["-"] * 3
        if behavior == pain[0] and window in assay.primary:
            strong.append(len(rows))
        rows.append(cells)
    header = ["behavior", "window", "read-out", *(_word(g) for g in study.groups), "p", "p corrected", "n"]
    return _table(header, rows, 3, strong) + f"<p><small>{_KEY}</small></p>"


def _pairs_table(study: Study, assay: Assay, statistics: pd.DataFrame, pain: Sequence[str]) -> str:
    rows = []
    for window in assay.primary:
        for r in find(statistics, window, pain[0], assay.readout).itertuples():
            if r.difference == r.difference:
                sizes = [_effect(r, name) for name in ("difference", "cliffs_delta", "hedges_g")]
                p = [p_value(r.p), p_value(r.p_adjusted)]
                rows.append([escape(window), escape(r.compared.replace("_", " ")), *sizes, *p, escape(r.n)])
    effects = [f"difference ({escape(LABELS[assay.readout])})", "Cliff's delta", "Hedges' g"]
    header = [f"{_word(pain[0])}, window", "groups", *effects, "p", "p corrected over pairs", "n"]
    return _table(header, rows, 2) if rows else ""


def _groups_table(study: Study) -> str:
    rows = []
    for group in study.groups:
        tracks = [t for t in study.tracks if t.group == group]
        lengths = sorted({f"{t.length_s / 60:.2f}" for t in tracks}, key=float)
        spread = lengths[0] if len(lengths) == 1 else f"{lengths[0]}-{lengths[-1]}"
        rows.append([_word(group), str(len({t.animal for t in tracks})), str(len(tracks)), spread])
    classes = f"<p>Behaviors: {', '.join(_word(c) for c in study.classes)}.</p>"
    return _table(["group", "animals", "recordings", "minutes each"], rows) + classes


def _findings(study: Study) -> str:
    items = [f"<li>{escape(str(f))}</li>" for f in study.findings]
    items += [f"<li>left out: {escape(reason)}</li>" for _, reason in study.failures]
    return f'<div class="note"><ul>{"".join(items)}</ul></div>' if items else ""


def _trust(trust: Trust | None, budgets: pd.DataFrame | None, study: Study) -> str:
    if trust is None:
        return (
            "<p>Nothing is known here about the errors of the labels. A run that has made them is named with --run.</p>"
        )
    part, found, confusions = trust
    rng = np.random.default_rng(0)
    stacked = np.stack(confusions) if confusions else np.zeros((0, 1, 1))
    draws = [
        frame_scores(stacked[rng.integers(len(stacked), size=len(stacked))].sum(0), study.classes)
        for _ in range(500 if len(stacked) >= 3 else 0)
    ]

    def bounds(values: list[float]) -> str:
        return _range(*map(float, np.percentile(values, [2.5, 97.5]))) if values else ""

    scored = f"{part}: {', '.join(map(str, found.get('animals', [])))}"
    text = (
        f"<p>Scored on animals that the run has not learned from ({escape(scored)}): macro-F1 "
        f"<b>{found['macro_f1']:.2f}</b>{bounds([d['macro_f1'] for d in draws])}, accuracy {found['accuracy']:.2f}, "
        f"{found['frames']} frames. Intervals: recordings resampled."
        f"{' They chose the checkpoint, so the scores flatter.' * (part == 'val')}</p>"
    )
    if found.get("seen_in_training"):
        seen = escape(", ".join(found["seen_in_training"]))
        text += f"<p class=note>Seen in training: {seen}; these scores say nothing about new animals.</p>"
    text += _calibration(found["calibration"]) if "calibration" in found else ""
    rows = []
    for n, s in found["per_class"].items():
        f1 = f"{s['f1']:.2f}{bounds([d['per_class'][n]['f1'] for d in draws])}"
        rows.append([_word(n), f"{s['precision']:.2f}", f"{s['recall']:.2f}", f1, str(s["support"])])
    text += _table(["behavior", "precision", "recall", "F1", "frames"], rows)
    if budgets is not None:
        rows = [
            [_word(r.group), _word(r.behavior), number(r.predicted), number(r.corrected) + _range(r.low, r.high)]
            for r in budgets.itertuples()
        ]
        text += (
            "<h3>Time budgets with the classifier's errors</h3><p>% of time. Corrected for the confusion above; the "
        )
        text += "interval includes animals and classifier errors. Everything else on this page is as predicted.</p>"
        text += _table(["group", "behavior", "as predicted", "corrected"], rows, 2)
    return text


def _calibration(found: dict[str, Any]) -> str:
    """The reliability diagram: of frames with a confidence of x %, how many are right?"""
    points = [(100 * row["confidence"], 100 * row["accuracy"]) for row in found["reliability"]]
    line = " ".join(f"{x:.1f},{100 - y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{100 - y:.1f}" r="1.6" fill="#0072b2"/>' for x, y in points)
    drawn = (
        '<svg viewBox="-2 -2 104 104" width="150" role="img" aria-label="reliability diagram">'
        '<rect width="100" height="100" fill="none" stroke="#999"/>'
        '<path d="M0 100L100 0" stroke="#999" stroke-dasharray="3"/>'
        f'<polyline points="{line}" fill="none" stroke="#0072b2" stroke-width="1.5"/>{dots}</svg>'
    )
    words = "across: confidence, 0-100 %; up: share of frames that are right; dashed: as it should be"
    error = f"Calibration error {found['ece']:.3f} (mean distance of confidence from the share of right frames)"
    return f"<figure>{drawn}<figcaption>{error}; {words}.</figcaption></figure>"


def _raters(pairs: dict[str, dict[str, Any]]) -> str:
    """How well people agree: no model can be shown to do better than that."""
    rows = []
    for pair, found in pairs.items():
        ends = found["intervals"].get("macro_f1")
        f1 = f"{found['macro_f1']:.2f}{_range(*ends) if ends else ''}"
        rows.append([escape(pair), f1, f"{found['kappa']:.2f}", str(found["frames"])])
    lead = "<h3>Agreement of raters</h3><p>Two people who label the same videos agree so far; scores above that mean "
    return f"{lead}nothing.</p>{_table(['pair', 'macro-F1', 'kappa', 'frames'], rows)}"


def _statistics_table(assay: Assay, statistics: pd.DataFrame, pain: Sequence[str], locomotion: Sequence[str]) -> str:
    readout = statistics.readout
    main = (readout == assay.readout) & ~statistics.test.isin(["permutation"])
    first = statistics.behavior.isin([*pain, *locomotion])
    kept = main & (first | ~statistics.test.str.endswith("(pair)"))
    kept |= (readout == "latency_s") & (statistics.test == "log-rank") & statistics.behavior.isin(pain)
    kept |= readout.str.contains(" by ", regex=False) & first
    rows = []
    for r in statistics[kept].itertuples():
        what = [_word(r.behavior), r.window, LABELS.get(r.readout, r.readout), r.test, str(r.compared)]
        n, note = (escape(v) if isinstance(v, str) else "" for v in (r.n, r.note))
        statistic = " ".join(
            [number(r.statistic)] * (r.statistic == r.statistic) + [f"<small>{note}</small>"] * bool(note)
        )
        p = [statistic, p_value(r.p), p_value(r.p_adjusted), _effect(r, "cliffs_delta")]
        rows.append([what[0], *map(escape, what[1:]), n, *p])
    header = ["behavior", "window", "read-out", "test", "compared", "n", "statistic"]
    header += ["p", "p corrected", "Cliff's delta"]
    lead = f"<p>The read-outs that this page shows; all {len(statistics)} tests are in statistics.csv.</p>"
    return f"{lead}<div class=small>{_table(header, rows, 5)}</div>"


def _figure(path: Path) -> str:
    raw, caption = path.read_bytes(), escape(_CAPTIONS[path.stem])
    share = min(100, int.from_bytes(raw[16:20]) / 16)  # PNG: the width; figures that are narrower stay so
    data = base64.b64encode(raw).decode()
    image = f'<img alt="{caption}" style="width:{share:.0f}%" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def methods(study: Study, assay: Assay, settings: dict[str, Any]) -> str:
    """A paragraph for a paper."""
    windows = ", ".join(
        f"{w.name} ({w.start_s / 60:g}-{w.stop_s / 60:g} min)" for w in assay.windows if w.stop_s != float("inf")
    )
    two = len(study.groups) == 2
    tests = ("the Wilcoxon signed-rank test", "the Friedman test, pairs by the Wilcoxon test")
    if not study.paired:
        tests = ("the Mann-Whitney U test", "the Kruskal-Wallis test, pairs by the Mann-Whitney U test")
    more = " and by permutation of animals, latencies also by the log-rank test (permuted) with Cox hazard ratios" * (
        not study.paired
    )
    correction = {"holm": "Holm", "fdr": "Benjamini-Hochberg"}[settings["correction"]]
    versions = ", ".join(f"{n} {version(n)}" for n in ("numpy", "scipy", "statsmodels", "pandas", "matplotlib"))
    sentences = [f"Behavior was analysed frame by frame with dolorim {__version__} ({assay.title})."]
    sentences += [f"Windows: {windows}."] * bool(windows)
    if assay.response_s is not None:
        sentences.append(f"A response began within {assay.response_s:g} s after a stimulus.")
    sentences.append("Animals are the samples; recordings of one animal were averaged.")
    if len(study.groups) > 1:
        sentences += [f"Groups were compared by {tests[not two]}{more}."]
        if assay.within is not None:
            how = "mixed models (random intercept for each animal) and permutation of whole animals"
            sentences += [f"Sessions ({assay.within}) were compared by {how}."]
        if "second_factor" in settings:
            sentences += [f"Group and {settings['second_factor']} were compared by two-way ANOVA (type II)."]
        sentences += [f"p were corrected over behaviors, and of pairs over pairs ({correction})."]
        sentences += ["Effect sizes are differences of means, Cliff's delta and Hedges' g."]
    sentences += ["95 % intervals are percentiles of a bootstrap over animals."]
    sentences += [f"Python {platform.python_version()}, {versions}."]
    cite = f"The dolorim authors, dolorim: pain behaviors of mice, frame by frame, from video, version {__version__}"
    return " ".join([*sentences, f"Cite: {cite}."])
