"""One look at a file: what a video holds and where the animal is in it, what a label file or a pose file says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from dolorim.checks.poses import sides
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.dataset.study import ethogram_beside
from dolorim.files.poses import home_of, pose_of_video
from dolorim.labels.annotations import FORMATS, SUFFIXES, read_annotations, sniff
from dolorim.labels.bouts import to_bouts
from dolorim.labels.ethogram import PAIN, Ethogram
from dolorim.labels.ethogram_file import read_ethogram
from dolorim.labels.events import Conflicts
from dolorim.labels.label_files import LabelFile, parse_name, read_labels
from dolorim.pose.cleaning import clean, gate
from dolorim.pose.keypoints import KEYPOINTS, match_keypoints, parse_kp_names
from dolorim.pose.pose import Pose
from dolorim.pose.pose_track import lay
from dolorim.pose.read import READERS, read_poses
from dolorim.video.crop import crop_frames, plan_crop
from dolorim.video.picture_size import describe_sizes
from dolorim.video.reader import FrameStream, probe

_TILES, _COLUMNS, _SIDE = 24, 8, 160
_SURE = 0.9  # likelihood
_QUANTILES = (0.05, 0.25, 0.5)


def look_at(file: Path, config: DataConfig) -> dict[str, Any]:
    """Say what is in a video (which is decoded once), in a label file or in a pose file."""
    kind = file.suffix.casefold()
    if kind not in (*READERS, *SUFFIXES):
        return _look_at_video(file, config)
    known = (
        config.label_format
        if config.label_format != "auto"
        else sniff(file)
        if kind in SUFFIXES
        else None
    )
    if known is None:
        return _look_at_poses(file, config)
    # A label file lies in a folder of a study, or in its Annotations/: its classes are those that train would find.
    classes = config.classes or ethogram_beside([file.parent, home_of(file.parent)])
    ethogram = PAIN if classes is None else read_ethogram(classes)
    return (
        _look_at_labels(file, ethogram)
        if known == "frames"
        else _look_at_annotations(file, known, ethogram, config)
    )


def _look_at_labels(file: Path, ethogram: Ethogram) -> dict[str, Any]:
    labels = read_labels(file, ethogram)
    counts = np.bincount(labels.labels[labels.labels >= 0], minlength=len(ethogram))
    return {
        "label file": str(file),
        "labels the video": parse_name(file)[0],
        "trial": labels.trial,
        "rows": len(labels.frames),
        "frames": f"{labels.frames[0]} to {labels.frames[-1]}",
        "unlabelled rows": int(np.sum(labels.labels < 0)),
        "bouts": len(to_bouts(labels.labels)),
        **{f"rows of {name}": int(n) for name, n in zip(ethogram.classes, counts, strict=True)},
    }


def _look_at_annotations(
    file: Path, kind: str, ethogram: Ethogram, config: DataConfig
) -> dict[str, Any]:
    conflicts = Conflicts("warn")
    found: dict[str, Any] = {"label file": str(file), "format": f"{kind}: {FORMATS[kind]}"}
    for media, labels in read_annotations(file, ethogram, config, conflicts).items():
        found["labels the video"] = media or parse_name(file)[0]
        what = "rows" if isinstance(labels, LabelFile) else "bouts"
        counts = np.bincount(labels.labels[labels.labels >= 0], minlength=len(ethogram))
        about = {
            f"{what} of {n}": int(c) for n, c in zip(ethogram.classes, counts, strict=True) if c
        }
        about[f"unlabelled {what}"] = int(np.sum(labels.labels < 0))
        found |= {f"{media}: {key}" if media else key: value for key, value in about.items()}
    return found | {f"conflict {i + 1}": str(f) for i, f in enumerate(conflicts.found)}


def _look_at_poses(file: Path, config: DataConfig) -> dict[str, Any]:
    poses = read_poses(file)
    found: dict[str, Any] = {
        "pose file": str(file),
        "rows": len(poses[0]),
        "individuals": len(poses),
    }
    given, threshold = parse_kp_names(config.kp_names), config.kp_likelihood_thr
    try:
        matches = match_keypoints(poses[0].names, KEYPOINTS, given, "it")
        found["keypoints"] = ", ".join(str(m) for m in matches)
        poses = tuple(p.take([m.index for m in matches], [m.ours for m in matches]) for p in poses)
    except UserError as error:
        found["keypoints"] = f"{', '.join(poses[0].names)} ({error})"
    for pose in poses:
        who = f"{pose.individual}: " if pose.individual else ""
        found |= {
            f"{who}{key}": value for key, value in _look_at_animal(pose, config, threshold).items()
        }
    return found


def _look_at_animal(pose: Pose, config: DataConfig, threshold: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    cleaned = None
    try:
        track = lay((pose,), config, config.rate_hz)
        cleaned = clean(pose, track.length_px, likelihood=threshold)
        found["body length"] = f"{track.length_px:.0f} px"
    except UserError as error:
        found["body length"] = str(error).removeprefix(f"{pose.source}: ")
    points = pose.points[gate(pose, threshold)]
    if len(points):
        (x0, y0), (x1, y1) = points.min(0), points.max(0)
        found["coordinates"] = f"x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}"
    for i, name in enumerate(pose.names):
        text = f"{100 * float(pose.missing[:, i].mean()):.1f} % missing" if len(pose) else "no rows"
        if pose.likelihood is not None:
            doubtful = float(np.mean(~(pose.likelihood[:, i] >= _SURE)))
            text += f", {100 * doubtful:.1f} % missing or below {_SURE} likelihood"
            known = pose.likelihood[np.isfinite(pose.likelihood[:, i]), i]
            if len(known):
                text += (
                    " (5, 25, 50 % of it below "
                    + ", ".join(f"{q:.2f}" for q in np.quantile(known, _QUANTILES))
                    + ")"
                )
        if cleaned is not None:
            text += f", {int(cleaned.jumped[:, i].sum())} jumps"
        found[name] = text
    for ends, share in sides(pose, threshold).items():
        found[f"{ends} paws"] = (
            f"left and right as seen from below in {100 * share:.0f} % of the frames"
        )
    found |= {f"note {i + 1}": note for i, note in enumerate(pose.notes)}
    return found


def _look_at_video(video: Path, config: DataConfig) -> dict[str, Any]:
    pose, poses = _pose_beside(video, config)
    info = probe(video)
    stream = FrameStream(video)
    times = np.array([frame.time_s for frame in stream])
    if not len(times):
        raise UserError(f"{video}: no frame of it decodes; copy the file again from its source")
    steps = np.diff(times)
    constant = len(steps) < 2 or float(np.abs(steps - np.median(steps)).max()) < 0.1 * float(
        np.median(steps)
    )
    view = plan_crop(video, config, info, pose)
    length = view.scene.body_length_px if view.scene else view.side_px / config.crop_scale
    return {
        "video": str(video),
        "frames": stream.decoded,
        "frames in the header": info.header_frames,
        "damage": str(stream.damage) if stream.damage else None,
        "size": f"{info.width_px} x {info.height_px}",
        "size changes": describe_sizes(stream.sizes),
        "rate_hz": round((len(times) - 1) / float(times[-1] - times[0]), 4)
        if len(times) > 1
        else info.header_rate_hz,
        "rate": "constant" if constant else "variable",
        "first frame at": f"{times[0]:.4f} s",
        "codec": f"{info.codec}, {info.pixel_format}",
        "rotation": f"{info.rotation_deg} degrees",
        "body length": "not estimated" if config.crop == "none" else f"{length:.0f} px",
        "crop": f"{view.side_px:.0f} px to {view.size} px",
        "pose": poses,
    }


def _pose_beside(video: Path, config: DataConfig) -> tuple[Path | None, str]:
    """The video's pose file, and what to say of it; a doubt stops only those who need it."""
    try:
        pose = pose_of_video(video, config.dlc)
    except UserError as error:
        if config.crop == "pose":
            raise
        return None, str(error)
    return pose, str(pose) if pose else "none"


