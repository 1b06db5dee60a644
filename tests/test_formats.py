"""Labels of other tools: what is read, what is said about contradictions, and that ours come back
unchanged."""

import dataclasses
import json
import tempfile
import tracemalloc
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dolorim.cli import main
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import in_study_folder, open_study
from dolorim.files.tables import read_table, write_table
from dolorim.labels.annotations import FORMATS, read_annotations, sniff
from dolorim.labels.ethogram import PAIN
from dolorim.labels.events import Conflicts, Events
from dolorim.labels.export import ENDINGS, export_predictions
from dolorim.labels.nwb import write_nwb
from dolorim.labels.prediction_files import read_predictions, write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.pose.pose import Pose
from dolorim.pose.write_dlc import write_dlc
from dolorim.video.reader import FrameStream
from ethograms import unmerged

SP = unmerged(["rest", "s", "p"])
TABULAR = (
    "Observation id,obs 1,,,\n,,,,\nPlayer #1,/home/x/v.mp4,,,\nTime offset "
    "(s),0.0,,,\nvariable,value,,,\n"
    "Time,FPS,Subject,Behavior,Status\n"
)
NEW = (
    "Observation id\tSource\tTime offset (s)\tMedia duration (s)\tFPS\tSubject\tBehavior\t"
    "Behavior type\tTime\tMedia file name\tImage index\n"
)
AGGREGATED = "Observation id,FPS,Subject,Behavior,Behavior type,Start (s),Stop (s),Media file\n"


def label_file(folder, text, name="v.csv"):
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def labels(path, n_frames, rate_hz=10.0, ethogram=SP, **knobs):
    """What a file says about each frame of its only video, and what had to be warned of."""
    config = DataConfig(**knobs)
    conflicts = Conflicts(config.on_conflict)
    (file,) = read_annotations(path, ethogram, config, conflicts).values()
    if isinstance(file, Events):
        gaps = -1 if not config.label_gaps else ethogram.classes.index(config.label_gaps)
        file = file.on_frames(n_frames, 3.2 + np.arange(n_frames) / rate_hz, gaps, conflicts)
    return file.labels.tolist(), [str(f) for f in conflicts.findings]


@st.composite
def predictions_and_classes(draw):
    words = st.text(
        st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters=";,\"'"),
        min_size=1,
        max_size=6,
    )
    marks = st.sampled_from(["", "=", "+", "@", "-", "'=", "''-"])
    names = st.tuples(marks, words).map(lambda p: f"{p[0]}c{p[1]}".strip())
    classes = draw(st.lists(names, min_size=2, max_size=4, unique_by=str.casefold))
    labels = np.array(
        draw(st.lists(st.integers(-1, len(classes) - 1), min_size=2, max_size=30)), np.int16
    )
    steps = draw(
        st.lists(
            st.sampled_from([0.002, 0.01, 1 / 30, 0.04, 0.5]),
            min_size=len(labels),
            max_size=len(labels),
        )
    )
    time_s = draw(st.sampled_from([0.0, 0.08, 7.0])) + np.cumsum(steps)
    probabilities = np.full((len(labels), len(classes)), 1 / len(classes))
    meta = {"run": "runs/=1", "video": "C:\\films\\v.mp4", "fingerprint": {"ends": "abc"}}
    return Predictions("v", tuple(classes), labels, probabilities, time_s, meta)


def nothing():
    return Predictions(
        "v", ("a", "b"), np.full(3, -1, np.int16), np.full((3, 2), 0.5), np.arange(3.0)
    )


def named(*classes: str) -> Predictions:
    """Classes that are called like the columns of another format."""
    labels = np.array([0, 0, 1, 2, -1, 0], np.int16)
    return Predictions("v", classes, labels, np.full((6, 3), 0.3), np.arange(6.0))


def there_and_back(folder, predictions, to):
    path = export_predictions(Path(folder), predictions, to)
    assert sniff(path) == to
    conflicts = Conflicts()
    (file,) = read_annotations(
        path, unmerged(predictions.classes), DataConfig(), conflicts
    ).values()
    n = len(predictions.labels)
    return (
        file.on_frames(n, predictions.time_s).labels.tolist()
        if isinstance(file, Events)
        else file.labels.tolist()
    )


