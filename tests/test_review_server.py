"""The server: only for who has the token, only the opened project, and what it says is what the
files say."""

from __future__ import annotations

import io
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from dolorim.cli import main
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import open_study
from dolorim.files.tables import write_table
from dolorim.labels.ethogram import PAIN
from dolorim.labels.ethogram_file import write_ethogram
from dolorim.labels.label_files import read_labels
from dolorim.review.contents import open_review
from dolorim.review.history import UNSURE
from dolorim.review.session import Session
from reviewing import BOUT, N, predict, predicted_study, serving
from videos import number_in, numbered, write_film

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return predicted_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[httpx.Client]:
    with serving(place) as served, httpx.Client(base_url=served.base) as client:
        assert client.get("/?token=token").status_code == 200
        yield client


def frames_in(content: bytes) -> list[tuple[int, np.ndarray]]:
    frames = []
    while content:
        index, size, _, _, _ = struct.unpack_from("<IIfff", content)
        frames.append((index, np.asarray(Image.open(io.BytesIO(content[20 : 20 + size])))))
        content = content[20 + size :]
    return frames


def test_a_token_is_demanded_and_works_once(place: Path) -> None:
    with serving(place) as served:
        for path in (
            "/",
            "/?token=wrong",
            "/api/study",
            "/static/main.js",
            "/api/recording/0/frames",
        ):
            assert httpx.get(served.base + path).status_code == 403
        first = httpx.get(served.url)
        assert first.status_code == 200
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert httpx.get(served.url).status_code == 403
        name, _, value = cookie.partition(";")[0].partition("=")
        assert httpx.get(served.base + "/api/study", cookies={name: value}).status_code == 200


