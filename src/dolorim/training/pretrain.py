"""`dolorim pretrain`: learn an encoder from videos without labels.

Two views of nearby moments of a video shall get the same features, whatever their heading, place,
size and light (`view_pairs`, `vicreg`). Frames are read from the frame cache, so memory does not
grow with the videos.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dolorim import __version__
from dolorim.config import CROPS, DataConfig
from dolorim.core.clock import rate_of
from dolorim.core.errors import UserError
from dolorim.core.workers import usual_workers
from dolorim.dataset.extract import Failures, extract
from dolorim.dataset.run_rate import middle_rate
from dolorim.files.naming import find_videos
from dolorim.files.recordings import Recorded, chamber_of, name_recordings
from dolorim.inference.encoder_folder import (
    CARD,
    Encoder,
    describe_video,
    load_encoder_folder,
    save_encoder,
)
from dolorim.inference.hardware import pick_device
from dolorim.models.frame_encoder import (
    SIDE_PX,
    WINDOW,
    FrameEncoder,
    calibrate_statistics,
    scale_of_crops,
)
from dolorim.terminal import progress, say, warn
from dolorim.training.fit import read_checkpoint
from dolorim.training.pretrain_options import PretrainOptions
from dolorim.training.vicreg import projector, share_matched, vicreg_loss
from dolorim.training.view_pairs import ViewPairs
from dolorim.video.body_length import measure_body_lengths
from dolorim.video.cache import CachedVideo
from dolorim.video.chambers import chamber_tables_beside, chambers_of
from dolorim.video.time_grid import describe_resampling, frame_rate, time_grid

_CHECKPOINT = "last.ckpt"
_SAVE_EVERY = 25  # steps
_SAY_EVERY = 50
_WARM_UP = 20
_WEIGHT_DECAY = 1e-4
# Numbers of the batches that calibrate batch normalization; no training is as long as that.
_CALIBRATION = range(10**9, 10**9 + 8)


@dataclass
class _State:
    """What a training has reached; all of it is in the checkpoint."""

    network: FrameEncoder
    head: nn.Sequential
    optimizer: torch.optim.Optimizer
    step: int = 0
    spent_s: float = 0.0
    loss: float = 0.0
    matched: float = 0.0


def recordings_in(places: Sequence[Path], chambers: str | None) -> tuple[list[Recorded], Failures]:
    """The videos in some places, or their chambers, given or in a table beside them.

    Returns also the videos whose chambers cannot be told. Raises `UserError` for tables that
    contradict each other.
    """
    videos = find_videos(places)
    laid = chambers_of(videos, chamber_tables_beside(places, chambers))
    for finding in laid.findings:
        (say if finding.severity == "note" else warn)(str(finding))
    clear = [video for video in videos if video not in laid.refused]
    if not clear:
        raise UserError("; ".join([*laid.refused.values()][:3]))
    return [*name_recordings(clear, laid.by_video)], [*laid.refused.items()]


def pretrain_encoder(
    videos: Sequence[Recorded], out: Path, data: DataConfig, options: PretrainOptions
) -> tuple[Encoder, Failures]:
    """Learn an encoder and write it to a folder; returns it, and the videos that failed.

    Videos, or chambers of them, are seen at `data.run_rate_hz`, or at their middle rate. An
    unfinished training with the same settings continues where it stopped. Raises `UserError`.
    """
    if (out / CARD).exists():
        raise UserError(
            "holds a finished encoder", where=f"--out {out}", remedy="choose another folder"
        )
    before = None if options.continue_from is None else load_encoder_folder(options.continue_from)
    cached, failures = frames_of(videos, data)
    for entry in cached.values():
        if entry.damage:
            warn(f"{entry.video}: {entry.damage}; the frames before that are used")
    settings = _settings(cached, data, options, before)
    state = _start(options, before)
    checkpoint = out / _CHECKPOINT
    if checkpoint.exists():
        _resume(state, checkpoint, settings)
        say(f"continuing from step {state.step} in {checkpoint}")
    scale = scale_of_crops(data)
    seen = _at_one_rate([*cached.values()], data.run_rate_hz)
    views = ViewPairs(seen, scale, state.network.reach, options.within, options.seed)
    _learn(state, views, options, checkpoint, settings)
    state.network.cpu()
    plain = (views.plain(number, options.batch_size) for number in _CALIBRATION)
    calibrate_statistics(state.network, plain)
    encoder = save_encoder(state.network, _card(state, settings, before), out)
    checkpoint.unlink(missing_ok=True)
    return encoder, failures


def frames_of(
    videos: Sequence[Recorded], data: DataConfig
) -> tuple[dict[Recorded, CachedVideo], Failures]:
    """The cached videos or chambers, and those that could not be read."""
    lengths = measure_body_lengths(dict.fromkeys(videos), data, crops=True, poses=False)
    cached, failures = extract(videos, data, usual_workers(), lengths)
    if not cached:
        reasons = "; ".join(reason for _, reason in failures[:3])
        raise UserError(f"no video can be read: {reasons}")
    return cached, failures


def _at_one_rate(cached: Sequence[CachedVideo], rate_hz: float | None) -> list[CachedVideo]:
    """The videos as an encoder at one rate sees them: the one that is given, or the middle one."""
    rate_hz = rate_hz or middle_rate(frame_rate(entry.time_s) for entry in cached)
    seen = []
    for entry in cached:
        grid = time_grid(entry.time_s, rate_hz)
        if grid is None:
            seen.append(entry)
            continue
        what, _ = describe_resampling(grid.filmed, grid.rate_hz)
        say(f"{entry.video}: {what}")
        seen.append(entry.on_grid(grid))
    return seen


def _settings(
    cached: Mapping[Recorded, CachedVideo],
    data: DataConfig,
    options: PretrainOptions,
    before: Encoder | None,
) -> dict[str, Any]:
    """All that the weights depend on, as plain values."""
    videos = []
    for recording, entry in cached.items():
        rate_hz = round(rate_of(entry.time_s), 3)
        facts: dict[str, Any] = {"frames": entry.n_frames, "rate_hz": rate_hz}
        chamber = chamber_of(recording)
        if chamber is not None:
            facts["chamber"] = {"name": chamber.name, "box": [*chamber.box]}
        videos.append({**describe_video(entry.video), **facts})
    chosen = {name: getattr(options, name) for name in ("steps", "batch_size", "within", "lr")}
    crops = {name: getattr(data, name) for name in CROPS}
    return {
        **chosen,
        "seed": options.seed,
        "crops": crops,
        "run_rate_hz": data.run_rate_hz,
        "videos": videos,
        "continued_from": None if before is None else before.key,
    }


def _start(options: PretrainOptions, before: Encoder | None) -> _State:
    device = pick_device(options.accelerator)
    torch.manual_seed(options.seed)
    network = FrameEncoder() if before is None else before.network
    network, head = network.to(device), projector(network.width).to(device)
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, options.lr, weight_decay=_WEIGHT_DECAY)
    return _State(network, head, optimizer)


def _resume(state: _State, checkpoint: Path, settings: dict[str, Any]) -> None:
    saved = read_checkpoint(checkpoint)
    if saved.get("settings") != json.dumps(settings):
        raise UserError(
            "belongs to a training with other settings or other videos",
            where=checkpoint,
            remedy="choose another --out, or delete it to start over",
        )
    state.network.load_state_dict(saved["network"])
    state.head.load_state_dict(saved["head"])
    state.optimizer.load_state_dict(saved["optimizer"])
    for name in ("step", "spent_s", "loss", "matched"):
        setattr(state, name, saved[name])


def _save(state: _State, checkpoint: Path, settings: dict[str, Any]) -> None:
    saved = {
        "settings": json.dumps(settings),
        "network": state.network.state_dict(),
        "head": state.head.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        **{name: getattr(state, name) for name in ("step", "spent_s", "loss", "matched")},
    }
    part = checkpoint.with_suffix(".part")
    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        torch.save(saved, part)
        part.replace(checkpoint)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", where=checkpoint) from None


def _learn(
    state: _State,
    views: ViewPairs,
    options: PretrainOptions,
    checkpoint: Path,
    settings: dict[str, Any],
) -> None:
    device = pick_device(options.accelerator)
    state.network.train()
    state.head.train()
    with progress("learning", options.steps) as bar:
        bar(state.step)
        while state.step < options.steps:
            started = time.monotonic()
            for group in state.optimizer.param_groups:
                group["lr"] = options.lr * _rate(state.step, options.steps)
            batch = views.draw(state.step, options.batch_size).to(device)
            _one_step(state, batch)
            state.step += 1
            state.spent_s += time.monotonic() - started
            bar(1)
            if state.step % _SAVE_EVERY == 0:
                _save(state, checkpoint, settings)
            if state.step % _SAY_EVERY == 0:
                say(
                    f"step {state.step} of {options.steps}: loss {state.loss:.2f}; "
                    f"{100 * state.matched:.0f} % of the views find their partner "
                    f"among {options.batch_size}"
                )


def _one_step(state: _State, batch: torch.Tensor) -> None:
    projected = state.head(state.network(batch)[:, 0])
    first, second = projected.chunk(2)
    loss = vicreg_loss(first, second)
    if not torch.isfinite(loss):
        raise UserError(
            f"the loss became {loss.item()} in step {state.step}", remedy="try a lower --lr"
        )
    state.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimizer.step()
    state.loss = loss.item()
    state.matched = share_matched(first.detach(), second.detach())


def _rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: a short rise, then half a cosine."""
    rise = min(1.0, (step + 1) / min(_WARM_UP, steps))
    return rise * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def _card(state: _State, settings: dict[str, Any], before: Encoder | None) -> dict[str, Any]:
    """What the encoder is: its method, the videos that it has seen, settings and versions."""
    videos = [*settings["videos"]]
    if before is not None:
        # Whoever uses this encoder has to know what the earlier one saw, too.
        known = {(video["bytes"], video["ends"]) for video in videos}
        earlier = before.card.get("videos", [])
        videos += [video for video in earlier if (video["bytes"], video["ends"]) not in known]
    return {
        "method": "VICReg on unlabeled video",
        "window_body_lengths": WINDOW,
        "side_px": SIDE_PX,
        "settings": {name: value for name, value in settings.items() if name != "videos"},
        "videos": videos,
        "loss": round(state.loss, 4),
        "share_matched": round(state.matched, 4),
        "seconds": round(state.spent_s, 1),
        "versions": {
            "dolorim": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