@pytest.mark.parametrize("to", [t for t in ENDINGS if t != "nwb"])
@settings(deadline=None, max_examples=60)
@given(predictions=predictions_and_classes())
@example(predictions=nothing())
@example(predictions=named("Start", "Stop", "behavior"))
@example(predictions=named("Action", "frame", "Subject"))
def test_labels_that_go_to_another_tool_and_come_back_are_the_same_on_every_frame(to, predictions):
    with tempfile.TemporaryDirectory() as folder:
        assert there_and_back(folder, predictions, to) == predictions.labels.tolist()


@pytest.fixture
def pynwb():
    pytest.importorskip("ndx_pose")
    return pytest.importorskip("pynwb")


def test_an_nwb_file_holds_bouts_ethogram_probabilities_pose_and_where_they_come_from(
    tmp_path, pynwb
):
    labels_written = np.array([0, 0, 1, -1, 1], np.int16)
    predictions = Predictions(
        "v",
        ("rest", "lick"),
        labels_written,
        np.full((5, 2), 0.5),
        2 + np.arange(5) / 10,
        {"run": "r1"},
    )
    assert there_and_back(tmp_path, predictions, "nwb") == labels_written.tolist()
    pose = Pose(("nose", "tail/base"), np.arange(24.0).reshape(6, 2, 2), np.full((6, 2), 0.9))
    write_nwb(tmp_path / "v.nwb", predictions, {"run": "r1"}, pose)
    with pynwb.NWBHDF5IO(str(tmp_path / "v.nwb"), "r") as io:
        file = io.read()
        module = file.processing["behavior"]
        assert json.loads(file.notes) == {"run": "r1"}
        assert list(module["ethogram"]["label"]) == ["rest", "lick"]
        assert module["behavior_bouts"].to_dataframe()["stop_frame"].tolist() == [2, 3, 5]
        assert module["behavior_probabilities"].timestamps[:].tolist() == pytest.approx(
            predictions.time_s
        )
        nose = module["PoseEstimation"]["nose"]
        assert nose.data[:].tolist() == pose.points[:5, 0].tolist()
        assert "6 rows for 5 frames" in nose.comments
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v.nwb"]


def test_without_pynwb_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pynwb", None)
    predictions = Predictions(
        "v", ("a", "b"), np.zeros(2, np.int16), np.ones((2, 2)), np.arange(2.0)
    )
    with pytest.raises(UserError, match=r"pip install 'dolorim\[nwb\]'"):
        export_predictions(tmp_path, predictions, "nwb")


@pytest.mark.parametrize(
    "text",
    [
        TABULAR + "0.2,10,mouse,s,START\n0.4,10,mouse,s,STOP\n0.5,10,mouse,p,POINT\n",
        NEW + "".join(
            f"o\tplayer #1:/x/v.mp4\t0.0\t1.0\t10.000\tmouse\t{b}\t{k}\t{t}\tv.mp4\t{i}\n"
            for b, k, t, i in [("s", "START", 0.2, 2), ("p", "POINT", 0.5, 5),
            ("s", "STOP", 0.4, 4)]
        ),
        NEW + "".join(
            f"o\tFrom directories of images\tNA\tNA\tNA\tmouse\t{b}\t{k}\tNA\tNA\t{i}\n"
            for b, k, i in [("s", "START", 3), ("s", "STOP", 5), ("p", "POINT", 6)]
        ),
        AGGREGATED + "o,10,mouse,s,STATE,0.2,0.4,/x/v.mp4\no,10,mouse,p,POINT,0.5,0.5,/x/v.mp4\n",
        AGGREGATED.replace(",",
        ";") + "o;10;mouse;s;STATE;0,2;0,4;v\no;10;mouse;p;POINT;0:00:00,5;0:00:00,5;v\n",
    ],
    ids=["tabular", "new tabular", "images", "aggregated", "semicolons and clock times"],
)  # fmt: skip
def test_boris_exports_of_all_kinds_say_the_same(tmp_path, text):
    path = label_file(tmp_path, text)
    assert sniff(path) == "boris"
    assert labels(path, 8) == ([-1, -1, 1, 1, -1, 2, -1, -1], [])
    assert labels(path, 8, label_gaps="rest")[0] == [0, 0, 1, 1, 0, 2, 0, 0]