def contact_sheet(video: Path, config: DataConfig, path: Path) -> None:
    """Draw crops spread over the video, and the first frame with the crop's window and the animal's way in it."""
    view = plan_crop(
        video, dataclasses.replace(config, image_size=_SIDE), pose=_pose_beside(video, config)[0]
    )
    first = next(iter(FrameStream(video, stop=1))).gray
    images, centers = [], []
    for block in crop_frames(FrameStream(video), view):
        images.append(block.images)
        centers.append(block.centers * view.side_px)
    crops, way = np.concatenate(images), np.concatenate(centers)
    picked = np.linspace(0, len(crops) - 1, _TILES).round().astype(int)
    rows = -(-_TILES // _COLUMNS)
    scale = rows * _SIDE / first.shape[0]
    overview = (
        Image.fromarray(np.ascontiguousarray(first))
        .resize((round(first.shape[1] * scale), rows * _SIDE))
        .convert("RGB")
    )
    draw = ImageDraw.Draw(overview)
    draw.line([tuple(p) for p in (way * scale).tolist()], fill=(213, 94, 0), width=2)
    x, y = way[0] * scale
    half = view.side_px * scale / 2
    draw.rectangle((x - half, y - half, x + half, y + half), outline=(0, 114, 178), width=2)
    sheet = Image.new("RGB", (overview.width + _COLUMNS * _SIDE, rows * _SIDE))
    sheet.paste(overview, (0, 0))
    for i, frame in enumerate(picked.tolist()):
        at = (overview.width + i % _COLUMNS * _SIDE, i // _COLUMNS * _SIDE)
        sheet.paste(Image.fromarray(crops[frame]), at)
        ImageDraw.Draw(sheet).text((at[0] + 4, at[1] + 2), str(frame), fill=(255, 255, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
