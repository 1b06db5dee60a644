"""BORIS: free text in front of tables, projects, points inside states, and bouts that run over two
media files."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolorim.cli import main
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import in_study_folder, open_study
from dolorim.files.tables import read_table
from dolorim.labels.annotations import read_annotations, sniff
from dolorim.labels.events import Conflicts
from dolorim.labels.export import export_predictions
from dolorim.labels.prediction_files import read_predictions, write_predictions
from dolorim.labels.predictions import Predictions
from ethograms import unmerged
from videos import numbered, write_film

ETHOGRAM = unmerged(["rest", "lick", "walk", "flinch"])
REST, LICK, WALK, FLINCH = range(4)
AGGREGATED = (
    "Observation id,Source,Media duration (s),FPS,Subject,Behavior,Behavior type,Start (s),"
    "Stop (s),Media file name\n"
)
IN_TWO_FILES = "o1,player #1:/v/m1.mp4;/v/m2.mp4,8.0;8.0,30.000,mouse,"
EVENTS = [
    [0.0, "mouse", "rest", "", ""], [3.333, "mouse", "rest", "", ""],
    [3.333, "mouse", "lick", "", ""], [5.0, "mouse", "lick", "", ""],
    [4.0, "mouse", "flinch", "", ""],
    [5.0, "mouse", "walk", "", "", 150], [8.0, "mouse", "walk", "", "", 240],
]  # fmt: skip


def read(path, n_frames=240, rate_hz=30.0, **settings):
    """What a file says about the frames of each video, and what is said about that."""
    config = DataConfig(**settings)
    conflicts = Conflicts(config.on_conflict)
    by_media = {}
    for media, events in read_annotations(path, ETHOGRAM, config, conflicts).items():
        file = events.on_frames(n_frames, np.arange(n_frames) / rate_hz, -1, conflicts)
        by_media[media] = file.labels
    return by_media, [str(f) for f in conflicts.findings]


def runs_of(labels):
    """`[(class, first frame, frame behind the last)]` of the labeled frames."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    borders = [0, *edges.tolist(), len(labels)]
    return [(int(labels[a]), a, b) for a, b in itertools.pairwise(borders) if labels[a] >= 0]


def write(folder, text, name="m1.csv"):
    path = folder / name
    path.write_text(text if isinstance(text, str) else json.dumps(text), "utf-8")
    return path


def project(events=EVENTS, media=("D:/v/m1.mp4",), lengths=(8.0,), **more):
    conf = {
        str(i): {"type": kind, "code": code, "key": code[0]}
        for i, (code, kind) in enumerate([
            ("rest", "State event"), ("lick", "State event with coding map"),
            ("walk", "State event"), ("flinch", "Point event"),
        ])
    }  # fmt: skip
    info = {"length": dict(zip(media, lengths, strict=True)), "fps": dict.fromkeys(media, 30.0)}
    observation = {
        "file": {"1": [*media], "2": []},
        "type": "MEDIA",
        "time offset": 0.0,
        "media_info": info,
    }
    observations = {"o1": {**observation, "events": events, **more}}
    return {"project_name": "p", "behaviors_conf": conf, "observations": observations}


def case(real_data, name):
    folder = real_data / "cases" / "boris" / name
    return open_study(in_study_folder(folder, DataConfig()))


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
@pytest.mark.parametrize(
    "text", ["Mouse 3, left, day 2", "left; right; left; right", 'says "ouch, it began', "a\tb"]
)
def test_whatever_the_free_text_holds_the_delimiter_is_that_of_the_header(
    tmp_path, delimiter, text
):
    page = [
        ["Observation id", text],
        ["Media file(s)"],
        ["Player #1", "D:/v/m1.mp4"],
        ["Description", text],
    ]
    rows = [["Time", "Media file path", "Total length", "FPS", "Subject", "Behavior", "Status"]]
    for behavior, start, stop in [("rest", "0.000", "3.333"), ("lick", "3.333", "5.000")]:
        for time, status in [(start, "START"), (stop, "STOP")]:
            rows.append([time, "D:/v/m1.mp4", "8.000", "30.000", "mouse", behavior, status])
    path = write(tmp_path, "\n".join(delimiter.join(cells) for cells in [*page, *rows]))
    assert sniff(path) == "boris"
    by_media, _ = read(path)
    assert runs_of(by_media["m1.mp4"]) == [(REST, 0, 100), (LICK, 100, 150)]


