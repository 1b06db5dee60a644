"""What is in a single file: a video and the animal's place in it, a label file, or a pose file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from dolorim.checks.poses import sides
from dolorim.checks.recordings import rate_of_frames
from dolorim.checks.sheet import overview_of, save_sheet
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.dataset.study import ethogram_beside
from dolorim.files.poses import home_of, pose_of_video
from dolorim.labels.annotations import FORMATS, SUFFIXES, read_annotations, sniff
from dolorim.labels.bouts import to_bouts
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.ethogram_file import given_ethogram
from dolorim.labels.events import Conflicts
from dolorim.labels.label_files import LabelFile, parse_name, read_labels
from dolorim.pose.cleaning import clean, gate
from dolorim.pose.keypoints import KEYPOINTS, match_keypoints, parse_kp_names
from dolorim.pose.pose import Pose
from dolorim.pose.pose_track import lay
from dolorim.pose.read import READERS, read_poses
from dolorim.video.crop import crop_frames, plan_crop
from dolorim.video.picture_size import describe_sizes
from dolorim.video.reader import FrameStream, VideoInfo, probe

_TILES, _COLUMNS, _SIDE = 24, 8, 160
_SURE = 0.9  # likelihood: where a good tracker has a point, it is above
_QUANTILES = (0.05, 0.25, 0.5)


def look_at(file: Path, config: DataConfig) -> dict[str, Any]:
    """Describe a video (which is decoded once), a label file or a pose file.

    Returns what to show by what it is called, in order. Raises `UserError`.
    """
    suffix = file.suffix.casefold()
    if suffix not in (*READERS, *SUFFIXES):
        return _look_at_video(file, config)
    label_format: str | None = None
    if config.label_format != "auto":
        label_format = config.label_format
    elif suffix in SUFFIXES:
        label_format = sniff(file)
    if label_format is None:
        return _look_at_poses(file, config)
    # A label file lies in the folder of a study, or in its Annotations/: `train` would find the
    # same classes.
    classes = config.classes or ethogram_beside([file.parent, home_of(file.parent)])
    ethogram = given_ethogram(classes)
    if label_format == "frames":
        return _look_at_labels(file, ethogram)
    return _look_at_annotations(file, label_format, ethogram, config)


def _look_at_labels(file: Path, ethogram: Ethogram) -> dict[str, Any]:
    labels = read_labels(file, ethogram)
    counts = np.bincount(labels.labels[labels.labels >= 0], minlength=len(ethogram))
    return {
        "label file": str(file),
        "labels the video": parse_name(file)[0],
        "trial": labels.trial,
        "rows": len(labels.frames),
        "frames": f"{labels.frames[0]} to {labels.frames[-1]}",
        "unlabeled rows": int(np.sum(labels.labels < 0)),
        "bouts": len(to_bouts(labels.labels)),
        **{f"rows of {name}": int(n) for name, n in zip(ethogram.classes, counts, strict=True)},
    }


def _look_at_annotations(
    file: Path, kind: str, ethogram: Ethogram, config: DataConfig
) -> dict[str, Any]:
    conflicts = Conflicts("warn")
    facts: dict[str, Any] = {"label file": str(file), "format": f"{kind}: {FORMATS[kind]}"}
    annotations = read_annotations(file, ethogram, config, conflicts)
    facts["labels the video"] = ", ".join(media or parse_name(file)[0] for media in annotations)
    for media, labels in annotations.items():
        what = "rows" if isinstance(labels, LabelFile) else "bouts"
        prefix = f"{media}: " if media else ""
        counts = np.bincount(labels.labels[labels.labels >= 0], minlength=len(ethogram))
        for name, count in zip(ethogram.classes, counts.tolist(), strict=True):
            if count:
                facts[f"{prefix}{what} of {name}"] = count
        facts[f"{prefix}unlabeled {what}"] = int(np.sum(labels.labels < 0))
    return facts | {f"conflict {i + 1}": str(f) for i, f in enumerate(conflicts.findings)}


def _look_at_poses(file: Path, config: DataConfig) -> dict[str, Any]:
    poses = read_poses(file)
    facts: dict[str, Any] = {
        "pose file": str(file),
        "rows": len(poses[0]),
        "individuals": len(poses),
    }
    given, threshold = parse_kp_names(config.kp_names), config.kp_likelihood_thr
    try:
        matches = match_keypoints(poses[0].names, KEYPOINTS, given, "it")
        facts["keypoints"] = ", ".join(str(match) for match in matches)
        indices = [match.index for match in matches]
        names = [match.ours for match in matches]
        poses = tuple(pose.take(indices, names) for pose in poses)
    except UserError as error:
        facts["keypoints"] = f"{', '.join(poses[0].names)} ({error})"
    for pose in poses:
        prefix = f"{pose.individual}: " if pose.individual else ""
        for key, value in _look_at_animal(pose, config, threshold).items():
            facts[f"{prefix}{key}"] = value
    return facts


def _look_at_animal(pose: Pose, config: DataConfig, threshold: float) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    jumps: np.ndarray | None = None
    try:
        track = lay((pose,), config, config.rate_hz)
        jumps = clean(pose, track.length_px, likelihood=threshold).jumped.sum(axis=0)
        facts["body length"] = f"{track.length_px:.0f} px"
    except UserError as error:
        finding = Finding.from_error(error, "", pose.source or "")
        facts["body length"] = "; ".join(filter(None, (finding.what, finding.remedy)))
    # Only points that are believed tell where the animal was.
    points = pose.points[gate(pose, threshold)]
    if len(points):
        (x0, y0), (x1, y1) = points.min(0), points.max(0)
        facts["coordinates"] = f"x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}"
    for i, name in enumerate(pose.names):
        facts[name] = _describe_keypoint(pose, i)
        if jumps is not None:
            facts[name] += f", {int(jumps[i])} jumps"
    for ends, share in sides(pose, threshold).items():
        percent = 100 * share
        facts[f"{ends} paws"] = (
            f"left and right as seen from below in {percent:.0f} % of the frames"
        )
    facts |= {f"note {i + 1}": note for i, note in enumerate(pose.notes)}
    return facts


def _describe_keypoint(pose: Pose, index: int) -> str:
    """How often a point is missing, and how likely it is."""
    if not len(pose):
        return "no rows"
    text = f"{100 * float(pose.missing[:, index].mean()):.1f} % missing"
    if pose.likelihood is None:
        return text
    likelihood = pose.likelihood[:, index]
    doubtful = float(np.mean(~(likelihood >= _SURE)))
    text += f", {100 * doubtful:.1f} % missing or below {_SURE} likelihood"
    known = likelihood[np.isfinite(likelihood)]
    if len(known):
        quantiles = ", ".join(f"{q:.2f}" for q in np.quantile(known, _QUANTILES))
        text += f" (5, 25, 50 % of it below {quantiles})"
    return text


def _look_at_video(video: Path, config: DataConfig) -> dict[str, Any]:
    pose, poses = _pose_beside(video, config)
    info = probe(video)
    stream = FrameStream(video)
    times = np.array([frame.time_s for frame in stream])
    if not len(times):
        raise UserError(
            "no frame of it decodes", where=video, remedy="copy the file again from its source"
        )
    rate_hz, is_constant = rate_of_frames(times, info)
    plan = plan_crop(video, config, info, pose)
    length_px = plan.side_px / config.crop_scale
    if plan.scene:
        length_px = plan.scene.body_length_px
    return {
        "video": str(video),
        "frames": stream.decoded,
        "frames in the header": info.header_frames,
        "damage": str(stream.damage) if stream.damage else None,
        "size": f"{info.width_px} x {info.height_px}",
        "size changes": describe_sizes(stream.sizes),
        "rate_hz": round(rate_hz, 4),
        "rate": _describe_rate(info, is_constant),
        "first frame at": f"{times[0]:.4f} s",
        "codec": f"{info.codec}, {info.pixel_format}",
        "rotation": f"{info.rotation_deg} degrees",
        "body length": "not estimated" if config.crop == "none" else f"{length_px:.0f} px",
        "crop": f"{plan.side_px:.0f} px to {plan.size} px",
        "pose": poses,
    }


def _describe_rate(info: VideoInfo, is_constant: bool) -> str:
    if info.rate_is_assumed:
        return "assumed: it has no timestamps, and does not state its rate"
    return "constant" if is_constant else "variable"


def _pose_beside(video: Path, config: DataConfig) -> tuple[Path | None, str]:
    """The video's pose file, and a description of it; a doubt is an error only if it is needed."""
    try:
        pose = pose_of_video(video, config.dlc)
    except UserError as error:
        if config.crop == "pose":
            raise
        return None, str(error)
    return pose, str(pose) if pose else "none"


