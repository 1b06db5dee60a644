"""A study folder: whose the videos are and which labels belong to them."""

from pathlib import Path

import numpy as np
import pytest

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import in_study_folder, open_study, with_study_files
from dolorim.files.naming import find_videos
from dolorim.files.tables import read_table
from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import write_labels
from ethograms import unmerged

ROWS = "Frame,Action\n" + "".join(f"{i},{i % 8}\n" for i in range(20))


def make_study(folder, videos, labels=(), **files):
    """A study folder with empty videos, label files of 20 rows, and files by name
    (recordings_csv="...")."""
    for name in videos:
        (folder / "Videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "Videos" / name).touch()
    for name in labels:
        (folder / "Annotations" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "Annotations" / name).write_text(ROWS, "utf-8")
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, "utf-8")
    return folder


def opened(folder, **settings):
    return open_study(in_study_folder(folder, DataConfig(**settings)))


def labels_of(study):
    """Label files by video."""
    return {s.file.name: sorted(f.path.name for f in s.labels) for s in study.sources}


def animals_of(study):
    return {s.file.name: s.animal for s in study.sources}


@pytest.mark.parametrize(
    "name",
    [
        "prediction_a_267M.mp4_1.csv",
        "prediction_a_267M_1.csv",
        "Prediction_A_267m.MP4_1.CSV",
        "a_267M.csv",
        "a_267M.mp4.csv",
        "session 1/prediction_a_267M_1.csv",
    ],
)
def test_a_label_file_finds_its_video_with_or_without_the_videos_extension(tmp_path, name):
    study = opened(make_study(tmp_path, ["a_267M.mp4", "b.mp4"], [name]))
    assert labels_of(study) == {"a_267M.mp4": [Path(name).name], "b.mp4": []}
    assert study.findings == ()


def test_a_video_whose_own_name_ends_like_a_trial_keeps_its_labels(tmp_path):
    study = opened(
        make_study(tmp_path, ["day_1.mp4", "day.mp4"], ["day_1.csv", "prediction_day_1_2.csv"])
    )
    assert labels_of(study) == {"day.mp4": [], "day_1.mp4": ["day_1.csv", "prediction_day_1_2.csv"]}


def test_a_label_file_that_is_called_exactly_like_a_video_labels_all_of_it(tmp_path):
    study = opened(make_study(tmp_path, ["prediction_a_2.mp4"], ["prediction_a_2.csv"]))
    assert [f.trial for f in study.sources[0].labels] == [None]


@pytest.mark.parametrize("label", ["cam.h264.csv", "cam.h264.mp4.csv", "prediction_cam.h264_1.csv"])
def test_a_video_whose_own_name_looks_like_it_has_an_extension_keeps_its_labels(tmp_path, label):
    folder = make_study(
        tmp_path, ["cam.h264.mp4"], [label], recordings_csv="video,animal\ncam.h264,anna\n"
    )
    study = opened(folder)
    assert labels_of(study) == {"cam.h264.mp4": [label]}
    assert animals_of(study) == {"cam.h264.mp4": "anna"}


def test_what_macos_leaves_beside_files_is_passed_over(tmp_path):
    junk = ["._prediction_a_1.csv", ".DS_Store", ".Trashes/prediction_a_2.csv"]
    study = opened(
        make_study(tmp_path, ["a.mp4", "._a.mp4", ".hidden/b.mp4"], ["prediction_a_1.csv", *junk])
    )
    assert labels_of(study) == {"a.mp4": ["prediction_a_1.csv"]}
    assert study.findings == ()


def test_labels_of_a_video_that_is_not_there_are_a_finding_and_the_others_stay(tmp_path):
    study = opened(make_study(tmp_path, ["a.mp4"], ["prediction_a_1.csv", "prediction_gone_1.csv"]))
    assert labels_of(study) == {"a.mp4": ["prediction_a_1.csv"]}
    (finding,) = study.findings
    assert finding.severity == "warning"
    path = tmp_path / "Annotations" / "prediction_gone_1.csv"
    assert str(finding) == f"{path}: labels a video that is not there; left out"


def test_labels_that_fit_no_video_at_all_are_refused(tmp_path):
    folder = make_study(tmp_path, ["a.mp4"], ["prediction_b_1.csv", "prediction_c_1.csv"])
    with pytest.raises(
        UserError, match=r"none of its 2 label files .*; prediction_b_1\.csv would label b"
    ):
        opened(folder)


def test_labels_that_fit_two_videos_are_refused_with_both(tmp_path):
    folder = make_study(tmp_path, ["day1/a.mp4", "day2/a.avi"], ["prediction_a_1.csv"])
    with pytest.raises(UserError, match=r"its name fits .*a\.mp4 and .*a\.avi; rename one"):
        opened(folder)


