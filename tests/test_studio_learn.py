"""Learn: what a round runs, what the page says about it, and who may start one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import write_labels
from dolorim.studio.home import StudioHome
from dolorim.studio.jobs import Jobs
from dolorim.studio.learning import label_flags, learn_commands, progress_text, rounds_of
from dolorim.studio.server import make_studio_app
from dolorim.studio.studio import Studio
from reviewing import predicted_study, serving_app


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return predicted_study(tmp_path_factory.mktemp("learn")).parent


@pytest.fixture
def home(study_folder: Path, tmp_path: Path) -> StudioHome:
    shutil.copytree(study_folder / "Videos", tmp_path / "study" / "Videos")
    return StudioHome(tmp_path / "study")


@pytest.fixture
def studio(home: StudioHome, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setattr("dolorim.studio.jobs._start_runner", lambda folder: None)
    return Studio(home.folder, "ann")


@pytest.fixture
def client(studio: Studio) -> Iterator[httpx.Client]:
    with serving_app(make_studio_app(studio)) as url:
        base = url.partition("?")[0].rstrip("/")
        with httpx.Client(base_url=base, timeout=30) as client:
            assert client.get("/?token=token").status_code == 200
            yield client


def label(home: StudioHome) -> None:
    name = home.videos()[0].stem
    write_labels(home.labels / "ann" / f"{name}.csv", np.zeros(20, np.int16), PAIN)


def finished(home: StudioHome, name: str, macro_f1: float, interval: list[float] | None) -> None:
    run = home.runs / name
    run.mkdir(parents=True)
    scores = {"macro_f1": macro_f1, "frames": 900, "animals": ["a", "b", "c"]}
    if interval is not None:
        scores["intervals"] = {"macro_f1": interval}
    files = {"cross_validated": scores, "metrics": {}, "head": {"shares": {"linear": 1.0}}}
    for file, content in files.items():
        (run / f"{file}.json").write_text(json.dumps(content), "utf-8")


def test_a_round_learns_from_the_room_and_labels_the_study(home: StudioHome) -> None:
    assert label_flags(home, "ann") == []
    label(home)
    train, predict = learn_commands(home, "ann", home.next_run())
    assert train[train.index("--corrections") + 1] == str(home.labels / "ann")
    assert train[train.index("--test_animals") + 1] == "none"
    assert predict == (
        "predict",
        str(home.runs / "01"),
        str(home.folder / "Videos"),
        "--out",
        str(home.predictions),
        "--no_overwrite",
    )
    network, _ = learn_commands(home, "ann", home.next_run(), "network")
    assert "--test_animals" not in network  # it keeps animals to find its best epoch by


def test_the_score_is_set_beside_the_one_before(home: StudioHome) -> None:
    assert progress_text(rounds_of(home)) == ""
    finished(home, "01", 0.61, None)
    finished(home, "02", 0.74, [0.52, 0.88])
    text = "F1 on animals it has not seen: 0.61 → 0.74 (0.52 to 0.88)"
    assert progress_text(rounds_of(home)) == text
    (home.runs / "02" / "cross_validated.json").write_text("{", "utf-8")
    assert "no animals were left out" in progress_text(rounds_of(home))


def test_the_page_starts_a_round_and_shows_it(
    client: httpx.Client, studio: Studio, home: StudioHome
) -> None:
    refused = client.post("/learn/quick", json={}, headers={"hx-request": "true"})
    assert refused.status_code == 422
    assert "label some bouts" in refused.text
    session = studio.room()
    session.corrections(0).edit(0, [(0, 20, 2)])  # not in the label file yet
    for address in ("/learn/quick", "/learn/network"):
        foreign = client.post(address, json={}, headers={"origin": "http://evil.example"})
        assert foreign.status_code == 403
    assert Jobs(home.jobs).all() == []
    assert client.post("/learn/quick", json={}).status_code == 200
    assert client.post("/learn/quick", json={}).status_code == 200  # pressed twice
    [job] = Jobs(home.jobs).all()
    assert [command[0] for command in job.commands] == ["train", "predict"]
    finished(home, "01", 0.7, [0.5, 0.8])
    page = client.get("/learn").text
    assert "0.70 (0.50 to 0.80)" in page
    assert "dolorim train video" in page
    assert "linear" in page


def test_live_curves_are_read_without_torch(client: httpx.Client, home: StudioHome) -> None:
    assert "No network" in client.get("/learn/training").text
    log_losses(home.runs / "01" / "logs")
    page = client.get("/learn/training").text
    assert "<polyline" in page
    assert "Loss" in page


def log_losses(folder: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    for step, loss in enumerate((1.0, 0.5, 0.25)):
        value = Summary.Value(tag="train/loss_epoch", simple_value=loss)
        writer.add_event(Event(step=step, summary=Summary(value=[value])))
    writer.close()