def test_a_foreign_host_name_is_refused(client: httpx.Client) -> None:
    assert client.get("/api/study", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/api/study", headers={"host": "localhost:1"}).status_code == 200
    assert client.get("/api/study", headers={"host": "[::1]:1"}).status_code == 200


def test_posts_from_other_pages_and_of_other_kinds_are_refused(client: httpx.Client) -> None:
    edit = '{"version": 0, "ranges": [[0, 1, 0]]}'
    path = "/api/recording/0/edit"
    assert (
        client.post(path, content=edit, headers={"content-type": "text/plain"}).status_code == 415
    )
    assert (
        client.post(
            path, content=edit, headers={**JSON, "origin": "http://evil.example"}
        ).status_code
        == 403
    )
    assert client.post(path, content="{" * 9, headers=JSON).status_code == 400
    assert client.post(path, content=b"[" * (1 << 21), headers=JSON).status_code == 400
    deep = client.post(path, content=b"[" * 200_000, headers=JSON)
    assert deep.status_code == 400
    assert "not valid JSON" in deep.json()["error"]
    assert client.post(path, json={"version": "0", "ranges": [[0, 1, 0]]}).status_code == 422
    assert client.post(path, json={"version": 0, "ranges": [[0, "1", 0]]}).status_code == 422
    assert client.get("/api/recording/0").json()["corrections"]["version"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/..%2f..%2fserver.py",
        "/static/%2e%2e/server.py",
        "/static/..%5cserver.py",
        "//etc/passwd",
        "/api/recording/..%2f0",
        "/api/recording/-1",
        "/api/recording/99",
        "/api/recording/0/frames?first=-1",
        "/api/recording/0/frames?first=120",
        "/api/recording/0/frames?count=100000",
        "/api/recording/0/frames?step=x",
        "/api/recording/0/tile?step=0",
    ],
)
def test_nothing_but_the_opened_project_is_reached(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (404, 422)
    assert b"def " not in answer.content
    assert b"root:" not in answer.content


def test_every_answer_forbids_what_comes_from_elsewhere(client: httpx.Client) -> None:
    for path in ("/", "/api/study", "/static/main.js", "/nowhere"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    page = client.get("/").text + client.get("/static/style.css").text
    assert "//" not in page.replace("http://www.w3.org", "")
    assert "style=" not in page


@pytest.mark.parametrize("number", [0, 1])
def test_frames_are_those_of_the_reader(client: httpx.Client, number: int) -> None:
    for first in (100, 3, 57, N - 2):
        content = client.get(f"/api/recording/{number}/frames?first={first}&count=2").content
        frames = frames_in(content)
        assert [i for i, _ in frames] == [first, first + 1]
        assert [number_in(gray) for _, gray in frames] == [first, first + 1]


def test_a_recording_tells_its_bouts_points_and_probabilities(client: httpx.Client) -> None:
    recording = client.get("/api/recording/0").json()
    assert recording["n_frames"] == N
    assert [b[:3] for b in recording["predicted"]] == [
        [i * BOUT, (i + 1) * BOUT, i] for i in range(6)
    ]
    assert recording["points"]["rows"] == N
    assert [0, 5] in recording["points"]["bones"]
    points = np.frombuffer(
        client.get("/api/recording/0/points?first=10&count=5").content, "<f4"
    ).reshape(5, 6, 3)
    assert points[0, 2].tolist() == pytest.approx([62, 42, 0.95])
    answer = client.get("/api/recording/0/tile?step=1&index=0")
    tile = np.frombuffer(answer.content, np.uint8).reshape(N, int(answer.headers["x-channels"]))
    assert tile[:, :6].argmax(1).tolist() == [i // BOUT for i in range(N)]
    assert tile[0, 0] == 204  # 0.8
    assert tile[0, 6] == 51  # the doubt
    half = client.get("/api/recording/0/tile?step=32&index=0")
    assert len(half.content) == 4 * int(half.headers["x-channels"])
    times = np.frombuffer(client.get("/api/recording/1/times").content, "<f4")
    assert len(times) == N
    assert np.ptp(np.diff(times)) > 0.05


def test_an_edit_is_answered_with_what_stands_on_the_disk(place: Path) -> None:
    with serving(place, "bob") as served, httpx.Client(base_url=served.base) as client:
        client.get("/?token=token")
        one = client.post("/api/recording/0/edit", json={"version": 0, "ranges": [[0, 5, 2]]})
        assert one.json()["marks"] == [[0, 5, 2]]
        late = client.post("/api/recording/0/edit", json={"version": 0, "ranges": [[0, 5, 3]]})
        assert late.status_code == 409
        assert late.json()["marks"] == [[0, 5, 2]]
        assert (
            client.post("/api/recording/0/state", json={"version": 1, "state": "done"}).status_code
            == 200
        )
        assert client.get("/api/study").json()["recordings"][0]["state"] == "done"
    assert read_labels(place / "review" / "bob" / "a_201M.csv", PAIN).labels[:5].tolist() == [2] * 5
    with serving(place, "carl") as served, httpx.Client(base_url=served.base) as client:
        client.get("/?token=token")
        assert client.get("/api/study").json()["recordings"][0]["others"] == [["bob", "done"]]


def test_a_full_disk_is_said_and_can_be_tried_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(place, "dora") as served, httpx.Client(base_url=served.base) as client:
        client.get("/?token=token")

        def full(fd: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        edit = {"version": 0, "ranges": [[0, 5, 2]]}
        answer = client.post("/api/recording/0/edit", json=edit)
        assert answer.status_code == 507
        assert "No space left" in answer.json()["error"]
        monkeypatch.undo()
        assert client.post("/api/recording/0/edit", json=edit).status_code == 200


def test_a_blinded_review_tells_no_names(place: Path) -> None:
    review = open_review(place, DataConfig(), shuffle="3 eve")
    with (
        serving(place, "eve", review, blinded=True) as served,
        httpx.Client(base_url=served.base) as client,
    ):
        client.get("/?token=token")
        said = client.get("/api/study").text
        for i in range(2):
            said += (
                client.get(f"/api/recording/{i}").text
                + client.get(f"/api/recording/{i}/frames?first=999").text
            )
        for word in ("201M", "202F", "a_2", "b_2", str(place), "predictions"):
            assert word not in said
        assert (
            client.post(
                "/api/recording/0/edit", json={"version": 0, "ranges": [[0, 1, 0]]}
            ).status_code
            == 200
        )
    assert (place / "review" / "eve" / f"{review.items[0].name}.csv").exists()


def test_the_order_of_a_blinded_review_depends_on_seed_and_rater(tmp_path: Path) -> None:
    names = [f"m{i}_{200 + i}M.mp4" for i in range(8)]
    for name in names:
        write_film(tmp_path / "Videos" / name, numbered(3))
    orders = [
        [i.name for i in open_review(tmp_path, DataConfig(), shuffle=s).items]
        for s in ("1 a", "1 a", "2 a", "1 b")
    ]
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted(orders[2])
    assert len({tuple(o) for o in orders}) == 3


def test_a_video_that_is_absent_or_another_one_is_named(place: Path, tmp_path: Path) -> None:
    video = write_film(tmp_path / "gone_203M.mp4", numbered(20))
    predict(tmp_path / "predictions", video, 20)
    write_film(video, numbered(21))
    assert (
        "predict it again" in open_review(tmp_path / "predictions", DataConfig()).items[0].problem
    )
    video.unlink()
    review = open_review(tmp_path / "predictions", DataConfig())
    assert "--videos" in review.items[0].problem
    with serving(tmp_path / "predictions") as served, httpx.Client(base_url=served.base) as client:
        client.get("/?token=token")
        assert "--videos" in client.get("/api/recording/0").json()["problem"]
        assert client.get("/api/recording/0/frames").status_code == 422
        assert (
            client.get("/api/recording/0/tile?step=1&index=0").status_code == 200
        )  # the timeline is there all the same


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = write_film(tmp_path / "elsewhere" / "secret.mp4", numbered(3))
    (tmp_path / "study" / "Videos").mkdir(parents=True)
    (tmp_path / "study" / "Videos" / "link.mp4").symlink_to(outside)
    assert (
        "leads out of its folder" in open_review(tmp_path / "study", DataConfig()).items[0].problem
    )


def test_labels_from_scratch_need_only_videos_and_classes(tmp_path: Path) -> None:
    write_film(tmp_path / "films" / "x_204M.mp4", numbered(40))
    (tmp_path / "classes.csv").write_text("id,name\n0,still\n1,moving\n")
    review = open_review(tmp_path / "films", DataConfig(classes=tmp_path / "classes.csv"))
    assert review.ethogram.classes == ("still", "moving")
    with (
        serving(tmp_path / "films", review=review) as served,
        httpx.Client(base_url=served.base) as client,
    ):
        client.get("/?token=token")
        recording = client.get("/api/recording/0").json()
        assert (recording["n_frames"], recording["counted"], recording["predicted"]) == (
            40,
            True,
            None,
        )
        assert (
            client.post(
                "/api/recording/0/edit", json={"version": 0, "ranges": [[0, 9, 1]]}
            ).status_code
            == 200
        )
        assert client.get("/api/progress").json()["total"] == 0
    assert (
        read_labels(tmp_path / "films" / "review" / "ann" / "x_204M.csv", review.ethogram).labels[8]
        == 1
    )


def test_a_study_shows_the_labels_from_before_and_trial_borders(tmp_path: Path) -> None:
    video = write_film(tmp_path / "Videos" / "x_204M.mp4", numbered(40))
    for trial in (1, 2):
        write_table(
            tmp_path / "Annotations" / f"prediction_{video.name}_{trial}.csv",
            ("Frame", "Action"),
            [(i, 2 * trial) for i in range(20)],
        )
    with serving(tmp_path) as served, httpx.Client(base_url=served.base) as client:
        client.get("/?token=token")
        recording = client.get("/api/recording/0").json()
        assert recording["trials"] == [[1, 0, 20], [2, 20, 40]]
        assert recording["truth"] == [
            [0, 20, PAIN.classes.index("paw_lick")],
            [20, 40, PAIN.classes.index("paw_shake")],
        ]


def test_the_queue_counts_what_is_checked_in_its_order_and_rounds_are_compared(
    tmp_path: Path,
) -> None:
    place = predicted_study(tmp_path)
    with serving(place) as served, httpx.Client(base_url=served.base) as client:
        client.get("/?token=token")
        queue = client.get("/api/progress").json()
        assert (queue["checked"], queue["total"]) == (0, 12)
        versions = [0, 0]
        for item, start, stop, label in queue["next"]:
            ranges = [[start, stop, (label + 1) % 6 if label == 1 else label]]
            client.post(
                f"/api/recording/{item}/edit", json={"version": versions[item], "ranges": ranges}
            )
            versions[item] += 1
        done = client.get("/api/progress").json()
        assert done["checked"] == 12
        assert done["accuracy"] == pytest.approx(10 / 12)
        assert done["low"] <= 10 / 12 <= done["high"]
        assert done["scores"]["per_class"]["paw_withdraw"]["f1"] == 0
        assert done["moved"] is None
        client.post("/api/save", json={})
    for name in ("a_201M.mp4", "b_202F.mkv"):  # the next run says something else
        predict(place, tmp_path / "Videos" / name, shift=1)
    with serving(place) as served, httpx.Client(base_url=served.base) as client:
        client.get("/?token=token")
        moved = client.get("/api/progress").json()["moved"]
        assert moved["before"]["accuracy"] == pytest.approx(10 / 12)
        assert moved["now"]["accuracy"] == pytest.approx(2 / 12)
        assert moved["now"]["frames"] == moved["before"]["frames"] == 2 * N


def test_a_study_with_the_corrections_as_its_labels_learns_from_them(tmp_path: Path) -> None:
    place = predicted_study(tmp_path)
    session = Session(open_review(place, DataConfig()), "ann")
    session.corrections(0).edit(0, [(10, 30, 3), (40, 45, UNSURE)])
    session.close()
    config = DataConfig(videos=tmp_path / "Videos", annotations=place / "review" / "ann")
    study = open_study(config)
    labels = [study.place(source, np.arange(N) / 30, config)[0].labels for source in study.sources]
    assert np.flatnonzero(labels[0] == 3).tolist() == list(range(10, 30))
    assert (np.delete(labels[0], np.arange(10, 30)) == -1).all()
    assert (labels[1] == -1).all()


def test_predictions_with_other_classes_than_the_given_ones_are_refused(
    place: Path, tmp_path: Path
) -> None:
    (tmp_path / "classes.csv").write_text("id,name\n0,still\n1,moving\n")
    with pytest.raises(UserError, match="give the ethogram"):
        open_review(place, DataConfig(classes=tmp_path / "classes.csv"))
    write_ethogram(tmp_path / "ethogram.toml", PAIN)
    assert open_review(place, DataConfig(classes=tmp_path / "ethogram.toml")).ethogram == PAIN


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there is no such folder"),
        ([".", "--rater", "../x"], "--rater"),
        ([".", "--predictions", "nowhere"], "no predictions"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(place)
    assert main(["review", *arguments, "--no-browser"]) == 2
    assert said in capsys.readouterr().err


def test_a_blinded_rater_writes_nothing_but_what_is_the_raters(tmp_path: Path) -> None:
    video = write_film(tmp_path / "Videos" / "x_204M.mp4", numbered(20))
    write_table(
        tmp_path / "Annotations" / f"{video.stem}.csv",
        ("Frame", "Action"),
        [(i, 4) for i in range(20)],
    )
    review = open_review(tmp_path, DataConfig(), shuffle=0)
    for blinded, rest in ((True, -1), (False, PAIN.classes.index("paw_shake"))):
        session = Session(review, f"rater {blinded}", blinded=blinded)
        session.corrections(0).edit(0, [(0, 5, 0)])
        session.close()
        labels = read_labels(review.home / f"rater {blinded}" / "x_204M.csv", PAIN).labels
        assert labels.tolist() == [0] * 5 + [rest] * 15


def test_the_command_serves_until_it_is_stopped_and_imports_no_torch(place: Path) -> None:
    code = (
        # A shell's & makes it ignored
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from dolorim.cli import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "review", str(place), "--rater", "fred", "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            url = next(
                line.removeprefix("open ").strip()
                for line in process.stderr
                if line.startswith("open ")
            )
            with httpx.Client() as client:
                assert client.get(url).status_code == 200
                edit = {"version": 0, "ranges": [[0, 5, 2]]}
                assert (
                    client.post(
                        f"{url.partition('/?')[0]}/api/recording/0/edit", json=edit
                    ).status_code
                    == 200
                )
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
    assert read_labels(place / "review" / "fred" / "a_201M.csv", PAIN).labels[:6].tolist() == [
        2
    ] * 5 + [-1]


def test_a_bug_with_one_recording_is_said_and_logged_and_the_server_goes_on(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOLORIM_LOG", str(tmp_path / "crashes.log"))
    with serving(place) as served, httpx.Client(base_url=served.base) as client:
        client.get("/?token=token")
        before = served.session.recording
        monkeypatch.setattr(
            served.session,
            "recording",
            lambda number: 1 // number if number == 0 else before(number),
        )
        answer = client.get("/api/recording/0")
        assert answer.status_code == 500
        assert "unexpected ZeroDivisionError" in answer.json()["error"]
        assert "ZeroDivisionError" in (tmp_path / "crashes.log").read_text()
        assert client.get("/api/recording/1").status_code == 200
