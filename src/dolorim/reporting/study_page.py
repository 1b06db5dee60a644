"""The report: one HTML file that needs nothing else and asks the network for nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from dolorim import __version__
from dolorim.files.tables import write_text
from dolorim.reporting.assays import Assay
from dolorim.reporting.effect_sizes import FEWEST_PER_GROUP
from dolorim.reporting.markup import bracket, effect, table, word
from dolorim.reporting.methods import methods
from dolorim.reporting.observations import Observations
from dolorim.reporting.rank_tests import ALPHA
from dolorim.reporting.raster import column_s
from dolorim.reporting.study_figures import LABELS
from dolorim.reporting.summary_text import find, number, p_value
from dolorim.reporting.trust import Trust
from dolorim.reporting.trust_page import raters_section, trust_section

_CAPTIONS = {
    "answer": "Each dot is an animal. Bars: mean and 95 % interval over animals.",
    "raster": (
        "Every recording, moment by moment, sorted by group and animal. White: not labelled. A column is "
        "{column:.2g} s; of several behaviors in one column, the pain behavior lies on top, so that no pain bout "
        "is lost behind another behavior."
    ),
    "budget": "Time budgets, mean over animals.",
    "timecourse": "Time courses: mean and 95 % interval over animals. Dotted: where windows begin. Shown as far as all "
    "recordings go.",
    "sessions": "Session by session: mean and 95 % interval over animals.",
    "latency": "Latency to the first bout (Kaplan-Meier). An animal that never begins counts until its recording ends.",
    "bouts": "How long bouts last. All bouts of a group together: a description, not a test.",
    "transitions": "What follows what. Width: probability of the next behavior, a group's bouts pooled; 5 % and more.",
}
_KEY = (
    f"Mean [95 % interval] over animals, none below {FEWEST_PER_GROUP} animals. p: rank test of all groups "
    f"(latencies: log-rank). Bold: the main question, whose p are corrected together, those of its pairs included; "
    f"all others over behaviors. n: animals of each group, in the order of the columns."
)
_UNRELIABLE = "not found reliably"
_HEADINGS = {
    "raster": "Ethograms", "budget": "Time budgets", "timecourse": "Time courses", "sessions": "Sessions",
    "latency": "Latency", "bouts": "Bouts", "transitions": "Transitions",
}  # fmt: skip


def write_study_page(
    path: Path, title: str, observations: Observations, assay: Assay, tables: dict[str, pd.DataFrame], said: Sequence[str],
    pain: Sequence[str], locomotion: Sequence[str], figures: Sequence[Path], trust: Trust | None,
    raters: dict[str, dict[str, Any]] | None, settings: dict[str, Any], doubts: Mapping[str, str],
) -> Path:  # fmt: skip
    """Write the page. `tables` are those of `collect` with `statistics`, and `corrected` where that can be had.

    `doubts` says of behaviors why nothing can be said about them.
    """
    drawn = {p.stem: p for p in figures}
    animals = len({t.animal for t in observations.recordings})
    hours = sum(t.length_s for t in observations.recordings) / 3600
    lead = f"{assay.title}: {animals} animals, {len(observations.recordings)} recordings, {hours:.1f} h; dolorim {__version__}"
    written = "\n".join(f"{k} = {json.dumps(v, default=str)}" for k, v in settings.items())
    parts = [
        '<div class="answer">'
        + "".join(
            f"<p{' class=verdict' if i == 0 else ''}>{escape(s)}</p>" for i, s in enumerate(said)
        )
        + "</div>",
        _answer_table(observations, assay, tables, pain, locomotion, doubts),
        _figure(drawn["answer"], observations),
        "" if doubts.get(pain[0]) else _pairs_table(assay, tables["statistics"], pain),
        "<h2>What was analyzed</h2>",
        _groups_table(observations),
        _findings(observations),
        "<h2>How far to trust it</h2>",
        trust_section(trust, tables.get("corrected"), observations.classes, doubts),
        *([] if raters is None else [raters_section(raters)]),
        *(
            f"<h2>{_HEADINGS[name]}</h2>{_figure(p, observations)}"
            for name, p in drawn.items()
            if name in _HEADINGS
        ),
        "<h2>Statistics</h2>",
        _statistics_table(assay, tables["statistics"], pain, locomotion, doubts),
        f"<h2>Methods</h2><p>{escape(methods(observations, assay, settings))}</p>",
        f"<h2>Settings</h2><pre>{escape(written)}</pre>",
    ]
    page = Template((files("dolorim.reporting") / "templates" / "report.html").read_text("utf-8"))
    write_text(path, page.substitute(title=escape(title), lead=escape(lead), body="\n".join(parts)))
    return path


def _answer_table(
    observations: Observations, assay: Assay, tables: dict[str, pd.DataFrame], pain: Sequence[str], locomotion: Sequence[str],
    doubts: Mapping[str, str],
) -> str:  # fmt: skip
    groups, statistics = tables["overall"], tables["statistics"]
    wanted = [(pain[0], w.name, assay.readout) for w in assay.windows]
    wanted += [(b, w, assay.readout) for b in pain[1:4] for w in assay.primary[-1:]]
    wanted += [(b, w, "time_percent") for b in locomotion for w in assay.primary[-1:]]
    rows: list[list[str]] = []
    strong: list[int] = []
    for behavior, window, readout in wanted:
        here = groups[
            (groups.window == window) & (groups.behavior == behavior) & (groups.readout == readout)
        ]
        if not len(here):
            continue
        cells = [word(behavior), escape(window), escape(LABELS[readout])]
        for group in observations.groups:
            of = here[here.group == group]
            cells.append(
                number(of["mean"].iloc[0]) + bracket(of.mean_low.iloc[0], of.mean_high.iloc[0])
                if len(of)
                else "-"
            )
        test = find(statistics, window, behavior, readout).head(1)
        cells += _p_cells(test, behavior in doubts)
        if behavior == pain[0] and window in assay.primary:
            strong.append(len(rows))
        rows.append(cells)
    header = [
        "behavior",
        "window",
        "read-out",
        *(word(g) for g in observations.groups),
        "p",
        "p corrected",
        "n",
    ]
    return table(header, rows, 3, strong) + f"<p class=lead>{_KEY}</p>"


def _p_cells(test: pd.DataFrame, doubted: bool) -> list[str]:
    """p, corrected p and animals of the first of some tests."""
    if not len(test):
        return ["-"] * 3
    row = test.iloc[0]
    if doubted:
        return [_UNRELIABLE, "-", row.n]
    p = [p_value(row.p), p_value(row.p_adjusted)]
    if row.smallest_adjusted >= ALPHA:
        p[1] += f" <small>(none below {ALPHA:g} possible)</small>"
    return [*p, row.n]


def _pairs_table(assay: Assay, statistics: pd.DataFrame, pain: Sequence[str]) -> str:
    rows = []
    for window in assay.primary:
        for r in find(statistics, window, pain[0], assay.readout).itertuples():
            if r.difference == r.difference:
                sizes = [effect(r, name) for name in ("difference", "cliffs_delta", "hedges_g")]
                if r.hedges_g != r.hedges_g:
                    sizes[2] = "not defined"
                p = [p_value(r.p), p_value(r.p_adjusted)]
                second, first = r.n.split("/")[::-1]
                compared = escape(r.compared.replace("_", " "))
                rows.append([escape(window), compared, *sizes, *p, f"{second} - {first}"])
    effects = [f"difference ({escape(LABELS[assay.readout])})", "Cliff's delta", "Hedges' g"]
    header = [f"{word(pain[0])}, window", "groups", *effects, "p", "p corrected", "n"]
    return table(header, rows, 2) if rows else ""


def _groups_table(observations: Observations) -> str:
    rows = []
    for group in observations.groups:
        recordings = [t for t in observations.recordings if t.group == group]
        lengths = sorted({f"{t.length_s / 60:.2f}" for t in recordings}, key=float)
        spread = lengths[0] if len(lengths) == 1 else f"{lengths[0]}-{lengths[-1]}"
        rows.append(
            [word(group), str(len({t.animal for t in recordings})), str(len(recordings)), spread]
        )
    classes = f"<p>Behaviors: {', '.join(word(c) for c in observations.classes)}.</p>"
    return table(["group", "animals", "recordings", "minutes each"], rows) + classes


def _findings(observations: Observations) -> str:
    items = [f"<li>{escape(str(f))}</li>" for f in observations.findings]
    items += [f"<li>left out: {escape(reason)}</li>" for _, reason in observations.failures]
    return f'<div class="note"><ul>{"".join(items)}</ul></div>' if items else ""


def _statistics_table(
    assay: Assay, statistics: pd.DataFrame, pain: Sequence[str], locomotion: Sequence[str],
    doubts: Mapping[str, str],
) -> str:  # fmt: skip
    readout = statistics.readout
    main = (readout == assay.readout) & ~statistics.test.isin(["permutation"])
    first = statistics.behavior.isin([*pain, *locomotion])
    kept = main & (first | ~statistics.test.str.endswith("(pair)"))
    kept |= (
        (readout == "latency_s") & (statistics.test == "log-rank") & statistics.behavior.isin(pain)
    )
    kept |= readout.str.contains(" by ", regex=False) & first
    rows = []
    for r in statistics[kept].itertuples():
        what = [
            word(r.behavior),
            r.window,
            LABELS.get(r.readout, r.readout),
            r.test,
            str(r.compared),
        ]
        n, note = (escape(v) if isinstance(v, str) else "" for v in (r.n, r.note))
        statistic = " ".join(
            [number(r.statistic)] * (r.statistic == r.statistic)
            + [f"<small>{note}</small>"] * bool(note)
        )
        p = [statistic, p_value(r.p), p_value(r.p_adjusted), effect(r, "cliffs_delta")]
        if r.behavior in doubts:
            p[1:] = [_UNRELIABLE, "-", "-"]
        rows.append([what[0], *map(escape, what[1:]), n, *p])
    header = ["behavior", "window", "read-out", "test", "compared", "n", "statistic"]
    header += ["p", "p corrected", "Cliff's delta"]
    lead = f"<p>The read-outs that this page shows; all {len(statistics)} tests are in statistics.csv.</p>"
    return f"{lead}<div class=small>{table(header, rows, 5)}</div>"


def _figure(path: Path, observations: Observations) -> str:
    raw = path.read_bytes()
    caption = escape(_CAPTIONS[path.stem].format(column=column_s(observations)))
    share = min(
        100, int.from_bytes(raw[16:20]) / 16
    )  # PNG: the width; figures that are narrower stay so
    data = base64.b64encode(raw).decode()
    image = f'<img alt="{caption}" style="width:{share:.0f}%" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