def test_the_old_table_with_commas_in_its_free_text_is_read(real_data):
    (source,) = case(real_data, "b01_oldtsv_commas").sources
    labels = source.labels[0].on_frames(240, np.arange(240) / 30).labels
    assert runs_of(labels) == [(REST, 0, 100), (LICK, 100, 150), (WALK, 150, 240)]


@pytest.mark.parametrize("name", ["m1.boris", "all.BORIS"])
def test_a_project_says_what_its_exports_say(tmp_path, name):
    path = write(tmp_path, project(), name)
    assert sniff(path) == "boris"
    by_media, said = read(path)
    states = [
        (REST, 0, 100),
        (LICK, 100, 120),
        (FLINCH, 120, 121),
        (LICK, 121, 150),
        (WALK, 150, 240),
    ]
    assert runs_of(by_media["m1.mp4"]) == states
    assert len(said) == 1
    assert "1 frames have a point event inside a state" in said[0]


def test_a_project_holds_many_observations_subjects_and_media(tmp_path):
    content = project(media=["/v/m1.mp4", "/v/m2.mp4"], lengths=[8.0, 10.0])
    events = [
        [7.0, "", "lick", "left", ""],
        [9.0, "", "lick", "left", ""],
        [12.0, "", "flinch", "", ""],
    ]
    content["observations"]["o1"]["events"] = events
    other = project(
        events=[[1.0, "a", "flinch", "", ""], [2.0, "b", "flinch", "", ""]], media=["m3.mp4"]
    )
    content["observations"]["o2"] = other["observations"]["o1"]
    content["observations"]["m4"] = {
        "type": "LIVE",
        "file": [],
        "events": [[2.0, "b", "flinch", "", ""]],
    }
    path = write(tmp_path, content, "all.boris")
    with pytest.raises(UserError, match="has the subjects a, b; choose one with --label_stream"):
        read(path, 300)
    content["observations"]["o2"]["events"].pop()
    by_media, said = read(write(tmp_path, content, "all.boris"), 300)
    assert runs_of(by_media["m1.mp4"]) == [(LICK, 210, 240)]
    assert runs_of(by_media["m2.mp4"]) == [(LICK, 0, 30), (FLINCH, 120, 121)]
    assert runs_of(by_media["m3.mp4"]) == [(FLINCH, 30, 31)]
    assert runs_of(by_media["m4"]) == [(FLINCH, 60, 61)]
    assert any("lick runs from m1.mp4 into the next media file" in line for line in said)


def test_a_player_that_begins_later_shows_the_same_events_later(tmp_path):
    """BORIS shows player 2 at the time of player 1, less its offset."""
    content = project(events=[[1.0, "", "flinch", "", ""], [6.0, "", "flinch", "", ""]])
    observation = content["observations"]["o1"]
    observation["file"]["2"] = ["side.mp4"]
    observation["media_info"]["length"]["side.mp4"] = 8.0
    observation["media_info"]["offset"] = {"1": 0.0, "2": 5.0}
    by_media, _ = read(write(tmp_path, content, "m1.boris"))
    assert runs_of(by_media["m1.mp4"]) == [(FLINCH, 30, 31), (FLINCH, 180, 181)]
    assert runs_of(by_media["side.mp4"]) == [(FLINCH, 30, 31)]