def test_media_files_that_follow_one_another_begin_where_the_one_before_ends(tmp_path):
    source = "player #1:/x/a.mp4;/x/b.mp4\t0.0\t1.0;2.0\t10.0;10.0"
    rows = [("s", "START", 0.2, "a.mp4"), ("s", "STOP", 0.4, "a.mp4"), ("p", "POINT", 1.3, "b.mp4")]
    text = NEW + "".join(f"o\t{source}\tm\t{b}\t{k}\t{t}\t/x/{m}\tNA\n" for b, k, t, m in rows)
    by_media = read_annotations(label_file(tmp_path, text), SP, DataConfig(), Conflicts())
    times = np.arange(20) / 10
    assert by_media["a.mp4"].on_frames(10, times[:10]).labels.tolist() == [-1, -1, 1, 1] + 6 * [-1]
    assert np.flatnonzero(by_media["b.mp4"].on_frames(20, times).labels == 2).tolist() == [3]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "0.2,10,m,s,START\n0.5,10,m,s,START\n0.6,10,m,s,STOP\n",
            "line 7: s has a START without a STOP",
        ),
        ("0.2,10,m,s,STOP\n", "line 7: s has a STOP without a START"),
        ("0.2,10,m,sniff,POINT\n", "line 7: no class is called 'sniff'"),
        (
            "0.2,10,m,s,POINT\n0.2,10,m,p,POINT\n",
            "1 frames have two behaviors at once, the first is frame 2",
        ),
        ("0.2,10,m,s,START\n9.0,10,m,s,STOP\n", "of a video that has only 8 frames"),
        ("0.2,25,m,s,POINT\n", "was made on a video of 25 frames/s, but its video has 10"),
    ],
)
def test_each_contradiction_is_an_error_with_a_remedy_or_a_warning_as_one_likes(
    tmp_path, rows, message
):
    path = label_file(tmp_path, TABULAR + rows)
    with pytest.raises(UserError, match=message) as caught:
        labels(path, 8)
    assert "--on_conflict warn" in str(caught.value)
    read, warnings = labels(path, 8, on_conflict="warn", label_gaps="rest")
    assert len(warnings) == 1
    assert message in warnings[0]
    assert len(read) == 8


