"""The server of the studio: who may ask, what is served, and that labels stay with their videos."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import read_labels
from dolorim.studio.server import make_studio_app
from dolorim.studio.studio import PAGES, Studio
from reviewing import N, predicted_study, serving_app
from videos import numbered, write_film

OTHER_SITE = {"origin": "http://evil.example"}


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are queued here; `test_studio_jobs.py` runs some."""
    monkeypatch.setattr("dolorim.studio.jobs._start_runner", lambda folder: None)


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


VERBS = (
    *("/jobs/1/cancel", "/jobs/1/resume", "/open", "/study/demo", "/study/check"),
    *("/study/recordings", "/study/ethogram", "/study/reading", "/study/chambers"),
    *("/predict/add", "/findings/make", "/export/make"),
)


@pytest.mark.parametrize("path", VERBS)
def test_no_other_site_can_change_anything(client: httpx.Client, studio: Studio, path: str) -> None:
    before = sorted(studio.home.folder.rglob("*"))
    assert client.post(path, json={}, headers=OTHER_SITE).status_code == 403
    assert client.post(path, data={"a": "b"}).status_code == 415
    assert httpx.post(str(client.base_url.join(path)), json={}).status_code == 403
    assert sorted(studio.home.folder.rglob("*")) == before
    # What a page never sends is refused in a line.
    for odd in ([], {"seen": 3}, {"place": ["a"]}, {"folder": "\0"}, {"source": {}, "format": 1}):
        answer = client.post(path, json=odd)
        assert answer.status_code in (200, 422), answer.text
        if path not in ("/study/check", "/study/demo", "/study/reading"):
            assert answer.status_code == 422


