"""Label new videos: decode and crop in one thread while the network decides in another, in constant memory."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dolorim import __version__
from dolorim.config import Config
from dolorim.core.decoder import Decoder
from dolorim.core.errors import UserError
from dolorim.core.ethogram import Ethogram
from dolorim.core.findings import Finding
from dolorim.core.predictions import Predictions
from dolorim.data.ahead import ahead
from dolorim.data.cache import VIEW_KNOBS, fingerprint
from dolorim.data.crop import Crops, plan_view, read_crops
from dolorim.data.track import PoseTrack, read_track
from dolorim.data.video import probe
from dolorim.engine.abstention import read_sets
from dolorim.engine.evaluate import predictor_of
from dolorim.engine.infer import Decisions, Predictor
from dolorim.engine.material import rate_of
from dolorim.engine.overlay import write_overlay
from dolorim.engine.run_folder import RunFolder
from dolorim.engine.talk import progress, say, warn
from dolorim.formats.naming import find_videos
from dolorim.formats.predictions import meta_path, read_predictions, write_predictions
from dolorim.formats.table import write_table
from dolorim.formats.tracking import find_pose_files, find_poses, pose_files_below, recording_stem
from dolorim.metrics.attention import rank_bouts
from dolorim.metrics.conformal import Conformal
from dolorim.metrics.conformal import abstain as left_open

_WAITING = 4  # blocks of crops that may wait for the network
_TO_CHECK = 500  # bouts in the list of those to look at first


@dataclass(frozen=True)
class Job:
    """A recording to label: its video, its pose, or both; `stem` names its files."""

    file: Path
    stem: str
    pose: Path | None = None

    @property
    def video(self) -> Path | None:
        return None if self.file == self.pose else self.file


@dataclass
class Outcome:
    """What became of a batch of recordings."""

    done: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def find_jobs(run: RunFolder, places: Sequence[Path], dlc: Path | None = None) -> list[Job]:
    """What there is to label for a run below some places: videos, with poses from `dlc` or beside them, or poses alone.

    Raises `UserError` where there is nothing.
    """
    model = run.read_config().model
    if model.visual == "none":
        poses = find_pose_files(places)
        names = unique_stems([p.with_name(recording_stem(p) + p.suffix) for p in poses])
        return [Job(p, name, p) for p, name in zip(poses, names, strict=True)]
    videos = find_videos(places)
    stems = unique_stems(videos)
    if not run.read_skeleton().keypoints and run.read_config().data.crop != "pose":
        return [Job(v, s) for v, s in zip(videos, stems, strict=True)]
    folders = [dlc] if dlc is not None else sorted({v.parent for v in videos})
    findings: list[Finding] = []
    found = find_poses(pose_files_below(folders), [v.stem for v in videos], findings)
    for finding in findings:
        warn(str(finding))
    return [Job(v, s, found.get(v.stem)) for v, s in zip(videos, stems, strict=True)]


def predict_videos(
    run: RunFolder,
    jobs: Sequence[Job],
    out: Path,
    *,
    overlay: bool = False,
    overwrite: bool = True,
    body_length_px: float | None = None,
    mask: str | None = None,
    abstain: float | None = None,
    abstain_by: RunFolder | None = None,
) -> Outcome:
    """Label recordings and write their files to `out`. One that fails is reported and does not stop the others.

    `to_check.csv` lists the bouts of all of them that a person should look at first. With `abstain`, frames whose
    conformal set at this alpha is not their label alone are left open (-1); the sets are the run's, or `abstain_by`'s.

    `body_length_px` and `mask` replace those of the run, for videos of another camera.

    With `overwrite=False`, recordings whose predictions are complete and made by this run from these very files are
    skipped.
    """
    config = run.read_config()
    data = dataclasses.replace(
        config.data,
        body_length_px=body_length_px or config.data.body_length_px,
        mask=config.data.mask if mask is None else mask,
    )
    view = {name: getattr(data, name) for name in VIEW_KNOBS}
    config = dataclasses.replace(config, data=data)
    ethogram = run.read_ethogram()
    sets = None if abstain is None else read_sets(abstain_by or run, abstain, ethogram.classes)
    labeler = Labeler(predictor_of(run), run.read_decoder(), ethogram, config, sets)
    outcome, labelled = Outcome(), []
    for job in jobs:
        try:
            meta = {
                "dolorim": __version__,
                "run": str(run.path.resolve()),
                "video": str(job.file),
                "view": view,
                **({} if sets is None else {"abstain": abstain, "abstain_by": str((abstain_by or run).path.resolve())}),
                **_identity(job),
            }
            if not overwrite and _is_done(out, job.stem, meta):
                outcome.skipped.append(job.file)
                labelled.append(job.stem)
                continue
            predictions, damage = labeler(job, meta)
            write_predictions(out, predictions)
            if overlay and job.video is not None:
                write_overlay(job.video, predictions, out / f"{job.stem}.overlay.mp4")
        except UserError as error:
            outcome.failed.append((job.file, str(error)))
            warn(str(error))
            continue
        outcome.done.append(job.file)
        labelled.append(job.stem)
        if damage:
            outcome.damaged.append((job.file, damage))
            warn(f"{job.file}: {damage}; the frames before that are labelled")
        used = f" from {' and '.join(predictions.meta['seen'])}" if config.model.pose != "none" else ""
        say(f"{job.file.name}: {len(predictions.labels)} frames{used}, {_summary(predictions)}")
    if labelled:
        _write_bouts_to_check(out, labelled, ethogram.indicator)
    return outcome


def _write_bouts_to_check(out: Path, stems: Sequence[str], indicator: str | None) -> None:
    """`to_check.csv`: bouts by what they can change in the read-out, the first ones."""
    ranked = rank_bouts((_decided(read_predictions(out / f"{s}.predictions.csv")) for s in stems), indicator, _TO_CHECK)
    rows = [
        [b.name, b.bout.start, b.bout.stop, f"{b.start_s:.3f}", f"{b.stop_s:.3f}", b.label, b.rival,
         *(f"{v:.4f}" for v in (b.confidence, b.margin, b.seconds, b.bouts, b.score))] for b in ranked
    ]  # fmt: skip
    header = "recording,start_frame,stop_frame,start_s,stop_s,label,rival,mean_probability,margin"
    header += ",seconds_at_stake,bouts_at_stake,percent_of_readout"
    write_table(out / "to_check.csv", header.split(","), rows)


def _decided(predictions: Predictions) -> Predictions:
    """The same with every frame that was left open under its likeliest class."""
    likeliest = np.nan_to_num(predictions.probabilities).argmax(1).astype(np.int16)
    return dataclasses.replace(predictions, labels=np.where(predictions.labels < 0, likeliest, predictions.labels))


@dataclass(frozen=True)
class Labeler:
    """All that is needed to label one recording after another."""

    predictor: Predictor
    decoder: Decoder
    ethogram: Ethogram
    config: Config
    sets: Conformal | None = None

    def __call__(self, job: Job, meta: dict[str, Any]) -> tuple[Predictions, str | None]:
        """Label one recording; also says where a damaged video stops. `meta["seen"]` says what was looked at."""
        if job.video is None:
            track = self._track(job, self.config.data.rate_hz)
            if track is None:
                raise UserError(f"{job.file}: not a pose file that this run can read")
            decided, damage = [*self.predictor.stream(None, track)], None
            time_s = np.arange(track.n_frames) / track.rate_hz
        else:
            decided, time_s, damage, track = self._watch(job, job.video)
        seen = [name for name, there in (("video", job.video), ("pose", track)) if there is not None]
        probabilities = np.concatenate([d.probabilities for d in decided])
        rate_hz = rate_of(time_s)
        meta = {**meta, "n_frames": len(time_s), "fps": round(rate_hz, 4), "damage": damage, "seen": seen}
        labels = self.decoder.decode(probabilities, rate_hz)
        probabilities = self.decoder.calibrated(probabilities)
        if self.sets is not None:
            labels = left_open(labels, probabilities.round(4), self.sets)  # as they were calibrated, from files
            meta["frames_left_open"] = int(np.sum(labels < 0))
        return Predictions(job.stem, self.ethogram.classes, labels, probabilities, time_s, meta), damage

    def _watch(self, job: Job, video: Path) -> tuple[list[Decisions], np.ndarray, str | None, PoseTrack | None]:
        info = probe(video)
        track = self._track(job, info.header_rate_hz) if self.predictor.needs.pose is not None else None
        view = plan_view(video, self.config.data, info, job.pose)
        stream, blocks = read_crops(video, view)
        times: list[np.ndarray] = []

        def watched_blocks() -> Iterator[Crops]:
            with progress(video.name, info.expected_frames or None) as bar:
                for block in ahead(blocks, _WAITING):
                    times.append(block.time_s)
                    bar(len(block.images))
                    yield block

        decided = [*self.predictor.stream(watched_blocks(), track, view.side_px)]
        if not decided:
            raise UserError(f"{video}: no frame of it decodes")
        return decided, np.concatenate(times), str(stream.damage) if stream.damage else None, track

    def _track(self, job: Job, rate_hz: float) -> PoseTrack | None:
        """The recording's pose, where it has one with the keypoints that the run has learned from."""
        if job.pose is None:
            return None
        track = read_track(job.pose, self.config.data, self.config.model.pose == "generic", rate_hz)
        wanted = self.predictor.needs.skeleton
        if track.skeleton != wanted:
            raise UserError(
                f"{job.pose}: expected {', '.join(wanted.keypoints)} of {wanted.animals}, found "
                f"{', '.join(track.names)} of {track.skeleton.animals}; the run has learned from other points"
            )
        return track


