"""The report reads what predict writes, answers in words, and asks the network for nothing."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dolorim.cli import main
from dolorim.core.errors import UserError
from dolorim.core.ethogram import Ethogram, RawClass
from dolorim.core.predictions import Predictions
from dolorim.files.table import read_table, write_table
from dolorim.formats.ethogram_file import write_ethogram
from dolorim.formats.labels import write_labels
from dolorim.formats.predictions import write_predictions
from dolorim.formats.study import read_stimuli, read_study
from dolorim.report.assays import read_assay
from dolorim.report.misclassification import corrected_budgets, read_trust
from dolorim.report.readouts import collect

NAMES = ("rest", "paw_lick_L", "=<b>&walk")


def predicted(name: str, labels: np.ndarray, names: tuple[str, ...] = NAMES) -> Predictions:
    chances = np.eye(len(names), dtype=np.float32)[labels]
    return Predictions(name, names, labels.astype(np.int16), chances, np.arange(len(labels)) / 10, {"fps": 10.0})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight animals: the four of the group "<treated>" lick three times as long as the four controls."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(8):
        lick = 0.3 if i % 2 else 0.1
        labels = np.repeat(rng.choice(3, 200, p=[0.6 - lick, lick, 0.4]), 5)
        write_predictions(tmp_path / "found", predicted(f"v{i}", labels))
        rows.append((f"v{i}.mp4", f"m{i}", ("vehicle", "<treated>")[i % 2], i))
    write_table(tmp_path / "groups.csv", ("video", "animal", "group", "day"), rows)
    return tmp_path


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes most of the time; tests that look at no figure get one picture of a dot."""

    def draw(*arguments: object) -> list[Path]:
        path = Path(str(arguments[-1])) / "answer.png"
        path.parent.mkdir(parents=True)
        Image.new("L", (1, 1)).save(path)
        return [path]

    monkeypatch.setattr("dolorim.report.study_report.draw_study", draw)


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


