"""The server of the studio: who may ask, what is served, and that labels stay with their videos."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dolorim.studio.server import make_studio_app
from dolorim.studio.studio import PAGES, Studio
from reviewing import N, predicted_study, serving_app
from videos import numbered, write_film

OTHER_SITE = {"origin": "http://evil.example"}


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos with predictions, which lie where the studio has them."""
    folder = tmp_path_factory.mktemp("studio")
    predicted_study(folder)
    (folder / "dolorim").mkdir()
    (folder / "predictions").rename(folder / "dolorim" / "predictions")
    return folder


@pytest.fixture
def folder(study_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(study_folder, tmp_path / "study"))


@pytest.fixture
def studio(folder: Path) -> Studio:
    return Studio(folder, "ann")


@pytest.fixture
def client(studio: Studio) -> Iterator[httpx.Client]:
    with serving_app(make_studio_app(studio)) as url:
        base = url.partition("?")[0].rstrip("/")
        with httpx.Client(base_url=base, timeout=30) as client:
            assert client.get("/?token=token").status_code == 200
            yield client


def test_every_page_is_served_and_only_to_who_has_the_token(client: httpx.Client) -> None:
    for name, address in PAGES.items():
        answer = client.get(address)
        assert answer.status_code == 200, name
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert " style=" not in answer.text
        assert "onclick" not in answer.text
        assert httpx.get(str(client.base_url.join(address))).status_code == 403


def test_an_empty_folder_has_all_pages(tmp_path: Path) -> None:
    with serving_app(make_studio_app(Studio(tmp_path, "ann"))) as url, httpx.Client() as client:
        client.get(url)
        base = url.partition("/?")[0]
        for name, address in PAGES.items():
            answer = client.get(base + address, follow_redirects=True)
            assert answer.status_code == 200, name
    # Looking at pages writes nothing.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/jobs/1/cancel", "/jobs/1/resume"])
def test_no_other_site_can_change_anything(client: httpx.Client, studio: Studio, path: str) -> None:
    studio.jobs.folder.mkdir(parents=True)
    assert client.post(path, json={}, headers=OTHER_SITE).status_code == 403
    assert client.post(path, data={"a": "b"}).status_code == 415
    assert httpx.post(str(client.base_url.join(path)), json={}).status_code == 403
    assert client.get(path).status_code in (404, 405)
    assert studio.jobs.all() == []


@pytest.mark.parametrize(
    "path", ["/studio/../server.py", "/studio/..%2fserver.py", "/static/..%2f..%2fserver.py", "/x"]
)
def test_nothing_else_is_reached(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"def " not in answer.content


def test_the_labeling_room_shows_predictions_and_saves_in_the_home(
    client: httpx.Client, folder: Path
) -> None:
    study = client.get("/api/study").json()
    assert [row["name"] for row in study["recordings"]] == ["a_201M", "b_202F"]
    assert client.get("/api/recording/0").json()["predicted"]
    edit = {"version": 0, "ranges": [[0, 10, 2]], "id": "one"}
    assert client.post("/api/recording/0/edit", json=edit).status_code == 200
    assert client.post("/api/save", json={}).json() == {"saved": True}
    labels = (folder / "dolorim" / "labels" / "ann" / "a_201M.csv").read_text()
    assert len(labels.splitlines()) == 1 + N
    assert (folder / "dolorim" / "labels" / "ethogram.toml").is_file()


def test_a_page_that_knows_other_recordings_cannot_label_them(
    client: httpx.Client, folder: Path
) -> None:
    before = client.get("/api/study").json()
    headers = {"x-study": before["key"]}
    assert client.get("/api/recording/0", headers=headers).status_code == 200
    # A video whose name comes first moves the numbers of all others.
    write_film(folder / "Videos" / "A_new.mp4", numbered(10, 96, 128))
    after = client.get("/api/study").json()
    assert [row["name"] for row in after["recordings"]] == ["A_new", "a_201M", "b_202F"]
    edit = {"version": 0, "ranges": [[0, 10, 2]], "id": "one"}
    refused = client.post("/api/recording/0/edit", json=edit, headers=headers)
    # The page keeps its step, and sends it to the right recording after it is loaded again.
    assert refused.status_code == 503
    assert "reload" in refused.json()["error"]
    new = {"x-study": after["key"]}
    assert client.post("/api/recording/1/edit", json=edit, headers=new).status_code == 200


def test_the_server_never_loads_torch() -> None:
    program = """if True:
        import sys
        import dolorim.studio.server
        loaded = {"torch", "lightning", "timm", "transformers"} & set(sys.modules)
        assert not loaded, loaded
    """
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
