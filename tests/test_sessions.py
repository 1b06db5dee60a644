"""When a trial begins in its recording, and recordings that are pieces of one session."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import open_study
from dolorim.files.sessions import SessionPiece, find_sessions, name_key
from dolorim.files.start_times import start_of
from dolorim.files.tables import write_table
from dolorim.labels.prediction_files import write_predictions
from dolorim.labels.predictions import Predictions
from dolorim.reporting.assays import read_assay
from dolorim.reporting.observations import Observations
from dolorim.reporting.read_observations import read_observations
from dolorim.reporting.timing import check_starts

NAMES = ("rest", "paw_lick")
RATE_HZ = 10


def write(
    folder: Path, name: str, *bouts: tuple[int, int], time_s: np.ndarray | None = None
) -> None:
    """Predictions of 10 s in which the animal licks in some ranges of frames."""
    labels = np.zeros(10 * RATE_HZ, np.int16)
    for start, stop in bouts:
        labels[start:stop] = 1
    if time_s is None:
        time_s = np.arange(len(labels)) / RATE_HZ
    chances = np.eye(2, dtype=np.float32)[labels]
    predictions = Predictions(name, NAMES, labels, chances, time_s, {"fps": float(RATE_HZ)})
    write_predictions(folder / "found", predictions)


def read(folder: Path, header: str, *rows: str, **options: Any) -> Observations:
    write_table(folder / "groups.csv", header.split(","), csv.reader(rows))
    return read_observations(folder / "found", folder / "groups.csv", **options)


def licks(observations: Observations, number: int = 0) -> list[tuple[float, float]]:
    recording = observations.recordings[number]
    licked = recording.labels == 1
    pairs = np.stack([recording.start_s[licked], recording.stop_s[licked]], 1).round(6)
    return [(start, stop) for start, stop in pairs.tolist()]


@pytest.mark.parametrize("cells", ["start_s,4", "start_frame,40", "Start_s,4.0"])
def test_time_counts_from_the_start_that_the_table_gives(tmp_path: Path, cells: str) -> None:
    write(tmp_path, "a", (50, 60))
    column, start = cells.split(",")
    observed = read(tmp_path, f"file,animal,group,{column}", f"a.mp4,1M,drug,{start}")
    assert licks(observed) == [(1.0, 2.0)]
    assert observed.recordings[0].length_s == pytest.approx(6)


def test_a_start_in_frames_is_exact_where_the_rate_varies(tmp_path: Path) -> None:
    """The first 50 frames are shown for 0.2 s each, the others for 0.1 s."""
    time_s = np.concatenate((np.arange(50) * 0.2, 10 + np.arange(50) * 0.1))
    write(tmp_path, "a", (60, 70), time_s=time_s)
    observed = read(tmp_path, "file,animal,group,start_frame", "a.mp4,1M,drug,55")
    assert licks(observed) == [(0.5, 1.5)]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("-5,", "start_s is '-5'"),
        ("soon,", "start_s is 'soon'"),
        ("nan,", "start_s is 'nan'"),
        (",2.5", "start_frame is '2.5'"),
        ('"1,200",', "start_s is '1,200'"),  # 1200 or 1.2
        ("1,10", "give one of them"),
    ],
)
def test_a_start_that_is_no_time_in_a_recording_is_refused(
    tmp_path: Path, cells: str, said: str
) -> None:
    write(tmp_path, "a")
    with pytest.raises(UserError, match=said) as refused:
        read(tmp_path, "file,animal,group,start_s,start_frame", f"a.mp4,1M,drug,{cells}")
    assert "groups.csv, line 2" in str(refused.value)


def test_a_recording_that_ends_before_its_start_is_left_out_and_named(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b")
    observed = read(tmp_path, "file,animal,group,start_s", "a.mp4,1M,drug,700", "b.mp4,2F,vehicle,")
    assert [recording.video for recording in observed.recordings] == ["b"]
    assert "start_s 700 lies after the end" in "; ".join(map(str, observed.findings))


def test_phases_without_a_start_are_named(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b")
    formalin, whole = read_assay("formalin"), read_assay("whole")
    without = read(tmp_path, "file,animal,group", "a.mp4,1M,drug", "b.mp4,2F,vehicle")
    (note,) = check_starts(without, formalin)
    assert "no column start_s" in note.what
    assert check_starts(without, whole) == []
    one = read(tmp_path, "file,animal,group,start_s", "a.mp4,1M,drug,2", "b.mp4,2F,vehicle,")
    (warning,) = check_starts(one, formalin)
    assert (warning.severity, warning.what) == ("warning", "nothing says when it is in b")


def test_pieces_of_a_session_follow_one_another_by_the_numbers_in_their_names(
    tmp_path: Path,
) -> None:
    """A bout that the cut divides is one bout, and the drug was given in the second piece."""
    write(tmp_path, "cage_2", (0, 10), (50, 60))
    write(tmp_path, "cage_10", (90, 100))
    write(tmp_path, "cage_1", (90, 100))
    header = "file,animal,group,session,start_s"
    rows = [f"cage_{n}.mp4,1M,drug,night,{3 if n == 2 else ''}" for n in (10, 2, 1)]
    observed = read(tmp_path, header, *rows)
    (night,) = observed.recordings
    assert night.video == "night"
    assert night.length_s == pytest.approx(30 - 13)
    assert licks(observed) == [(2.0, 3.0), (16.0, 17.0)]
    whole = read(tmp_path, "file,animal,group,session", *(row.rpartition(",")[0] for row in rows))
    assert licks(whole) == [(9.0, 11.0), (15.0, 16.0), (29.0, 30.0)]
    assert "night (cage_1, cage_2, cage_10; 0.5 min)" in "; ".join(map(str, whole.findings))


def test_pieces_with_a_gap_say_when_they_begin(tmp_path: Path) -> None:
    write(tmp_path, "x", (0, 10))
    write(tmp_path, "y", (0, 10))
    header = "file,animal,group,session,session_start_s"
    observed = read(tmp_path, header, "x.mp4,1M,drug,night,60", "y.mp4,1M,drug,night,0")
    assert licks(observed) == [(0.0, 1.0), (60.0, 61.0)]
    assert observed.recordings[0].length_s == pytest.approx(70)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (("a.mp4,1M,drug,s,0", "b.mp4,1M,drug,s,5"), "overlap: a ends at 10 s"),
        (("a.mp4,1M,drug,s,", "b.mp4,2F,drug,s,"), "of two animals, 1M"),
        (("a.mp4,1M,drug,s,0", "b.mp4,1M,drug,s,"), "session_start_s of b is ''"),
        (("a.mp4,1M,drug,s,", "b.mp4,1M,vehicle,s,"), "in the groups"),
    ],
)
def test_pieces_that_do_not_fit_together_are_refused(
    tmp_path: Path, rows: tuple[str, ...], said: str
) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b")
    with pytest.raises(UserError, match=said):
        read(tmp_path, "file,animal,group,session,session_start_s", *rows)


def test_a_session_that_lacks_a_piece_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a_1")
    write(tmp_path, "a_3")
    write(tmp_path, "b")
    observed = read(
        tmp_path,
        "file,animal,group,session",
        *(f"a_{n}.mp4,1M,drug,s" for n in (1, 2, 3)),
        "b.mp4,2F,vehicle,",
    )
    assert [recording.video for recording in observed.recordings] == ["b"]
    assert "a_2.mp4 is missing" in "; ".join(map(str, observed.findings))


def test_a_session_that_is_a_factor_joins_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b")
    rows = ("a.mp4,1M,drug,baseline", "b.mp4,2F,vehicle,baseline")
    observed = read(tmp_path, "file,animal,group,session", *rows, factors=["session"])
    assert len(observed.recordings) == 2


def test_names_sort_by_their_numbers() -> None:
    assert sorted(["cage_10", "cage_9", "Cage_1b"], key=name_key) == [
        "Cage_1b",
        "cage_9",
        "cage_10",
    ]


def test_recordings_without_a_session_are_in_none() -> None:
    assert find_sessions([SessionPiece("a", "1M", 5.0, {"session": " "})], "x") == []
    assert start_of({"Start S": "", "start_frame": " "}, "x") is None


def test_labels_that_count_from_the_start_lie_there(tmp_path: Path) -> None:
    """Ten labels of a trial that begins in frame 20."""
    (tmp_path / "Videos").mkdir()
    (tmp_path / "Videos" / "a.mp4").touch()
    write_table(
        tmp_path / "Annotations" / "a.csv", ("Frame", "Action"), ((i, 2) for i in range(10))
    )
    table = tmp_path / "recordings.csv"
    write_table(table, ("video", "animal", "start_s"), [("a.mp4", "1M", "2")])
    config = DataConfig(
        videos=tmp_path / "Videos",
        annotations=tmp_path / "Annotations",
        recordings=table,
        label_origin="start",
        label_step=1,
    )
    study = open_study(config)
    recording, placement = study.place(study.sources[0], np.arange(50) / RATE_HZ, config)
    assert np.flatnonzero(recording.labels >= 0).tolist() == list(range(20, 30))
    assert placement.trials[0].start == 20
    with pytest.raises(UserError, match="start_s 2 lies after the end"):
        study.place(study.sources[0], np.arange(15) / RATE_HZ, config)