def test_a_label_file_that_cannot_be_read_stops_the_study_by_its_name(tmp_path):
    folder = make_study(tmp_path, ["a.mp4"], ["prediction_a_1.csv"])
    (folder / "Annotations" / "prediction_a_1.csv").write_text("Frame,Action\n0,12\n", "utf-8")
    with pytest.raises(UserError, match=r"prediction_a_1\.csv, line 2, column Action: class id 12"):
        opened(folder)


def test_labels_of_the_labeling_room_replace_those_of_their_recordings(tmp_path):
    names = ["a.mp4", "b.mp4", "c.mp4"]
    folder = make_study(tmp_path, names, ["prediction_a_1.csv", "prediction_b_1.csv"])
    room = folder / "dolorim" / "labels" / "ann"
    labels = np.full(40, -1, np.int16)
    labels[10:20] = PAIN.classes.index("paw_lick")
    for name in ("b", "c"):
        write_labels(room / f"{name}.csv", labels, PAIN)
        (room / f"{name}.history.jsonl").write_text("", "utf-8")
    # How the study's own label files are to be read says nothing about those of the room.
    settings = {"label_step": 2, "trial_length": 40, "label_context": 0, "corrections": room}
    study = opened(folder, **settings)
    assert labels_of(study) == {
        "a.mp4": ["prediction_a_1.csv"],
        "b.mp4": ["b.csv"],
        "c.mp4": ["c.csv"],
    }
    config = DataConfig(**settings)
    own, corrected, _ = study.sources
    assert study.place(own, np.arange(40) / 30, config)[0].labels.tolist()[:4] == [0, 0, 1, 1]
    assert study.place(corrected, np.arange(40) / 30, config)[0].labels.tolist() == labels.tolist()


def test_a_study_without_label_files_has_videos_without_labels(tmp_path):
    assert labels_of(opened(make_study(tmp_path, ["a.mp4"]))) == {"a.mp4": []}


def test_a_folder_of_labels_without_any_is_refused(tmp_path):
    folder = make_study(tmp_path, ["a.mp4"])
    (folder / "Annotations").mkdir()
    with pytest.raises(
        UserError, match=r"no label file in this folder .looked for prediction_<video>_<trial>\.csv"
    ):
        opened(folder)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: DataConfig(), "no videos given; name their folder with --videos"),
        (lambda f: DataConfig(videos=f / "nowhere"), "there is no such folder"),
        (lambda f: DataConfig(videos=f), "no video in this folder"),
        (lambda f: in_study_folder(f / "nowhere", DataConfig()), "there is no such folder"),
    ],
)
def test_a_study_without_videos_is_refused(tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        open_study(make(tmp_path))


def test_videos_of_any_usual_kind_are_found_in_subfolders_and_sorted(tmp_path):
    folder = make_study(tmp_path, ["b.MP4", "day2/c.avi", "a.mov", "day1/d.mkv", "notes.txt"])
    names = [v.relative_to(folder / "Videos").as_posix() for v in find_videos([folder / "Videos"])]
    assert names == ["a.mov", "b.MP4", "day1/d.mkv", "day2/c.avi"]


def test_a_video_that_is_named_twice_is_taken_once(tmp_path):
    video = make_study(tmp_path, ["a.mp4"]) / "Videos" / "a.mp4"
    assert find_videos([video, video.parent, video]) == [video]


@pytest.mark.parametrize(
    ("video", "animal"),
    [
        ("shortened_2023-10-25_CFA_010_267M_tracking.mp4", "267M"),
        ("12F.left.mp4", "12F"),
        ("cage 3 267.1M.mp4", "267.1M"),
        ("trial_3Min.mp4", "trial_3Min"),
        ("mouse_a.mp4", "mouse_a"),
    ],
)
def test_an_animal_is_the_number_with_its_sex_in_the_videos_name_else_the_video(
    tmp_path, video, animal
):
    assert animals_of(opened(make_study(tmp_path, [video]))) == {video: animal}


def test_a_lab_may_say_what_in_a_name_is_the_animal(tmp_path):
    study = opened(make_study(tmp_path, ["rat7_day1.mp4", "x.mp4"]), animal_pattern=r"rat\d+|")
    assert animals_of(study) == {"rat7_day1.mp4": "rat7", "x.mp4": "x"}


def test_a_pattern_that_is_none_is_a_users_error(tmp_path):
    with pytest.raises(UserError, match=r"animal_pattern.*\(rat"):
        opened(make_study(tmp_path, ["a.mp4"]), animal_pattern="(rat")


def test_recordings_csv_says_whose_a_video_is_before_its_name_does(tmp_path):
    table = "Video;Subject;Group\n267M.mp4;anna;saline\nb;bert;formalin\n"
    study = opened(make_study(tmp_path, ["267M.mp4", "b.mp4"], recordings_csv=table))
    assert animals_of(study) == {"267M.mp4": "anna", "b.mp4": "bert"}
    assert study.sources[1].columns["Group"] == "formalin"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("video,animal\na.mp4,1\n", r"recordings\.csv: b\.mp4 has no line; add its animal"),
        ("video,animal\na.mp4,1\nb.mp4,\n", "line 3: the animal of b.mp4 is missing"),
        ("video,animal\na.mp4,1\nb.mp4,2\na,3\n", "line 4: a is already on line 2"),
        (
            "video,group\na.mp4,1\nb.mp4,2\n",
            r"expected the columns video,animal\[,...\], found video, group",
        ),
        ("", "the file is empty"),
    ],
)
def test_a_recordings_table_that_leaves_a_doubt_is_refused(tmp_path, table, message):
    with pytest.raises(UserError, match=message):
        opened(make_study(tmp_path, ["a.mp4", "b.mp4"], recordings_csv=table))