def test_frames_of_an_unknown_behavior_or_of_two_at_once_are_unlabelled_and_no_gap(tmp_path):
    path = label_file(
        tmp_path,
        AGGREGATED + "o,10,m,x,STATE,0,0.2,v\no,10,m,s,STATE,0.3,0.5,v\no,10,m,p,STATE,0.4,0.6,v\n",
    )
    assert labels(path, 8, on_conflict="warn", label_gaps="rest")[0] == [-1, -1, 0, 1, -1, 2, 0, 0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "0.2,10,a,s,POINT\n0.3,10,b,s,POINT\n",
            "has the subjects a, b; choose one with --label_stream",
        ),
        (
            "0.2,10,a,s,HOP\n",
            "line 7: expected times in seconds and a type of event, found '0.2', 'HOP'",
        ),
        ("x,10,a,s,POINT\n", "line 7: expected times in seconds"),
        ("nan,10,a,s,POINT\n", "line 7: expected times in seconds"),
        ("0.2,10\n", "line 7: expected 5 cells, found 2"),
    ],
)
def test_a_boris_export_that_leaves_a_doubt_is_refused(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        labels(label_file(tmp_path, TABULAR + rows), 8, on_conflict="warn")


def test_a_subject_is_chosen_by_name(tmp_path):
    path = label_file(tmp_path, TABULAR + "0.2,10,a,s,POINT\n0.3,10,,p,POINT\n")
    assert labels(path, 4, label_stream="A")[0] == [-1, -1, 1, -1]
    assert labels(path, 4, label_stream="No focal subject")[0] == [-1, -1, -1, 2]
    with pytest.raises(UserError, match="no subject is called c; there are No focal subject, a"):
        labels(path, 4, label_stream="c")


def test_deepethogram_labels_are_read_with_background_and_unlabelled_frames(tmp_path):
    path = label_file(tmp_path, ",background,s,p\n0,1,0,0\n1,0,1,0\n2,-1,-1,-1\n3,0,0,1.0\n")
    assert sniff(path) == "deepethogram"
    assert labels(path, 4)[0] == [-1, 1, -1, 2]
    assert labels(path, 4, label_gaps="rest")[0] == [0, 1, -1, 2]


def test_simba_columns_behind_pose_and_features_are_read(tmp_path):
    path = label_file(
        tmp_path,
        ",nose_x,nose_y,nose_p,Low_prob,s,p\n0,1.5,2,0.9,0,0,1\n1,1.5,2,0.9,1,1,0\n2,1,2,1,1,0,0\n",
    )
    assert sniff(path) == "simba"
    assert labels(path, 3)[0] == [2, 1, -1]
    with pytest.raises(UserError, match="none of its columns is a behavior of the ethogram"):
        labels(path, 3, ethogram=PAIN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",background,s,p\n0,0,1,1\n", "1 frames have two behaviors at once, the first is frame 0"),
        (",background,s,x\n0,0,0,1\n", "no class is called 'x'"),
    ],
)
def test_two_behaviors_of_a_row_and_unknown_columns_are_contradictions(tmp_path, text, message):
    path = label_file(tmp_path, text)
    with pytest.raises(UserError, match=message):
        labels(path, 1)
    read, warnings = labels(path, 1, on_conflict="warn", label_gaps="rest")
    assert read == [-1]
    assert message in warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "start_frame,stop_frame,label\n2,4,s\n5,6,p\n",
        "start_s,stop_s,label\n0.2,0.4,s\n0.5,0.6,p\n",
        "from;to;type\n0.2;0.4;s\n0.5;0.6;p\n",
        "Start,Stop,Behavior\n2,4,s\n5,6,p\n",
        "start_frame,stop_frame,start_s,stop_s,label,mean_probability\n2,4,9,9,s,1\n5,6,9,9,p,1\n",
    ],
)
def test_bouts_in_frames_or_seconds_are_half_open(tmp_path, text):
    path = label_file(tmp_path, text)
    assert sniff(path) == "bouts"
    read, notes = labels(path, 8)
    assert read == [-1, -1, 1, 1, -1, 2, -1, -1]
    assert len(notes) == text.startswith("Start,")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "start_s,stop_s,label\n0.4,0.2,s\n",
            "line 2: expected start and stop in seconds, in this order",
        ),
        (
            "start_frame,stop_frame,label\n0,1,s\n1.5,2,s\n",
            "line 3: expected start and stop in whole frames",
        ),
        (
            "start_frame,stop_frame,label\n-3,2,s\n",
            "line 2: expected start and stop in whole frames",
        ),
        ("start_s,stop_s,label\n0,inf,s\n", "line 2: expected start and stop in seconds"),
    ],
)
def test_bouts_that_cannot_be_meant_are_refused_by_their_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        labels(label_file(tmp_path, text), 8, on_conflict="warn")


def test_times_follow_the_videos_own_clock_where_its_rate_varies():
    times = np.array([5.0, 5.1, 5.2, 5.5, 5.6])
    events = Events(Path("v.csv"), "s", np.array([0.2]), np.array([0.5]), np.array([1]))
    assert events.on_frames(5, times).labels.tolist() == [-1, -1, 1, -1, -1]
    with pytest.raises(UserError, match="the rate of its video is not known"):
        events.on_frames(5, None)