def test_media_of_one_name_in_two_folders_are_two_videos(tmp_path):
    content = project(media=["day1/m.mp4"])
    content["observations"]["o2"] = project(events=EVENTS[:2], media=["day2/m.mp4"])[
        "observations"
    ]["o1"]
    by_media, _ = read(write(tmp_path, content, "all.boris"))
    assert [*by_media] == ["day1/m.mp4", "day2/m.mp4"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ('{"observations": ' + "[" * 100_000, "not valid JSON"),
        ("[]", "expected a project of BORIS, with observations"),
        ('{"observations": []}', "expected a project of BORIS, with observations"),
        ('{"observations": {"o1": 3}}', "observation o1: expected its events and media files"),
        (project(events={"a": 1}), "observation o1: expected a list of events"),
        (project(events=[[1.0, ""]]), "observation o1, event 1: expected .time, subject, code"),
        (project(events=[["soon", "", "rest", ""]]),
        "event 1: expected a time in seconds, found 'soon'"),
        (project(events=[[float("nan"), "", "rest", ""]]),
        "observation o1, event 1: expected a time in seconds"),
        (project(file={"1": [3]}), "expected the names of media files"),
        (project(events=[[1.0, "", "rest", "", ""]]), "rest has a START without a STOP"),
        (project(events=[[1.0, "", "sniff", "", ""]]),
        "does not say whether sniff is a state or a point event"),
        ({**project(), "behaviors_conf": None},
        "does not say whether rest is a state or a point event"),
    ],
)  # fmt: skip
def test_a_damaged_project_is_one_clear_line(tmp_path, content, message):
    path = write(tmp_path, content, "m1.boris")
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_what_a_project_leaves_unsaid_may_be_left_out(tmp_path):
    content = project(events=[*EVENTS[:2], [4.0, "mouse", "sniff", "", ""]])
    by_media, said = read(write(tmp_path, content, "m1.boris"), on_conflict="warn")
    assert runs_of(by_media["m1.mp4"]) == [(REST, 0, 100)]
    assert "its events are left out" in said[0]


def test_inspect_and_check_read_a_project_or_say_in_a_line_what_is_wrong(
    tmp_path, real_data, capsys
):
    assert (
        main(
            [
                "inspect",
                str(write(tmp_path, project(), "m1.boris")),
                "--classes",
                str(_classes(tmp_path)),
            ]
        )
        == 0
    )
    assert "bouts of lick" in capsys.readouterr().out
    assert main(["check", str(real_data / "cases" / "boris" / "b04_project")]) != 0
    said = " ".join(capsys.readouterr()).replace("\n", " ")
    assert "Traceback" not in said
    assert re.search(r"whether\s+rest\s+is\s+a\s+state", said)


def _classes(folder):
    return write(folder, "id,name\n0,rest\n1,lick\n2,walk\n3,flinch\n", "classes.csv")


@pytest.mark.parametrize("point_events", ["keep", "conflict", "drop"])
def test_a_point_inside_a_state_is_kept_on_its_frame_unless_one_asks_otherwise(
    tmp_path, point_events
):
    rows = [("rest", "STATE", 0, 3.333), ("lick", "STATE", 3.333, 5), ("flinch", "POINT", 1.5, 1.5)]
    text = AGGREGATED + "".join(
        f"o,player #1:m1.mp4,8.0,30.000,mouse,{b},{k},{s},{e},m1.mp4\n" for b, k, s, e in rows
    )
    path = write(tmp_path, text)
    if point_events == "conflict":
        with pytest.raises(
            UserError, match="1 frames have two behaviors at once, the first is frame 45"
        ):
            read(path, point_events=point_events)
        assert read(path, point_events=point_events, on_conflict="warn")[0]["m1.mp4"][45] == -1
        return
    by_media, said = read(path, point_events=point_events)
    labels = by_media["m1.mp4"]
    assert labels[45] == (FLINCH if point_events == "keep" else REST)
    assert set(np.delete(labels[:100], 45)) == {REST}
    assert len(said) == 1
    assert "--point_events" in said[0]


def test_two_points_in_one_frame_are_still_a_contradiction(tmp_path):
    text = AGGREGATED + "".join(
        f"o,,8.0,30,mouse,{b},POINT,1,1,m1.mp4\n" for b in ("flinch", "lick")
    )
    with pytest.raises(
        UserError, match="1 frames have two behaviors at once, the first is frame 30"
    ):
        read(write(tmp_path, text))


def test_the_flinch_of_the_case_is_there(real_data):
    (source,) = case(real_data, "b05_point_in_state").sources
    (events,) = source.labels
    labels = events.on_frames(240, np.arange(240) / 30).labels
    assert runs_of(labels) == [
        (REST, 0, 45),
        (FLINCH, 45, 46),
        (REST, 46, 100),
        (LICK, 100, 150),
        (WALK, 150, 240),
    ]


def two_files(rows):
    return AGGREGATED + "".join(
        f"{IN_TWO_FILES}{b},{k},{s},{e},{m}.mp4\n" for b, k, s, e, m in rows
    )