def test_a_report_says_that_the_groups_differ_and_by_how_much(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(report(folder, "--bin", "10s")) == 0
    said = capsys.readouterr().err
    assert "The groups differ in paw lick L (p = 0.029; 4/4 animals)" in said
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert "The groups differ in paw lick L" in page.split("<h2>")[0]
    for path in ("answer.png", "answer.svg", "answer.pdf", "raster.png", "budget.png", "timecourse.png", "bouts.png"):
        assert (folder / "out" / "figures" / path).stat().st_size > 1000
    groups = read_table(folder / "out" / "groups.csv")
    assert groups.header[:6] == ("group", "window", "behavior", "readout", "n", "mean")


@pytest.mark.usefixtures("undrawn")
def test_a_page_is_whole_and_its_names_are_no_markup(folder: Path) -> None:
    assert main(report(folder, "--title", "<i>x</i>", "--quiet")) == 0
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "default-src 'none'" in page
    assert "<b>&walk" not in page
    assert "<i>" not in page
    assert "<treated>" not in page
    assert "&lt;treated&gt;" in page
    behaviors = {row[2] for row in read_table(folder / "out" / "groups.csv").rows}
    assert behaviors == {"rest", "paw_lick_L", "=<b>&walk"}
    assert ",'=<b>&walk," in (folder / "out" / "groups.csv").read_text("utf-8")  # no formula for a spreadsheet


@pytest.mark.usefixtures("undrawn")
def test_label_files_are_read_too_and_a_bad_one_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ethogram = Ethogram(tuple(RawClass(i, n, n) for i, n in enumerate(("rest", "lick"))), ("rest", "lick"))
    write_ethogram(folder / "ethogram.toml", ethogram)
    (folder / "found").rename(folder / "old")
    for i in range(7):
        write_labels(folder / "found" / f"v{i}.csv", np.arange(40) // 10 % 2, ethogram)
    (folder / "found" / "v7.csv").write_text("Frame,Action\n0,swim\n")
    (folder / "found" / "other.csv").write_text("Frame,Action\n0,0\n")
    with pytest.raises(UserError, match="--rate_hz"):
        read_study(folder / "found", folder / "groups.csv", folder / "ethogram.toml")
    assert main(report(folder, "--rate_hz", "10", "--classes", str(folder / "ethogram.toml"))) == 1
    said = capsys.readouterr().err
    assert "no class is called 'swim'" in said
    assert "other.csv: is not in groups.csv; left out" in said
    assert "No difference between the groups was found in lick (p = 1.00" in said


def test_bouts_and_frames_give_the_same_study(folder: Path) -> None:
    quick = read_study(folder / "found", folder / "groups.csv")
    for path in (folder / "found").glob("*.bouts.csv"):
        path.unlink()
    slow = read_study(folder / "found", folder / "groups.csv")
    for a, b in zip(quick.tracks, slow.tracks, strict=True):
        assert (a.video, a.animal, a.group) == (b.video, b.animal, b.group)
        assert a.labels.tolist() == b.labels.tolist()
        assert np.allclose(a.start_s, b.start_s, atol=1e-4)
        assert a.length_s == pytest.approx(b.length_s)


def test_a_damaged_table_of_bouts_and_other_classes_are_failures_of_their_own(folder: Path) -> None:
    (folder / "found" / "v0.bouts.csv").write_text("start_frame,stop_frame,start_s,stop_s,label\n0,5,0,x,rest\n")
    write_predictions(folder / "found", predicted("v3", np.array([0, 1]), ("rest", "bite")))
    study = read_study(folder / "found", folder / "groups.csv")
    assert len(study.tracks) == 6
    assert [path.name for path, _ in study.failures] == ["v0.bouts.csv", "v3.bouts.csv"]
    assert "expected the classes rest, paw_lick_L" in study.failures[1][1]


def test_the_control_comes_first(folder: Path) -> None:
    assert read_study(folder / "found", folder / "groups.csv").groups == ("vehicle", "<treated>")
    assert read_study(folder / "found", folder / "groups.csv", control="<treated>").groups[0] == "<treated>"
    with pytest.raises(UserError, match="no such group; there are vehicle, <treated>"):
        read_study(folder / "found", folder / "groups.csv", control="x")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("video,animal\nv0,m0\n", "expected the columns file,animal,group"),
        ("video,animal,group\nv0,m0,\n", "line 2: a recording, an animal or a group is missing"),
        ("video,animal,group\nv0,m0,a\nv0.mp4,m1,a\n", "line 3: v0.mp4 stands twice"),
        ("video,animal,group\n", "no rows"),
        ("video,animal,group\nx,m0,a\n", "no recording here that"),
    ],
)
def test_a_table_of_groups_that_makes_no_sense_is_refused(folder: Path, table: str, complaint: str) -> None:
    (folder / "groups.csv").write_text(table)
    with pytest.raises(UserError, match=complaint):
        read_study(folder / "found", folder / "groups.csv")


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
    study = read_study(folder / "found", folder / "groups.csv")
    path = folder / "stimuli.csv"
    path.write_text("video,onset_s\nv0.mp4,3\nV0,1.5\nother,2\n")
    assert read_stimuli(path, study) == {("v0", ""): [1.5, 3.0]}
    path.write_text("video,onset_s\nv0,soon\n")
    with pytest.raises(UserError, match="line 2, column onset_s: expected seconds, found 'soon'"):
        read_stimuli(path, study)


@pytest.mark.usefixtures("undrawn")
def test_an_assay_of_trials_reports_responses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(folder / "s.csv", ("video", "onset_s"), [(f"v{i}", s) for i in range(8) for s in (0, 30, 60)])
    assert main(report(folder, "--assay", "von_frey", "--stimuli", str(folder / "s.csv"))) == 0
    assert "of the stimuli answered with paw lick L" in capsys.readouterr().err
    with (folder / "out" / "animals.csv").open(encoding="utf-8") as file:
        found = [r for r in csv.DictReader(file) if r["readout"] == "response" and r["behavior"] == "paw_lick_L"]
    assert {r["recordings"] for r in found} == {"3"}
    assert all(0 <= float(r["value"]) <= 1 for r in found)