def small_project(folder, **files):
    (folder / "Videos").mkdir()
    (folder / "Annotations").mkdir()
    for name in ("v.mp4", "w.mp4"):
        (folder / "Videos" / name).touch()
    (folder / "classes.csv").write_text("id,name\n0,rest\n1,s\n2,p\n", "utf-8")
    for name, text in files.items():
        (folder / "Annotations" / name.replace("__", ".")).write_text(text, "utf-8")
    return folder


def test_a_study_may_mix_formats_and_one_boris_file_may_label_several_videos(tmp_path):
    both = (
        AGGREGATED + "o,10,m,s,STATE,0.2,0.4,/x/v.mp4\nq,10,m,p,STATE,0,0.1,w.mp4\n"
        "r,10,m,x,STATE,0,0.1,other.mp4\n"
    )
    folder = small_project(tmp_path, all_events__csv=both)
    study = open_study(in_study_folder(folder, DataConfig()))
    placed = [
        study.place(s, np.arange(4) / 10, DataConfig())[0].labels.tolist() for s in study.sources
    ]
    assert placed == [[-1, -1, 1, 1], [2, -1, -1, -1]]
    (folder / "Annotations" / "all_events.csv").unlink()
    label_file(folder / "Annotations", ",background,s,p\n0,0,1,0\n1,1,0,0\n", "v_labels.csv")
    label_file(folder / "Annotations", "Frame,Action\n0,2\n1,0\n", "prediction_w_1.csv")
    study = open_study(in_study_folder(folder, DataConfig()))
    placed = [
        study.place(s, np.arange(2) / 10, DataConfig())[0].labels.tolist() for s in study.sources
    ]
    assert placed == [[1, -1], [2, 0]]
    config = DataConfig(on_conflict="warn")
    recording, placement = study.place(study.sources[0], np.arange(3) / 10, config)
    assert recording.labels.tolist() == [1, -1, -1]
    assert "has rows for 2 frames, but its video has 3" in str(placement.findings[0])
    with pytest.raises(UserError, match="has rows for 2 frames"):
        study.place(study.sources[0], np.arange(3) / 10, DataConfig())


def test_a_file_that_belongs_to_no_video_need_not_be_readable(tmp_path):
    folder = small_project(
        tmp_path, v__csv="Frame,Action\n0,1\n", notes__csv='a,b\n"' + 200_000 * "x" + '",1\n'
    )
    findings = open_study(in_study_folder(folder, DataConfig())).findings
    assert [f.what for f in findings] == ["labels a video that is not there"]


def test_every_format_can_be_named():
    assert get_args(get_type_hints(DataConfig)["label_format"]) == ("auto", *FORMATS)


def test_a_format_may_be_named_and_a_wrong_name_is_said(tmp_path):
    path = label_file(tmp_path, "Frame,Action\n0,1\n")
    with pytest.raises(UserError, match="expected an annotation file of the Caltech"):
        labels(path, 1, label_format="caltech")
    with pytest.raises(
        UserError, match="label_gaps: no class is called 'nothing'; there are rest, s, p"
    ):
        labels(path, 1, label_gaps="nothing")


def test_every_boris_file_is_read_or_refused_with_a_reason(real_data):
    outcomes = {}
    ethogram = unmerged(["s", "p", "interact", "mount"])
    for path in sorted((real_data / "formats" / "boris").iterdir()):
        for subject in (None, "subject1"):
            try:
                config = DataConfig(label_stream=subject, on_conflict="warn")
                events = read_annotations(path, ethogram, config, Conflicts("warn"))
                outcomes[path.name, subject] = sum(len(e.start) for e in events.values())
            except UserError as error:
                outcomes[path.name, subject] = str(error).removeprefix(str(path))
    assert outcomes["e3v813a-20210610T120637-121213_reencode.csv", None] == 15
    assert outcomes["e3v813a-20210610T120637-121213_reencode_multiple_behaviors.csv", None] == 17
    assert "has the subjects subject1, subject2" in outcomes["test_export_events_tabular.csv", None]
    assert outcomes["test_export_events_tabular.csv", "subject1"] == 3
    assert outcomes["test_export_events_tabular.tsv", "subject1"] == 3
    assert "several media files" in outcomes["test_export_aggregated_events_test_full_1.tsv", None]
    assert (
        "expected the columns Frame and Action"
        in outcomes["test_export_aggregated_events_test_full_4.tsv", None]
    )


