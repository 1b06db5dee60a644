"""Folders of label files in any format: what `agree` and `report` read of them, with and without
videos."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dolorim.cli import main
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import read_labels
from dolorim.labels.label_folder import frame_grid_of
from dolorim.reporting.read_observations import read_observations
from dolorim.video.frame_times import frame_times
from videos import numbered, write_film

CLASSES = "id,name\n0,rest\n1,lick\n2,walk\n3,flinch\n"
NAMES = ("rest", "lick", "walk", "flinch")
N, RATE_HZ = 240, 30.0
LABELS = np.repeat([0, 1, 2], [100, 50, 90])  # rest for 3.333 s, lick until 5 s, walk until 8 s
BOUTS = [("rest", 0, 100), ("lick", 100, 150), ("walk", 150, 240)]
BORIS = (
    "Observation id,Source,Media duration (s),FPS,Subject,Behavior,Behavior type,Start (s),"
    "Stop (s),Media file name\n"
)


def boris(bouts=BOUTS, fps="30.0", media="m1.mp4", subject="mouse"):
    about = f"o1,player #1:{media},8.0,{fps},{subject}"
    rows = [f"{about},{b},STATE,{s / 30:.3f},{e / 30:.3f},{media}" for b, s, e in bouts]
    return BORIS + "\n".join(rows) + "\n"


def project(media="m1.mp4"):
    events = [[t / 30, "", name, "", ""] for name, start, stop in BOUTS for t in (start, stop)]
    conf = {str(i): {"type": "State event", "code": name} for i, name in enumerate(NAMES)}
    info = {"length": {media: 8.0}, "fps": {media: 30.0}}
    return json.dumps({"behaviors_conf": conf, "observations": {
        "o1": {"file": {"1": [media]}, "events": events, "media_info": info}}})  # fmt: skip


def table(header, rows):
    return "\n".join([header, *rows]) + "\n"


def flags(label):
    return ",".join(str(int(label == i)) for i in range(3))


CALTECH = "Caltech Behavior Annotator - Annotation File\n\nS1:\tstart\tend\ttype\n------\n"
FILES = {
    "frames": ("m1.csv", table("Frame,Action", (f"{i},{label}" for i, label in enumerate(LABELS)))),
    "frames from 1": ("m1.csv", table("Frame,Action",
    (f"{i + 1},{label}" for i, label in enumerate(LABELS)))),
    "boris": ("observation 7.csv", boris()),
    "boris by its own name": ("m1.csv", boris(media="cage 4.avi")),
    "boris without a rate": ("m1.csv", boris(fps="NA")),
    "boris project": ("all.boris", project()),
    "deepethogram": (
        "m1_labels.csv",
        table(",background,rest,lick,walk", (f"{i},0,{flags(k)}" for i, k in enumerate(LABELS))),
    ),
    "simba": (
        "m1.csv",
        table(",nose_x,nose_y,nose_p,rest,lick,walk",
        (f"{i},1.5,2,0.9,{flags(k)}" for i, k in enumerate(LABELS))),
    ),
    "caltech": ("m1_annot.txt", CALTECH + "".join(f"\t{s + 1}\t{e}\t{b}\n" for b, s, e in BOUTS)),
    "bouts": ("m1.csv", table("start_frame,stop_frame,label",
    (f"{s},{e},{b}" for b, s, e in BOUTS))),
    "bouts in both": (
        "m1.bouts.csv",
        table(
            "start_frame,stop_frame,start_s,stop_s,label",
            (f"{s},{e},{s / 30:.4f},{e / 30:.4f},{b}" for b, s, e in BOUTS),
        ),
    ),
    "bouts in seconds": (
        "m1.csv", table("start_s,stop_s,label",
        (f"{s / 30:.3f},{e / 30:.3f},{b}" for b, s, e in BOUTS)),
    ),
}  # fmt: skip
SAY_NO_RATE = ("boris without a rate", "bouts in seconds")
SAY_THEIR_RATE = ("boris", "boris by its own name", "boris project", "bouts in both")


def write(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, "utf-8")


@pytest.fixture
def classes(tmp_path):
    write(tmp_path, "classes.csv", CLASSES)
    return tmp_path / "classes.csv"


def agreement(tmp_path, *arguments):
    target = tmp_path / "agree.json"
    words = ["--classes", str(tmp_path / "classes.csv"), "--quiet", "--json", str(target)]
    assert main(["agree", str(tmp_path / "a"), str(tmp_path / "b"), *words, *arguments]) == 0
    (pair,) = json.loads(target.read_text("utf-8"))["pairs"].values()
    return pair


@pytest.mark.usefixtures("classes")
@pytest.mark.parametrize("one", FILES)
@pytest.mark.parametrize("two", ["frames", "boris", "boris by its own name"])
def test_one_truth_in_any_two_formats_agrees_with_itself_on_every_frame(tmp_path, one, two):
    write(tmp_path / "a", *FILES[one])
    write(tmp_path / "b", *FILES[two])
    asked = one in SAY_NO_RATE and two == "frames"
    pair = agreement(tmp_path, *(["--rate_hz", "30"] if asked else []))
    assert (pair["frames"], pair["accuracy"]) == (N, 1.0)


@pytest.mark.usefixtures("classes")
def test_agree_asks_for_the_rate_only_where_nobody_tells_it(tmp_path, capsys):
    write(tmp_path / "a", *FILES["bouts in seconds"])
    write(tmp_path / "b", *FILES["frames"])
    places = [str(tmp_path / "a"), str(tmp_path / "b"), "--classes", str(tmp_path / "classes.csv")]
    assert main(["agree", *places]) == 2
    assert "give --rate_hz, or the videos with --videos" in capsys.readouterr().err
    assert main(["agree", *places, "--rate_hz", "30"]) == 0


@pytest.mark.usefixtures("classes")
def test_agree_knows_subjects_and_gaps(tmp_path, capsys):
    one = boris([BOUTS[1]], subject="left") + boris([BOUTS[2]], subject="right").removeprefix(BORIS)
    write(tmp_path / "a", "o.csv", one)
    write(tmp_path / "b", *FILES["frames"])
    pair = agreement(tmp_path, "--label_stream", "left", "--label_gaps", "rest")
    assert (pair["frames"], pair["accuracy"]) == (N, pytest.approx(150 / 240))
    capsys.readouterr()
    pair = agreement(tmp_path, "--label_stream", "right")
    assert "add --label_gaps rest" in capsys.readouterr().err
    assert (pair["frames"], pair["accuracy"]) == (90, 1.0)


def study(tmp_path, files, **more):
    """Two animals, whose videos one file each labels."""
    folder = tmp_path / "labels"
    for name, text in files:
        write(folder, name, text)
    write(tmp_path, "groups.csv", "file,animal,group\nm1.mp4,a,saline\nm2.mp4,b,cfa\n")
    return read_observations(folder, tmp_path / "groups.csv", tmp_path / "classes.csv", **more)


@pytest.mark.parametrize("kind", FILES)
def test_every_format_gives_the_same_read_outs(tmp_path, classes, kind):
    name, text = FILES[kind]
    knows = kind in (*SAY_NO_RATE, *SAY_THEIR_RATE)
    observed = study(tmp_path, [(name, text)], rate_hz=None if knows else RATE_HZ)
    assert observed.failures == ()
    (recording,) = observed.recordings
    assert (recording.video, recording.animal, recording.group, recording.trial) == (
        "m1",
        "a",
        "saline",
        "",
    )
    assert recording.labels.tolist() == [0, 1, 2]
    assert recording.start_s == pytest.approx([0, 10 / 3, 5], abs=1e-3)
    assert recording.stop_s == pytest.approx([10 / 3, 5, 8], abs=1e-3)
    assert recording.length_s == pytest.approx(8)


@pytest.mark.usefixtures("classes")
def test_report_asks_for_the_rate_only_of_files_that_do_not_tell_it(tmp_path):
    observed = study(tmp_path, [FILES["boris"], ("m2.csv", FILES["frames"][1])])
    assert [t.video for t in observed.recordings] == ["m1"]
    ((path, why),) = observed.failures
    assert path.name == "m2.csv"
    assert "give --rate_hz, or the videos with --videos" in why
    with pytest.raises(UserError, match="--rate_hz"):
        study(tmp_path, [("m1.csv", FILES["frames"][1]), ("observation 7.csv", boris([]))])


@pytest.mark.usefixtures("classes")
def test_a_file_of_bouts_is_as_long_as_boris_says_its_video_is(tmp_path):
    observed = study(tmp_path, [("o.csv", boris(BOUTS[:2]))], labels=DataConfig(label_gaps="walk"))
    (recording,) = observed.recordings
    assert (recording.length_s, recording.stop_s[-1]) == (8.0, 8.0)


def test_a_mixed_folder_is_reported_on(tmp_path, classes, undrawn, capsys):
    write(tmp_path / "labels", *FILES["boris"])
    write(tmp_path / "labels", "m2.csv", FILES["frames"][1])
    write(tmp_path, "groups.csv", "file,animal,group\nm1.mp4,a,saline\nm2.mp4,b,cfa\n")
    command = [
        "report",
        str(tmp_path / "labels"),
        "--groups",
        str(tmp_path / "groups.csv"),
        "--classes",
        str(classes),
    ]
    assert main([*command, "--rate_hz", "30", "--out", str(tmp_path / "out")]) == 0
    table = pd.read_csv(tmp_path / "out" / "recordings.csv")
    budget = table[(table.readout == "time_s") & (table.behavior == "lick")]
    assert budget.value.tolist() == pytest.approx([5 / 3, 5 / 3], abs=1e-3)
    assert "left out" not in capsys.readouterr().err


@pytest.mark.usefixtures("classes")
def test_the_videos_timestamps_count_where_they_are_given(tmp_path):
    """A video whose clock begins at 5 s and that pauses for a second after its tenth frame."""
    times_ms = [5000 + 100 * i + 1000 * (i >= 10) for i in range(20)]
    write_film(tmp_path / "Videos" / "m1.mkv", numbered(20), times_ms=times_ms)
    rows = table("Frame,Action", (f"{i},{int(i >= 15)}" for i in range(20)))
    config = DataConfig(videos=tmp_path / "Videos")
    observed = study(tmp_path, [("m1.csv", rows)], labels=config, times_of=frame_times)
    (recording,) = observed.recordings
    assert recording.start_s == pytest.approx([0, 2.5])
    assert recording.length_s == pytest.approx(3.0)
    bouts = table("start_s,stop_s,label", ["0,1.9,rest", "1.9,2.2,lick"])
    (recording,) = study(
        tmp_path, [("m1.csv", bouts)], labels=config, times_of=frame_times
    ).recordings
    assert recording.start_s[1] == pytest.approx(2.0)  # the frame that begins there
    write(tmp_path / "a", "m1.csv", rows)
    write(tmp_path / "b", "m1.csv", table("start_s,stop_s,label", ["0,2.5,rest", "2.5,3.0,lick"]))
    pair = agreement(tmp_path, "--videos", str(tmp_path / "Videos"))
    assert (pair["frames"], pair["accuracy"]) == (20, 1.0)


@pytest.mark.usefixtures("classes")
def test_trials_are_laid_on_their_video_where_it_is_given(tmp_path):
    write_film(tmp_path / "Videos" / "m1.mp4", numbered(40), rate=10)
    files = [
        (f"prediction_m1_{k}.csv", table("Frame,Action", (f"{i},{k % 2}" for i in range(20))))
        for k in (1, 2)
    ]
    config = DataConfig(videos=tmp_path / "Videos", trial_length=20, label_context=2)
    observed = study(tmp_path, files, labels=config, times_of=frame_times)
    assert [(t.trial, t.labels.tolist()) for t in observed.recordings] == [("1", [1]), ("2", [0])]
    assert [t.length_s for t in observed.recordings] == pytest.approx([2, 2])
    observed = study(tmp_path, files, rate_hz=10)
    assert [t.length_s for t in observed.recordings] == pytest.approx([2, 2])


@pytest.mark.usefixtures("classes")
def test_files_that_list_pain_bouts_alone_are_asked_about(tmp_path):
    observed = study(tmp_path, [("o.csv", boris([BOUTS[1]]))])
    assert any("--label_gaps rest" in str(finding) for finding in observed.findings)
    observed = study(tmp_path, [("o.csv", boris([BOUTS[1]]))], labels=DataConfig(label_gaps="rest"))
    assert not any("--label_gaps" in str(finding) for finding in observed.findings)


@pytest.mark.parametrize(
    ("knobs", "n_frames"),
    [({}, 12), ({"label_counts_from": "1"}, 11), ({"label_step": 3}, 36)],
)
def test_without_a_video_its_length_follows_the_settings_that_place_its_labels(
    tmp_path: Path, knobs: dict[str, Any], n_frames: int
) -> None:
    """Rows 2 to 11 of a file without a row 0 or 1: the same rule as with a video."""
    path = tmp_path / "v.csv"
    path.write_text("Frame,Action\n" + "".join(f"{i},0\n" for i in range(2, 12)), "utf-8")
    file = read_labels(path, PAIN)
    assert frame_grid_of([file], DataConfig(**knobs), None).n_frames == n_frames
