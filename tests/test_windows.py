"""Training windows: the recording's own frames and labels, real context around them, every bout
equally often."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.config import AugmentConfig, ModelConfig, TrainConfig
from dolorim.dataset.labelled_recording import Halo, InputSpec, LabelledRecording
from dolorim.dataset.sampling import BoutSampler, DividedNumbers, WindowSpec, rare_boost
from dolorim.dataset.windows import Windows
from dolorim.labels.trials import Recording
from dolorim.models.build import build_recognizer
from dolorim.video.cache import CachedVideo

HALO = Halo(3, 4)
USUAL, PLAIN = AugmentConfig(), AugmentConfig(aug_stretch=0, aug_border=0, aug_flip=0)


def recording(labels, name="a"):
    return Recording(name, "1M", np.asarray(labels, np.int16))


def video_of(rec):
    """A video in which the picture at frame i is i everywhere and the window's center is at (i,
    -i)."""
    i = np.arange(rec.n_frames)
    images = np.repeat(i.astype(np.uint8), 4).reshape(-1, 2, 2)
    centers, angles_rad = np.stack([i, -i], 1).astype(np.float32), np.zeros(len(i), np.float32)
    return CachedVideo(Path(f"{rec.name}.mp4"), images, centers, i / 30, None, 100.0, angles_rad)


def windows_on(*recordings, length=8, halo=HALO):
    return Windows([LabelledRecording(r, video_of(r)) for r in recordings], length, InputSpec(halo))


def some_labels(n, seed=0):
    rng = np.random.default_rng(seed)
    return np.repeat(rng.integers(-1, 3, n), rng.integers(1, 9, n))[:n]


label_lists = st.lists(st.integers(-1, 2), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(
    labels=label_lists,
    start=st.integers(-20, 70),
    length=st.integers(1, 12),
    clip=st.integers(1, 9),
)
def test_a_window_holds_the_recordings_frames_and_labels_and_at_the_ends_the_last_frame_unscored(
    labels, start, length, clip
):
    rec, halo = recording(labels), Halo(clip // 2, clip - 1 - clip // 2)
    item = windows_on(rec, length=length, halo=halo)[WindowSpec(0, float(start))]
    wanted = range(start - halo.before, start + length + halo.after)
    shown = [min(max(i, 0), len(labels) - 1) for i in wanted]
    assert item["frames"][:, 0, 0].tolist() == shown
    assert item["crop_centers"].tolist() == [[i, -i] for i in shown]
    inside = range(start, start + length)
    assert item["labels"].tolist() == [labels[i] if 0 <= i < len(labels) else -1 for i in inside]
    assert item["valid"].tolist() == [0 <= i < len(labels) for i in inside]


@pytest.mark.parametrize("clip_length", [1, 2, 5, 16, 40])
def test_the_context_around_a_frame_makes_one_clip(clip_length):
    visual = build_recognizer(ModelConfig(clip_length=clip_length), 2).visual
    assert visual.before + 1 + visual.after == clip_length
    assert 0 <= visual.before - visual.after <= 1


def test_a_pretended_beginning_freezes_the_frames_before_it_and_takes_their_score():
    rec = recording(np.arange(40) % 3)
    item = windows_on(rec)[WindowSpec(0, 10.0, first=12)]
    assert item["frames"][:, 0, 0].tolist() == [12] * 6 + list(range(13, 22))
    assert item["labels"].tolist() == [-1, -1, *rec.labels[12:18].tolist()]


def test_a_pretended_end_freezes_the_frames_behind_it_and_takes_their_score():
    rec = recording(np.arange(40) % 3)
    item = windows_on(rec)[WindowSpec(0, 10.0, last=14)]
    assert item["frames"][:, 0, 0].tolist() == list(range(7, 15)) + [14] * 7
    assert item["labels"].tolist() == [*rec.labels[10:15].tolist(), -1, -1, -1]


@settings(max_examples=30, deadline=None)
@given(start=st.floats(0, 60), speed=st.floats(0.5, 2))
def test_in_stretched_time_a_frame_and_its_label_still_belong_together(start, speed):
    rec = recording(np.arange(200) % 3)
    item = windows_on(rec)[WindowSpec(0, start, speed)]
    frames = item["frames"][3:-4, 0, 0].numpy().astype(int)
    assert item["labels"].tolist() == rec.labels[frames].tolist()
    assert np.abs(frames - (start + np.arange(8) * speed)).max() <= 0.5


def test_windows_of_two_recordings_do_not_mix():
    one, two = recording(np.zeros(50)), recording(np.ones(30), "b")
    windows = windows_on(one, two)
    assert set(windows[WindowSpec(0, 45.0)]["labels"].tolist()) == {0, -1}
    assert set(windows[WindowSpec(1, 25.0)]["labels"].tolist()) == {1, -1}
    assert windows[WindowSpec(1, 25.0)]["frames"].max() == 29


def sampler(seed=0, rank=0, world_size=1, augment=USUAL, boost=None):
    recs = [recording(some_labels(300)), recording(some_labels(200, 1), "b")]
    return BoutSampler(recs, TrainConfig(train_T=8, seed=seed), augment, boost, rank, world_size)


def drawn(bouts, epoch=0):
    bouts.set_epoch(epoch)
    return list(bouts)


def test_an_epoch_is_the_same_whenever_it_is_drawn():
    assert drawn(sampler(), 3) == drawn(sampler(), 3)
    resumed = sampler()
    drawn(resumed, 1)
    assert drawn(resumed, 3) == drawn(sampler(), 3)


def test_another_epoch_another_seed_and_another_rank_draw_other_windows():
    ranks = [sampler(rank=rank, world_size=2) for rank in (0, 1)]
    epochs = [
        drawn(sampler(), 0),
        drawn(sampler(), 1),
        drawn(sampler(seed=1), 0),
        *map(drawn, ranks),
    ]
    assert len({tuple(e) for e in epochs}) == 5


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_the_ranks_of_a_run_share_an_epoch_equally_and_draw_together_what_one_draws_alone(
    world_size,
):
    parts = [drawn(sampler(rank=rank, world_size=world_size), 2) for rank in range(world_size)]
    assert len({len(part) for part in parts}) == 1
    assert len(sampler(world_size=world_size)) == len(parts[0])
    alone, together = (
        drawn(sampler(), 2),
        [spec for turn in zip(*parts, strict=True) for spec in turn],
    )
    assert together[: len(alone)] == alone
    assert 0 <= len(together) - len(alone) < world_size


@given(n=st.integers(0, 30), world_size=st.integers(1, 4))
def test_processes_that_take_turns_do_everything_once(n, world_size):
    done = []
    for rank in range(world_size):
        own = DividedNumbers(n)
        own.rank, own.world_size = rank, world_size
        assert (
            len(list(own)) == len(own) == -(-n // world_size)
        )  # equally many, or one waits for ever
        done += list(own)
    assert sorted(i for i in done if i >= 0) == list(range(n))
    assert set(done) <= {-1, *range(n)}


@settings(max_examples=25, deadline=None)
@given(
    labels=label_lists.filter(lambda x: max(x) >= 0),
    seed=st.integers(0, 99),
    length=st.integers(1, 12),
)
def test_every_window_that_is_drawn_holds_a_labelled_frame(labels, seed, length):
    rec = recording(labels)
    windows = windows_on(rec, length=length)
    for spec in BoutSampler([rec], TrainConfig(train_T=length, seed=seed), USUAL):
        assert windows[spec]["labels"].max() >= 0


def test_a_bout_comes_as_often_as_another_however_short_it_is():
    rec = recording([0] * 400 + [1] * 4 + [0] * 400 + [2] * 40 + [-1] * 50)
    bouts = BoutSampler([rec], TrainConfig(train_T=1), PLAIN)
    labels = [
        int(windows_on(rec, length=1)[spec]["labels"])
        for epoch in range(5)
        for spec in drawn(bouts, epoch)
    ]
    shares = np.bincount(labels, minlength=3) / len(labels)
    assert len(labels) == 5 * 844
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.03)


def test_where_frames_are_drawn_a_bout_comes_as_often_as_it_is_long():
    rec = recording([0] * 60 + [1] * 10 + [2] * 30)
    bouts = BoutSampler([rec], TrainConfig(train_T=1, sampling="frames"), PLAIN)
    assert bouts.class_shares(3) == pytest.approx([0.6, 0.1, 0.3])


def test_a_rare_class_is_boosted_by_how_far_it_is_below_the_threshold_and_never_beyond_the_cap():
    assert rare_boost(np.array([60, 38, 2]), 0.05, 30.0).tolist() == pytest.approx([1, 1, 2.5])
    assert rare_boost(np.array([9999, 1, 0]), 0.05, 30.0).tolist() == pytest.approx([1, 30, 30])
    assert rare_boost(np.array([50, 50]), 0.0, 30.0).tolist() == [1, 1]
    rec = recording([0] * 20 + [1] * 20 + [0] * 20 + [2] * 4)
    boosted = BoutSampler([rec], TrainConfig(train_T=1), PLAIN, np.array([1.0, 1.0, 3.0]))
    assert boosted.class_shares(3) == pytest.approx([2 / 6, 1 / 6, 3 / 6])


def test_without_stretch_and_borders_windows_keep_the_recordings_own_time():
    specs = drawn(sampler(augment=PLAIN))
    assert all(spec.speed == 1 and spec.start == int(spec.start) for spec in specs)
    assert {(spec.first, spec.last, spec.mirrored) for spec in specs} == {(0, 1 << 60, False)}


def test_time_is_stretched_by_no_more_than_asked_and_borders_come_as_often_as_asked():
    specs = [
        s
        for epoch in range(10)
        for s in drawn(sampler(augment=AugmentConfig(aug_stretch=0.3)), epoch)
    ]
    speeds = np.log([s.speed for s in specs])
    assert np.abs(speeds).max() <= 0.3
    assert speeds.min() < -0.2 < 0.2 < speeds.max()
    bordered = np.mean([s.first > 0 or s.last < 1 << 60 for s in specs])
    assert bordered == pytest.approx(0.5, abs=0.1)
    assert np.mean([s.mirrored for s in specs]) == pytest.approx(0.5, abs=0.1)
    assert len({s.seed for s in specs}) == len(specs)


@settings(max_examples=15, deadline=None)
@given(labels=label_lists.filter(lambda x: max(x) >= 0), seed=st.integers(0, 9))
def test_the_shares_of_the_classes_sum_to_one_and_classes_that_never_come_have_none(labels, seed):
    shares = BoutSampler(
        [recording(labels)], TrainConfig(train_T=8, seed=seed), USUAL
    ).class_shares(4)
    assert shares.shape == (4,)
    assert shares.sum() == pytest.approx(1)
    assert np.array_equal(shares > 0, np.isin(np.arange(4), labels))


@pytest.mark.parametrize("augment", [USUAL, PLAIN, AugmentConfig(aug_stretch=0.6, aug_border=1.0)])
@pytest.mark.parametrize(
    ("length", "sampling", "epochs"),
    [(1, "bouts", 15), (8, "bouts", 60), (40, "bouts", 200), (8, "frames", 60)],
)
def test_the_shares_are_those_of_the_frames_that_training_sees(augment, length, sampling, epochs):
    rec = recording([0] * 120 + [1] * 5 + [0] * 90 + [2] * 30 + [-1] * 20 + [1])
    train = TrainConfig(train_T=length, seed=5, sampling=sampling)
    windows, bouts = windows_on(rec, length=length, halo=Halo()), BoutSampler([rec], train, augment)
    specs = [s for epoch in range(epochs) for s in drawn(bouts, epoch)]
    seen = np.concatenate([windows[s]["labels"].numpy() for s in specs])
    expected = np.bincount(seen[seen >= 0], minlength=3) / (seen >= 0).sum()
    assert bouts.class_shares(3) == pytest.approx(expected, abs=0.025)


def test_one_frame_of_a_class_in_an_hour_of_labels_has_its_share():
    labels = np.repeat(np.arange(10_000) % 3, 11)
    labels[50_000] = 3
    for sampling, share in (("bouts", 1e-4), ("frames", 1 / len(labels))):
        shares = BoutSampler(
            [recording(labels)], TrainConfig(train_T=1, sampling=sampling), USUAL
        ).class_shares(4)
        assert shares[3] == pytest.approx(share, rel=0.01)


def test_half_of_the_windows_keep_their_time_where_the_others_are_stretched():
    specs = [s for epoch in range(10) for s in drawn(sampler(), epoch)]
    assert np.mean([s.speed == 1 for s in specs]) == pytest.approx(0.5, abs=0.1)


def test_a_dropped_frame_is_replaced_by_the_one_before_and_keeps_that_ones_label():
    rec = recording(np.arange(200) % 3)
    windows = windows_on(rec, length=100, halo=Halo())
    windows = Windows(
        windows.labelled, 100, windows.input_spec, replace(PLAIN, aug_temporal_drop=0.3)
    )
    item = windows[WindowSpec(0, 20.0, seed=1)]
    shown = item["frames"][:, 0, 0].numpy().astype(int)
    assert item["labels"].tolist() == rec.labels[shown].tolist()
    step = shown - np.arange(20, 120)
    assert 0.15 < np.mean(step < 0) < 0.45
    assert all(
        here == i + 20 or here == before
        for i, (here, before) in enumerate(zip(shown[1:], shown, strict=False), 1)
    )
    assert windows[WindowSpec(0, 20.0)]["frames"][:, 0, 0].tolist() == list(range(20, 120))