def test_tables_of_a_report_beside_the_folders_do_not_say_whose_recordings_are(tmp_path):
    folder = make_study(tmp_path, ["a_1M.mp4", "b_2F.mp4"])
    readouts = "video,trial,animal,group,window,behavior,readout,value,event,unit\n"
    (folder / "recordings.csv").write_text(f"{readouts}a_1M,1,other,x,whole,rest,time_s,3,,s\n")
    study = opened(folder)
    assert sorted(animals_of(study).values()) == ["1M", "2F"]
    assert any("a report has written it" in str(finding) for finding in study.assumptions)


def test_a_line_of_recordings_csv_for_a_video_that_is_not_there_is_a_finding(tmp_path):
    study = opened(
        make_study(tmp_path, ["a.mp4"], recordings_csv="video,animal\ngone.mp4,1\na.mp4,2\n")
    )
    assert animals_of(study) == {"a.mp4": "2"}
    assert [str(f) for f in study.findings] == [
        f"{tmp_path / 'recordings.csv'}, line 2: gone.mp4 is not among the videos"
    ]


def test_the_classes_beside_the_videos_replace_the_built_in_ones(tmp_path):
    names = [f"c{i}" for i in range(8)]
    table = "id,name\n" + "".join(f"{i},{n}\n" for i, n in enumerate(names))
    folder = make_study(tmp_path, ["a.mp4"], ["prediction_a_1.csv"], classes_csv=table)
    assert opened(folder).ethogram == unmerged(names)
    given = DataConfig(videos=folder / "Videos", annotations=folder / "Annotations")
    assert open_study(given).ethogram == PAIN
    assert with_study_files(given).classes == folder / "classes.csv"


def test_folders_are_found_in_any_letter_case_and_named_ones_come_first(tmp_path):
    folder = make_study(tmp_path, ["a.mp4"], ["prediction_a_1.csv"])
    (folder / "Videos").rename(folder / "VIDEOS")
    other = make_study(tmp_path / "other", ["b.mp4"])
    assert in_study_folder(folder, DataConfig()).videos == folder / "VIDEOS"
    assert in_study_folder(folder, DataConfig(videos=other)).videos == other


def test_a_folder_without_videos_in_it_is_a_folder_of_videos(tmp_path):
    folder = make_study(tmp_path, ["a.mp4"]) / "Videos"
    assert animals_of(opened(folder)) == {"a.mp4": "a"}


def test_each_label_file_of_a_study_is_counted_by_what_it_holds_itself(tmp_path):
    folder = make_study(tmp_path, ["a.mp4", "b.mp4"], ["a.csv", "b.csv"])
    (folder / "Annotations" / "a.csv").write_text("Frame,Action\n0,2\n3,2\n", "utf-8")
    (folder / "Annotations" / "b.csv").write_text("Frame,Action\n1,2\n4,2\n", "utf-8")
    study = opened(folder)
    for source in study.sources:
        recording, placement = study.place(source, np.arange(4) / 30, DataConfig())
        assert recording.labels.tolist() == [2, -1, -1, 2]
        assert recording.trials == placement.trials
        assert placement.findings == ()
    assert [recording.file.name, recording.animal] == ["b.mp4", "b"]


@pytest.mark.parametrize(
    ("folder", "layouts", "animals"),
    [
        ("bottomview", {"fixed", "cumulative"}, {"agouti", "black"}),
        ("bottomview_composite", {"cumulative"}, {"agouti", "black"}),
    ],
)
def test_every_label_file_of_the_real_studies_lies_on_its_video(
    real_data, folder, layouts, animals
):
    config = in_study_folder(real_data / folder, DataConfig())
    study = open_study(config)
    table = read_table(config.recordings)
    n_frames = {row[0]: int(row[table.header.index("n_frames")]) for row in table.rows}
    assert {s.animal for s in study.sources} == animals
    assert study.findings == ()
    for source in study.sources:
        recording, placement = study.place(
            source, np.arange(n_frames[source.file.name]) / 30, config
        )
        assert placement.layout in layouts
        assert placement.skipped == ()
        assert len(placement.trials) == len(source.labels)
        assert (recording.labels >= 0).all()
