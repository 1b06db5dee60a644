"""Checks of a pose: rows, likelihoods, picture size, and left and right of the paws."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding, Severity
from dolorim.core.wording import counted
from dolorim.pose.cleaning import BODY, gate
from dolorim.pose.keypoints import KEYPOINTS, match_keypoints
from dolorim.pose.pose import Pose
from dolorim.pose.read import read_pose, read_poses
from dolorim.pose.selection import ALL, name_poses

PAIRS = (("L_frontpaw", "R_frontpaw"), ("L_hindpaw", "R_hindpaw"))
_OUTSIDE = 0.01  # share of points that may lie outside the picture: trackers guess at its edge
_SWAPS = 0.005  # share of steps in which left and right may change places
_APART = 0.15  # body lengths: closer paws may change places without meaning anything
_RARE, _HALF = 0.05, 0.5  # shares of frames in which a keypoint is likely enough
_SURE = 0.7  # share of frames that decides on which side a paw is
_ENOUGH = 30  # frames
_MOST = 4  # of the six keypoints: a file with fewer of them has another skeleton


def read_to_check(path: Path, config: DataConfig, findings: list[Finding]) -> tuple[Pose, ...]:
    """The poses that the settings select, or the closest to them, with findings about the file.

    Raises `UserError` for a file that cannot be read.
    """
    poses = _read_individuals(path, config.individual, findings)
    notes: dict[str, None] = {}
    for pose in poses:
        notes |= dict.fromkeys(pose.notes)
    findings += [Finding("note", str(path), note, name="pose-note") for note in notes]
    try:
        return name_poses(poses, config, any_skeleton=False)[0]
    except UserError as error:
        severity: Severity = "note"
        if len(_of_the_six(poses[0].names)) >= _MOST:
            # Most of the six are there: they are meant, and the others were overlooked.
            severity = "warning"
        findings.append(Finding.from_error(error, "keypoints", path, severity))
        if config.kp_names:
            return poses
        return name_poses(poses, config, any_skeleton=True)[0]


def _read_individuals(path: Path, chosen: str | None, findings: list[Finding]) -> tuple[Pose, ...]:
    """The chosen individual, or all; several without a choice are a finding."""
    if chosen is not None and chosen.casefold() != ALL:
        return (read_pose(path, chosen),)
    poses = read_poses(path)
    if chosen is None and len(poses) > 1:
        names = ", ".join(pose.individual or "" for pose in poses)
        what = f"it tracks {len(poses)} individuals ({names})"
        remedy = "choose one with --individual, or all"
        findings.append(Finding("error", str(path), what, remedy, "individual"))
    return poses


def check_rows(
    where: str, rows: int, n_frames: int, lag: int | None, cut: bool = False
) -> list[Finding]:
    """Has the pose one row per frame? The pose of a video that is `cut` off rightly has more.

    `lag` is by how many frames the pose is late, if that is known.
    """
    if rows == n_frames:
        return []
    what = f"pose rows {rows} vs {n_frames} frames"
    if lag is not None:
        what += f", best lag {lag} frames"
    explained = cut and rows > n_frames
    if not explained and abs(rows - n_frames) > max(3, 0.02 * n_frames):
        remedy = "is it the pose of another video? track this one again"
        return [Finding("error", where, what, remedy, "pose-rows")]
    remedy = "rows after the last frame are left out, frames after the last row have no pose"
    return [Finding("warning", where, what, remedy, "pose-rows")]


def check_lag(where: str, lag: int | None, given: int = 0) -> list[Finding]:
    """Do the points fit the pictures of their own frames? `given` is the lag already taken out."""
    if not lag:
        return []
    way = "earlier" if lag > 0 else "later"
    what = f"the points fit the picture best {counted(abs(lag), 'frame')} {way}"
    remedy = f"--pose_lag {lag + given}, if all recordings are like this; else track this one again"
    return [Finding("warning", where, what, remedy, "pose-lag")]


def check_likelihood(where: str, pose: Pose, threshold: float) -> list[Finding]:
    """How often is each keypoint likely enough?"""
    shares = np.zeros(len(pose.names))
    if len(pose):
        shares = gate(pose, threshold).mean(axis=0)
    remedy = "lower --kp_likelihood_thr, or label more frames of it and train the tracker again"
    if len(pose) and not shares.any():
        what = f"no point of any keypoint reaches the likelihood {threshold:g}"
        return [Finding("error", where, what, remedy, "likelihood")]
    rare: list[str] = []
    below_half: list[str] = []
    for name, share in zip(pose.names, shares, strict=True):
        text = f"{name} {100 * share:.0f} %"
        if share <= _RARE:
            rare.append(text)
        elif share <= _HALF:
            below_half.append(text)
    findings = []
    if rare:
        what = f"seldom likely enough (likelihood {threshold:g}): {', '.join(rare)} of the frames"
        findings.append(Finding("warning", where, what, remedy, "likelihood"))
    if below_half:
        listed = ", ".join(below_half)
        what = f"seldom likely enough (likelihood {threshold:g}): {listed} of the frames"
        findings.append(Finding("note", where, what, remedy, "likelihood"))
    return findings


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
    what = (
        f"{100 * outside:.0f} % of the points lie outside the picture of {width_px} x {height_px} "
        f"(to {x:.0f}, {y:.0f})"
    )
    remedy = "was a video of another size tracked? track this one"
    return [Finding("error", where, what, remedy, "outside-picture")]


def check_swaps(where: str, pose: Pose, threshold: float, length_px: float) -> list[Finding]:
    """Do left and right paws change places from one frame to the next?"""
    believed = gate(pose, threshold)
    findings = []
    for left, right in PAIRS:
        if not {left, right} <= set(pose.names):
            continue
        both = believed[:, pose.names.index(left)] & believed[:, pose.names.index(right)]
        one, two = pose.xy(left), pose.xy(right)
        # Steps for which both points are believed, before and after.
        steps = both[1:] & both[:-1]
        # If crossing over means much shorter steps than staying, the names have changed places.
        stay = _distance(one[1:], one[:-1]) + _distance(two[1:], two[:-1])
        cross = _distance(one[1:], two[:-1]) + _distance(two[1:], one[:-1])
        # Paws that are close together may change places in truth.
        closest = np.minimum(_distance(one[1:], two[1:]), _distance(one[:-1], two[:-1]))
        apart = closest > _APART * length_px
        swaps = steps & apart & (cross < 0.5 * stay)
        if swaps.sum() > max(2, _SWAPS * steps.sum()):
            first = int(np.flatnonzero(swaps)[0]) + 1
            what = f"{left} and {right} change places {swaps.sum()} times, first at row {first}"
            remedy = (
                "look at it with `dolorim inspect VIDEO --overlay`; correct the tracker's labels "
                "of that pair"
            )
            findings.append(Finding("warning", where, what, remedy, "paws-swap"))
    return findings


def sides(pose: Pose, threshold: float) -> dict[str, float]:
    """For front and hind paws, the share of frames in which left and right look as from below.

    Looking from tail base to mouth, with y down, the left paw is then on the right: the picture
    from below is a mirror image of that from above. Empty if the skeleton has no such points, or
    they are seldom likely enough together.
    """
    shares: dict[str, float] = {}
    if not set(BODY) <= set(pose.names):
        return shares
    believed = gate(pose, threshold)
    mouth, tail = (pose.xy(name) for name in BODY)
    forward = mouth - tail
    for left, right in PAIRS:
        if not {left, right} <= set(pose.names):
            continue
        all_four = believed[:, [pose.names.index(n) for n in (*BODY, left, right)]].all(axis=1)
        if all_four.sum() < _ENOUGH:
            continue
        across = (pose.xy(left) - pose.xy(right))[all_four]
        # The sign of the cross product tells on which side of the body axis the left paw is.
        cross = forward[all_four, 0] * across[:, 1] - forward[all_four, 1] * across[:, 0]
        ends = "front" if "front" in left else "hind"
        shares[ends] = float(np.mean(cross > 0))
    return shares


def check_sides(where: str, shares: dict[str, float]) -> list[Finding]:
    """Are left and right of front and hind paws on their own sides of the body?

    `shares` are those of `sides`.
    """
    unclear = {ends: share for ends, share in shares.items() if 1 - _SURE < share < _SURE}
    findings = []
    for ends, share in unclear.items():
        what = (
            f"left and right {ends} paws are on either side about equally often "
            f"({100 * share:.0f} %)"
        )
        remedy = "the tracker mixes them up; do not use one of them alone"
        findings.append(Finding("warning", where, what, remedy, "sides-mixed"))
    if not unclear and len({share > 0.5 for share in shares.values()}) > 1:
        what = (
            "left and right are swapped for front or hind paws: they lie on opposite sides of the "
            "body"
        )
        remedy = "swap the two names with --kp_names"
        findings.append(Finding("warning", where, what, remedy, "sides-exchanged"))
    return findings


def from_below(shares: dict[str, float]) -> bool | None:
    """Does the animal look as from below? None if `shares` of `sides` do not tell."""
    votes = {share > 0.5 for share in shares.values() if not 1 - _SURE < share < _SURE}
    if len(votes) != 1:
        return None
    return votes.pop()


def describe_keypoints(poses: Sequence[Pose]) -> str:
    """How many of the six keypoints there are: `6/6`; or how many points another skeleton has."""
    names = poses[0].names
    n = len(_of_the_six(names))
    if n < _MOST:
        return f"{len(names)} others"
    return f"{n}/{len(KEYPOINTS)}"


def _of_the_six(names: Sequence[str]) -> list[str]:
    """Those of the six keypoints that one of these names means."""
    matched = []
    for keypoint in KEYPOINTS:
        with contextlib.suppress(UserError):
            match_keypoints(names, (keypoint,))
            matched.append(keypoint)
    return matched


def _distance(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.hypot(*(one - two).T)
