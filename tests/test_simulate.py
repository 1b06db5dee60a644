"""The simulated study: what a lab would hand over, with behaviors as rare and as short as real
ones."""

import csv
import dataclasses
import os
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.config import DataConfig
from dolorim.dataset.study import in_study_folder, open_study
from dolorim.labels.bouts import to_bouts
from dolorim.labels.ethogram import PAIN
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.simulate.camera import draw_cage, render
from dolorim.simulate.mouse import LICK, REST, SHAKE, WALK, WITHDRAW, Mouse, draw_labels, move
from dolorim.simulate.mouse import keypoints as true_points
from dolorim.simulate.study import StudyPlan, draw_mouse, group_of, simulate_study, track
from dolorim.video.frame_times import frame_times
from dolorim.video.reader import FrameStream

SMALL = StudyPlan(animals=2, trials=2, trial_length=90, size_px=64, seed=5)
# The cores that the tests really have: while they run, a command is told of one.
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
TINY = StudyPlan(animals=3, trials=2, trial_length=30, size_px=64, seed=1)
SEEDS = st.integers(0, 10_000)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return simulate_study(tmp_path_factory.mktemp("study"), SMALL)


def labels_of(plan):
    """Raw labels of each animal of a study, `(animals, time)`."""
    rows = []
    for number in range(plan.animals):
        rng = np.random.default_rng([plan.seed, number])
        draw_mouse(plan, rng)
        rows.append(draw_labels(plan.trials * plan.trial_length, plan.rate_hz, rng))
    return np.stack(rows)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def shares(labels):
    """Shares of rest, of what is learned as paw_withdraw, and of paw_shake."""
    ids = {
        name: [r.id for r in PAIN.raw if r.merged == name]
        for name in ("rest", "paw_withdraw", "paw_shake")
    }
    return [float(np.isin(labels, i).mean()) for i in ids.values()]


def test_the_label_files_of_every_other_animal_lack_the_first_15_frames_of_each_trial(study):
    labels = labels_of(SMALL)
    videos = [row[0] for row in rows_of(study / "recordings.csv")[1:]]
    for animal, (video, missing) in enumerate(zip(videos, (0, 15), strict=True)):
        for trial in range(2):
            header, *rows = rows_of(study / "Annotations" / f"prediction_{video}_{trial + 1}.csv")
            assert header == ["Frame", "Action"]
            assert len(rows) == 90 - missing
            expected = labels[animal, trial * 90 + missing : (trial + 1) * 90]
            assert rows == [[str(i), str(label)] for i, label in enumerate(expected)]


def test_each_video_holds_all_its_trials_and_has_its_labels_its_pose_and_its_animal(study):
    header, *rows = rows_of(study / "recordings.csv")
    assert header == ["video", "animal", "group"]
    assert len({animal for _, animal, _ in rows}) == len(rows) == 2
    assert {path.name for path in (study / "Videos").iterdir()} == {video for video, _, _ in rows}
    assert len(list((study / "Annotations").iterdir())) == 4
    for video, animal, _ in rows:
        assert animal in video
        stream = FrameStream(study / "Videos" / video)
        assert {f.luma.shape for f in stream} == {(64, 64)}
        assert (stream.decoded, stream.damage) == (180, None)


def test_the_pose_files_are_deeplabcut_tables_with_a_row_for_every_frame(study):
    for path in (study / "DLC").iterdir():
        scorers, bodyparts, coords, *rows = rows_of(path)
        assert path.stem.endswith(scorers[1])
        assert bodyparts[1:] == [name for name in KEYPOINTS for _ in range(3)]
        assert coords == ["coords", *["x", "y", "likelihood"] * 6]
        values = np.array(rows, float)
        assert values[:, 0].tolist() == list(range(180))
        assert np.all((values[:, 3::3] >= 0) & (values[:, 3::3] <= 1))