def unique_stems(videos: Sequence[Path]) -> list[str]:
    """Names for the output files: the video's stem, or the whole file name where two videos share a stem.

    Raises `UserError` where two videos share even that.
    """
    stems = [v.stem for v in videos]
    names = [v.name if stems.count(v.stem) > 1 else v.stem for v in videos]
    for name in names:
        if names.count(name) > 1:
            one, two = [v for v, n in zip(videos, names, strict=True) if n == name][:2]
            raise UserError(
                f"{one} and {two} would write the same files; predict them into different folders with --out"
            )
    return names


def _identity(job: Job) -> dict[str, Any]:
    if not job.file.is_file():
        raise UserError(f"{job.file}: there is no such {'video' if job.video else 'pose'} file")
    try:
        found = {"fingerprint": fingerprint(job.file)}
        return (
            found if job.pose is None else {**found, "pose": str(job.pose), "pose_fingerprint": fingerprint(job.pose)}
        )
    except OSError as error:
        raise UserError(f"{job.file}: cannot be read ({error.strerror})") from None


def _is_done(out: Path, stem: str, meta: dict[str, Any]) -> bool:
    try:
        before = json.loads(meta_path(out, stem).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    keys = ("run", "view", "fingerprint", "pose_fingerprint", "abstain", "abstain_by")
    return isinstance(before, dict) and all(before.get(key) == meta.get(key) for key in keys)


def _summary(predictions: Predictions) -> str:
    labels, n = predictions.labels, len(predictions.labels)
    counts = np.bincount(labels[labels >= 0], minlength=len(predictions.classes)) / n
    order = np.argsort(-counts)[:4]
    found = [f"{predictions.classes[i]} {100 * counts[i]:.1f}%" for i in order if counts[i]]
    if (left := predictions.meta.get("frames_left_open")) is not None:
        found.append(f"{left} left open ({100 * left / n:.1f}%)")
    return ", ".join(found)
