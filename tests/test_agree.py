"""Two raters, and a model with both, by the same figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dolorim.cli import main
from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import write_labels
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions

VIDEO = "cage_267M"


def trial(folder: Path, number: int, labels: np.ndarray, video: str = VIDEO) -> None:
    write_labels(folder / f"prediction_{video}_{number}.csv", labels, PAIN)


def labels(seed: int, n: int = 360) -> np.ndarray:
    return np.repeat(np.random.default_rng(seed).integers(0, 6, n // 20), 20).astype(np.int16)


@pytest.fixture
def raters(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two people who labeled trials 1 and 3 of a video of 1080 frames, and a model that labeled
    all of it."""
    one, two, model = (tmp_path / n for n in ("anna", "ben", "model"))
    whole = np.concatenate([labels(k) for k in (1, 2, 3)])
    for number in (1, 3):
        mine = whole[(number - 1) * 360 : number * 360].copy()
        trial(one, number, mine)
        mine[:36] = (mine[:36] + 1) % 6
        trial(two, number, mine)
    p = np.eye(6, dtype=np.float32)[whole]
    write_predictions(model, Predictions(VIDEO, PAIN.classes, whole, p, np.arange(1080) / 30))
    return one, two, model


def agree(tmp_path: Path, *arguments: object) -> dict:
    target = tmp_path / "agree.json"
    assert main(["agree", *map(str, arguments), "--json", str(target)]) == 0
    return json.loads(target.read_text("utf-8"))


def test_a_model_is_laid_beside_raters_who_labelled_some_trials(tmp_path, raters, capsys):
    one, two, model = raters
    agreement = agree(tmp_path, *raters)["pairs"]
    assert list(agreement) == [f"{one} - {two}", f"{one} - {model}", f"{two} - {model}"]
    assert [pair["accuracy"] for pair in agreement.values()] == pytest.approx([0.9, 1.0, 0.9])
    assert {pair["frames"] for pair in agreement.values()} == {720}
    assert agreement[f"{one} - {model}"]["events"]["100ms"]["f1"] == 1
    said = capsys.readouterr().out
    assert "F1 paw_withdraw" in said
    assert "read-outs of paw_withdraw by animal" in said


def test_read_outs_of_raters_are_compared_by_animal(tmp_path, raters):
    one, _, model = raters
    readouts = agree(tmp_path, one, one, model)["readouts"][f"{one} - {model}"]
    times = [row for row in readouts if row["readout"] == "time_percent"]
    assert [(row["n"], row["bias"], row["limit_low"]) for row in times] == [(1, 0.0, None)] * 6


def test_two_raters_need_no_model_and_no_video(tmp_path, raters):
    one, two, _ = raters
    (pair,) = agree(tmp_path, one, two, "--rate_hz", "30")["pairs"].values()
    assert (pair["frames"], pair["accuracy"]) == (720, pytest.approx(0.9))
    assert "events" in pair


def test_advice_about_too_few_animals_is_what_raters_can_do(tmp_path, raters, capsys):
    one, two, _ = raters
    (pair,) = agree(tmp_path, one, two)["pairs"].values()
    said = " ".join(capsys.readouterr().out.split())
    assert "one animal says nothing about others" in said
    assert "have more animals labeled by all raters" in said
    assert "--folds" not in said + pair["intervals"]["note"]


def test_only_frames_that_all_have_labelled_are_compared(tmp_path, raters):
    one, two, _ = raters
    rest = labels(1)
    rest[180:] = -1
    trial(two, 1, rest)
    (two / f"prediction_{VIDEO}_3.csv").unlink()
    (pair,) = agree(tmp_path, one, two)["pairs"].values()
    assert (pair["frames"], pair["accuracy"]) == (180, 1.0)


def test_a_video_that_not_all_have_is_left_out_and_named(tmp_path, raters, capsys):
    one, two, _ = raters
    trial(one, 1, labels(5), "other_9F")
    assert agree(tmp_path, one, two)["videos"] == [VIDEO]
    assert "other_9F" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_named_and_does_not_stop_the_rest(raters, capsys):
    one, two, _ = raters
    (one / "prediction_cage_267M_2.csv").write_text("Frame,Action\n0,dancing\n")
    assert main(["agree", str(one), str(two)]) == 1
    assert "dancing" in capsys.readouterr().err


@pytest.mark.parametrize("case", ["nothing", "strangers", "classes", "archive", "rater"])
def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path, raters, capsys, case):
    one, two, model = raters
    np.savez(tmp_path / "r.npz", **{"v|anna": np.array([0, 1])})
    (tmp_path / "bad.npz").write_text("no archive")
    other = tmp_path / "other"
    trial(other, 1, labels(1), "elsewhere")
    classes = tmp_path / "classes.csv"
    classes.write_text("id,name\n0,rest\n1,paw_withdraw\n2,paw_lick\n4,paw_shake\n6,walk\n7,run\n")
    arguments, said = {
        "nothing": ([tmp_path / "nowhere", two], "no such file or folder"),
        "strangers": ([one, other], "share no video"),
        "classes": ([model, model, "--classes", classes], "expected the classes"),
        "archive": ([f"{tmp_path / 'bad.npz'}:anna", one], "not a NumPy archive"),
        "rater": ([f"{tmp_path / 'r.npz'}:ben", one], "there are anna"),
    }[case]
    assert main(["agree", *map(str, arguments)]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert said in error[0]


def test_real_raters_and_a_network_side_by_side(tmp_path, real_data):
    archive = real_data / "raters" / "openfield20.npz"
    expected = json.loads(
        (real_data / "raters" / "expected_segment_metrics.json").read_text("utf-8")
    )
    classes = tmp_path / "classes.csv"
    classes.write_text("id,name\n0,nothing\n1,supported\n2,unsupported\n")
    checked = set()
    for one, two in (("Furkan", "Jin"), ("Jin", "Oliver"), ("Furkan", "Oliver")):
        places = [f"{archive}:{r}" for r in (one, two, "NN")]
        agreement = agree(tmp_path, *places, "--classes", classes, "--rate_hz", "25", "--quiet")[
            "pairs"
        ]
        people = agreement[f"{one} - {two}"]
        assert people["frames"] == 292134
        assert 0.795 < people["kappa"] < 0.835
        assert 0.845 < people["macro_f1"] < 0.885
        assert people["events"]["200ms"]["f1"] < 0.8  # people do not agree on onsets to 200 ms
        for pair, scores in agreement.items():
            truth, guess = pair.split(" - ")
            names = (f"OFT20_{truth}(gt)_vs_{guess}_no_bg", f"OFT20_{guess}_vs_{truth}_no_bg")
            for name in set(names) & set(expected):
                keys = ("f1_10", "f1_25", "f1_50", "edit")
                assert [scores["segments"][k] for k in keys] == pytest.approx(
                    [expected[name][k] for k in keys], abs=1e-6
                )
                checked.add(name)
    assert len(checked) == 4
