"""Where a label lies in time: the same for everybody who asks, and by the video's own
timestamps.
"""

import dataclasses
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dolorim.checks.check import check
from dolorim.cli import main
from dolorim.config import Config, DataConfig, ModelConfig
from dolorim.core.errors import UserError
from dolorim.dataset.loading import load_dataset
from dolorim.dataset.study import in_study_folder, open_study
from dolorim.labels.ethogram import PAIN
from dolorim.labels.label_files import LabelFile, read_labels
from dolorim.labels.placing import place_labels
from dolorim.labels.trials import place_trials
from dolorim.pose.write_dlc import write_dlc
from dolorim.review.contents import open_review
from dolorim.review.session import Session
from dolorim.video.reader import FrameStream
from videos import numbered, write_film

N, REST, LICK, WALK = 240, 0, 1, 2
TRUTH = [REST] * 100 + [LICK] * 50 + [WALK] * 90
SECONDS = "start_s,stop_s,label\n0.000,3.333,rest\n3.333,5.000,lick\n5.000,8.000,walk\n"
BORIS = (
    "Observation id,Source,Time offset (s),Media duration (s),FPS "
    "(frame/s),Subject,Behavior,Behavior type,Start (s),"
    "Stop (s),Media file name\n"
)
ROWS = [(0.0, 3.333, "rest"), (3.333, 5.0, "lick"), (5.0, 8.0, "walk")]


def boris(rows, rate, video="m1.mp4", length=8.0):
    lines = [
        f"o,player #1:{video},0,{length},{rate},No focal subject,{n},STATE,{a},{b},{video}"
        for a, b, n in rows
    ]
    return BORIS + "\n".join(lines) + "\n"


def frames(actions, first=0):
    return "Frame,Action\n" + "".join(f"{i},{a}\n" for i, a in enumerate(actions, first))


def study_of(folder, n=N, name="m1.mp4", times_ms=None, **labels):
    """A project of one video and label files by name (m1__csv="...")."""
    write_film(folder / "Videos" / name, numbered(n), times_ms=times_ms)
    (folder / "classes.csv").write_text("id,name\n0,rest\n1,lick\n2,walk\n", "utf-8")
    (folder / "Annotations").mkdir()
    for file, text in labels.items():
        (folder / "Annotations" / file.replace("__", ".")).write_text(text, "utf-8")
    return folder


def checked(folder, **knobs):
    """What check makes of the only recording: its labels, and all findings."""
    result = check(in_study_folder(folder, DataConfig(**knobs)))
    placement = result.rows[0].placement
    return None if placement is None else placement.labels.tolist(), result.findings


def gathered(folder, cache, **knobs):
    """What train learns from: the labels of the only recording."""
    data = in_study_folder(folder, DataConfig(image_size=16, crop="none", cache=cache, **knobs))
    (labelled,) = load_dataset(Config(data=data)).labelled
    return labelled.recording.labels.tolist()


def reviewed(folder, out, **knobs):
    """What review shows, and what it saves once one frame has been labeled as it was."""
    session = Session(open_review(folder, DataConfig(**knobs), out=out), "ann")
    shown = session.recording(0)["truth"]
    labels = np.full(session.open(0).n_frames, -1)
    for start, stop, label in shown or []:
        labels[start:stop] = label
    session.corrections(0).edit(0, [(0, 1, max(0, int(labels[0])))])
    session.close()
    (saved,) = (out / "ann").glob("*.csv")
    return labels.tolist(), read_labels(saved, session.review.ethogram).labels.tolist()


@pytest.fixture(params=["bout_table", "boris_without_fps"])
def in_seconds(request, tmp_path):
    """The case from real data where it is here, else its twin."""
    real = Path(__file__).parents[2] / "shared" / "data" / "cases" / "seconds" / request.param
    folder = tmp_path / "study"
    if real.is_dir():
        return Path(shutil.copytree(real, folder))
    return study_of(folder, m1__csv=SECONDS if request.param == "bout_table" else boris(ROWS, "NA"))


def test_labels_in_seconds_are_the_same_frames_for_check_train_and_review(in_seconds, tmp_path):
    assert checked(in_seconds)[0] == TRUTH
    assert gathered(in_seconds, tmp_path / "cache") == TRUTH
    assert reviewed(in_seconds, tmp_path / "out") == (TRUTH, TRUTH)


