"""The wall of bouts: the same labels as in the labeling room, by one key each."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from dolorim.core.errors import UserError
from dolorim.labels.ethogram import PAIN
from dolorim.review.history import UNSURE
from dolorim.studio.clips import SIZE, ClipMaker, middle_of
from dolorim.studio.server import make_studio_app
from dolorim.studio.studio import Studio
from dolorim.studio.wall_bouts import WallBout, alike, all_bouts, of_class, said_of, verdict
from dolorim.video.cache import EntryMeta, state_of
from dolorim.video.chambers import in_chamber
from dolorim.video.seen_frames import SeenFrames, keep_seen
from reviewing import predicted_study, serving_app

LICK = PAIN.classes.index("paw_lick")


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wall")
    predicted_study(folder)
    (folder / "dolorim").mkdir()
    (folder / "predictions").rename(folder / "dolorim" / "predictions")
    return folder


@pytest.fixture
def studio(study_folder: Path, tmp_path: Path) -> Studio:
    return Studio(Path(shutil.copytree(study_folder, tmp_path / "study")), "ann")


@pytest.fixture
def url(studio: Studio) -> Iterator[str]:
    with serving_app(make_studio_app(studio)) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    base = url.partition("?")[0].rstrip("/")
    with httpx.Client(base_url=base, timeout=30) as client:
        assert client.get("/?token=token").status_code == 200
        yield client


def test_bouts_come_by_doubt_or_by_what_they_may_change() -> None:
    short, long = WallBout(0, 0, 10, 1, 0.5), WallBout(0, 20, 220, 1, 0.8)
    sure, other = WallBout(1, 0, 10, 1, 0.99), WallBout(1, 10, 20, 2, 0.1)
    everything = [sure, short, other, long]
    assert of_class(everything, 1, "doubt") == [short, long, sure]
    assert of_class(everything, 1, "effect") == [long, short, sure]
    assert of_class(everything, 1, "time") == [sure, short, long]
    assert said_of(np.array([2, 2])) == 2
    assert said_of(np.array([2, -1])) is None
    said = [-1, 1, UNSURE, 2, None]
    texts = [verdict(WallBout(0, 0, 5, 1, 0.5, one), ("x", "y", "z")) for one in said]
    assert texts == ["", "accepted", "rejected", "z", "in parts"]


def test_the_middle_of_a_long_bout_is_shown() -> None:
    assert middle_of(10, 50, 90) == (10, 50)
    assert middle_of(0, 1000, 90) == (455, 545)
    assert middle_of(7, 8, 0) == (7, 8)


def test_marks_of_the_wall_are_labels_of_the_room(client: httpx.Client, studio: Studio) -> None:
    [bout, *_] = all_bouts(studio.room())
    body = {"item": bout.item, "start": bout.start, "stop": bout.stop, "id": "one"}
    for address in ("/wall/mark", "/wall/undo"):
        foreign = client.post(address, json=body, headers={"origin": "http://evil.example"})
        assert foreign.status_code == 403
    assert client.post("/wall/mark", json={**body, "mark": 99}).status_code == 422
    assert client.post("/wall/mark", json={**body, "mark": "x"}).status_code == 422
    version = client.post("/wall/mark", json={**body, "mark": LICK}).json()["version"]
    again = client.post("/wall/mark", json={**body, "mark": LICK}).json()["version"]
    assert (version, again) == (1, 1)  # a step that arrives twice is done once
    corrections = studio.room().corrections(bout.item)
    assert (corrections.marks[bout.start : bout.stop] == LICK).all()
    assert corrections.set_by("wall").sum() == bout.stop - bout.start
    shown = client.get(f"/wall/bouts?label={bout.label}&order=time").json()["bouts"]
    assert shown[0]["verdict"] in ("accepted", "paw_lick")
    step = json.loads(corrections.history_path.read_text("utf-8").splitlines()[0])
    assert (step["by"], step["who"]) == ("wall", "ann")
    undo = {"item": bout.item, "version": version, "id": "two"}
    assert client.post("/wall/undo", json=undo).json() == {"version": 2}
    assert not corrections.set_by("wall").any()
    corrections.edit(2, [(0, 1, 0)])  # in the labeling room
    headers = {"hx-request": "true"}
    late = client.post("/wall/undo", json={**undo, "id": "three"}, headers=headers)
    assert late.status_code == 422
    assert "changed since" in late.text


def test_a_clip_is_made_once_and_only_of_what_is_predicted(
    client: httpx.Client, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    [bout, *_] = all_bouts(studio.room())
    address = f"/wall/clip/{bout.item}/{bout.start}/{bout.stop}"
    answer = client.get(address)
    assert answer.headers["content-type"] == "image/webp"
    clip = Image.open(io.BytesIO(answer.content))
    assert clip.size == (SIZE, SIZE)
    assert clip.n_frames > 1
    monkeypatch.setattr(ClipMaker, "_make", lambda *arguments: 1 / 0)
    assert client.get(address).content == answer.content
    for place in ("99/0/5", f"{bout.item}/5/5", f"{bout.item}/0/100000"):
        assert client.get(f"/wall/clip/{place}").status_code == 404


def test_more_like_one_by_stored_features(studio: Studio) -> None:
    session = studio.room()
    bouts = all_bouts(session)
    wanted = (bouts[0].item, bouts[0].start, bouts[0].stop)
    with pytest.raises(UserError, match="learn once"):
        alike(bouts, wanted, session, studio.home.cache)
    view = {"crop": "follow", "align": "none", "crop_scale": 1.6, "body_length_px": 30.0}
    view |= {"image_size": 32, "mask": ""}
    for item in session.review.items:
        item.meta["view"] = view
        data = in_chamber(studio.home.data(), None)
        data = replace(data, cache=studio.home.cache, **view)
        n_frames = item.n_frames or 0
        features = np.random.default_rng(0).normal(size=(n_frames, 3)).astype(np.float32)
        state = state_of(item.video, data, None)
        centers = np.ones((n_frames, 2), np.float32)
        seen = SeenFrames("frames-x", state, features, centers, np.zeros(n_frames, np.float32))
        meta = EntryMeta(state, 48.0, None, (), None, False)
        keep_seen(item.video, data, None, seen, np.arange(n_frames) / 30, meta)
    nearest = alike(bouts, wanted, session, studio.home.cache)
    assert nearest[0] == bouts[0]
    # The other video has the same features.
    assert (nearest[1].start, nearest[1].stop) == wanted[1:]
    assert nearest[1].item != bouts[0].item


def test_keys_on_the_wall(url: str, studio: Studio) -> None:
    browsing = pytest.importorskip("browsing")
    first_bouts = all_bouts(studio.room())
    with browsing.chromium() as browser, browsing.visiting(browser) as visit:
        page = visit(url)
        page.goto(url.partition("?")[0] + "wall")
        page.wait_for_selector("#bouts li[aria-selected]")
        page.select_option("#wall-class", str(first_bouts[0].label))
        page.select_option("#wall-order", "time")
        page.wait_for_selector("#bouts[aria-busy='false']")
        shown = of_class(first_bouts, first_bouts[0].label, "time")
        assert page.locator("#bouts li").count() == len(shown)
        page.wait_for_function("() => document.querySelector('#bouts img').naturalWidth > 0")
        page.locator("#bouts").focus()
        browsing.press(page, "a", "x", "ArrowLeft", str(LICK + 1))
        page.wait_for_function(
            "() => document.querySelectorAll('#bouts li:not([data-verdict=\"\"])').length === 2"
        )
        browsing.press(page, "u")
        page.wait_for_selector("#bouts li[data-verdict='accepted']")
    marks = [studio.room().corrections(i).marks for i in range(2)]
    for bout, mark in zip(shown, (bout_label(shown[0]), UNSURE), strict=False):
        assert (marks[bout.item][bout.start : bout.stop] == mark).all()


def bout_label(bout: WallBout) -> int:
    return bout.label