def test_what_a_spreadsheet_would_compute_is_written_as_text_and_read_back(tmp_path):
    cells = [
        "=1+1",
        "+x",
        "-x",
        "@SUM(A1)",
        "'=x",
        "''-y",
        "-1",
        "+2.5",
        "it's",
        "'quoted'",
        "plain",
    ]
    write_table(tmp_path / "t.csv", ("=h", "b"), [(c, 1) for c in cells])
    table = read_table(tmp_path / "t.csv")
    assert table.header == ("=h", "b")
    assert [r[0] for r in table.rows] == cells
    written = [line.split(",")[0] for line in (tmp_path / "t.csv").read_text("utf-8").splitlines()]
    assert [w for w in written if w[0] in "=+-@"] == ["-1", "+2.5"]


def test_export_writes_every_prediction_with_its_provenance_and_names_what_it_cannot_read(
    tmp_path, capsys
):
    meta = {"run": "runs/first", "fingerprint": {"ends": "f00"}}
    for name in ("a", "b"):
        predictions = Predictions(
            name, ("rest", "s"), np.array([0, 1]), np.full((2, 2), 0.5), np.arange(2) / 10, meta
        )
        write_predictions(tmp_path / "p", predictions)
    assert main(["export", str(tmp_path / "p"), "--to", "simba"]) == 0
    origin = json.loads((tmp_path / "p" / "simba" / "a.provenance.json").read_text("utf-8"))
    assert (origin["run"], origin["fingerprint"]) == ("runs/first", {"ends": "f00"})
    (tmp_path / "p" / "b.predictions.csv").write_text("frame,time_s,label,p_s\n0,0,x,1\n", "utf-8")
    assert (
        main(["export", str(tmp_path / "p"), "--to", "boris", "--out", str(tmp_path / "out")]) == 1
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "a.boris.csv",
        "a.provenance.json",
    ]
    assert "b.predictions.csv, line 2: not a prediction" in capsys.readouterr().err
    (tmp_path / "p" / "b.predictions.csv").write_text(
        "frame,time_s,label,p_s\n0,0,s,1,0.5\n", "utf-8"
    )
    assert (
        main(["export", str(tmp_path / "p"), "--to", "boris", "--out", str(tmp_path / "out")]) == 1
    )
    assert "b.predictions.csv, line 2: not a prediction (2 prob" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nowhere"), "--to", "boris"]) == 2
    assert main(["export", str(tmp_path / "p"), "--to", "boris", "--pose", "x.csv"]) == 2


def test_export_to_nwb_finds_the_pose_of_each_video(tmp_path, pynwb):
    predictions = Predictions(
        "a", ("rest", "s"), np.array([0, 1]), np.full((2, 2), 0.5), np.arange(2) / 10
    )
    write_predictions(tmp_path, predictions)
    assert read_predictions(tmp_path / "a.predictions.csv").labels.tolist() == [0, 1]
    write_dlc(tmp_path / "poses" / "aDLC_x.csv", "x", ["nose"], np.ones((2, 1, 2)), np.ones((2, 1)))
    command = ["export", str(tmp_path), "--to", "nwb", "--pose", str(tmp_path / "poses")]
    assert main([*command, "--session_start", "2026-01-31T14:05"]) == 0
    with pynwb.NWBHDF5IO(str(tmp_path / "nwb" / "a.nwb"), "r") as io:
        file = io.read()
        assert file.session_start_time.year == 2026
        assert "PoseEstimation" in file.processing["behavior"].data_interfaces
    assert main([*command, "--session_start", "yesterday"]) == 2


