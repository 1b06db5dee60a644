"""Windows of poses: those of the whole recording, what a mirror makes of them, and points on their
pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.config import AugmentConfig
from dolorim.core.mirror import mirrored_order
from dolorim.dataset.augmentation import augment
from dolorim.dataset.labelled_recording import (
    Halo,
    InputSpec,
    LabelledRecording,
    crop_points,
    video_points,
)
from dolorim.dataset.sampling import WindowSpec
from dolorim.dataset.windows import Batch, Windows, pose_statistics
from dolorim.labels.trials import Recording
from dolorim.pose.features import REACH
from dolorim.pose.keypoints import KEYPOINTS
from dolorim.pose.pose import Skeleton
from dolorim.pose.pose_track import PoseTrack
from dolorim.training.module import inputs_of
from dolorim.video.crop import CropPlan, crop_frames
from dolorim.video.reader import Frame
from poses import film_of, wandering

NOTHING = AugmentConfig(**{f.name: 0 for f in dataclasses.fields(AugmentConfig)})
SIX = Skeleton(KEYPOINTS)
SWAPPED = mirrored_order(KEYPOINTS)


def labelled_of(track: PoseTrack, turned: bool = False, video: bool = True) -> LabelledRecording:
    labels = (np.arange(track.n_frames) % 3).astype(np.int16)
    return LabelledRecording(
        Recording("a", "1M", labels), film_of(track, turned=turned) if video else None, track
    )


def windows(
    track: PoseTrack, kind: str = "full", length: int = 8, turned: bool = False, **knobs: float
) -> Windows:
    input_spec = InputSpec(
        Halo(), Halo(5, 4), kind, track.skeleton, points=track.skeleton.animals == 1
    )
    return Windows(
        [labelled_of(track, turned)], length, input_spec, dataclasses.replace(NOTHING, **knobs)
    )


def whole_features(track: PoseTrack, input_spec: InputSpec) -> np.ndarray:
    n = track.n_frames
    return input_spec.features_of(track, *track.at(np.arange(-REACH, n + REACH), 0, n - 1))


def same(one: torch.Tensor | np.ndarray, two: torch.Tensor | np.ndarray) -> None:
    np.testing.assert_allclose(np.asarray(one), np.asarray(two), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "names", "animals"),
    [("graph", KEYPOINTS, 1), ("full", KEYPOINTS, 1), ("generic", ("a", "b", "c"), 2)],
)
@settings(max_examples=15, deadline=None)
@given(start=st.integers(-15, 90))
def test_the_features_of_a_window_are_those_of_the_whole_recording(
    kind: str, names: tuple[str, ...], animals: int, start: int
) -> None:
    track = wandering(80, names, animals)
    cut = windows(track, kind)
    item = cut[WindowSpec(0, float(start), seed=3)]
    whole, frames = whole_features(track, cut.input_spec), np.arange(start - 5, start + 8 + 4)
    inside = (frames >= 0) & (frames < 80)
    assert item["inside"].tolist() == inside.tolist()
    assert item["pose"].shape == (8 + 9, cut.input_spec.n_features)
    same(item["pose"][torch.from_numpy(inside)], whole[frames[inside]])


def test_beyond_a_pretended_end_there_is_no_pose() -> None:
    track = wandering(80, missing=0)
    item = windows(track, "graph")[WindowSpec(0, 30.0, first=32, last=36)]
    frames = np.arange(25, 42)
    assert item["inside"].tolist() == [32 <= f <= 36 for f in frames]
    assert item["pose"].isnan().all(1).tolist() == [not 32 <= f <= 36 for f in frames]


def test_between_two_frames_a_point_lies_between_and_is_missing_where_one_of_them_lacks_it() -> (
    None
):
    track = wandering(10, missing=0)
    track.points[5, 0, 2] = np.nan
    points, since = track.at(np.array([3.25, 4.5, 5.0, -0.5, 9.5]), 0, 9)
    same(points[0], 0.75 * track.points[3] + 0.25 * track.points[4])
    assert np.isnan(points[1, 0, 2]).all()
    assert np.isfinite(points[1, 0, :2]).all()
    assert np.array_equal(points[2], track.points[5], equal_nan=True)
    assert np.isnan(points[3:]).all()
    assert np.isinf(since[3:]).all()


def test_a_recording_without_pose_has_windows_in_which_nothing_is_known() -> None:
    track = wandering(40)
    bare = dataclasses.replace(labelled_of(track), track=None)
    cut = Windows([bare], 8, windows(track).input_spec, AugmentConfig())
    item, other = (
        cut[WindowSpec(0, 3.0, mirrored=True, seed=1)],
        windows(track)[WindowSpec(0, 3.0, seed=1)],
    )
    assert item["pose"].isnan().all()
    assert item["points"].isnan().all()
    assert {k: v.shape for k, v in item.items()} == {
        k: v.shape for k, v in other.items()
    }  # they can be batched


def test_points_are_places_in_the_crop_of_their_own_frame() -> None:
    track = wandering(40)
    labelled = labelled_of(track, turned=True)
    cut = Windows([labelled], 8, InputSpec(Halo(2, 1), None, "graph", SIX, points=True))
    item, video, part = cut[WindowSpec(0, 10.0)], labelled.video, slice(10, 18)
    expected = crop_points(
        track.points[part, 0], video.centers[part], video.angles_rad[part], video.side_px
    )
    assert np.array_equal(item["points"], expected, equal_nan=True)
    assert "pose" not in item
    assert item["frames"].shape[0] == 8 + 3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), side=st.floats(10, 1000), turn=st.floats(-7, 7))
def test_from_the_video_into_the_crop_and_back_a_point_stays_where_it_was(
    seed: int, side: float, turn: float
) -> None:
    rng = np.random.default_rng(seed)
    points, centers = rng.uniform(0, 1000, (5, 3, 2)), rng.uniform(0, 1000, (5, 2)) / side
    points[2, 1] = np.nan
    angles_rad = turn + rng.normal(size=5)
    there = crop_points(points, centers, angles_rad, side)
    np.testing.assert_allclose(
        video_points(there, centers, angles_rad, side), points, atol=1e-3, rtol=1e-4
    )
    middle = crop_points(centers[:, None] * side, centers, angles_rad, side)
    np.testing.assert_allclose(middle, 0, atol=1e-6)
    assert there.dtype == np.float32


@pytest.mark.parametrize("turned", [False, True])
def test_a_spot_in_the_video_shows_in_the_crop_where_its_point_says(turned: bool) -> None:
    rng, n, size = np.random.default_rng(0), 40, 64
    spots, centers = rng.uniform(70, 130, (n, 2)), rng.uniform(90, 110, (n, 2))
    angles_rad = rng.uniform(-4, 4, n) if turned else None
    y, x = np.mgrid[:200, :200] + 0.5
    frames = [
        Frame(
            i,
            i / 30,
            np.round(250 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 2.5**2))).astype(np.uint8),
            False,
        )
        for i, (a, b) in enumerate(spots)
    ]
    view = CropPlan(100.0, size, (100.0, 100.0), None, centers_px=centers, angles_rad=angles_rad)
    blocks = list(crop_frames(frames, view))
    images, way, turned_by = (
        np.concatenate([getattr(b, k) for b in blocks]) for k in ("images", "centers", "angles_rad")
    )
    there = crop_points(spots[:, None], way, turned_by, view.side_px)[:, 0]
    light, at = np.where(images > 25, images, 0).astype(float), (2 * np.arange(size) + 1) / size - 1
    total = light.sum((1, 2))
    seen = np.stack([light.sum(1) @ at, light.sum(2) @ at], 1) / total[:, None]
    near = np.abs(there).max(1) < 0.8
    assert near.sum() > 30
    assert np.abs(seen - there)[near].max() < 1 / size  # half a pixel


def test_a_mirrored_window_has_the_features_of_the_mirrored_animal() -> None:
    track = wandering(60)
    looking_glass = dataclasses.replace(
        track,
        points=track.points[:, :, SWAPPED] * np.float32([-1, 1]),
        since_seen=track.since_seen[:, :, SWAPPED],
    )
    for kind in ("graph", "full"):
        mirrored = windows(track, kind)[WindowSpec(0, 20.0, mirrored=True, seed=3)]
        same(mirrored["pose"], windows(looking_glass, kind)[WindowSpec(0, 20.0, seed=3)]["pose"])


def test_the_points_of_a_mirrored_window_go_by_the_names_that_they_have_in_the_mirror() -> None:
    cut = windows(wandering(60))
    plain, mirrored = (
        cut[WindowSpec(0, 20.0, mirrored=m, seed=3)]["points"] for m in (False, True)
    )
    assert torch.equal(mirrored.nan_to_num(9.0), plain[:, SWAPPED].nan_to_num(9.0))


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_a_changed_window_calls_the_left_hind_paw_looks_like_one(mirrored: bool) -> None:
    track, left, right = (
        wandering(60, missing=0),
        KEYPOINTS.index("L_hindpaw"),
        KEYPOINTS.index("R_hindpaw"),
    )
    labelled, size = labelled_of(track, turned=True), 64
    video = labelled.video
    places = crop_points(track.points[:, 0], video.centers, video.angles_rad, video.side_px)[
        :, left
    ]
    grid = (2 * np.arange(size) + 1) / size - 1
    away = np.hypot(
        grid[None, None, :] - places[:, 0, None, None],
        grid[None, :, None] - places[:, 1, None, None],
    )
    film = dataclasses.replace(
        video, images=np.round(250 * np.exp(-((away / 0.1) ** 2))).astype(np.uint8)
    )
    input_spec = InputSpec(Halo(), None, "graph", SIX, points=True)
    cut = Windows([dataclasses.replace(labelled, video=film)], 8, input_spec, NOTHING)
    batch = torch.utils.data.default_collate(
        [cut[WindowSpec(0, float(i), mirrored=mirrored, seed=i)] for i in (5, 30)]
    )
    changed = augment(batch, AugmentConfig(aug_invert=0, aug_gamma=0, aug_shift=0.05), [0, 1, 2])
    bright = changed["frames"].flatten(2).argmax(2)
    seen = torch.stack([bright % size, bright // size], -1) * (2 / size) + 1 / size - 1
    there = changed["points"][:, :, right if mirrored else left]
    inside = there.abs().amax(-1) < 0.9
    assert inside.sum() > 6
    assert (seen - there)[inside].abs().max() < 3 / size


def hidden_in(item: Batch) -> list[int]:
    return item["hidden"].nonzero().flatten().tolist()


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_hidden_keypoint_is_missing_for_the_network_and_stays_true_for_its_teacher(
    mirrored: bool,
) -> None:
    track, spec = wandering(60, missing=0), WindowSpec(0, 20.0, mirrored=mirrored, seed=4)
    cut = windows(track, kp_hide=0.4)
    item, plain = cut[spec], windows(track)[spec]
    hidden = hidden_in(item)
    assert 0 < len(hidden) < 6
    assert torch.equal(item["points"], plain["points"])
    batch = {k: v[None] for k, v in item.items()}
    shown = inputs_of(batch).points[0]
    assert shown.isnan().all(-1).any(0).nonzero().flatten().tolist() == hidden
    assert not batch["points"].isnan().any()
    theirs = [SWAPPED[k] for k in hidden] if mirrored else hidden  # their names in the recording
    points, since = track.points.copy(), track.since_seen.copy()
    points[:, :, theirs], since[:, :, theirs] = np.nan, np.inf
    blind = dataclasses.replace(track, points=points, since_seen=since)
    same(item["pose"], windows(blind)[spec]["pose"])


def test_with_everything_hidden_nothing_is_known() -> None:
    item = windows(wandering(60), kp_hide=1.0)[WindowSpec(0, 20.0, seed=1)]
    assert hidden_in(item) == list(range(6))
    empty = windows(dataclasses.replace(wandering(60), **nothing_seen(wandering(60))))[
        WindowSpec(0, 20.0, seed=1)
    ]
    same(item["pose"], empty["pose"])


def nothing_seen(track: PoseTrack) -> dict[str, np.ndarray]:
    return {
        "points": np.full_like(track.points, np.nan),
        "since_seen": np.full_like(track.since_seen, np.inf),
    }


def test_of_two_animals_one_is_hidden_in_a_share_of_the_windows() -> None:
    track, spec = wandering(60, ("a", "b", "c"), 2, missing=0), WindowSpec(0, 20.0, seed=0)
    alone = dataclasses.replace(track, points=track.points.copy())
    alone.points[:, 1] = np.nan
    both, one = (windows(t, "generic")[spec]["pose"].isfinite().any(0) for t in (track, alone))
    needs_two, cut = both & ~one, windows(track, "generic", kp_hide=0.2)
    assert needs_two.any()
    lonely = [
        not cut[WindowSpec(0, 20.0, seed=s)]["pose"][:, needs_two].isfinite().any()
        for s in range(100)
    ]
    assert 0.1 < np.mean(lonely) < 0.4  # that all points of one are hidden by chance is rare


def test_jitter_is_in_body_lengths_and_lasts_a_window() -> None:
    track, spec = wandering(60, missing=0), WindowSpec(0, 20.0, seed=5)
    larger = dataclasses.replace(track, points=3 * track.points, length_px=3 * track.length_px)
    moved, plain = windows(track, kp_jitter_std=0.05)[spec]["pose"], windows(track)[spec]["pose"]
    same(windows(larger, kp_jitter_std=0.05)[spec]["pose"], moved)
    assert not torch.allclose(moved[:, :8], plain[:, :8], atol=1e-3)
    changes = [  # of the eight lengths, in body lengths; each has two ends
        (windows(track, kp_jitter_std=0.01)[WindowSpec(0, 20.0, seed=s)]["pose"] - plain)[0, :8]
        for s in range(40)
    ]
    assert torch.stack(changes).std() == pytest.approx(0.01 * 2**0.5, rel=0.3)
    still = dataclasses.replace(track, points=np.repeat(track.points[:1], 60, axis=0))
    steady = windows(still, "graph", kp_jitter_std=0.05)[spec]["pose"]
    same(steady, steady[:1].expand(len(steady), -1))


def test_without_a_seed_nothing_is_random() -> None:
    wild = windows(wandering(60), kp_jitter_std=0.1, kp_hide=0.5, aug_temporal_drop=0.5)
    for name, value in windows(wandering(60))[WindowSpec(0, 20.0)].items():
        assert torch.equal(
            wild[WindowSpec(0, 20.0)][name].float().nan_to_num(9), value.float().nan_to_num(9)
        ), name


def test_the_statistics_of_features_are_those_of_what_is_known() -> None:
    track = wandering(50)
    cut = windows(track, "graph")
    cut.labelled.append(dataclasses.replace(cut.labelled[0], track=None))
    mean, std = pose_statistics(cut)
    whole = whole_features(track, cut.input_spec)
    same(mean, np.nanmean(whole, 0))
    same(std, np.nanstd(whole, 0))
    never = dataclasses.replace(track, **nothing_seen(track))
    assert pose_statistics(windows(never, "graph"))[0].isnan().all()


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 60), n=st.integers(1, 60))
def test_a_pose_laid_on_more_or_fewer_frames_keeps_its_rows_and_says_so(rows: int, n: int) -> None:
    track = wandering(rows, missing=0)
    laid = track.on(n)
    both = min(rows, n)
    assert laid.n_frames == n
    assert np.array_equal(laid.points[:both], track.points[:both])
    assert np.isnan(laid.points[both:]).all()
    assert np.isinf(laid.since_seen[both:]).all()
    assert bool(laid.notes) == (rows != n)