def test_a_generated_twin_says_the_same(tmp_path):
    for name, text in (("a", SECONDS), ("b", boris(ROWS, "NA")), ("c", boris(ROWS, "30"))):
        folder = study_of(tmp_path / name, m1__csv=text)
        assert checked(folder)[0] == TRUTH
        assert reviewed(folder, tmp_path / f"out {name}") == (TRUTH, TRUTH)


def test_where_the_rate_varies_each_frames_own_time_decides_for_everybody(tmp_path):
    times_ms = [20 * i for i in range(100)] + [2000 + 50 * i for i in range(100)]
    table = "start_s,stop_s,label\n0,2,rest\n2,4.5,lick\n4.5,7,walk\n"
    folder = study_of(tmp_path / "s", 200, "m1.mkv", times_ms, m1__csv=table)
    expected = [REST] * 100 + [LICK] * 50 + [WALK] * 50
    assert checked(folder)[0] == expected
    assert reviewed(folder, tmp_path / "out") == (expected, expected)
    # Training sees the recording at a constant rate: each behavior takes its share of the time.
    learned = np.array(gathered(folder, tmp_path / "cache"))
    assert (np.diff(learned) >= 0).all()
    np.testing.assert_allclose(
        np.bincount(learned) / len(learned), np.array([4, 5, 5]) / 14, atol=0.01
    )


def test_ten_minutes_scored_at_29_97_frames_per_second_lie_where_their_times_say(tmp_path):
    (tmp_path / "DLC").mkdir()
    n = 18_000
    write_dlc(
        tmp_path / "DLC" / "m1DLC_net.csv", "net", ["nose"], np.ones((n, 1, 2)), np.ones((n, 1))
    )
    rows = [(0.0, 590.0, "rest"), (590.0, 595.0, "lick"), (595.0, 600.0, "walk")]
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "m1.csv").write_text(boris(rows, "29.97", "m1.mp4", 600.0), "utf-8")
    (tmp_path / "classes.csv").write_text("id,name\n0,rest\n1,lick\n2,walk\n", "utf-8")
    config = in_study_folder(tmp_path, DataConfig())
    study = open_study(config)
    _, placement = study.place(study.sources[0], np.arange(n) / 30, config)
    assert np.flatnonzero(placement.labels == LICK).tolist() == list(range(17_700, 17_850))
    assert [f.what for f in placement.findings] == ["says 29.97 frames/s, its video has 30"]


def test_poses_without_video_lie_at_the_rate_that_is_given(tmp_path):
    (tmp_path / "DLC").mkdir()
    points = np.stack(
        [np.linspace(0, 50, 200)[:, None] + np.arange(6) * 9, np.full((200, 6), 40.0)], -1
    )
    names = ["mouth", "L_frontpaw", "R_frontpaw", "L_hindpaw", "R_hindpaw", "tail_base"]
    write_dlc(tmp_path / "DLC" / "m1DLC_net.csv", "net", names, points, np.ones((200, 6)))
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "m1.csv").write_text(SECONDS, "utf-8")
    (tmp_path / "classes.csv").write_text("id,name\n0,rest\n1,lick\n2,walk\n", "utf-8")
    expected = [REST] * 83 + [LICK] * 42 + [WALK] * 75
    assert checked(tmp_path, rate_hz=25)[0] == expected
    data = in_study_folder(tmp_path, DataConfig(rate_hz=25))
    (labelled,) = load_dataset(
        Config(data=data, model=ModelConfig(visual="none", pose="graph"))
    ).labelled
    assert labelled.recording.labels.tolist() == expected


@pytest.mark.parametrize(("first", "n_rows"), [(0, 240), (1, 240)])
def test_a_file_that_fills_its_video_is_used_whole_whatever_it_and_others_count_from(
    tmp_path, first, n_rows
):
    folder = study_of(tmp_path, m1__csv=frames(TRUTH, first))
    write_film(folder / "Videos" / "m2.mp4", numbered(N, 32, 32))
    (folder / "Annotations" / "m2.csv").write_text(frames(TRUTH, 1 - first), "utf-8")
    result = check(in_study_folder(folder, DataConfig()))
    assert [r.placement.labels.tolist() for r in result.rows] == [TRUTH, TRUTH]
    assert "label-counting" not in [f.name for f in result.findings]