def test_nwb_names_the_animal_and_the_start_that_the_table_of_recordings_gives(
    tmp_path, pynwb, capsys
):
    predictions = Predictions(
        "a", ("rest", "s"), np.zeros(2, int), np.full((2, 2), 0.5), np.arange(2)
    )
    write_predictions(tmp_path, predictions)
    table = tmp_path / "recordings.csv"
    table.write_text(
        "video,animal,group,sex,age,session_start\na.mp4,267M,drug,male,70,2026-01-31T14:05\n"
    )
    command = ["export", str(tmp_path), "--to", "nwb"]
    assert main([*command, "--recordings", str(table)]) == 0
    assert "not known" not in capsys.readouterr().err
    with pynwb.NWBHDF5IO(str(tmp_path / "nwb" / "a.nwb"), "r") as io:
        file = io.read()
        assert (file.subject.subject_id, file.subject.sex, file.subject.age) == (
            "267M",
            "M",
            "P70D",
        )
        assert file.subject.species == "Mus musculus"
        assert file.subject.description == "group drug"
        assert file.session_start_time.isoformat() == "2026-01-31T14:05:00+00:00"
    # What is missing is asked for by name.
    assert main(command) == 0
    assert "a: not known: animal, sex, age, session_start" in capsys.readouterr().err
    table.write_text("video,animal,age\na.mp4,267M,old\n")
    assert main([*command, "--recordings", str(table)]) == 2
    assert "line 2: age is 'old'" in capsys.readouterr().err


def test_inspect_says_which_format_a_label_file_has_and_what_it_contradicts(tmp_path, capsys):
    rows = "o,10,m,rest,STATE,0.2,0.4,/x/v.mp4\no,10,m,sniff,POINT,0.5,0.5,/x/v.mp4\n"
    assert main(["inspect", str(label_file(tmp_path, AGGREGATED + rows)), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["format"].startswith("boris")
    assert facts["v.mp4: bouts of rest"] == 1
    assert "no class is called 'sniff'" in facts["conflict 1"]


def recordings(config):
    """Labels of a project's videos, as they lie on the frames that decode, and when these are."""
    study, by_name = open_study(config), {}
    for source in study.sources:
        time_s = np.array([frame.time_s for frame in FrameStream(source.video)])
        by_name[source.video.stem] = (
            study.place(source, time_s, config)[0].labels.tolist(),
            time_s,
        )
    return by_name


def test_a_study_that_was_scored_in_another_tool_gives_the_same_labels(study, tmp_path):
    config = in_study_folder(study, DataConfig(trial_length=90))
    own = recordings(config)
    for name, (labels, time_s) in own.items():
        unsure = np.full((len(labels), len(PAIN)), 1 / len(PAIN))
        export_predictions(
            tmp_path, Predictions(name, PAIN.classes, np.array(labels), unsure, time_s), "boris"
        )
    theirs = recordings(dataclasses.replace(config, annotations=tmp_path))
    assert {n: labels for n, (labels, _) in theirs.items()} == {
        n: labels for n, (labels, _) in own.items()
    }


def test_the_table_of_a_long_video_is_read_row_by_row(tmp_path: Path) -> None:
    n, classes = 20_000, PAIN.classes
    shares = np.full((n, len(classes)), 1 / len(classes), np.float32)
    write_predictions(
        tmp_path, Predictions("long", classes, np.zeros(n, np.int16), shares, np.arange(n) / 30, {})
    )
    path = tmp_path / "long.predictions.csv"
    tracemalloc.start()
    assert len(read_predictions(path).labels) == n
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (
        peak < 3 * path.stat().st_size
    )  # twice; the rows as lists of text take thirteen times as much


def test_a_behavior_may_be_called_like_a_coordinate(tmp_path: Path) -> None:
    """`c_p` is a pose column only beside `c_x` and `c_y`."""
    path = tmp_path / "m1.csv"
    path.write_text("frame,background,c_p,walk_x\n0,1,0,0\n1,0,1,0\n2,0,0,1\n", "utf-8")
    assert sniff(path) == "deepethogram"
    path.write_text("frame,nose_x,nose_y,nose_p,lick\n0,1.5,2.5,0.9,0\n1,1.5,2.5,0.9,1\n", "utf-8")
    assert sniff(path) == "simba"
