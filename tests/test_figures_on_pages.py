"""Every figure in the README and on the page of measurements is that of its results file."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HOME = Path(__file__).parents[1]
RESULTS = HOME / "benchmarks" / "results"

# Page, text on it with a place for each figure, results file, and where in it each figure stands.
# For JSON that is a path, in which * means the mean over all entries (with sd: in front, the
# standard deviation over seeds of the mean over folds; with max: and min:, the extremes; with %,
# in percent). For Markdown it is a regular expression whose group is the figure.
COAT = "folds > coat > * > * > {}"
SESSION = "folds > session > * > * > {}"
LADDER = ("macro_f1", "withdraw_f1", "f1_50")
RUNGS = {
    "boosted trees on poses, for comparison": "gradient boosting on pose",
    "video": "video",
    "poses alone": "pose",
    "multimodal": "multimodal",
    "multitask": "multitask",
    "multitask with its decoder": "multitask with decoding",
}
GPU = "kinds > {} > file_to_labels_frames_per_s"
JOBS = "kinds > {} > jobs_frames_per_s"
STEPS = ("decode_s", "localize_and_crop_s", "network_s")
FIGURES: list[tuple[str, str, str, list[str]]] = [
    # README
    (
        "README.md",
        "for {:.0f} % of the clips; mean F1 of the behaviors {:.3f} ± {:.3f} over three seeds",
        "bottomview.json",
        ["%" + COAT.format("votes"), COAT.format("macro_f1"), "sd:" + COAT.format("macro_f1")],
    ),
    (
        "README.md",
        "| {:.0f} frames/s, 25 times real time |",
        "speed_cpu.json",
        ["light > steady_state_fps"],
    ),
    # Accuracy
    (
        "benchmarks/README.md",
        "macro-F1 {:.3f} ± {:.3f}, clips right by majority vote {:.3f} ± {:.3f}",
        "bottomview.json",
        [prefix + COAT.format(key) for key in ("macro_f1", "votes") for prefix in ("", "sd:")],
    ),
    (
        "benchmarks/README.md",
        "macro-F1 {:.3f} ± {:.3f}, clips right {:.3f} ± {:.3f}",
        "bottomview.json",
        [prefix + SESSION.format(key) for key in ("macro_f1", "votes") for prefix in ("", "sd:")],
    ),
    (
        "benchmarks/README.md",
        "macro-F1 {:.3f} and {:.3f} across coats, {:.3f} and {:.3f} across sessions",
        "composite.json",
        [
            f"protocols > {protocol} > pooled > {model} > * > macro-F1"
            for protocol in ("coat", "session")
            for model in ("video", "multitask")
        ],
    ),
    (
        "benchmarks/README.md",
        "F1@50 from {:.0f} to {:.0f}, and from {:.0f} to {:.0f}",
        "composite.json",
        [
            f"protocols > {protocol} > pooled > {model} > * > F1@50"
            for protocol in ("coat", "session")
            for model in ("video", "multitask")
        ],
    ),
    (
        "benchmarks/README.md",
        "accuracy {:.3f}, macro-F1 {:.3f}, segment F1@50 {:.0f}",
        "social_rat.json",
        [f"network > * > {key}" for key in ("accuracy", "macro_f1", "f1_50")],
    ),
    (
        "benchmarks/README.md",
        "segment F1@50 from {:.1f} to {:.1f}",
        "decoding.json",
        ["real > argmax > f1_50", "real > fitted > f1_50"],
    ),
    (
        "benchmarks/README.md",
        "{:.1f} px, where the mean position gives {:.0f}; 116 frames of another mouse, labeled "
        "by a "
        "human: {:.1f} px (median {:.1f}), mean position {:.0f}; from below: {:.1f} px, mean "
        "position "
        "{:.0f}",
        "keypoints.json",
        [
            "turned > rows > openfield: held-out blocks, against DeepLabCut > mean_px",
            "turned > rows > openfield: held-out blocks, against DeepLabCut > constant_px",
            "turned > rows > openfield: 116 frames of another video, against a human > mean_px",
            "turned > rows > openfield: 116 frames of another video, against a human > median_px",
            "turned > rows > openfield: 116 frames of another video, against a human > constant_px",
            "0.1.0 > rows > bottomview: held-out blocks, against DeepLabCut > mean_px",
            "0.1.0 > rows > bottomview: held-out blocks, against DeepLabCut > constant_px",
        ],
    ),
    (
        "benchmarks/README.md",
        "would lose {:.0f} and {:.0f} % of all points",
        "likelihood.md",
        [r"formats, .*\| ([\d.]+) %: 9 of 27", r"openfield_keypoints, .*\| ([\d.]+) %: 0 of 72"],
    ),
    *(
        (
            "benchmarks/README.md",
            f"| {row} | {{:.3f}} | {{:.3f}} | {{:.1f}} |",
            "ladder.json",
            [f"rungs > {rung} > * > {key}" for key in LADDER],
        )
        for row, rung in RUNGS.items()
    ),
    (
        "benchmarks/README.md",
        "macro-F1 {:.2f}; the recipe before it {:.2f}; no correction for rare classes {:.2f}; "
        "`--recipe classic` {:.2f}, at our learning rate {:.2f}; `--kp_likelihood_thr 0.9` {:.2f}",
        "recipe.json",
        [
            f"argmax > {recipe} > * > macro_f1"
            for recipe in (
                "default",
                "default until 2026-11-27",
                "no correction",
                "classic",
                "classic at our learning rate",
                "likelihood above 0.9",
            )
        ],
    ),
    (
        "benchmarks/README.md",
        "{:.2f} times its true time without the correction, and {:.2f} times with it",
        "prior.json",
        [
            f"runs > * > {kind} > expected_over_true > paw_withdraw"
            for kind in ("uncorrected", "corrected")
        ],
    ),
    # Statistics
    (
        "benchmarks/README.md",
        "in {:.0f} % of the studies at most",
        "null_effect.json",
        ["%max:rejected > * > *"],
    ),
    (
        "benchmarks/README.md",
        "3 to 20 animals) | {:.1f} to {:.1f} % |",
        "coverage.md",
        [r"covers in ([\d.]+)-[\d.]+ %", r"covers in [\d.]+-([\d.]+) %"],
    ),
    (
        "benchmarks/README.md",
        "{:.0f} % in the worst of {:.0f} situations",
        "queue_coverage.json",
        ["%min:by_checked_pieces > * > lowest", "cells"],
    ),
    # Speed
    (
        "benchmarks/README.md",
        "0.4 million parameters) {:.0f} frames/s; `standard` (3.5 million) {:.0f}",
        "speed_cpu.json",
        ["light > steady_state_fps", "standard > steady_state_fps"],
    ),
    (
        "benchmarks/README.md",
        "| {:.0f} and {:.0f} frames/s |",
        "speed_cpu.json",
        ["light > clip_by_clip_end_to_end_fps", "standard > clip_by_clip_end_to_end_fps"],
    ),
    (
        "benchmarks/README.md",
        "{:.0f} frames/s; the 3D CNN in its place: {:.0f}",
        "multitask_speed_cpu.json",
        ["vit_2d_frames_per_s", "cnn3d_frames_per_s"],
    ),
    (
        "benchmarks/README.md",
        "{:.0f} instead of {:.0f} frames/s",
        "pose_speed_cpu.json",
        ["multimodal_frames_per_s", "video_frames_per_s"],
    ),
    (
        "benchmarks/README.md",
        "video {:,.0f} frames/s; multitask with ViT-S at 224 pixels {:.0f}; with VideoMAE-S {:.0f}",
        "gpu_h200.json",
        [
            GPU.format(kind)
            for kind in (
                "video, light",
                "multitask, vit_2d small at 224",
                "multitask, videomae2_3d small at 224",
            )
        ],
    ),
    (
        "benchmarks/README.md",
        "video {:,.0f} frames/s with 8; ViT-S {:,.0f} with 8; VideoMAE-S {:.0f} with 2",
        "gpu_h100_80gb_hbm3.json",
        [
            JOBS.format(kind)
            for kind in (
                "video, light",
                "multitask, vit_2d small at 224",
                "multitask, videomae2_3d small at 224",
            )
        ],
    ),
    (
        "benchmarks/README.md",
        "`linear` {:.1f} s ({:.1f} s of processor time), `trees` {:.1f} s ({:.1f} s)",
        "quick_heads.json",
        [f"{head} > {key}" for head in ("linear", "trees") for key in ("seconds", "cpu_seconds")],
    ),
    (
        "benchmarks/README.md",
        "{:.0f} s instead of {:.0f} s",
        "feature_cache.json",
        ["spent > second > clock_s", "spent > first > clock_s"],
    ),
    (
        "benchmarks/README.md",
        "following the animal {:.2f} times ({:.2f} instead of {:.2f} ms per frame), "
        "the network {:.2f} times, file to labels {:.2f} times",
        "speed_pairs.json",
        [
            *(f"light > localize and crop, processor > {key}" for key in ("old/new", "new ms")),
            "light > localize and crop, processor > old ms",
            "light > network, processor > old/new",
            "light > file to CSV, steady, processor > old/new",
        ],
    ),
    (
        "benchmarks/README.md",
        "and {:.0f} % of the other clips of its own",
        "unlike.json",
        ["%10 of bottomview, warned about the rest of it"],
    ),
    (
        "docs/evaluation.md",
        "after 10 clips of one rig, {:.0f} % of its other clips",
        "unlike.json",
        ["%10 of bottomview, warned about the rest of it"],
    ),
    (
        "benchmarks/README.md",
        "two hours: {:.0f} MB; two minutes: {:.0f} MB",
        "memory.json",
        ["long_mb", "short_mb"],
    ),
    (
        "benchmarks/README.md",
        "{:.0f} MB after 10, {:.0f} MB after 1,000",
        "many.json",
        ["resident_mb_after > 10", "resident_mb_after > 1000"],
    ),
    (
        "benchmarks/README.md",
        "{:.0f} s instead of {:.0f} s, with equal bytes",
        "ray_cluster.json",
        ["seconds > Ray, 2 nodes", "seconds > Ray, 1 node"],
    ),
    (
        "benchmarks/README.md",
        "a jump takes {:.0f} ms (median); playback shows {:.1f} of 30 frames/s",
        "review.json",
        ["long_video > scrub_median_ms", "playback > frames_shown_per_s"],
    ),
    # Robustness
    (
        "benchmarks/README.md",
        "{:.0f} of {:.0f}, no false alarm in {:.0f} videos",
        "alignment.md",
        [
            r"Right over all: (\d+) of",
            r"Right over all: \d+ of (\d+)",
            r"False alarms at 0: 0 of (\d+)",
        ],
    ),
    ("benchmarks/README.md", "({:,.0f} files)", "fuzz.md", [r"\*\*all\*\* \| (\d+)"]),
    # Other pages
    *(
        (
            "docs/recipes.md",
            where + ": macro-F1 {:.3f} ± {:.3f}, clips right by majority vote {:.3f} ± {:.3f}",
            "bottomview.json",
            [prefix + place.format(key) for key in ("macro_f1", "votes") for prefix in ("", "sd:")],
        )
        for where, place in (("Across coats", COAT), ("Across sessions", SESSION))
    ),
    (
        "docs/recipes.md",
        "accuracy {:.3f}, macro-F1 {:.3f}, segment F1@50 {:.0f}",
        "social_rat.json",
        [f"network > * > {key}" for key in ("accuracy", "macro_f1", "f1_50")],
    ),
    *(
        (
            "docs/recipes.md",
            text,
            "composite.json",
            [
                f"protocols > {protocol} > pooled > {model} > * > {key}"
                for protocol in ("coat", "session")
                for key in ("macro-F1", "F1@50")
            ],
        )
        for text, model in (
            (
                "Across coats: macro-F1 {:.3f}, F1@50 {:.0f}. Across sessions: macro-F1 {:.3f}, "
                "F1@50 {:.0f}",
                "multitask",
            ),
            ("reached {:.3f} and {:.0f}, and {:.3f} and {:.0f}", "video"),
        )
    ),
    (
        "docs/recipes.md",
        "Mean distance: {:.1f} px from DeepLabCut on the held-out blocks, and {:.1f} px from the",
        "keypoints.json",
        [
            f"turned > rows > openfield: {scored} > mean_px"
            for scored in (
                "held-out blocks, against DeepLabCut",
                "116 frames of another video, against a human",
            )
        ],
    ),
    (
        "docs/evaluation.md",
        "{:.2f} times its true time without the correction, and {:.2f} times with it",
        "prior.json",
        [
            f"runs > * > {kind} > expected_over_true > paw_withdraw"
            for kind in ("uncorrected", "corrected")
        ],
    ),
    (
        "docs/scale.md",
        "frames/s, 2 cores | {:.0f} | {:.0f} |",
        "speed_cpu.json",
        ["light > steady_state_fps", "standard > steady_state_fps"],
    ),
    (
        "docs/scale.md",
        "{:.0f} frames/s with one process and {:,.0f} with `--jobs 8`",
        "gpu_h100_80gb_hbm3.json",
        [GPU.format("video, light"), JOBS.format("video, light")],
    ),
    (
        "docs/scale.md",
        "{:.0f} MB after 10 videos, {:.0f} MB after 1,000",
        "many.json",
        ["resident_mb_after > 10", "resident_mb_after > 1000"],
    ),
    (
        "docs/scale.md",
        "{:.0f} MB for two hours of video, {:.0f} MB for two minutes",
        "memory.json",
        ["long_mb", "short_mb"],
    ),
    (
        "docs/scale.md",
        "{:,.0f} frames/s for decoding alone, "
        "{:.0f} for `predict` with one worker, and {:.0f} with two",
        "throughput_cpu.json",
        [
            "frames/s > decode only",
            "frames/s > dolorim predict --jobs 1",
            "frames/s > dolorim predict --jobs 2",
        ],
    ),
    (
        "docs/scale.md",
        "one process took {:.0f} s, one node {:.0f} s, and two nodes {:.0f} s",
        "ray_cluster.json",
        ["seconds > one process", "seconds > Ray, 1 node", "seconds > Ray, 2 nodes"],
    ),
    (
        "docs/scale.md",
        "labels {:.0f} frames/s on two cores, and that 3D CNN {:.0f}",
        "multitask_speed_cpu.json",
        ["vit_2d_frames_per_s", "cnn3d_frames_per_s"],
    ),
    (
        "docs/readouts.md",
        "licking L in the 5 % group is then {:.2f} %, not {:.2f} %",
        "formalin.md",
        [r"over the 29 animals it is [\d.]+/[\d.]+/([\d.]+) %", r"[\d.]+/[\d.]+/([\d.]+) % of the"],
    ),
    (
        "docs/readouts.md",
        "p = {:.1e} over recordings | p = {:.1e} over animals",
        "formalin.md",
        [r"Kruskal-Wallis\s+p = ([\de.-]+)\. Animal", r"%, p = ([\de.-]+), and this"],
    ),
    (
        "docs/scale.md",
        "labels {:,.0f} with `--jobs 8`, with the GPU busy {:.0f} % of the time",
        "gpu_h100_80gb_hbm3.json",
        [
            JOBS.format("multitask, vit_2d small at 224"),
            "%kinds > multitask, vit_2d small at 224 > jobs_gpu_busy",
        ],
    ),
]


@cache
def _json(name: str) -> Any:
    return json.loads((RESULTS / name).read_text("utf-8"))


def _values(node: Any, keys: list[str]) -> Any:
    """The entries below a path; a * keeps all children, in a nested list."""
    if not keys:
        return node
    key, *rest = keys
    if key != "*":
        return _values(node[key], rest)
    children = node.values() if isinstance(node, dict) else node
    return [_values(child, rest) for child in children]


def _flat(values: Any) -> list[float]:
    if not isinstance(values, list):
        return [float(values)]
    return [number for value in values for number in _flat(value)]


def read_figure(results: str, where: str) -> float:
    """The figure at a path of a JSON file, or behind a regular expression in a Markdown file."""
    if results.endswith(".md"):
        matched = re.search(where, (RESULTS / results).read_text("utf-8"))
        assert matched, f"{results}: nothing matches {where}"
        return float(matched[1])
    percent = where.startswith("%")
    kind, path = _kind_and_path(where.removeprefix("%"))
    values = _values(_json(results), path.split(" > "))
    match kind:
        case "sd":  # of the seeds at hand (n, not n - 1); folds x seeds
            figure = float(np.std(np.mean(np.array(values), axis=0)))
        case "max":
            figure = max(_flat(values))
        case "min":
            figure = min(_flat(values))
        case _:
            figure = float(np.mean(_flat(values)))
    return 100 * figure if percent else figure


def _kind_and_path(where: str) -> tuple[str, str]:
    for kind in ("sd", "max", "min"):
        if where.startswith(f"{kind}:"):
            return kind, where.removeprefix(f"{kind}:")
    return "mean", where


@pytest.mark.parametrize(
    ("page", "text", "results", "places"), FIGURES, ids=[f"{f[0]}: {f[1][:40]}" for f in FIGURES]
)
def test_a_figure_on_a_page_is_that_of_its_results_file(
    page: str, text: str, results: str, places: list[str]
) -> None:
    expected = text.format(*(read_figure(results, where) for where in places))
    words = " ".join((HOME / page).read_text("utf-8").split())
    assert " ".join(expected.split()) in words


def test_every_date_of_a_measurement_is_that_of_its_results_file() -> None:
    """Each row of the tables links to its results: a page, or a JSON file."""
    rows = re.findall(r"^\|.*\| (\d{4}-\d\d-\d\d), .*\]\(results/([\w.]+)\) \|$",
                      (HOME / "benchmarks" / "README.md").read_text("utf-8"), re.M)  # fmt: skip
    assert len(rows) > 20
    for date, results in rows:
        assert date in (RESULTS / results).read_text("utf-8"), (date, results)


def test_published_tables_of_the_formalin_test_are_reproduced() -> None:
    differences = _json("formalin.json")["largest_difference"]
    assert differences["bout counts"] == differences["transitions"] == 0
    assert differences["seconds in all bouts"] < 1e-6


def test_the_readme_is_short() -> None:
    assert len((HOME / "README.md").read_text("utf-8").split()) < 1000


@pytest.mark.parametrize(("column", "kind"), [(0, "light"), (1, "standard")])
def test_the_plan_for_many_hours_follows_from_the_measured_speed(column: int, kind: str) -> None:
    page = (HOME / "docs" / "scale.md").read_text("utf-8")
    rows = re.findall(r"^\| (.*) \| (.*) \| (.*) \|$", page, re.M)
    cells = {row[0]: row[1 + column] for row in rows}
    speed = _json("speed_cpu.json")[kind]
    steps = [f"{1000 * speed[step] / speed['frames']:.2f}" for step in STEPS]
    assert cells["decode / find and crop the animal / network, ms per frame"] == " / ".join(steps)
    frames = 1000 * 3600 * 30
    core_hours = 2 * frames / speed["steady_state_fps"] / 3600
    assert float(cells["core hours for 1,000 h"]) == pytest.approx(core_hours, abs=0.5)
    price = float(cells["at $0.04 per core hour (an assumption)"].removeprefix("$"))
    assert price == pytest.approx(0.04 * core_hours, abs=0.05)
    nodes = float(cells["100,000 h on ten nodes of 64 cores"].removesuffix(" h"))
    assert nodes == pytest.approx(100 * core_hours / 640, abs=0.5)