@pytest.mark.usefixtures("undrawn")
def test_a_run_says_how_far_to_trust_the_labels(folder: Path) -> None:
    run = folder / "run"
    names = ("rest", "lick")
    ethogram = Ethogram(tuple(RawClass(i, n, n) for i, n in enumerate(names)), names)
    write_ethogram(run / "ethogram.toml", ethogram)
    scores = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 4}
    metrics = {"frames": 8, "accuracy": 0.5, "macro_f1": 0.5, "kappa": 0.0, "per_class": dict.fromkeys(names, scores)}
    (run / "metrics.json").write_text(json.dumps({"val": metrics, "test": {**metrics, "animals": ["a"]}}))
    truth = np.array([0] * 90 + [1] * 10)
    guess = np.array([0] * 81 + [1] * 9 + [1] * 10)  # one rest frame in ten is taken for licking
    for i in range(3):
        write_labels(run / "predictions" / "test" / f"t{i}.truth.csv", truth, ethogram)
        write_predictions(run / "predictions" / "test", predicted(f"t{i}", guess, names))
    part, _, confusions = read_trust(run, names)
    assert part == "test"
    assert [c.tolist() for c in confusions] == [[[81, 9], [0, 10]]] * 3
    for i in range(8):
        write_predictions(folder / "found", predicted(f"v{i}", guess, names))
    study = read_study(folder / "found", folder / "groups.csv")
    tables = collect(study, read_assay("whole"))
    budget = corrected_budgets(tables["animals"], names, confusions).query("behavior == 'lick'")
    assert budget.predicted.to_list() == pytest.approx([19, 19])
    assert budget.corrected.to_list() == pytest.approx([10, 10])
    assert main(report(folder, "--run", str(run), "--quiet")) == 0
    assert "Time budgets with the classifier&#x27;s errors" in (
        page := (folder / "out/report.html").read_text("utf-8")
    ) or ("Time budgets with the classifier's errors" in page)
    with pytest.raises(UserError, match="the run knows rest, lick, the recordings have a, b"):
        read_trust(run, ("a", "b"))


@pytest.mark.usefixtures("undrawn")
def test_agreement_of_raters_and_calibration_stand_beside_a_runs_scores(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("rest", "lick")
    for i in range(8):
        write_predictions(folder / "found", predicted(f"v{i}", np.array([0] * 90 + [1] * 10), names))
    run = folder / "run"
    write_ethogram(run / "ethogram.toml", Ethogram(tuple(RawClass(i, n, n) for i, n in enumerate(names)), names))
    scores = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 4}
    metrics = {"frames": 8, "accuracy": 0.5, "macro_f1": 0.5, "kappa": 0.1, "per_class": dict.fromkeys(names, scores)}
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
    for wrong, said in (("[]", "agree --json"), (json.dumps({"pairs": {"x": {"per_class": {"a": 1}}}}), "know a")):
        agreement.write_text(wrong)
        assert main(report(folder, *more)) == 2
        assert said in capsys.readouterr().err


def test_several_sessions_of_an_animal_become_a_course(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"v{i}", f"m{i // 2 * 2 // 4 * 2 + i % 2}", ("vehicle", "drug")[i % 2], i // 2 % 2) for i in range(8)]
    write_table(folder / "groups.csv", ("video", "animal", "group", "day"), rows)
    assert main(report(folder, "--assay", "cfa", "--quiet")) == 0
    assert (folder / "out" / "figures" / "sessions.png").stat().st_size > 1000
    found = read_table(folder / "out" / "statistics.csv")
    assert {row[2] for row in found.rows} >= {"time_percent", "time_percent by day"}
    assert "averaged" not in capsys.readouterr().err  # sessions are no repetitions


@pytest.mark.usefixtures("undrawn")
def test_one_group_is_described_and_not_tested(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    assert tests == {"Wilcoxon"}


def test_help_answers_without_torch_and_pandas() -> None:
    code = "import sys; from dolorim.cli import main\ntry: main(['report', '--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
