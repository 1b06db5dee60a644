"""Notes, keys, other raters, chambers: what the labeling room keeps and tells besides labels."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import in_study_folder, open_study
from dolorim.files.tables import write_table
from dolorim.labels.boris import read_boris, write_boris
from dolorim.labels.ethogram import PAIN, Ethogram, RawClass
from dolorim.labels.ethogram_file import read_ethogram, write_ethogram
from dolorim.labels.events import Conflicts
from dolorim.labels.label_files import write_labels
from dolorim.labels.label_folder import label_paths
from dolorim.labels.predictions import Predictions
from dolorim.metrics.frames import confusion, frame_scores
from dolorim.review.contents import open_review
from dolorim.review.corrections import Corrections, RequestError
from dolorim.review.history import UNTOUCHED
from dolorim.review.keys import read_keys, write_keys
from dolorim.review.raters import agreement
from reviewing import N, predicted_study, serving
from videos import numbered, write_film


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return predicted_study(tmp_path_factory.mktemp("study"), ("a_201M.mp4",))


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[httpx.Client]:
    with serving(place) as served, httpx.Client(base_url=served.base) as client:
        client.get("/?token=token")
        yield client


def opened(folder: Path, rater: str = "ann") -> Corrections:
    return Corrections(folder / rater, "mouse", rater, N, PAIN)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# ---- notes ----


def test_a_note_outlives_undo_and_a_restart_and_lies_beside_the_labels(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.edit(0, [(10, 20, 2)])
    one.note(1, 10, 20, "left paw, then right")
    one.undo(2)
    one.save()
    again = opened(tmp_path)
    assert [(n.start, n.stop, n.text) for n in again.notes] == [(10, 20, "left paw, then right")]
    again.edit(3, [(10, 20, 2)])
    again.save()
    assert rows_of(tmp_path / "ann" / "mouse.notes.csv") == [
        {
            "start_frame": "10",
            "stop_frame": "20",
            "label": "paw_lick",
            "note": "left paw, then right",
        }
    ]


def test_a_later_note_about_the_bout_takes_the_place_of_the_earlier_one(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.note(0, 10, 20, "first")
    one.note(1, 40, 50, "elsewhere")
    one.note(2, 8, 18, "second")  # the bout's edges have moved
    assert [n.text for n in one.notes] == ["second", "elsewhere"]
    one.note(3, 8, 18, "")
    assert [n.text for n in one.notes] == ["elsewhere"]
    text = (tmp_path / "ann" / "mouse.history.jsonl").read_text()
    assert all(word in text for word in ("first", "second"))
    with pytest.raises(RequestError):
        one.note(4, 10, N + 1, "beyond the end")


def test_notes_are_no_label_file(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.edit(0, [(0, 5, 1)])
    one.note(1, 0, 5, "look again")
    one.save()
    assert [path.name for path in label_paths(tmp_path / "ann")] == ["mouse.csv"]
    write_film(tmp_path / "Videos" / "mouse.mp4", numbered(N))
    config = DataConfig(videos=tmp_path / "Videos", annotations=tmp_path / "ann")
    study = open_study(config)
    assert len(study.sources[0].labels) == 1
    assert study.findings == ()


def test_the_page_writes_notes_and_is_told_of_them(client: httpx.Client) -> None:
    version = client.get("/api/recording/0").json()["corrections"]["version"]
    note = {"version": version, "start": 0, "stop": 9, "text": "doubtful", "id": "n1"}
    for _ in range(2):  # sent twice, done once
        answer = client.post("/api/recording/0/note", json=note)
    assert answer.json()["notes"] == [[0, 9, "doubtful"]]
    assert answer.json()["version"] == version + 1
    for bad in ({"start": 0}, {"start": 0, "stop": 9, "text": 3}, {"start": 9, "stop": 3}):
        step = {"version": version + 1, "text": "x", **bad}
        assert client.post("/api/recording/0/note", json=step).status_code == 422


# ---- keys ----


def test_keys_are_kept_with_the_rater_and_no_two_classes_have_the_same(tmp_path: Path) -> None:
    write_keys(tmp_path, {"paw_lick": "k", "walk": "Shift+W"}, PAIN.classes)
    assert read_keys(tmp_path) == {"paw_lick": "k", "walk": "Shift+W"}
    for bad in ({"paw_lick": "k", "walk": "k"}, {"nobody": "k"}, {"walk": 3}, ["k"]):
        with pytest.raises(UserError):
            write_keys(tmp_path, bad, PAIN.classes)
    assert read_keys(tmp_path)["paw_lick"] == "k"
    (tmp_path / "keys.json").write_text("{")
    assert read_keys(tmp_path) == {}


# ---- other raters ----


def test_kappa_of_two_raters_is_that_of_the_frames_both_have_labeled() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(-2, 4, 500), rng.integers(-2, 4, 500)
    both = (one >= 0) & (other >= 0)
    frames, kappa = agreement(one, other, 4)
    assert frames == both.sum()
    expected = frame_scores(confusion(one[both], other[both], 4), list("abcd"))
    assert kappa == pytest.approx(expected["kappa"])
    assert agreement(np.full(5, UNTOUCHED), np.zeros(5, int), 4) == (0, None)


def test_other_raters_are_shown_with_what_they_have_said_themselves(place: Path) -> None:
    bob = Corrections(place / "review" / "bob", "a_201M", "bob", N, PAIN)
    bob.edit(0, [(0, 30, 0), (30, 60, 2)])
    labels = np.full(N, -1, np.int16)
    labels[:60] = [0] * 30 + [2] * 30
    write_labels(place / "review" / "file_only" / "a_201M.csv", labels, PAIN)
    write_labels(place / "review" / "gone" / "a_201M.csv", labels, PAIN)
    (place / "review" / "gone" / "a_201M.csv").write_text("Frame,Action\n0,nothing like it\n")
    before = sorted(path.name for path in (place / "review" / "bob").iterdir())
    with serving(place, "cleo") as served, httpx.Client(base_url=served.base) as client:
        client.get("/?token=token")
        edit = {"version": 0, "ranges": [[0, 20, 0], [20, 60, 2]]}
        client.post("/api/recording/0/edit", json=edit)
        told = {row["rater"]: row for row in client.get("/api/recording/0/raters").json()}
    assert told["bob"]["runs"] == told["file_only"]["runs"] == [[0, 30, 0], [30, 60, 2]]
    assert told["bob"]["frames"] == 60
    assert "nothing like it" in told["gone"]["problem"]
    assert told["gone"]["kappa"] is None
    # Of 60 frames, 50 agree; by chance (30 * 20 + 30 * 40) / 60 would.
    assert told["bob"]["kappa"] == pytest.approx((50 - 30) / (60 - 30))
    assert sorted(path.name for path in (place / "review" / "bob").iterdir()) == before


# ---- blinded ----


def test_a_blinded_rater_is_told_nothing_that_a_model_or_another_rater_says(place: Path) -> None:
    review = open_review(place, DataConfig(), shuffle="1 dan")
    with (
        serving(place, "dan", review, blinded=True) as served,
        httpx.Client(base_url=served.base) as client,
    ):
        client.get("/?token=token")
        recording = client.get("/api/recording/0").json()
        assert recording["predicted"] is None
        assert recording["n_frames"] == N
        tile = client.get("/api/recording/0/tile?step=1&index=0")
        assert tile.headers["x-probabilities"] == "0"
        assert client.get("/api/recording/0/raters").json() == []
        assert client.get("/api/progress").json() == {"next": [], "checked": 0, "total": 0}


# ---- chambers ----


def test_each_chamber_is_a_recording_with_its_own_label_file(tmp_path: Path) -> None:
    write_film(tmp_path / "Videos" / "cage.mp4", numbered(12, 96, 128))
    rows = [("A1", 0, 0, 64, 96), ("A2", 64, 0, 128, 96)]
    write_table(tmp_path / "chambers.csv", ("chamber", "x0", "y0", "x1", "y1"), rows)
    review = open_review(tmp_path, DataConfig(), out=tmp_path / "labels")
    assert [item.name for item in review.items] == ["cage.A1", "cage.A2"]
    with serving(tmp_path, review=review) as served, httpx.Client(base_url=served.base) as client:
        client.get("/?token=token")
        chamber = client.get("/api/recording/1").json()["chamber"]
        assert chamber == {"box": [64, 0, 128, 96], "others": [[0, 0, 64, 96]]}
        client.post("/api/recording/1/edit", json={"version": 0, "ranges": [[0, 12, 2]]})
        followed = client.get("/api/recording/1/frames?follow=1").content
        x = np.frombuffer(followed[12:16], "<f4")[0]
        assert 64 <= x < 128  # in pixels of the whole picture
    config = in_study_folder(tmp_path, DataConfig(annotations=tmp_path / "labels" / "ann"))
    study = open_study(config)
    labeled = {source.name: len(source.labels) for source in study.sources}
    assert labeled == {"cage.A1": 0, "cage.A2": 1}


# ---- point events ----


def test_classes_that_are_point_events_are_said_in_the_ethogram(tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    table.write_text("id,name,type\n0,rest,state\n1,flinch,point\n2,lick,\n")
    ethogram = read_ethogram(table)
    assert ethogram.points == ("flinch",)
    write_ethogram(tmp_path / "ethogram.toml", ethogram)
    assert read_ethogram(tmp_path / "ethogram.toml") == ethogram
    write_ethogram(tmp_path / "plain.toml", PAIN)
    assert "points" not in (tmp_path / "plain.toml").read_text()
    with pytest.raises(UserError, match="shake"):
        Ethogram(ethogram.raw, ethogram.classes, points=("shake",))


def test_point_events_go_through_labels_and_boris_and_come_back(tmp_path: Path) -> None:
    names = ("rest", "flinch")
    raw = tuple(RawClass(i, name, name) for i, name in enumerate(names))
    ethogram = Ethogram(raw, names, points=("flinch",))
    labels = np.zeros(N, np.int16)
    labels[[7, 30, N - 1]] = 1
    predictions = Predictions(
        "mouse", names, labels, np.eye(2)[labels], np.arange(N) / 29.97, {"points": ["flinch"]}
    )
    path = tmp_path / "mouse.boris.csv"
    write_boris(path, [predictions], "")
    kinds = {(row["Behavior"], row["Behavior type"]) for row in rows_of(path)}
    assert kinds == {("rest", "STATE"), ("flinch", "POINT")}
    events = read_boris(path, ethogram, DataConfig(), Conflicts("warn"))
    back = next(iter(events.values())).on_frames(N, np.arange(N) / 29.97)
    assert back.labels.tolist() == labels.tolist()