def test_the_study_whose_two_files_count_from_0_and_from_1(real_data):
    result = check(in_study_folder(real_data / "cases" / "one_based" / "project", DataConfig()))
    assert [r.placement.labels.tolist() for r in result.rows] == [TRUTH, TRUTH]
    assert not {"label-counting", "trial-skipped"} & {f.name for f in result.findings}


def agreement(tmp_path, a, b):
    out = tmp_path / "agree.json"
    classes = tmp_path / "classes.csv"
    classes.write_text("id,name\n0,rest\n1,lick\n2,walk\n", "utf-8")
    assert (
        main(["agree", str(a), str(b), "--classes", str(classes), "--json", str(out), "--quiet"])
        == 0
    )
    (pair,) = json.loads(out.read_text())["pairs"].values()
    return pair


def test_two_raters_agree_alike_whatever_one_of_them_counts_from(tmp_path):
    other = [*TRUTH[5:], *[WALK] * 5]
    for name, actions, first in (("a", TRUTH, 0), ("b", other, 0), ("b1", other, 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m1.csv").write_text(frames(actions, first), "utf-8")
    expected = agreement(tmp_path, tmp_path / "a", tmp_path / "b")
    assert agreement(tmp_path, tmp_path / "a", tmp_path / "b1") == expected


def test_the_raters_of_the_case_agree_alike(real_data, tmp_path):
    cases = real_data / "cases" / "one_based"
    expected = agreement(tmp_path, cases / "agree_a", cases / "agree_b")
    assert agreement(tmp_path, cases / "agree_a", cases / "agree_b1") == expected


def test_a_file_that_could_count_either_way_is_a_finding_that_an_option_settles(tmp_path):
    folder = study_of(tmp_path, m1__csv=frames(TRUTH[:238], 1))
    labels, findings = checked(folder)
    (asked,) = (f for f in findings if f.name == "label-counting")
    assert "numbered 1 to 238" in asked.what
    assert "240 frames" in asked.what
    assert "taken to count from 1" in asked.what
    assert "--label_counts_from 0 or 1" in asked.remedy
    assert labels == [*TRUTH[:238], -1, -1]
    for counts_from, expected in (("0", [-1, *TRUTH[:238], -1]), ("1", [*TRUTH[:238], -1, -1])):
        labels, findings = checked(folder, label_counts_from=counts_from)
        assert labels == expected
        assert "label-counting" not in [f.name for f in findings]


def test_trials_of_their_own_lengths_may_count_from_1_without_a_doubt(tmp_path):
    trials = {
        f"prediction_m1_{i}__csv": frames([LICK] * n, 1) for i, n in ((1, 100), (2, 90), (3, 50))
    }
    labels, findings = checked(study_of(tmp_path, **trials))
    assert labels == [LICK] * 240
    assert "label-counting" not in [f.name for f in findings]


DEEPETHOGRAM = ",background,rest,lick,walk\n"


def one_hot(actions):
    return DEEPETHOGRAM + "".join(
        f"{i},0,{int(a == 0)},{int(a == 1)},{int(a == 2)}\n" for i, a in enumerate(actions)
    )


def in_bouts(actions):
    edges = [0, *(np.flatnonzero(np.diff(actions)) + 1).tolist(), len(actions)]
    rows = [f"{a},{b},{actions[a]}\n" for a, b in pairwise(edges)]
    return "start_frame,stop_frame,label\n" + "".join(rows)


HALF = TRUTH[::2]


@pytest.mark.parametrize("text", [frames(HALF), frames(HALF, 1), one_hot(HALF), in_bouts(HALF)])
def test_labels_at_half_the_rate_of_the_video_are_asked_about_and_never_laid_on_its_first_half(
    tmp_path, text
):
    folder = study_of(tmp_path / "s", m1__csv=text)
    labels, findings = checked(folder)
    assert labels is None
    (asked,) = (f for f in findings if f.name == "label-rate")
    assert (asked.severity, "--label_step 2" in str(asked), "120 frames" in str(asked)) == (
        "error",
        True,
        True,
    )
    with pytest.raises(UserError, match="--label_step 2, or --label_step 1"):
        gathered(folder, tmp_path / "cache")
    labels, findings = checked(folder, on_conflict="warn")
    assert set(labels) == {-1}
    assert "it is left out" in next(str(f) for f in findings if f.name == "label-rate")
    assert gathered(folder, tmp_path / "cache", label_step=2) == TRUTH
    assert checked(folder, label_step=2)[0] == TRUTH


def test_a_few_missing_rows_do_not_hide_that_labels_have_half_the_rate(tmp_path):
    lines = frames(HALF).splitlines(keepends=True)
    folder = study_of(tmp_path, m1__csv="".join(lines[:20] + lines[25:]))
    assert checked(folder)[0] is None
    expected = [*TRUTH[:38], *[-1] * 10, *TRUTH[48:]]
    assert checked(folder, label_step=2)[0] == expected


def test_labels_of_the_first_half_alone_are_used_once_that_is_said(tmp_path):
    folder = study_of(tmp_path, m1__csv=frames(TRUTH[:120]))
    assert checked(folder)[0] is None
    assert checked(folder, label_step=1)[0] == [*TRUTH[:120], *[-1] * 120]


@pytest.mark.parametrize("n", [239, 241])
def test_the_last_row_of_a_third_of_the_rate_may_stand_for_fewer_frames(tmp_path, n):
    thirds = [*TRUTH, WALK][:n:3]
    truth = np.repeat(thirds, 3)[:n].tolist()
    folder = study_of(tmp_path, n, m1__csv=frames(thirds))
    assert "--label_step 3" in str(checked(folder)[1])
    assert checked(folder, label_step=3)[0] == truth


def test_trials_at_half_the_rate_are_asked_about_too(tmp_path):
    halves = [frames(TRUTH[i : i + 120 : 2]) for i in (0, 120)]
    folder = study_of(tmp_path, prediction_m1_1__csv=halves[0], prediction_m1_2__csv=halves[1])
    labels, findings = checked(folder, trial_length=120)
    assert labels is None
    assert "label-rate" in [f.name for f in findings]
    assert checked(folder, trial_length=120, label_step=2)[0] == TRUTH


def test_the_case_of_half_the_rate(real_data, tmp_path):
    folder = Path(shutil.copytree(real_data / "cases" / "half_rate", tmp_path / "s"))
    assert checked(folder)[0] is None
    with pytest.raises(UserError, match="--label_step 2"):
        gathered(folder, tmp_path / "cache")
    assert checked(folder, label_step=2)[0] == TRUTH


PAIN_ONLY = "start_s,stop_s,label\n1,2,lick\n3.333,5,lick\n6,6.5,walk\n"


def test_files_that_list_bouts_only_are_said_to_do_so_and_no_class_is_to_be_dropped(
    tmp_path, capsys
):
    folder = study_of(tmp_path / "s", m1__csv=PAIN_ONLY)
    _, findings = checked(folder)
    (said,) = (f for f in findings if f.name == "bouts-only")
    assert (
        "these files list bouts only; if everything else is no pain behavior, add --label_gaps rest"
        in str(said)
    )
    assert "leave it out" not in " ".join(map(str, findings))
    gathered(folder, tmp_path / "cache")
    assert "add --label_gaps rest" in capsys.readouterr().err
    labels, findings = checked(folder, label_gaps="rest")
    assert labels.count(REST) == 240 - 30 - 50 - 15
    assert "bouts-only" not in [f.name for f in findings]


def test_an_ethogram_without_rest_is_told_to_have_one(tmp_path):
    folder = study_of(tmp_path, m1__csv=PAIN_ONLY)
    (folder / "classes.csv").write_text("id,name\n1,lick\n2,walk\n", "utf-8")
    assert "add a class rest to the ethogram, and --label_gaps rest" in " ".join(
        map(str, checked(folder)[1])
    )


def test_bouts_that_fill_a_video_need_no_such_advice(tmp_path):
    names = [f.name for f in checked(study_of(tmp_path, m1__csv=SECONDS))[1]]
    assert "bouts-only" not in names


def cut_off(folder, share=0.63, **labels):
    """A project whose video was cut off, and how many of its frames decode."""
    study_of(folder, **labels)
    video = folder / "Videos" / "m1.mp4"
    video.unlink()
    write_film(video, numbered(N), options={"g": "30"}, container_options={"movflags": "faststart"})
    video.write_bytes(video.read_bytes()[: int(video.stat().st_size * share)])
    n = sum(1 for _ in FrameStream(video))
    assert 100 < n < 200
    return n


TRIALS = {f"prediction_m1_{i + 1}__csv": frames(TRUTH[60 * i : 60 * (i + 1)]) for i in range(4)}


@pytest.mark.parametrize(
    "labels",
    [{"m1__csv": frames(TRUTH)}, {"m1__csv": SECONDS}, {"m1__csv": one_hot(TRUTH)}, TRIALS],
)
def test_a_video_that_was_cut_off_keeps_the_labels_of_its_readable_part(tmp_path, labels, capsys):
    folder = tmp_path / "s"
    n = cut_off(folder, **labels)
    assert "damaged" in [
        f.name for f in checked(folder, trial_length=60)[1] if f.severity == "error"
    ]
    placed, findings = checked(folder, trial_length=60, allow_damaged=True)
    assert placed == TRUTH[:n]
    lost = [str(f) for f in findings if f.name == "labels-lost"]
    assert lost
    if labels is TRIALS:
        assert any("trial 4 labels frames [180, 240)" in text for text in lost)
    assert "error" not in [f.severity for f in findings]
    assert gathered(folder, tmp_path / "cache", trial_length=60, allow_damaged=True) == TRUTH[:n]
    assert f"only {n} frames" in capsys.readouterr().err
    assert reviewed(folder, tmp_path / "out", trial_length=60) == (TRUTH[:n], TRUTH[:n])
    with pytest.raises(UserError, match="--allow_damaged"):
        gathered(folder, tmp_path / "cache", trial_length=60)


def test_a_video_that_was_cut_off_keeps_its_pose(tmp_path):
    n = cut_off(tmp_path, m1__csv=frames(TRUTH))
    (tmp_path / "DLC").mkdir()
    points = np.stack(
        [np.linspace(20, 50, N)[:, None] + np.arange(6) * 7, np.full((N, 6), 30.0)], -1
    )
    names = ["mouth", "L_frontpaw", "R_frontpaw", "L_hindpaw", "R_hindpaw", "tail_base"]
    write_dlc(tmp_path / "DLC" / "m1DLC_net.csv", "net", names, points, np.ones((N, 6)))
    findings = checked(tmp_path, allow_damaged=True)[1]
    assert [f.severity for f in findings if f.name == "pose-rows"] == ["warning"]
    data = in_study_folder(
        tmp_path, DataConfig(image_size=16, allow_damaged=True, cache=tmp_path / "cache")
    )
    (labelled,) = load_dataset(Config(data=data, model=ModelConfig(pose="graph"))).labelled
    assert labelled.track.n_frames == labelled.n_frames == n
    assert np.isfinite(labelled.track.points).all()


@pytest.mark.parametrize(
    "spans", [(345, 345, 345, 345), (360, 360, 360, 360), (300, 400, 340, 400)]
)
def test_trials_of_a_video_that_was_cut_off_lie_where_they_lay_in_the_whole_one(spans):
    files = [
        LabelFile(Path(f"{i}.csv"), i, np.arange(s), np.full(s, i, np.int16), 0)
        for i, s in enumerate(spans, 1)
    ]
    whole = place_trials([f.counted_from_zero(360, 15) for f in files], 1440).labels
    placement = place_labels(files, np.arange(909) / 30, DataConfig(), PAIN, promised=1440)
    assert placement.labels.tolist() == whole[:909].tolist()
    assert [t.number for t in placement.trials] == [1, 2, 3]
    assert sum("4 labels frames" in str(f) for f in placement.findings) == 1
    assert dataclasses.replace(placement, findings=()).skipped == ()


def test_labels_far_beyond_what_the_header_of_a_damaged_video_claims_are_of_another_video(tmp_path):
    n = cut_off(tmp_path, m1__csv=frames([*TRUTH, *TRUTH]))
    labels, findings = checked(tmp_path, allow_damaged=True)
    assert labels == [-1] * n
    assert "trial-skipped" in [f.name for f in findings]
