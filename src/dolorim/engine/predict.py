"""Label new videos: decode and crop in one thread while the network decides in another, in constant memory."""

from __future__ import annotations

import dataclasses
import json
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dolorim import __version__
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.ethogram import Ethogram
from dolorim.core.predictions import Predictions
from dolorim.data.cache import VIEW_KNOBS, fingerprint
from dolorim.data.crop import Crops, plan_view, read_crops
from dolorim.data.video import probe
from dolorim.engine.hardware import pick_device
from dolorim.engine.infer import Predictor
from dolorim.engine.overlay import write_overlay
from dolorim.engine.run_folder import RunFolder
from dolorim.engine.talk import progress, say, warn
from dolorim.formats.predictions import meta_path, write_predictions

_WAITING = 4  # blocks of crops that may wait for the network


@dataclass
class Outcome:
    """What became of a batch of videos."""

    done: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def predict_videos(
    run: RunFolder,
    videos: Sequence[Path],
    out: Path,
    *,
    overlay: bool = False,
    overwrite: bool = True,
    body_length_px: float | None = None,
    mask: str | None = None,
) -> Outcome:
    """Label videos and write their files to `out`. One that fails is reported and does not stop the others.

    `body_length_px` and `mask` replace those of the run, for videos of another camera.

    With `overwrite=False`, videos whose predictions are complete and made by this run from this very file are skipped.
    """
    config, ethogram = run.read_config(), run.read_ethogram()
    data = dataclasses.replace(
        config.data,
        body_length_px=body_length_px or config.data.body_length_px,
        mask=config.data.mask if mask is None else mask,
    )
    view = {name: getattr(data, name) for name in VIEW_KNOBS}
    predictor = Predictor(run.load_model(), pick_device(config.train.accelerator), config.train.precision)
    outcome = Outcome()
    for video, stem in zip(videos, unique_stems(videos), strict=True):
        try:
            meta = {
                "dolorim": __version__,
                "run": str(run.path.resolve()),
                "video": str(video),
                "view": view,
                **_identity(video),
            }
            if not overwrite and _is_done(out, stem, meta):
                outcome.skipped.append(video)
                continue
            predictions, damage = predict_video(predictor, video, stem, data, ethogram, meta)
            write_predictions(out, predictions)
            if overlay:
                write_overlay(video, predictions, out / f"{stem}.overlay.mp4")
        except UserError as error:
            outcome.failed.append((video, str(error)))
            warn(str(error))
            continue
        outcome.done.append(video)
        if damage:
            outcome.damaged.append((video, damage))
            warn(f"{video}: {damage}; the frames before that are labelled")
        say(f"{video.name}: {len(predictions.labels)} frames, {_summary(predictions)}")
    return outcome


def predict_video(
    predictor: Predictor, video: Path, stem: str, data: DataConfig, ethogram: Ethogram, meta: dict[str, Any]
) -> tuple[Predictions, str | None]:
    """Label one video; also says where a damaged one stops."""
    info = probe(video)
    stream, blocks = read_crops(video, plan_view(video, data, info))
    times: list[np.ndarray] = []

    def watched_blocks() -> Iterator[Crops]:
        with progress(video.name, info.expected_frames or None) as bar:
            for block in _in_background(blocks):
                times.append(block.time_s)
                bar(len(block.images))
                yield block

    probabilities = [*predictor.stream(watched_blocks())]
    if not probabilities:
        raise UserError(f"{video}: no frame of it decodes")
    whole, time_s = np.concatenate(probabilities), np.concatenate(times)
    damage = str(stream.damage) if stream.damage else None
    meta = {**meta, "n_frames": len(time_s), "fps": _rate_hz(time_s), "damage": damage}
    labels = whole.argmax(1).astype(np.int16)
    return Predictions(stem, ethogram.classes, labels, whole, time_s, meta), damage


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


def _in_background(blocks: Iterator[Crops]) -> Iterator[Crops]:
    """The same blocks, made in a thread that runs ahead a little."""
    ready: queue.Queue[Crops | BaseException | None] = queue.Queue(_WAITING)
    stopped = threading.Event()

    def put(item: Crops | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for block in blocks:
                if not put(block):
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the blocks are used
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def _identity(video: Path) -> dict[str, Any]:
    if not video.is_file():
        raise UserError(f"{video}: there is no such video file")
    try:
        return {"fingerprint": fingerprint(video)}
    except OSError as error:
        raise UserError(f"{video}: cannot be read ({error.strerror})") from None


def _is_done(out: Path, stem: str, meta: dict[str, Any]) -> bool:
    try:
        before = json.loads(meta_path(out, stem).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(before, dict) and all(before.get(key) == meta[key] for key in ("run", "view", "fingerprint"))


def _rate_hz(time_s: np.ndarray) -> float | None:
    return (
        round((len(time_s) - 1) / float(time_s[-1] - time_s[0]), 4)
        if len(time_s) > 1 and time_s[-1] > time_s[0]
        else None
    )


def _summary(predictions: Predictions) -> str:
    counts = np.bincount(predictions.labels, minlength=len(predictions.classes)) / len(predictions.labels)
    order = np.argsort(-counts)[:4]
    return ", ".join(f"{predictions.classes[i]} {100 * counts[i]:.1f}%" for i in order if counts[i])
