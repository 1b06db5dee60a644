"""The report reads what predict writes, answers in words, and asks the network for nothing."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolorim.cli import main
from dolorim.core.errors import UserError
from dolorim.files.tables import read_table, write_table
from dolorim.labels.ethogram import Ethogram, RawClass
from dolorim.labels.ethogram_file import write_ethogram
from dolorim.labels.label_files import write_labels
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.metrics.summary import Scored, summarize
from dolorim.reporting.assays import read_assay
from dolorim.reporting.error_correction import corrected_budgets, why_not_corrected
from dolorim.reporting.read_observations import read_observations, read_stimuli
from dolorim.reporting.readouts import collect
from dolorim.reporting.trust import Trust, read_trust

NAMES = ("rest", "paw_lick_L", "=<b>&walk")


def predicted(name: str, labels: np.ndarray, names: tuple[str, ...] = NAMES) -> Predictions:
    chances = np.eye(len(names), dtype=np.float32)[labels]
    return Predictions(
        name, names, labels.astype(np.int16), chances, np.arange(len(labels)) / 10, {"fps": 10.0}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight animals: the four of the group "<treated>" lick three times as long as the four
    controls."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(8):
        lick = 0.3 if i % 2 else 0.1
        labels = np.repeat(rng.choice(3, 200, p=[0.6 - lick, lick, 0.4]), 5)
        write_predictions(tmp_path / "found", predicted(f"v{i}", labels))
        rows.append((f"v{i}.mp4", f"m{i}", ("vehicle", "<treated>")[i % 2], i))
    write_table(tmp_path / "groups.csv", ("video", "animal", "group", "day"), rows)
    return tmp_path


def report(folder: Path, *more: str) -> list[str]:
    return [
        "report",
        str(folder / "found"),
        "--groups",
        str(folder / "groups.csv"),
        "--out",
        str(folder / "out"),
        *more,
    ]


def test_a_report_says_that_the_groups_differ_and_by_how_much(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(report(folder, "--bin", "10s")) == 0
    said = capsys.readouterr().err
    # Direction, size, interval, effect size, p, and animals: never a p value alone.
    answer = re.search(
        r"Over the whole recording, <treated> spent ([\d.]+) percentage points more of the time "
        r"with paw lick L than vehicle \(([\d.]+) against ([\d.]+) % of the time; 95 % interval "
        r"([\d.]+) to ([\d.]+); Hedges' g [\d.]+; p = 0.029; 4 against 4 animals\)\.",
        said,
    )
    assert answer is not None
    size, more, less, low, high = map(float, answer.groups())
    assert size == pytest.approx(more - less, abs=0.11)
    assert low < size < high
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert "more of the time with paw lick L than vehicle" in page.split("<h2>")[0]
    for path in (
        "answer.png",
        "answer.svg",
        "answer.pdf",
        "raster.png",
        "budget.png",
        "timecourse.png",
        "bouts.png",
    ):
        assert (folder / "out" / "figures" / path).stat().st_size > 1000
    groups = read_table(folder / "out" / "groups.csv")
    assert groups.header[:6] == ("group", "window", "behavior", "readout", "n", "mean")


@pytest.mark.usefixtures("undrawn")
def test_a_page_is_whole_and_its_names_are_no_markup(folder: Path) -> None:
    assert main(report(folder, "--title", "<i>x</i>", "--quiet")) == 0
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert not re.search(r'(src|href)="(?!data:|figures/|bouts\.csv)', page)
    assert "default-src 'none'" in page
    assert "<b>&walk" not in page
    assert "<i>" not in page
    assert "<treated>" not in page
    assert "&lt;treated&gt;" in page
    behaviors = {row[2] for row in read_table(folder / "out" / "groups.csv").rows}
    assert behaviors == {"rest", "paw_lick_L", "=<b>&walk"}
    assert ",'=<b>&walk," in (folder / "out" / "groups.csv").read_text(
        "utf-8"
    )  # no formula for a spreadsheet


@pytest.mark.usefixtures("undrawn")
def test_label_files_are_read_too_and_a_bad_one_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ethogram = Ethogram(
        tuple(RawClass(i, n, n) for i, n in enumerate(("rest", "lick"))), ("rest", "lick")
    )
    write_ethogram(folder / "ethogram.toml", ethogram)
    (folder / "found").rename(folder / "old")
    for i in range(7):
        write_labels(folder / "found" / f"v{i}.csv", np.arange(40) // 10 % 2, ethogram)
    (folder / "found" / "v7.csv").write_text("Frame,Action\n0,swim\n")
    (folder / "found" / "other.csv").write_text("Frame,Action\n0,0\n")
    with pytest.raises(UserError, match="--rate_hz"):
        read_observations(folder / "found", folder / "groups.csv", folder / "ethogram.toml")
    assert main(report(folder, "--rate_hz", "10", "--classes", str(folder / "ethogram.toml"))) == 1
    said = capsys.readouterr().err
    assert "no class is called 'swim'" in said
    assert "other.csv: is not in groups.csv; left out" in said
    assert "No p below 0.05 is possible with 4 against 3 animals" in said


def test_bouts_and_frames_give_the_same_study(folder: Path) -> None:
    quick = read_observations(folder / "found", folder / "groups.csv")
    for path in (folder / "found").glob("*.bouts.csv"):
        path.unlink()
    slow = read_observations(folder / "found", folder / "groups.csv")
    for a, b in zip(quick.recordings, slow.recordings, strict=True):
        assert (a.video, a.animal, a.group) == (b.video, b.animal, b.group)
        assert a.labels.tolist() == b.labels.tolist()
        assert np.allclose(a.start_s, b.start_s, atol=1e-4)
        assert a.length_s == pytest.approx(b.length_s)


def test_a_damaged_table_of_bouts_and_other_classes_are_failures_of_their_own(folder: Path) -> None:
    (folder / "found" / "v0.bouts.csv").write_text(
        "start_frame,stop_frame,start_s,stop_s,label\n0,5,0,x,rest\n"
    )
    write_predictions(folder / "found", predicted("v3", np.array([0, 1]), ("rest", "bite")))
    study = read_observations(folder / "found", folder / "groups.csv")
    assert len(study.recordings) == 6
    assert [path.name for path, _ in study.failures] == ["v0.bouts.csv", "v3.bouts.csv"]
    assert "expected the classes rest, paw_lick_L" in study.failures[1][1]


def test_the_control_comes_first(folder: Path) -> None:
    assert read_observations(folder / "found", folder / "groups.csv").groups == (
        "vehicle",
        "<treated>",
    )
    assert (
        read_observations(folder / "found", folder / "groups.csv", control="<treated>").groups[0]
        == "<treated>"
    )
    with pytest.raises(UserError, match="no such group; there are vehicle, <treated>"):
        read_observations(folder / "found", folder / "groups.csv", control="x")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("video,animal\nv0,m0\n", "expected the columns file,animal,group"),
        ("video,animal,group\nv0,m0,\n", "line 2: a recording, an animal or a group is missing"),
        ("video,animal,group\nv0,m0,a\nv0.mp4,m1,a\n", "line 3: v0.mp4 is already on line 2"),
        ("video,animal,group\n", "no rows"),
        ("video,animal,group\nx,m0,a\n", "no recording here that"),
    ],
)
def test_a_table_of_groups_that_makes_no_sense_is_refused(
    folder: Path, table: str, complaint: str
) -> None:
    (folder / "groups.csv").write_text(table)
    with pytest.raises(UserError, match=complaint):
        read_observations(folder / "found", folder / "groups.csv")


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--pain", "swim"), "no such class; there are rest"),
        (("--bin", "5 weeks"), "expected a time such as"),
        (("--within", "week"), "expected a column week"),
        (("--stimuli", "x.csv"), "has no response_s"),
        (("--assay", "nothing"), "there are acetone"),
    ],
)
def test_flags_that_make_no_sense_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], complaint: str
) -> None:
    assert main(report(folder, *more)) == 2
    assert complaint in capsys.readouterr().err


def test_stimuli_are_read_by_video_and_trial(folder: Path) -> None:
    study = read_observations(folder / "found", folder / "groups.csv")
    path = folder / "stimuli.csv"
    path.write_text("video,onset_s\nv0.mp4,3\nV0,1.5\nother,2\n")
    assert read_stimuli(path, study) == {("v0", ""): [1.5, 3.0]}
    path.write_text("video,onset_s\nv0,soon\n")
    with pytest.raises(UserError, match="line 2, column onset_s: expected seconds, found 'soon'"):
        read_stimuli(path, study)


@pytest.mark.usefixtures("undrawn")
def test_an_assay_of_trials_reports_responses(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(
        folder / "s.csv",
        ("video", "onset_s"),
        [(f"v{i}", s) for i in range(8) for s in (0, 30, 60)],
    )
    assert main(report(folder, "--assay", "von_frey", "--stimuli", str(folder / "s.csv"))) == 0
    assert "83.3 against 25.0 % of the stimuli; difference 58.3 percentage points" in (
        capsys.readouterr().err
    )
    with (folder / "out" / "animals.csv").open(encoding="utf-8") as file:
        responses = [
            r
            for r in csv.DictReader(file)
            if r["readout"] == "response" and r["behavior"] == "paw_lick_L"
        ]
    assert {r["recordings"] for r in responses} == {"3"}
    assert all(0 <= float(r["value"]) <= 1 for r in responses)


TWO = ("rest", "lick")
TRUTH = np.tile([0] * 9 + [1], 10)  # ten bouts of licking
LICKS_FOUND = np.tile([0] * 8 + [1, 1], 10)  # and one frame of rest in nine is taken for licking


def scored_run(
    folder: Path,
    guess: np.ndarray,
    animals: int = 5,
    part: str = "test",
    truth: np.ndarray = TRUTH,
    **more: object,
) -> Path:
    """A run over two classes that was scored on some animals, all of them labeled and predicted
    alike."""
    run = folder / "run"
    ethogram = Ethogram(tuple(RawClass(i, n, n) for i, n in enumerate(TWO)), TWO)
    write_ethogram(run / "ethogram.toml", ethogram)
    names = [f"t{i}" for i in range(animals)]
    scored = [Scored(name, truth, guess) for name in names]
    (run / "metrics.json").write_text(json.dumps({part: {**summarize(scored, TWO), **more}}))
    (run / "splits.json").write_text(
        json.dumps({"train": ["m0", "m3"], "val": ["m5"], "test": names})
    )
    for name in names:
        write_labels(run / "predictions" / part / f"{name}.truth.csv", truth, ethogram)
        write_predictions(run / "predictions" / part, predicted(name, guess, TWO))
    return run


def predict_two(folder: Path, licking: tuple[float, float] = (0.1, 0.3)) -> None:
    rng = np.random.default_rng(0)
    for i in range(8):
        share = licking[i % 2]
        write_predictions(
            folder / "found",
            predicted(f"v{i}", np.repeat(rng.random(200) < share, 5).astype(int), TWO),
        )


@pytest.mark.usefixtures("undrawn")
def test_budgets_are_corrected_where_the_errors_are_known_well_enough(folder: Path) -> None:
    trust = read_trust(scored_run(folder, LICKS_FOUND), TWO)
    assert trust.part == "test"
    assert [c.tolist() for c in trust.confusions.values()] == [[[80, 10], [0, 10]]] * 5
    assert trust.bouts == {"rest": 10 * 5, "lick": 10 * 5}
    for i in range(8):
        write_predictions(folder / "found", predicted(f"v{i}", LICKS_FOUND, TWO))
    study = read_observations(folder / "found", folder / "groups.csv")
    tables = collect(study, read_assay("whole"))
    budget = corrected_budgets(tables["animals"], TWO, list(trust.confusions.values())).query(
        "behavior == 'lick'"
    )
    assert budget.predicted.to_list() == pytest.approx([20, 20])
    assert budget.corrected.to_list() == pytest.approx([10, 10])
    assert main(report(folder, "--run", str(trust.run), "--quiet")) == 0
    page = (folder / "out/report.html").read_text("utf-8")
    assert "corrected for the confusion on 5 held-out animals" in page
    with pytest.raises(UserError, match="the run knows rest, lick, the recordings have a, b"):
        read_trust(trust.run, ("a", "b"))


@pytest.mark.usefixtures("undrawn")
def test_a_class_that_the_run_does_not_find_is_not_compared(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict_two(folder, (0.0, 0.0))
    run = scored_run(folder, np.zeros_like(TRUTH))
    assert main(report(folder, "--run", str(run))) == 0
    said = capsys.readouterr().err
    assert (
        "Nothing can be said about lick, because on animals that were held out of the run it finds "
        "0 % of it" in said
    )
    assert "o difference" not in said
    assert "This run finds" not in said
    first = (folder / "out/report.html").read_text("utf-8").split("<h2>")[0]
    assert "Nothing can be said about lick" in first
    assert "not found reliably" in first
    assert "p = " not in first
    assert "Not corrected: its errors mix the behaviors too much" in (
        folder / "out/report.html"
    ).read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"animals": 2}, "2 animals were held out of the run, and it takes 5"),
        ({"part": "val"}, "only validation animals were scored"),
        ({"guess": np.zeros_like(TRUTH)}, "condition number"),
        ({"seen_in_training": ["t0"]}, "that it has learned from"),
    ],
)
def test_budgets_are_not_corrected_from_errors_that_are_not_known(
    folder: Path, change: dict[str, Any], why: str
) -> None:
    trust = read_trust(scored_run(folder, **{"guess": LICKS_FOUND, **change}), TWO)
    assert why in why_not_corrected(trust, TWO)


def doubtful(precision: float, recall: float, bouts: int) -> str:
    score = {"precision": precision, "recall": recall, "f1": 0.5, "support": 40}
    return Trust(Path("run"), "test", {"per_class": {"lick": score}}, {}, {"lick": bouts}).doubt(
        ["lick"]
    )


def test_half_of_a_behavior_has_to_be_found_and_right_in_ten_bouts_at_least() -> None:
    assert doubtful(0.5, 0.5, 10) == ""
    assert "finds 49 % of it" in doubtful(0.9, 0.49, 50)
    assert "49 % of what it calls so is right" in doubtful(0.49, 0.9, 50)
    assert "show it in only 9 bouts" in doubtful(0.9, 0.9, 9)


def test_what_a_run_finds_of_a_behavior_has_an_interval_over_animals() -> None:
    scores = {"per_class": {"rest": {}, "lick": {}}}
    confusions = {f"m{i}": np.array([[80, 10], [10 - i, i]]) for i in (6, 8, 10)}
    recall, (low, high) = Trust(Path("run"), "test", scores, confusions).finds(["lick"])
    assert recall == pytest.approx(0.8)
    assert 0 < low < 0.8 < high < 1
    # Nobody knows what is found of a behavior that no held-out animal shows.
    assert np.isnan(Trust(Path("run"), "test", scores, {}).finds(["lick"])[0])


@pytest.mark.usefixtures("undrawn")
def test_animals_that_the_run_has_learned_from_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict_two(folder)
    assert main(report(folder, "--run", str(scored_run(folder, LICKS_FOUND)))) == 0
    said = capsys.readouterr().err
    assert "has learned from 3 of these 8 animals (m0, m3, m5)" in said


@pytest.mark.usefixtures("undrawn")
def test_the_interval_of_a_score_is_the_one_that_evaluate_shows(folder: Path) -> None:
    predict_two(folder)
    run = scored_run(folder, LICKS_FOUND, intervals={"animals": 5, "macro_f1": [0.37, 0.93]})
    assert main(report(folder, "--run", str(run), "--quiet")) == 0
    assert "</b> <small>[0.37, 0.93]</small>" in (folder / "out/report.html").read_text("utf-8")
    run = scored_run(folder, LICKS_FOUND, 2, intervals={"animals": 2, "macro_f1": [0.37, 0.93]})
    for path in (run / "predictions" / "test").glob("t[2-9]*"):
        path.unlink()
    assert main(report(folder, "--run", str(run), "--quiet", "--out", str(folder / "two"))) == 0
    page = (folder / "two/report.html").read_text("utf-8")
    assert "0.93]" not in page
    assert "2 animals are too few for an interval" in page


@pytest.mark.usefixtures("undrawn")
def test_a_run_can_be_named_where_left_and_right_became_ipsi_and_contra(folder: Path) -> None:
    predict_two(folder)
    names = ("rest", "lick_L")
    for i in range(8):
        write_predictions(folder / "found", predicted(f"v{i}", TRUTH, names))
    run = scored_run(folder, LICKS_FOUND)
    for path in (run / "metrics.json", run / "ethogram.toml"):
        path.write_text(path.read_text().replace('"lick"', '"lick_L"'))
    for path in (run / "predictions" / "test").iterdir():
        path.unlink()
    rows = [(f"v{i}", f"m{i}", ("vehicle", "drug")[i % 2], "L") for i in range(8)]
    write_table(folder / "groups.csv", ("video", "animal", "group", "treated_side"), rows)
    assert main(report(folder, "--run", str(run), "--quiet")) == 0
    assert "left and right became ipsi and contra" in (folder / "out/report.html").read_text(
        "utf-8"
    )


@pytest.mark.usefixtures("undrawn")
def test_merged_behaviors_of_label_files_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "found").rename(folder / "old")
    (folder / "found").mkdir()
    for i in range(8):
        rows = "".join(f"{frame},{5 * (frame // 10 % 2)}\n" for frame in range(40))
        (folder / "found" / f"v{i}.csv").write_text(f"Frame,Action\n{rows}")
    assert main(report(folder, "--rate_hz", "10")) == 0
    merged = "paw_guard and flinch count as paw_withdraw"
    assert f"note: behaviors: {merged}" in capsys.readouterr().err
    page = (folder / "out/report.html").read_text("utf-8")
    assert f"Behaviors were merged: {merged}" in page.split("<h2>Methods</h2>")[1]
    (folder / "classes.csv").write_text("id,name\n0,rest\n5,flinch\n")
    more = ("--classes", str(folder / "classes.csv"), "--out", str(folder / "apart"))
    assert main(report(folder, "--rate_hz", "10", *more)) == 0
    assert "count as" not in capsys.readouterr().err
    assert "were merged" not in (folder / "apart/report.html").read_text("utf-8")


@pytest.mark.usefixtures("undrawn")
def test_the_animals_of_a_pair_stand_in_the_order_of_its_groups(folder: Path) -> None:
    rows = [(f"v{i}", f"m{i}", "drug" if i < 3 else "vehicle") for i in range(8)]
    write_table(folder / "groups.csv", ("video", "animal", "group"), rows)
    assert main(report(folder, "--quiet")) == 0
    page = re.sub(r"\s*\n\s*", "", (folder / "out/report.html").read_text("utf-8"))
    assert "<th class=left>groups</th>" in page
    pair = page.split("<td class=left>drug - vehicle</td>")[1].split("</tr>")[0]
    assert pair.endswith("<td>3 vs. 5</td>")
    assert read_table(folder / "out" / "statistics.csv").rows[0][5] == "5/3"


@pytest.mark.usefixtures("undrawn")
def test_three_against_three_is_no_finding_of_no_difference(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in (6, 7):
        for path in (folder / "found").glob(f"v{i}.*"):
            path.unlink()
    assert main(report(folder)) == 0
    said = capsys.readouterr().err
    assert "No p below 0.05 is possible with 3 against 3 animals" in said
    assert "No difference" not in said
    assert "no interval" in said


@pytest.mark.usefixtures("undrawn")
def test_agreement_of_raters_and_calibration_stand_beside_a_runs_scores(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("rest", "lick")
    for i in range(8):
        write_predictions(
            folder / "found", predicted(f"v{i}", np.array([0] * 90 + [1] * 10), names)
        )
    run = folder / "run"
    write_ethogram(
        run / "ethogram.toml",
        Ethogram(tuple(RawClass(i, n, n) for i, n in enumerate(names)), names),
    )
    scores = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 4}
    metrics = {
        "frames": 8,
        "accuracy": 0.5,
        "macro_f1": 0.5,
        "kappa": 0.1,
        "per_class": dict.fromkeys(names, scores),
    }
    row = {"confidence": 0.8, "accuracy": 0.7, "frames": 8}
    folds = {
        **metrics,
        "animals": ["a"],
        "confusion": [[2, 2], [2, 2]],
        "calibration": {"ece": 0.1, "reliability": [row]},
    }
    (run / "metrics.json").write_text(json.dumps({"folds": folds}))
    pairs = {"ann - <bob>": {**metrics, "macro_f1": 0.87, "intervals": {"macro_f1": [0.8, 0.9]}}}
    agreement = folder / "agree.json"
    agreement.write_text(json.dumps({"pairs": pairs}))
    more = ("--run", str(run), "--agreement", str(agreement), "--quiet")
    assert main(report(folder, *more)) == 0
    page = (folder / "out/report.html").read_text("utf-8")
    assert "ann - &lt;bob&gt;" in page
    assert "0.87" in page
    assert "Calibration error 0.100" in page
    assert '<circle cx="80.0" cy="30.0"' in page
    for wrong, said in (
        ("[]", "agree --json"),
        (json.dumps({"pairs": {"x": {"per_class": {"a": 1}}}}), "know a"),
    ):
        agreement.write_text(wrong)
        assert main(report(folder, *more)) == 2
        assert said in capsys.readouterr().err


def test_several_sessions_of_an_animal_become_a_course(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        (f"v{i}", f"m{i // 2 * 2 // 4 * 2 + i % 2}", ("vehicle", "drug")[i % 2], i // 2 % 2)
        for i in range(8)
    ]
    write_table(folder / "groups.csv", ("video", "animal", "group", "day"), rows)
    assert main(report(folder, "--assay", "cfa", "--quiet")) == 0
    assert (folder / "out" / "figures" / "sessions.png").stat().st_size > 1000
    table = read_table(folder / "out" / "statistics.csv")
    assert {row[2] for row in table.rows} >= {"time_percent", "time_percent by day"}
    assert "averaged" not in capsys.readouterr().err  # sessions are no repetitions


@pytest.mark.usefixtures("undrawn")
def test_one_group_is_described_and_not_tested(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"v{i}", f"m{i}", "naive") for i in range(8)]
    write_table(folder / "groups.csv", ("video", "animal", "group"), rows)
    assert main(report(folder)) == 0
    assert "There is one group only" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_animals_that_were_in_every_group_are_compared_with_themselves(folder: Path) -> None:
    rows = [(f"v{i}", f"m{i // 2}", ("vehicle", "drug")[i % 2]) for i in range(8)]
    write_table(folder / "groups.csv", ("video", "animal", "group"), rows)
    assert main(report(folder, "--quiet")) == 0
    tests = {row[3] for row in read_table(folder / "out" / "statistics.csv").rows}
    assert tests <= {"Wilcoxon", "sign test"}


def test_help_answers_without_torch_and_pandas() -> None:
    code = "import sys; from dolorim.cli import main\n"
    code += "try: main(['report', '--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
