"""What is odd about a pose: each check says what it found, on one animal's points."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.pose.cleaning import BODY, gate
from dolorim.pose.keypoints import KEYPOINTS, match_keypoints
from dolorim.pose.pose import Pose
from dolorim.pose.read import read_pose, read_poses
from dolorim.pose.selection import name_poses

PAIRS = (("L_frontpaw", "R_frontpaw"), ("L_hindpaw", "R_hindpaw"))
_OUTSIDE = (
    0.01  # share of points that may lie beside the picture: an animal at its edge is guessed there
)
_SWAPS = 0.005  # share of steps in which left and right change places
_APART = (
    0.15  # body lengths that two paws are apart, at least, if their changing places means anything
)
_RARE, _HALF = 0.05, 0.5  # share of frames in which a keypoint is believed
_SURE = 0.7  # share of frames that decide on which side a paw is
_ENOUGH = 30  # frames
_MOST = 4  # of the six: a file with fewer of them has another skeleton


def read_to_check(path: Path, config: DataConfig, findings: list[Finding]) -> tuple[Pose, ...]:
    """The poses that the settings mean, or what comes nearest, and what is not as it should be.

    Raises `UserError` for a file that cannot be read.
    """
    poses = read_poses(path)
    several = len(poses) > 1 and config.individual is None
    if several:
        names = ", ".join(p.individual or "" for p in poses)
        what = f"it tracks {len(poses)} individuals ({names})"
        findings.append(
            Finding("error", str(path), what, "choose one with --individual, or all", "individual")
        )
    elif config.individual is not None and config.individual.casefold() != "all":
        poses = (read_pose(path, config.individual),)
    for note in dict.fromkeys(n for p in poses for n in p.notes):
        findings.append(Finding("note", str(path), note, name="pose-note"))
    try:
        return name_poses(poses, config, any_skeleton=False)[0]
    except UserError as error:
        what = str(error).removeprefix(f"{path}: ")
        meant = len(_of_the_six(poses[0].names)) >= _MOST
        findings.append(Finding("warning" if meant else "note", str(path), what, name="keypoints"))
        return poses if config.kp_names else name_poses(poses, config, any_skeleton=True)[0]


def check_rows(
    where: str, rows: int, n_frames: int, lag: int | None, cut: bool = False
) -> list[Finding]:
    """Has the pose one row for each frame? A pose of a video that is `cut` off rightly has more."""
    if rows == n_frames:
        return []
    what = f"pose rows {rows} vs {n_frames} frames"
    if lag is not None:
        what += f", best lag {lag} frames"
    remedy = "rows behind the last frame are left out, frames behind the last row have no pose"
    if not (cut and rows > n_frames) and abs(rows - n_frames) > max(3, 0.02 * n_frames):
        return [
            Finding(
                "error",
                where,
                what,
                "is it the pose of another video? track this one again",
                "pose-rows",
            )
        ]
    return [Finding("warning", where, what, remedy, "pose-rows")]


def check_lag(where: str, lag: int | None, given: int = 0) -> list[Finding]:
    """Do the points fit the picture at the frame where they are said to be? `given` is the lag taken out already."""
    if not lag:
        return []
    way = "earlier" if lag > 0 else "later"
    what = f"the points fit the picture best {abs(lag)} frame{'s' * (abs(lag) > 1)} {way}"
    remedy = f"--pose_lag {lag + given}, if it is so in all recordings; else track this one again"
    return [Finding("warning", where, what, remedy, "pose-lag")]


def check_likelihood(where: str, pose: Pose, threshold: float) -> list[Finding]:
    """How often is each keypoint believed?"""
    believed = gate(pose, threshold).mean(axis=0) if len(pose) else np.zeros(len(pose.names))
    remedy = "lower --kp_likelihood_thr, or label more frames of it and train the tracker again"
    if len(pose) and not believed.any():
        what = f"no point of any keypoint reaches the likelihood {threshold:g}"
        return [Finding("error", where, what, remedy, "likelihood")]
    found = []
    for severity, low, high in (("warning", -1.0, _RARE), ("note", _RARE, _HALF)):
        few = [
            f"{n} {100 * b:.0f} %"
            for n, b in zip(pose.names, believed, strict=True)
            if low < b <= high
        ]
        if few:
            what = f"seldom believed (likelihood {threshold:g}): {', '.join(few)} of the frames"
            found.append(
                Finding(
                    "warning" if severity == "warning" else "note",
                    where,
                    what,
                    remedy,
                    "likelihood",
                )
            )
    return found


def check_picture(
    where: str, pose: Pose, threshold: float, width_px: int, height_px: int
) -> list[Finding]:
    """Do the points lie in the picture?"""
    points = pose.points[gate(pose, threshold)]
    if not len(points):
        return []
    beyond = np.asarray((points < -1) | (points > (width_px + 1, height_px + 1)))
    outside = float(beyond.any(axis=-1).mean())
    if outside <= _OUTSIDE:
        return []
    x, y = np.percentile(points, 99, axis=0)
    what = f"{100 * outside:.0f} % of the points lie outside the picture of {width_px} x {height_px} (to {x:.0f}, {y:.0f})"
    return [
        Finding(
            "error",
            where,
            what,
            "was a video of another size tracked? track this one",
            "outside-picture",
        )
    ]


def check_swaps(where: str, pose: Pose, threshold: float, length_px: float) -> list[Finding]:
    """Do left and right paws change places from one frame to the next?"""
    believed, found = gate(pose, threshold), []
    for left, right in PAIRS:
        if not {left, right} <= set(pose.names):
            continue
        both = believed[:, pose.names.index(left)] & believed[:, pose.names.index(right)]
        one, two = pose.xy(left), pose.xy(right)
        steps = both[1:] & both[:-1]
        stay = _far(one[1:], one[:-1]) + _far(two[1:], two[:-1])
        cross = _far(one[1:], two[:-1]) + _far(two[1:], one[:-1])
        apart = np.minimum(_far(one[1:], two[1:]), _far(one[:-1], two[:-1])) > _APART * length_px
        swaps = steps & apart & (cross < 0.5 * stay)
        if swaps.sum() > max(2, _SWAPS * steps.sum()):
            first = int(np.flatnonzero(swaps)[0]) + 1
            what = f"{left} and {right} change places {swaps.sum()} times, first at row {first}"
            remedy = "look at it with `dolorim inspect VIDEO --overlay`; mend the tracker's labels of that pair"
            found.append(Finding("warning", where, what, remedy, "paws-swap"))
    return found


def sides(pose: Pose, threshold: float) -> dict[str, float]:
    """For each pair of paws, the share of frames in which left and right lie as a camera below sees them.

    Looking from tail base to mouth, with y down, left lies to the right there: the picture from below is a mirror
    image of that from above. Empty where the skeleton has no such points, or they are seldom believed together.
    """
    found: dict[str, float] = {}
    if not set(BODY) <= set(pose.names):
        return found
    believed = gate(pose, threshold)
    mouth, tail = (pose.xy(name) for name in BODY)
    ahead = mouth - tail
    for left, right in PAIRS:
        if not {left, right} <= set(pose.names):
            continue
        all_four = believed[:, [pose.names.index(n) for n in (*BODY, left, right)]].all(axis=1)
        if all_four.sum() < _ENOUGH:
            continue
        across = (pose.xy(left) - pose.xy(right))[all_four]
        turn = ahead[all_four, 0] * across[:, 1] - ahead[all_four, 1] * across[:, 0]
        found["front" if "front" in left else "hind"] = float(np.mean(turn > 0))
    return found


def check_sides(where: str, shares: dict[str, float]) -> list[Finding]:
    """Are left and right of front and hind paws on the sides that they belong to?"""
    unclear = {k: s for k, s in shares.items() if 1 - _SURE < s < _SURE}
    found = []
    for ends, share in unclear.items():
        what = f"left and right {ends} paws are on either side about equally often ({100 * share:.0f} %)"
        found.append(
            Finding(
                "warning",
                where,
                what,
                "the tracker mixes them up; use neither alone",
                "sides-mixed",
            )
        )
    if not unclear and len({s > 0.5 for s in shares.values()}) > 1:
        what = "left and right are exchanged for front or hind paws: they lie on opposite sides of the body"
        found.append(
            Finding(
                "warning", where, what, "exchange the two names with --kp_names", "sides-exchanged"
            )
        )
    return found


def from_below(shares: dict[str, float]) -> bool | None:
    """Does the animal look as from below? None where that cannot be told."""
    votes = {s > 0.5 for s in shares.values() if not 1 - _SURE < s < _SURE}
    return votes.pop() if len(votes) == 1 else None


def found_keypoints(poses: Sequence[Pose]) -> str:
    """Keypoints that were found, of the six: `6/6`; or how many there are of another skeleton."""
    names = poses[0].names
    n = len(_of_the_six(names))
    return f"{n}/{len(KEYPOINTS)}" if n >= _MOST else f"{len(names)} others"


def _of_the_six(names: Sequence[str]) -> list[str]:
    found = []
    for ours in KEYPOINTS:
        with contextlib.suppress(UserError):
            match_keypoints(names, (ours,))
            found.append(ours)
    return found


def _far(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.hypot(*(one - two).T)