def test_a_bout_that_runs_into_the_next_file_ends_in_the_one_and_goes_on_in_the_other(tmp_path):
    rows = [
        ("lick", "STATE", 3, 5, "m1"),
        ("walk", "STATE", 5, 10, "m1"),
        ("lick", "STATE", 10, 16, "m2"),
    ]
    by_media, said = read(write(tmp_path, two_files(rows)))
    assert runs_of(by_media["m1.mp4"]) == [(LICK, 90, 150), (WALK, 150, 240)]
    assert runs_of(by_media["m2.mp4"]) == [(WALK, 0, 60), (LICK, 60, 240)]
    assert said == [
        f"{tmp_path / 'm1.csv'}: walk runs from m1.mp4 into the next media file; cut at the end "
        "of the one, continued "
        f"at the start of the other"
    ]


@pytest.mark.parametrize("stop", [7.99, 8.0, 8.004])
def test_a_bout_that_ends_with_its_file_leaves_no_trace_in_the_next(tmp_path, stop):
    """Times are rounded, and a sliver would take a whole frame."""
    rows = [
        ("walk", "STATE", 5, stop, "m1"),
        ("flinch", "POINT", 8, 8, "m1"),
        ("lick", "STATE", 8, 9, "m2"),
    ]
    by_media, said = read(write(tmp_path, two_files(rows)))
    assert runs_of(by_media["m1.mp4"]) == [(WALK, 150, 239), (FLINCH, 239, 240)]
    assert runs_of(by_media["m2.mp4"]) == [(LICK, 0, 30)]
    assert [line for line in said if "next media" in line] == []


def test_a_start_in_one_file_and_its_stop_in_the_next_are_one_bout(tmp_path):
    header = (
        "Observation id\tSource\tMedia duration (s)\tFPS\tSubject\tBehavior\tBehavior type\t"
        "Time\tMedia file name\n"
    )
    source = "o\tplayer #1:m1.mp4;m2.mp4\t8.0;8.0\t30;30\tmouse\twalk"
    path = write(tmp_path, f"{header}{source}\tSTART\t5.0\tm1.mp4\n{source}\tSTOP\t10.0\tm2.mp4\n")
    by_media, said = read(path)
    assert runs_of(by_media["m1.mp4"]) == [(WALK, 150, 240)]
    assert runs_of(by_media["m2.mp4"]) == [(WALK, 0, 60)]
    assert len(said) == 1


def test_the_case_of_two_media_is_labelled_to_the_last_frame(real_data):
    sources = case(real_data, "b10b_two_media_spanning").sources
    labels = [s.labels[0].on_frames(240, np.arange(240) / 30).labels for s in sources]
    assert runs_of(labels[0]) == [(REST, 0, 100), (LICK, 100, 150), (WALK, 150, 240)]
    assert runs_of(labels[1]) == [(WALK, 0, 60), (LICK, 60, 240)]