def content(folder):
    """The bytes of all files of a study by name."""
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_seed_makes_one_study_however_many_workers_make_it_and_another_seed_another(tmp_path):
    told = []
    one = content(simulate_study(tmp_path / "one", TINY))
    two = content(simulate_study(tmp_path / "two", TINY, workers=2, progress=told.append))
    other = content(simulate_study(tmp_path / "other", dataclasses.replace(TINY, seed=2)))
    assert one == two
    assert told == [60, 60, 60]
    assert set(one) == set(other)
    assert all(
        one[name] != other[name]
        for name in one
        if not name.startswith(("recordings", "Annotations"))
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be taken away here")
def test_a_study_has_the_same_bytes_on_a_machine_with_one_core(tmp_path):
    # Large enough that x264 would divide the work among threads.
    plan = dataclasses.replace(TINY, animals=1, trial_length=60, size_px=256)
    usual = content(simulate_study(tmp_path / "usual", plan))
    try:
        os.sched_setaffinity(0, {min(CORES)})
        one_core = content(simulate_study(tmp_path / "one_core", plan))
    finally:
        os.sched_setaffinity(0, CORES)
    assert one_core == usual


def test_usually_rest_is_above_60_percent_and_withdrawing_and_shaking_are_1_to_3_percent():
    rest, withdraw, shake = shares(labels_of(StudyPlan()))
    assert rest > 0.6
    assert 0.01 <= withdraw <= 0.03
    assert 0.01 <= shake <= 0.03


def test_with_other_seeds_behaviors_are_as_rare_on_the_whole_and_nearly_so_in_each_study():
    each = np.array([shares(labels_of(StudyPlan(seed=seed))) for seed in range(12)])
    rest, withdraw, shake = each.mean(axis=0)
    assert rest > 0.6
    assert 0.01 <= withdraw <= 0.03
    assert 0.01 <= shake <= 0.03
    assert np.all(each[:, 0] > 0.58)
    assert np.all((each[:, 1:] > 0.008) & (each[:, 1:] < 0.04))


def test_every_behavior_comes_in_the_usual_study():
    assert set(np.unique(labels_of(StudyPlan()))) == {r.id for r in PAIN.raw}


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, rate_hz=st.sampled_from([15.0, 30.0, 60.0]))
def test_a_withdrawal_takes_150_to_500_ms_give_or_take_a_frame(seed, rate_hz):
    labels = draw_labels(int(180 * rate_hz), rate_hz, np.random.default_rng(seed))
    bouts = [b for b in to_bouts(labels) if b.label == WITHDRAW and b.stop < len(labels)]
    assert len(bouts) >= 1
    frames = np.array([len(b) for b in bouts])
    assert np.all(frames >= min(0.15 * rate_hz - 1, 3))
    assert np.all(frames <= max(0.5 * rate_hz + 1, 3))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_between_two_behaviors_the_animal_rests(seed):
    labels = draw_labels(3000, 30, np.random.default_rng(seed))
    bouts = to_bouts(labels)
    assert bouts[0].label == REST
    assert all((a.label == REST) != (b.label == REST) for a, b in pairwise(bouts))


def motion_of(labels, mouse, seed=0, size_px=200):
    return move(np.asarray(labels, np.int16), mouse, size_px, 30, np.random.default_rng(seed))


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, length=st.floats(20, 45))
def test_an_animal_stays_in_its_cage_and_leaves_its_place_only_when_active_or_walking(seed, length):
    labels = draw_labels(600, 30, np.random.default_rng(seed))
    motion = motion_of(labels, Mouse(length_px=length), seed)
    assert np.all(
        (motion.center >= 0.9 * length - 1e-9) & (motion.center <= 200 - 0.9 * length + 1e-9)
    )
    steps = np.hypot(*np.diff(motion.center, axis=0).T)
    assert np.all(steps[labels[1:] == REST] == 0)
    assert np.all(steps[labels[1:] == SHAKE] == 0)
    assert steps.max() <= 2.4 * length / 30 + 1e-9