@pytest.mark.parametrize(
    "path", ["/studio/../server.py", "/studio/..%2fserver.py", "/static/..%2f..%2fserver.py", "/x"]
)
def test_nothing_else_is_reached(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"def " not in answer.content


@pytest.mark.parametrize(
    "place", ["/etc", "../../../etc", "~root/..", "/", "/proc/self", "nowhere", "\0"]
)
def test_the_folder_picker_stays_among_the_files_of_the_user(
    client: httpx.Client, studio: Studio, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(studio, "roots", (studio.home.folder.parent,))
    link = studio.home.folder / "link"
    link.symlink_to("/etc")
    for one in (place, str(link)):
        assert client.get("/folders", params={"place": one}).status_code == 404
        assert client.post("/open", json={"folder": one}).status_code == 422
        assert client.post("/predict/add", json={"place": one}).status_code == 422
    answer = client.get("/folders", params={"place": str(studio.home.folder)})
    assert "Videos/" in answer.text


def test_another_study_is_opened_with_its_own_labels_and_jobs(
    client: httpx.Client, studio: Studio, folder: Path
) -> None:
    other = folder.parent / "other"
    write_film(other / "c_203M.mp4", numbered(10, 96, 128))
    assert client.get("/api/study").json()["recordings"][0]["name"] == "a_201M"
    answer = client.post("/open", json={"folder": str(other)})
    assert answer.headers["hx-redirect"] == "/"
    assert [row["name"] for row in client.get("/api/study").json()["recordings"]] == ["c_203M"]
    assert studio.jobs.folder == other / "dolorim" / "jobs"
    assert "c_203M" in client.get("/").text


def test_only_files_of_the_report_are_served_and_they_run_no_scripts(
    client: httpx.Client, folder: Path
) -> None:
    report = folder / "dolorim" / "report"
    (report / "figures").mkdir(parents=True)
    (report / "report.html").write_text("<p>the answer")
    (report / "figures" / "a.csv").write_text("a,b")
    (report / "link.csv").symlink_to(folder / "dolorim" / "predictions" / "a_201M.bouts.csv")
    answer = client.get("/findings/report/report.html")
    assert answer.text == "<p>the answer"
    policy = answer.headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert "default-src 'none'" in policy[0]
    assert "script-src" not in policy[0]
    assert "frame-ancestors 'self'" in policy[0]
    assert client.get("/findings/report/figures/a.csv").text == "a,b"
    for path in ("../check.json", "..%2f..%2frecordings.csv", "link.csv", "figures", "%00"):
        assert client.get(f"/findings/report/{path}").status_code == 404
    assert "frame-src 'self'" in client.get("/findings").headers["content-security-policy"]


def test_pages_start_jobs_with_the_commands_that_they_show(
    client: httpx.Client, studio: Studio, folder: Path
) -> None:
    run = folder / "dolorim" / "runs" / "01"
    run.mkdir(parents=True)
    assert client.post("/predict/add", json={}).status_code == 422  # no finished run
    (run / "metrics.json").write_text('{"test": {"macro_f1": 0.5, "animals": ["a"], "frames": 9}}')
    (folder / "recordings.csv").write_text("video,animal,group\na_201M,1,x\nb_202F,2,y\n")
    assert client.post("/study/check", json={}).status_code == 200
    new = folder.parent / "new"
    write_film(new / "d.mp4", numbered(4, 96, 128))
    for place in ("", str(new)):
        answer = client.post("/predict/add", json={"place": place, "run": "01"})
        assert answer.headers["hx-trigger"] == "job-added"
    made = {"source": "predictions:this study", "control": "y", "run": "01"}
    assert client.post("/findings/make", json=made).status_code == 200
    exported = {"set": "this study", "format": "boris"}
    assert client.post("/export/make", json=exported).status_code == 200
    jobs = studio.jobs.all()
    assert [job.state for job in jobs] == ["queued"] * 5
    commands = [list(job.commands[0]) for job in jobs]
    own = folder / "dolorim"
    assert commands[1:3] == [
        ["predict", str(run), str(folder / "Videos"), "--out", str(own / "predictions"),
         "--no_overwrite"],
        ["predict", str(run), str(new), "--out", str(own / "predicted" / "new"), "--no_overwrite"],
    ]  # fmt: skip
    assert commands[3][:2] == ["report", str(own / "predictions")]
    assert commands[3][-4:] == ["--control", "y", "--run", str(run)]
    assert commands[4][-1] == str(own / "exports" / "predictions" / "boris")
    # The page shows them, and which videos wait.
    page = client.get("/predict").text
    assert f"dolorim predict {run} {folder / 'Videos'}" in page
    assert "0 of 2 videos" in page
    assert "0.50" in page
    assert client.post("/jobs/2/cancel", json={}).status_code == 200
    assert studio.jobs.get(2).state == "canceled"
    assert "not labeled" in client.get("/predict/queue").text


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


def test_two_servers_on_one_folder_lose_no_label(client: httpx.Client, folder: Path) -> None:
    first = {"version": 0, "ranges": [[0, 10, 2]], "id": "one"}
    second = {"version": 0, "ranges": [[20, 30, 3]], "id": "two"}
    with serving_app(make_studio_app(Studio(folder, "ann"))) as url, httpx.Client() as other:
        other.get(url)
        base = url.partition("/?")[0]
        for ask in (client.get, lambda path: other.get(base + path)):
            assert ask("/api/recording/0").json()["corrections"]["version"] == 0
        assert client.post("/api/recording/0/edit", json=first).status_code == 200
        # The other one learns of it before it may change anything.
        answer = other.post(f"{base}/api/recording/0/edit", json=second)
        assert answer.status_code == 409
        second["version"] = answer.json()["version"]
        assert other.post(f"{base}/api/recording/0/edit", json=second).status_code == 200
    labels = read_labels(folder / "dolorim" / "labels" / "ann" / "a_201M.csv", PAIN).labels
    assert (labels[:10] == 2).all()
    assert (labels[20:30] == 3).all()


def test_the_server_never_loads_torch() -> None:
    program = """if True:
        import sys
        import dolorim.studio.server
        loaded = {"torch", "lightning", "timm", "transformers"} & set(sys.modules)
        assert not loaded, loaded
    """
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