@pytest.mark.parametrize("rate_hz", [15, 30000 / 1001, 30, 120, 300, None])
def test_what_predict_writes_goes_to_boris_and_comes_back_at_every_rate(tmp_path, rate_hz):
    """The rate in the export is the video's, so that our own reader does not take the video for
    another one."""
    n = 900
    steps = (
        np.random.default_rng(0).choice([1 / 30, 1 / 15, 0.02], n - 1)
        if rate_hz is None
        else np.full(n - 1, 1 / rate_hz)
    )
    times = 300 + np.append(0, np.cumsum(steps))
    labels = np.repeat([0, 1, -1, 0, 1, 0], n // 6).astype(np.int16)
    written = Predictions(
        "v",
        ("rest", "lick"),
        labels,
        np.full((n, 2), 0.5),
        times,
        {} if rate_hz is None else {"fps": rate_hz},
    )
    write_predictions(tmp_path, written)
    read = read_predictions(tmp_path / "v.predictions.csv")
    path = export_predictions(tmp_path / "out", read, "boris")
    fps = [float(row[8]) for row in read_table(path).rows]
    if rate_hz is not None:
        assert fps == pytest.approx([rate_hz] * len(fps), abs=1e-3)
    conflicts = Conflicts()
    (events,) = read_annotations(path, unmerged(written.classes), DataConfig(), conflicts).values()
    assert events.on_frames(n, times, -1, conflicts).labels.tolist() == labels.tolist()
    assert conflicts.findings == []


def test_the_chambers_of_a_video_are_the_subjects_of_one_observation_and_are_read_back(
    tmp_path: Path,
) -> None:
    classes, rng = ("rest", "lick"), np.random.default_rng(4)
    written = {}
    for video, chamber in (("cage.1", "A1"), ("cage.1", "A2"), ("cage.2", "A1"), ("whole", None)):
        meta = {"video": f"{video}.mp4", "fps": 30.0}
        name = video
        if chamber is not None:
            meta["chamber"] = {"name": chamber, "box": [0, 0, 9, 9]}
            name = f"{video}.{chamber}"
        labels = np.repeat(rng.integers(-1, 2, 12), 10).astype(np.int16)
        shares = np.full((120, 2), 0.5)
        write_predictions(
            tmp_path, Predictions(name, classes, labels, shares, np.arange(120) / 30, meta)
        )
        written[video, chamber] = labels.tolist()
    assert main(["export", str(tmp_path), "--to", "boris", "--quiet"]) == 0
    out = tmp_path / "boris"
    files = sorted(file.name for file in out.glob("*.boris.csv"))
    assert files == ["cage.1.boris.csv", "cage.2.boris.csv", "whole.boris.csv"]
    observations = {row[0] for row in read_table(out / files[0]).rows}
    assert observations == {"cage.1"}
    for (video, chamber), labels in written.items():
        events = read_annotations(
            out / f"{video}.boris.csv",
            unmerged(classes),
            DataConfig(label_stream=chamber),
            Conflicts(),
        )[f"{video}.mp4"]
        read = events.on_frames(120, np.arange(120) / 30, -1, Conflicts()).labels
        assert read.tolist() == labels, (video, chamber)


def test_pictures_are_not_taken_for_seconds_where_a_row_that_is_left_out_has_no_time(tmp_path):
    header = "Observation id,Subject,Behavior,Behavior type,Time,Image index,Media file name\n"
    rows = (
        "o1,mouse,lick,START,1.0,31,m1.mp4\n"
        "o1,mouse,lick,STOP,2.0,61,m1.mp4\n"
        "o1,mouse,walk,START,NA,91,m1.mp4\n"
    )
    labels, notes = read(write(tmp_path, header + rows), on_conflict="warn")
    assert runs_of(labels["m1.mp4"]) == [(LICK, 31, 61)]
    assert [n for n in notes if "walk has a START without a STOP" in n] == notes


def two_people() -> dict[str, Any]:
    """A project in which Ann and Bob have scored m1.mp4, and Bob m2.mp4 as well."""
    content = project(events=[[1.0, "", "lick", "", ""], [2.0, "", "lick", "", ""]])
    bob = project(events=[[3.0, "", "flinch", "", ""]])["observations"]["o1"]
    bob_2 = project(events=[[4.0, "", "flinch", "", ""]], media=["m2.mp4"])["observations"]["o1"]
    ann = content["observations"].pop("o1")
    content["observations"] = {"Ann_m1": ann, "bob_m1": bob, "bob_m2": bob_2}
    return content


def test_one_of_several_observations_of_a_video_is_chosen_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, two_people(), "all.boris")
    with pytest.raises(UserError, match=r"\(Ann_m1, bob_m1\); choose one with --label_observation"):
        read(path)
    by_media, said = read(path, label_observation="ann_*")
    assert {media: runs_of(labels) for media, labels in by_media.items()} == {
        "m1.mp4": [(LICK, 30, 60)]
    }
    assert any("bob_m2 is not called ann_*; the labels of m2.mp4 are left out" in s for s in said)
    by_media, said = read(path, label_observation="BOB_*")
    assert runs_of(by_media["m1.mp4"]) == [(FLINCH, 90, 91)]
    assert runs_of(by_media["m2.mp4"]) == [(FLINCH, 120, 121)]
    assert not said


def test_an_observation_that_nobody_has_made_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Videos").mkdir()
    write_film(tmp_path / "Videos" / "m1.mp4", numbered(4))
    (tmp_path / "Annotations").mkdir()
    path = write(tmp_path / "Annotations", two_people(), "all.boris")
    (tmp_path / "classes.csv").write_text("id,name\n0,rest\n1,lick\n2,walk\n3,flinch\n", "utf-8")
    command = ["check", str(tmp_path), "--workers", "1", "--label_observation", "eve"]
    assert main(command) == 1
    assert "Ann_m1 is not called eve" in capsys.readouterr().out.replace("\n", " ")
    assert main(["inspect", str(path), "--label_observation", "bob_*"]) == 0
    assert "m1.mp4, m2.mp4" in capsys.readouterr().out