@pytest.mark.parametrize(("side", "hurt"), [(1, 2), (-1, 3)])
@pytest.mark.parametrize("behavior", [WITHDRAW, SHAKE])
def test_only_the_hurt_hind_paw_is_withdrawn_and_shaken(side, hurt, behavior):
    labels = np.zeros(60, np.int16)
    labels[20:32] = behavior
    motion = motion_of(labels, Mouse(side=side))
    lifted = 1 - motion.contact.min(axis=0)
    assert lifted[hurt] > 0.6
    assert np.all(np.delete(lifted, hurt) == 0)
    moved = np.hypot(*np.moveaxis(motion.paws - motion.paws[:20].mean(axis=0), 2, 0)).max(axis=0)
    assert moved[hurt] > 5 * np.delete(moved, hurt).max()


@pytest.mark.parametrize("behavior", [r.id for r in PAIN.raw])
@pytest.mark.parametrize("frames", [1, 2])
def test_a_behavior_may_be_cut_off_by_the_films_end(behavior, frames):
    labels = np.zeros(20, np.int16)
    labels[-frames:] = behavior
    motion = motion_of(labels, Mouse())
    assert all(np.all(np.isfinite(getattr(motion, f.name))) for f in dataclasses.fields(motion))


def test_vigor_scales_how_far_the_paw_goes():
    labels = np.zeros(60, np.int16)
    labels[20:32] = WITHDRAW
    far, near = (np.ptp(motion_of(labels, Mouse(vigor=v)).paws[:, 2, 0]) for v in (1.0, 0.3))
    assert near < 0.5 * far


def test_the_picture_shows_the_paws_where_the_true_points_say():
    mouse = Mouse(length_px=90, noise=0, paw=240, patchiness=0)
    motion = motion_of(np.zeros(3), mouse, seed=2, size_px=300)
    cage = draw_cage(mouse, 300, np.random.default_rng(0))
    picture = render(motion, mouse, cage, 1)
    points = true_points(motion, mouse)[1].round().astype(int)
    for name, (x, y) in zip(KEYPOINTS, points, strict=True):
        if name.endswith("paw"):
            assert picture[y, x] == pytest.approx(240, abs=2)
    x, y = motion.center[1].round().astype(int)
    assert picture[y, x] == pytest.approx(mouse.coat, abs=5)


def test_a_pictures_noise_differs_from_the_next_ones():
    mouse = Mouse(length_px=30, noise=4)
    motion, cage = (
        motion_of(np.zeros(10), mouse, size_px=100),
        draw_cage(mouse, 100, np.random.default_rng(0)),
    )
    corners = [render(motion, mouse, cage, i)[:12, :12] for i in range(10)]
    assert len({c.tobytes() for c in corners}) == 10


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_the_tracker_loses_the_front_paws_most(seed):
    _, likelihood = track(np.zeros((3000, 6, 2)), np.random.default_rng(seed))
    lost = dict(zip(KEYPOINTS, (likelihood < 0.9).mean(axis=0), strict=True))
    front = [lost.pop("L_frontpaw"), lost.pop("R_frontpaw")]
    assert 0.2 < min(front) <= max(front) < 0.6
    assert min(front) > max(lost.values())


def test_a_point_that_the_tracker_is_sure_of_is_right_and_one_it_has_lost_is_off():
    truth = np.random.default_rng(0).uniform(0, 300, (3000, 6, 2))
    points, likelihood = track(truth, np.random.default_rng(1))
    off = np.hypot(*np.moveaxis(points - truth, 2, 0))
    assert np.median(off[likelihood > 0.9]) < 1
    assert np.quantile(off[likelihood > 0.9], 0.99) < 3
    assert np.median(off[likelihood < 0.5]) > 5


def test_some_animals_are_filmed_in_the_dark_with_bright_paws_and_both_sides_are_hurt():
    mice = [draw_mouse(StudyPlan(), np.random.default_rng(seed)) for seed in range(60)]
    kinds = Counter((m.floor < 40, m.side) for m in mice)
    assert set(kinds) == {(dark, side) for dark in (True, False) for side in (-1, 1)}
    assert all(m.paw > m.coat + 50 for m in mice)
    assert all((m.coat > m.floor) == (m.floor < 40) for m in mice)


def test_walking_goes_somewhere():
    labels = np.full(120, WALK, np.int16)
    motion = motion_of(labels, Mouse(length_px=30))
    assert np.hypot(*np.ptp(motion.center, axis=0)) > 2 * 30