def contact_sheet(video: Path, config: DataConfig, path: Path) -> None:
    """Draw crops spread over the video next to its first frame.

    The first frame shows the window of the crop, and the path of its center through the video.
    """
    pose, _ = _pose_beside(video, config)
    plan = plan_crop(video, dataclasses.replace(config, image_size=_SIDE), pose=pose)
    first = next(iter(FrameStream(video, stop=1))).gray
    images, centers = [], []
    for block in crop_frames(FrameStream(video), plan):
        images.append(block.images)
        centers.append(block.centers * plan.side_px)
    crops, path_px = np.concatenate(images), np.concatenate(centers)
    # From the whole video, because a crop may be lost late.
    picked = np.linspace(0, len(crops) - 1, _TILES).round().astype(int)
    overview, scale = overview_of(first, _TILES // _COLUMNS * _SIDE)
    draw = ImageDraw.Draw(overview)
    draw.line([tuple(p) for p in (path_px * scale).tolist()], fill=(213, 94, 0), width=2)
    x, y = path_px[0] * scale
    half = plan.side_px * scale / 2
    draw.rectangle((x - half, y - half, x + half, y + half), outline=(0, 114, 178), width=2)
    tiles = []
    for frame in picked.tolist():
        tile = Image.fromarray(crops[frame]).convert("RGB")
        ImageDraw.Draw(tile).text((4, 2), str(frame), fill=(255, 255, 0))
        tiles.append(tile)
    save_sheet(overview, tiles, _COLUMNS, path)