def test_a_study_can_be_written_into_a_folder_that_is_not_there_yet(tmp_path):
    folder = simulate_study(
        tmp_path / "new" / "deep",
        StudyPlan(animals=1, trials=1, trial_length=20, size_px=64),
        progress=lambda n: None,
    )
    assert isinstance(folder, Path)
    assert len(list((folder / "Videos").glob("*.mp4"))) == 1


def filmed(folder: Path, rate_hz: int, wander: float = 0.0) -> tuple[Path, np.ndarray]:
    """The video and the labels of one small animal that is filmed for 3 s."""
    plan = StudyPlan(
        animals=1,
        trials=1,
        trial_length=3 * rate_hz,
        rate_hz=rate_hz,
        size_px=48,
        seed=4,
        motion_hz=600,
        wander=wander,
    )
    study = simulate_study(folder, plan)
    (video,) = (study / "Videos").iterdir()
    (labels,) = (study / "Annotations").iterdir()
    return video, np.loadtxt(labels, int, delimiter=",", skiprows=1)[:, 1]


def test_the_effect_makes_one_group_lick_more_and_leaves_the_other_as_it_was(
    tmp_path: Path,
) -> None:
    plan = StudyPlan(animals=2, first=9, trials=1, trial_length=200, size_px=32, rate_hz=2)
    percent = {}
    for effect in (1, 8):
        study = simulate_study(tmp_path / str(effect), dataclasses.replace(plan, effect=effect))
        for file in (study / "Annotations").iterdir():
            labels = [int(row.split(",")[1]) for row in file.read_text().split()[1:]]
            percent[effect, "CFA" in file.name] = 100 * labels.count(LICK) / len(labels)
    assert percent[8, True] > percent[1, True] + 10
    assert percent[8, False] == percent[1, False]


def test_five_animals_of_each_group_follow_one_another_from_number_nine_on() -> None:
    plan = StudyPlan(animals=10, first=9)
    groups = [group_of(plan.first + i) for i in range(plan.animals)]
    assert groups.count("CFA") == groups.count("saline") == 5


def test_a_rack_is_a_study_whose_chambers_are_recordings_with_labels_and_animals(
    tmp_path: Path,
) -> None:
    plan = StudyPlan(animals=3, trials=1, trial_length=20, size_px=48, chambers=(1, 2))
    simulate_study(tmp_path / "rack", plan)
    config = in_study_folder(tmp_path / "rack", DataConfig(trial_length=20, label_context=0))
    study = open_study(config)
    racks = ["sim_2023-10-25_rack_001", "sim_2023-10-25_rack_003"]
    names = [f"{racks[0]}.A1", f"{racks[0]}.A2", f"{racks[1]}.A1"]
    assert [source.name for source in study.sources] == names
    assert [source.animal for source in study.sources] == ["201M", "202F", "203M"]
    assert all(source.labels for source in study.sources)
    # Each chamber shows what its animal does alone, but for the coding of the video.
    simulate_study(tmp_path / "alone", dataclasses.replace(plan, animals=2, chambers=None))
    alone = sorted((tmp_path / "alone" / "Videos").iterdir())[1]
    for mine, rack in zip(FrameStream(alone), FrameStream(study.sources[1].file), strict=True):
        assert rack.luma.shape == (48, 96)
        assert np.abs(mine.luma.astype(float) - rack.luma[:, 48:]).mean() < 3


def test_an_animal_does_the_same_at_every_rate_of_the_camera(tmp_path: Path) -> None:
    _, slow = filmed(tmp_path / "30", 30)
    _, fast = filmed(tmp_path / "60", 60)
    assert len(set(slow.tolist())) > 1
    np.testing.assert_array_equal(fast[::2], slow)


def test_the_rate_of_a_camera_may_wander(tmp_path: Path) -> None:
    video, labels = filmed(tmp_path / "variable", 30, wander=1 / 3)
    steps_s = np.diff(frame_times(video))
    assert len(labels) == len(steps_s) + 1 == 90
    assert steps_s.max() / steps_s.min() > 1.5
    assert steps_s.sum() == pytest.approx(3, abs=0.1)
